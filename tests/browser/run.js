// A real browser against a real relay: node run.js [--firefox] RELAY BROWSER, both paths of programs.
//
// Two tabs on one path and a third one on another. What they say and what they hear is judged here; page.js only sends
// and records. Needs playwright-core (Chromium) or puppeteer-core (Firefox) in NODE_PATH, and nothing but loopback.
'use strict';

const { Browser } = require('./browsers.js');
const { check, conclude, differ, programs, short } = require('./checks.js');
const { OWN, serve } = require('./pages.js');
const { Relay } = require('./relay.js');

const { kind, binary, executable } = programs('run.js');

const RUN_SECS = 150;
const WAIT_MILLIS = 10_000;
const CALL_SECS = 15;
const OPEN = 1;

// The page comes from a server of its own.
let origins;
const CONFIG = 'max_message = "64 KiB"\nping_interval = "25s"\ndrain = "2s"\nlog = "info"\n';
const PINGING = 'ping_interval = "1s"\npong_timeout = "500ms"\nlog = "info"\n';
const IDLE_MILLIS = 4_000;

const TEXTS = [
  'plain',
  '',
  'grüße, Ελλάδα, Привет, 日本語, שלום',
  '🦀👩‍👩‍👧 beyond the first plane: 𝄞',
  'e\u0301 is not \u00e9',
  '\ufeffa byte order mark stays',
  'a\u0000b\r\n\u2028c',
  'ü'.repeat(30_000),
];
const SIZES = [0, 1, 60_000];
const MANY = 200;
const LIMIT_BYTES = 64 * 1024;
// A shutdown waits for the tab's close frame and is clean in every browser. After a breach the relay ends its side at
// once (RFC 6455 7.1.7), which Firefox calls unclean when its own close frame has not left by then: a matter of
// microseconds, told there and not judged.
const CLEAN = true;
const CLEAN_AFTER_BREACH = kind === 'firefox' ? undefined : true;
const RESTART = /^retry-after=[0-9]+$/;

const text = (data) => ({ kind: 'text', data });

// Bytes in which no two neighbours are alike and each of the 256 values occurs.
function bytes(size, seed) {
  const values = Uint8Array.from({ length: size }, (_, at) => (at * 167 + (at >> 8) + seed) & 0xff);
  return Buffer.from(values).toString('base64');
}

// Problems of what a socket heard, message by message.
function compare(who, got, expected) {
  const problems = differ(`${who} heard messages`, got.length, expected.length);
  expected.forEach((entry, at) => problems.push(...differ(`${who}, message ${at}`, got[at], entry)));
  return problems;
}

// Problems of the end of a connection: one close event, as expected. `wasClean` undefined is not judged.
function compareEnd(who, closes, code, reason, wasClean) {
  if (closes.length !== 1) return [`${who}: ${closes.length} close events`];
  const [close] = closes;
  const problems = reason.test(close.reason) ? [] : [`${who}: reason ${short(close.reason)}, expected ${reason}`];
  problems.push(...differ(`${who}: code`, close.code, code));
  if (wasClean === undefined) console.log(`    ${who}: wasClean ${close.wasClean}`);
  return [...problems, ...differ(`${who}: wasClean`, close.wasClean, wasClean ?? close.wasClean)];
}

// One WebSocket in a tab.
class Socket {
  constructor(tab, name) {
    this.tab = tab;
    this.name = name;
  }

  static async open(tab, name, url, { protocols = [], binaryType = 'arraybuffer' } = {}) {
    const socket = new Socket(tab, name);
    socket.agreed = await socket.call('open', { url, protocols, binaryType });
    if (socket.agreed.state !== OPEN) throw new Error(`${name} did not open ${url}: ${short(await socket.state())}`);
    return socket;
  }

  call(method, rest = {}) {
    return this.tab.call(method, { name: this.name, millis: WAIT_MILLIS, ...rest }, CALL_SECS);
  }

  send(entries) {
    return this.call('send', { entries });
  }

  take(count) {
    return this.call('take', { count });
  }

  closes() {
    return this.call('closes');
  }

  state() {
    return this.call('state');
  }
}

// --- the checks: each gets the tabs and a relay, and gives its problems ----------------------------------------------

