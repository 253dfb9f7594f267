// Whose page it is, and what its token allows, in a real browser: node permits.js [--firefox] RELAY BROWSER, both paths of
// programs.
//
// Pages come from a server of their own, which is a foreign origin to the relay: refused unless it is listed. Two browsers,
// each with nothing of the other's, have tokens for listening and for publishing. Needs what run.js needs.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Browser } = require('./browsers.js');
const { check, conclude, differ, programs } = require('./checks.js');
const { ConsoleTab, askDesk, sleep } = require('./console-tab.js');
const { OWN, serve } = require('./pages.js');
const { Relay } = require('./relay.js');
const { Issuer } = require('./tokens.js');

const { kind, binary, executable } = programs('permits.js');

const RUN_SECS = 100;
const WAIT_MILLIS = 10_000;
const CALL_SECS = 20;
const [OPEN, CLOSED] = [1, 3];
const STREAM_CLOSED = 2;
const ANY = '127.0.0.1:0';
const CONFIG = 'event_stream = true\nhttp_publish = true\nlog = "info"\n';
const RULES = 'token_leeway = "0s"\n[[channel]]\npath = "/feed/*"\nsubscribe = "token"\npublish = "token"\n';
const PATHS = ['/feed/*'];
const CLIENT = path.join(__dirname, '../../src/admin/pages/wsrelayd.js');
// The desk tells nothing new within a second.
const FRESH_MILLIS = 1_100;

// --- in a tab ----------------------------------------------------------------------------------------------------------

// An EventSource and its state, as soon as it is open or has given up.
function listen([url, millis]) {
  const source = new EventSource(url);
  globalThis.heard = [];
  globalThis.source = source;
  source.onmessage = ({ data }) => globalThis.heard.push(data);
  return new Promise((resolve) => {
    const settle = () => resolve(source.readyState);
    source.onopen = settle;
    source.onerror = () => source.readyState === EventSource.CLOSED && settle();
    setTimeout(settle, millis);
  });
}

// A message that is posted: what a page may read of the answer.
async function post([url, body]) {
  try {
    const answer = await fetch(url, { method: 'POST', body });
    return [answer.status, await answer.text()];
  } catch (error) {
    return [error.name];
  }
}

// Wsrelayd with tokens that the page's own server gives; what it told.
async function live([url, millis]) {
  const { Wsrelayd } = await import('/wsrelayd.js');
  const newToken = async () => (await fetch('/token')).text();
  const client = new Wsrelayd(url, { protocols: async () => [`bearer.${await newToken()}`, 'chat'] });
  const told = [];
  globalThis.client = client;
  client.addEventListener('message', ({ data }) => told.push(`heard ${data}`));
  return new Promise((resolve) => {
    setTimeout(resolve, millis, told);
    client.addEventListener('state', ({ detail: { state, code, reason } }) => {
      told.push([state, code, reason].filter(Boolean).join(' '));
      if (told.filter((words) => words === 'open').length === 2) resolve(told);
    });
  });
}

// --- the checks ----------------------------------------------------------------------------------------------------------

// A tab with page.js in it, and what was written to its console.
async function openTab(browser, pages, apart) {
  const tab = apart ? await browser.openTabApart(`${pages.origin}/page.html`) : await browser.openTab(`${pages.origin}/page.html`);
  tab.said = [];
  tab.page.on('console', (message) => tab.said.push(message.text()));
  return tab;
}

const open = (tab, name, url, protocols = []) =>
  tab.call('open', { name, url, protocols, binaryType: 'arraybuffer', millis: WAIT_MILLIS }, CALL_SECS);
const ask = (tab, method, name, rest) => tab.call(method, { name, millis: WAIT_MILLIS, ...rest }, CALL_SECS);
const say = (tab, name, data) => ask(tab, 'send', name, { entries: [{ kind: 'text', data }] });
const http = (relay, target) => `http://127.0.0.1:${relay.port}${target}`;

// What becomes of a page that tries all three.
async function tries(tab, relay, name) {
  const { state } = await open(tab, name, relay.url('/room'));
  return { state, stream: await tab.page.evaluate(listen, [http(relay, '/room'), WAIT_MILLIS]),
    posted: await tab.page.evaluate(post, [http(relay, '/room'), 'posted']) };
}

async function refusedUnlessListed(browser, pages) {
  const relay = await Relay.start(binary, CONFIG, ANY, ANY);
  try {
    const tab = await openTab(browser, pages);
    const found = await tries(tab, relay, 'foreign');
    const closes = await ask(tab, 'closes', 'foreign');
    const { refused, totals } = await askDesk(relay, '/api/status');
    // Each browser has its own words, and Chromium's say the status.
    const told = tab.said.filter((words) => words.includes(`:${relay.port}/room`));
    const isTold = kind === 'firefox' ? told.length > 0 : told.some((words) => words.includes('403'));
    return [
      ...differ('what it gets', found, { state: CLOSED, stream: STREAM_CLOSED, posted: ['TypeError'] }),
      ...differ('the close event', closes.map(({ code }) => code), [1006]),
      ...differ('refused', refused.origin, 3),
      ...differ('relayed', totals.messages_in, 0),
      ...(isTold ? [] : [`its console does not say why: ${JSON.stringify(tab.said)}`]),
    ];
  } finally {
    await relay.stop();
  }
}