// Two sockets on one path, in two tabs.
async function pair(tabs, relay, target, binaryTypes = ['arraybuffer', 'arraybuffer']) {
  const open = (at) => Socket.open(tabs[at], `${target}-${at}`, relay.url(target), { binaryType: binaryTypes[at] });
  return [await open(0), await open(1)];
}

async function subprotocol(tabs, relay) {
  const url = relay.url('/subprotocol');
  const offering = await Socket.open(tabs[0], 'offering', url, { protocols: ['chat.v1', 'chat.v2'] });
  const silent = await Socket.open(tabs[1], 'silent', url);
  await offering.send([text('x')]);
  return [
    ...differ('offered two', offering.agreed.protocol, 'chat.v1'),
    ...differ('offered none', silent.agreed.protocol, ''),
    ...compare('the other tab', await silent.take(1), [text('x')]),
  ];
}

async function extensions(tabs, relay) {
  const sockets = await pair(tabs, relay, '/extensions');
  return sockets.flatMap((socket) => differ('extensions', socket.agreed.extensions, ''));
}

// The second answers only when it has heard all: had the first heard itself, its own would stand before the answers.
async function thereAndBack([first, second], there, back) {
  await first.send(there);
  const problems = compare('the second tab', await second.take(there.length), there);
  await second.send(back);
  return [...problems, ...compare('the first tab', await first.take(back.length), back)];
}

async function texts(tabs, relay) {
  return thereAndBack(await pair(tabs, relay, '/text'), TEXTS.map(text), [...TEXTS].reverse().map(text));
}

// Sent as `form`; the first tab asks for an ArrayBuffer, the second one for a Blob.
async function binaries(tabs, relay, form) {
  const sockets = await pair(tabs, relay, `/binary/${form}`, ['arraybuffer', 'blob']);
  const all = (as, seed) => SIZES.map((size) => ({ kind: as, data: bytes(size, seed) }));
  await sockets[0].send(all(form, 1));
  const problems = compare('the second tab', await sockets[1].take(SIZES.length), all('Blob', 1));
  await sockets[1].send(all(form, 2));
  return [...problems, ...compare('the first tab', await sockets[0].take(SIZES.length), all('ArrayBuffer', 2))];
}

// A text and a binary message of the same bytes are told apart.
async function types(tabs, relay) {
  const mixed = [0, 1, 2, 3].map((at) => {
    const word = `same ${at >> 1}`;
    return at % 2 ? { kind: 'ArrayBuffer', data: Buffer.from(word).toString('base64') } : text(word);
  });
  return thereAndBack(await pair(tabs, relay, '/types'), mixed, [...mixed].reverse());
}

async function order(tabs, relay) {
  const [first, second] = await pair(tabs, relay, '/order');
  const numbered = (who) => Array.from({ length: MANY }, (_, at) => text(`${who} ${at}`));
  await Promise.all([first.send(numbered('first')), second.send(numbered('second'))]);
  const [atFirst, atSecond] = await Promise.all([first.take(MANY), second.take(MANY)]);
  return [
    ...compare('the first tab', atFirst, numbered('second')),
    ...compare('the second tab', atSecond, numbered('first')),
  ];
}

// A last message on each path comes after all that could have strayed before it.
async function strays(tabs, relay) {
  const [first, second] = await pair(tabs, relay, '/here');
  const there = await Socket.open(tabs[2], 'there', relay.url('/there'));
  const ending = await Socket.open(tabs[0], 'ending', relay.url('/there'));
  const spoken = [text('one'), { kind: 'ArrayBuffer', data: bytes(1_000, 3) }];
  await first.send(spoken);
  const atSecond = await second.take(spoken.length);
  await second.send([text('end of here')]);
  await ending.send([text('end of there')]);
  const atThere = await there.take(1);
  await there.send([text('answer')]);
  return [
    ...compare('the second tab', atSecond, spoken),
    ...compare('the sender', await first.take(1), [text('end of here')]),
    ...compare('the third tab, on another path', atThere, [text('end of there')]),
    ...compare('the sender on the other path', await ending.take(1), [text('answer')]),
  ];
}

// One that is exactly as long as allowed passes; its sender is closed for one more byte, and nobody else is.
async function tooBig(tabs, relay) {
  const [first, second] = await pair(tabs, relay, '/big');
  const largest = { kind: 'ArrayBuffer', data: bytes(LIMIT_BYTES, 4) };
  await first.send([largest, { kind: 'ArrayBuffer', data: bytes(LIMIT_BYTES + 1, 5) }]);
  const problems = compareEnd('the sender', await first.closes(), 1009, /^too-big$/, CLEAN_AFTER_BREACH);
  const third = await Socket.open(tabs[2], 'third', relay.url('/big'));
  await third.send([text('end')]);
  return [...problems, ...compare('the second tab', await second.take(2), [largest, text('end')])];
}

// The relay's own count says that there were pings; any that is not answered within half a second ends the connection.
async function pings(tabs, binary) {
  const relay = await Relay.start(binary, origins + PINGING);
  try {
    const idle = await Socket.open(tabs[0], 'idle', relay.url('/idle'));
    await new Promise((resolve) => { setTimeout(resolve, IDLE_MILLIS); });
    relay.signal('SIGUSR1');
    const [, count] = await relay.says(/\bpings=(\d+)/, 5);
    return [
      ...differ('the idle tab', await idle.state(), { state: OPEN, errors: 0, closes: [] }),
      ...(Number(count) >= 3 ? [] : [`${count} pings in ${IDLE_MILLIS} ms, expected 3 or more`]),
    ];
  } finally {
    await relay.stop();
  }
}

// Two tabs on one path, the third on another, all of them idle when it comes.
async function everywhere(tabs, relay) {
  const targets = ['/ending', '/ending', '/elsewhere'];
  return Promise.all(targets.map((target, at) => Socket.open(tabs[at], `ending ${at}`, relay.url(target))));
}

async function ends(sockets, code, reason, wasClean) {
  const all = await Promise.all(sockets.map((socket) => socket.closes()));
  return all.flatMap((closes, at) => compareEnd(`tab ${at}`, closes, code, reason, wasClean));
}

async function terminated(tabs, relay) {
  const sockets = await everywhere(tabs, relay);
  relay.signal('SIGTERM');
  return [...await ends(sockets, 1012, RESTART, CLEAN), ...differ('the exit code', await relay.exit(15), 0)];
}

async function killed(tabs, binary) {
  const relay = await Relay.start(binary, origins + CONFIG);
  try {
    const sockets = await everywhere(tabs, relay);
    relay.signal('SIGKILL');
    return [...await ends(sockets, 1006, /^$/, false), ...differ('the relay', await relay.exit(5), 'SIGKILL')];
  } finally {
    await relay.stop();
  }
}

// --- running them ----------------------------------------------------------------------------------------------------

async function checkAll(tabs) {
  const relay = await Relay.start(binary, origins + CONFIG);
  try {
    await check('the first subprotocol offered is accepted', () => subprotocol(tabs, relay));
    await check('no extension is agreed on', () => extensions(tabs, relay));
    await check('text both ways', () => texts(tabs, relay));
    await check('binary sent from ArrayBuffers', () => binaries(tabs, relay, 'ArrayBuffer'));
    await check('binary sent from Blobs', () => binaries(tabs, relay, 'Blob'));
    await check('text and binary are told apart', () => types(tabs, relay));
    await check(`order of ${MANY} messages each way at once`, () => order(tabs, relay));
    await check('nothing back to the sender, nothing on another path', () => strays(tabs, relay));
    await check('too big a message: 1009', () => tooBig(tabs, relay));
    await check('an idle tab answers pings', () => pings(tabs, binary));
    await check('SIGTERM: 1012', () => terminated(tabs, relay));
    await check('SIGKILL: 1006', () => killed(tabs, binary));
  } finally {
    await relay.stop();
  }
}

async function main() {
  const pages = await serve(OWN);
  origins = pages.setting;
  let browser;
  try {
    browser = await Browser.start(kind, executable);
    console.log(`${kind} ${await browser.version()}`);
    const tabs = [];
    while (tabs.length < 3) tabs.push(await browser.openTab(`${pages.origin}/page.html`));
    await checkAll(tabs);
  } finally {
    await browser?.stop();
    pages.stop();
  }
}

conclude(RUN_SECS, main);