async function takenWhenListed(browser, pages) {
  const relay = await Relay.start(binary, pages.setting + CONFIG, ANY, ANY);
  try {
    const tab = await openTab(browser, pages);
    const found = await tries(tab, relay, 'listed');
    const heard = await ask(tab, 'take', 'listed', { count: 1 });
    await tab.page.waitForFunction(() => globalThis.heard.length === 1, { timeout: WAIT_MILLIS });
    return [
      ...differ('what it gets', found, { state: OPEN, stream: OPEN, posted: [202, '{"peers":2}\n'] }),
      ...differ('heard as a message', heard, [{ kind: 'text', data: 'posted' }]),
      ...differ('heard as an event', await tab.page.evaluate(() => globalThis.heard), ['posted']),
    ];
  } finally {
    await relay.stop();
  }
}

// The desk is another origin than the relay, and none is listed.
async function consoleIsTaken(browser) {
  const relay = await Relay.start(binary, CONFIG, ANY, ANY);
  try {
    const tab = await ConsoleTab.open(browser, relay.desk('/'));
    await tab.join('/hello');
    const { refused } = await askDesk(relay, '/api/status');
    return [...differ('refused', refused.origin ?? 0, 0), ...await ConsoleTab.closeAll()];
  } finally {
    await relay.stop();
  }
}

async function listensAndPublishes(browser, pages, issuer, relay) {
  const offer = (claims) => [`bearer.${issuer.token(60, claims)}`, 'chat'];
  const tabs = [await openTab(browser, pages, true), await openTab(browser, pages, true), await openTab(browser, pages)];
  const [publisher, listener, other] = tabs;
  const url = relay.url('/feed/1');
  const agreed = [
    await open(publisher, 'publisher', url, offer({ publish: PATHS, sub: 'mary' })),
    await open(listener, 'listener', url, offer({ subscribe: PATHS, sub: 'joan' })),
    await open(other, 'other', url, offer({ subscribe: PATHS })),
    await open(other, 'nobody', url),
  ];
  await say(publisher, 'publisher', 'news');
  const heard = await ask(listener, 'take', 'listener', { count: 1 });
  await say(listener, 'listener', 'an answer');
  const closes = await ask(listener, 'closes', 'listener');
  await say(publisher, 'publisher', 'more news');
  const others = await ask(other, 'take', 'other', { count: 2 });
  await sleep(FRESH_MILLIS);
  const { peers } = await askDesk(relay, '/api/peers?channel=%2Ffeed%2F1');
  const { disconnects } = await askDesk(relay, '/api/status');
  const message = (data) => ({ kind: 'text', data });
  return [
    ...differ('states', agreed.map(({ state }) => state), [OPEN, OPEN, OPEN, CLOSED]),
    ...differ('subprotocols', agreed.slice(0, 3).map(({ protocol }) => protocol), ['chat', 'chat', 'chat']),
    ...differ('the listener heard', heard, [message('news')]),
    ...differ('the end of the listener', closes, [{ code: 1008, reason: 'publish-not-allowed', wasClean: closes[0]?.wasClean }]),
    ...differ('the other listener heard', others, [message('news'), message('more news')]),
    ...differ('who is there', peers.map(({ user, may }) => [user, may.join()]).sort(),
      [['mary', 'publish'], [null, 'subscribe']].sort()),
    ...differ('ended', disconnects.publish_not_allowed, 1),
  ];
}

async function comesBackWithANewToken(browser, pages, issuer, relay, given) {
  const claims = { subscribe: PATHS, publish: PATHS, sub: 'mary' };
  given.push(issuer.token(3, claims), issuer.token(60, claims));
  const tab = await openTab(browser, pages);
  const told = await tab.page.evaluate(live, [relay.url('/feed/2'), 15_000]);
  const listener = await openTab(browser, pages, true);
  await open(listener, 'late', relay.url('/feed/2'), [`bearer.${issuer.token(60, claims)}`, 'chat']);
  const chosen = await tab.page.evaluate(() => {
    globalThis.client.send('still here');
    return globalThis.client.protocol;
  });
  const heard = await ask(listener, 'take', 'late', { count: 1 });
  await tab.page.evaluate(() => globalThis.client.close());
  return [
    ...differ('what it told', told, ['open', 'waiting 1008 token-expired', 'connecting', 'open']),
    ...differ('tokens left', given.length, 0),
    ...differ('the subprotocol', chosen, 'chat'),
    ...differ('heard', heard, [{ kind: 'text', data: 'still here' }]),
    ...(relay.output.includes('bearer') || relay.output.includes(issuer.secret) ? ['a token stands in the log'] : []),
  ];
}

async function main() {
  const given = [];
  const issuer = new Issuer();
  const own = { '/wsrelayd.js': ['text/javascript', fs.readFileSync(CLIENT)], '/token': ['text/plain', () => given.shift()] };
  const pages = await serve({ ...OWN, ...own });
  const browser = await Browser.start(kind, executable);
  const relay = await Relay.start(binary, issuer.setting + pages.setting + CONFIG + RULES, ANY, ANY);
  try {
    console.log(`${kind} ${await browser.version()}`);
    await check('a page of a foreign origin is refused, and its console says so', () => refusedUnlessListed(browser, pages));
    await check('the same page is taken when it is listed: messages, events and posts', () => takenWhenListed(browser, pages));
    await check('the page of the console is taken by itself', () => consoleIsTaken(browser));
    await check('one browser publishes, another one only listens, and is sent away when it speaks',
      () => listensAndPublishes(browser, pages, issuer, relay));
    await check('a token runs out: 1008, and the page comes back with a new one',
      () => comesBackWithANewToken(browser, pages, issuer, relay, given));
  } finally {
    await browser.stop();
    await relay.stop();
    pages.stop();
  }
}

conclude(RUN_SECS, main);
