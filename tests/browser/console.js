// The console in a real browser, on a real relay: node console.js [--firefox] RELAY BROWSER, both paths of programs.
//
// Two tabs talk through *try it*, the relay is killed and comes back, plots and tables are held against what was sent.
// What only Chromium lets be done (a tab hidden and frozen, clocks that jump, downloads) stands in console-chromium.js.
// WSRELAYD_SHOTS names a folder for screenshots. Needs what run.js needs.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { Browser } = require('./browsers.js');
const { check, conclude, differ, programs } = require('./checks.js');
const { ConsoleTab, sleep } = require('./console-tab.js');
const { RawPeer } = require('./raw-peer.js');
const { Relay } = require('./relay.js');

const { kind, binary, executable } = programs('console.js');

const RUN_SECS = 280;
const CONFIG = `heartbeat = { request = "ping", reply = "pong" }
max_message = "60 KiB"
ping_interval = "5m"
pong_timeout = "30s"
log = "info"
`;
const DESK = '127.0.0.1:0';
const MARKUP = '<img src=x onerror=globalThis.pwned=1><script>globalThis.pwned=1</script>';
const MARKED_PATH = '/<img/src=x/onerror=globalThis.pwned=1>&amp;"\'';
const FILE = Buffer.from(Array.from({ length: 300 }, (_, at) => (at * 7) & 0xff));
const MANY = 400;
const BURST = 20;
const LISTENERS = 3;
const MOST_LINES = 200;
// Errors that a browser tells of a relay that is not there.
const AWAY = /Failed to load resource|WebSocket connection to|NetworkError|ERR_CONNECTION|can.t establish a connection|was interrupted/;

async function api(relay, target) {
  const answer = await fetch(relay.desk(target));
  if (!answer.ok) throw new Error(`${target}: ${answer.status}`);
  return answer.json();
}

// Two tabs on one channel.
async function pair({ browser, relay }, channel) {
  const tabs = [];
  for (let at = 0; at < 2; at += 1) {
    const tab = await ConsoleTab.open(browser, relay.desk('/'));
    tab.id = await tab.join(channel);
    tabs.push(tab);
  }
  return tabs;
}

// A message each way; a tab in the background may paint nothing, so each is looked at in front.
async function talk(tabs, words) {
  for (const [at, tab] of tabs.entries()) {
    await tab.front();
    await tab.say(`${words} ${at}`);
    await tabs[1 - at].front();
    await tabs[1 - at].untilHeard(`${words} ${at}`);
  }
  return [];
}

// Every tab is asked for what must never happen.
async function closeAll(tabs, expected) {
  const problems = [];
  for (const tab of tabs) {
    problems.push(...await tab.offences(expected));
    await tab.close();
  }
  return problems;
}

// --- the checks: each gives its problems -----------------------------------------------------------------------------

async function greets({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.untilText('state', 'running');
  await tab.untilText('about', 'up ');
  const suggested = await tab.evaluate(() => document.getElementById('relay').value);
  const kinds = await tab.evaluate(() => [...document.querySelectorAll('#plots .u-over')].length);
  return [
    ...differ('the suggested relay', suggested, `ws://127.0.0.1:${relay.port}`),
    ...differ('plots', kinds, 4),
    ...await closeAll([tab]),
  ];
}

// The second tab is what the link of the first opens.
async function tabsTalk({ browser, relay }) {
  const first = await ConsoleTab.open(browser, relay.desk('/'));
  first.id = await first.join('/talk');
  const href = await first.evaluate(() => document.getElementById('second').getAttribute('href'));
  const second = await ConsoleTab.open(browser, relay.desk('/'), { hash: href.replace('./', '') });
  second.id = await second.untilJoined();
  const { peers } = await api(relay, '/api/peers?channel=%2Ftalk');
  const problems = differ('ids', [first.id, second.id].sort(), peers.map(({ id }) => id).sort());
  await talk([first, second], 'héllo <b>&amp;');
  const [line] = await second.lines('heard');
  const facts = { ...line, time: /^\d\d:\d\d:\d\d\.\d{3}$/.test(line.time) };
  problems.push(...differ('the line', facts, { kind: 'text', size: 16, text: 'héllo <b>&amp; 0', time: true }));
  await first.front();
  await first.sendFile(FILE);
  await second.front();
  await second.until('a binary line', () => document.querySelector('#lines > li.heard[data-kind=binary]'));
  const [file] = (await second.lines('heard')).filter((each) => each.kind === 'binary');
  const shown = file.text.split('\n');
  const digits = shown.slice(0, 4).map((row) => row.slice(6, 53).trim()).join(' ');
  problems.push(...differ('size', file.size, FILE.length));
  problems.push(...differ('hex', digits, FILE.subarray(0, 64).toString('hex').match(/../g).join(' ')));
  problems.push(...differ('the rest', shown[4], 'and 236 bytes more'));
  return [...problems, ...await closeAll([first, second])];
}

async function heartbeats({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.join('/beat');
  await tab.untilText('link-heartbeat', ' ms, the 2nd', 20);
  const heard = await tab.lines('heard');
  const { totals } = await api(relay, '/api/status');
  return [
    ...differ('a heartbeat among the messages', heard, []),
    ...(totals.heartbeats >= 2 ? [] : [`the relay counted ${totals.heartbeats} heartbeats`]),
    ...await closeAll([tab]),
  ];
}

// More than the relay takes is not sent, and the connection stays.
async function tooLarge({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const id = await tab.join('/large');
  await tab.sendFile(Buffer.alloc(60 * 1024 + 1));
  await tab.until('the refusal', () => document.getElementById('lines').textContent.includes('max_message'));
  return [...differ('the id', await tab.text('link-id'), id), ...await closeAll([tab])];
}

async function comesBack(world) {
  const tabs = await pair(world, '/back');
  const before = world.relay;
  before.signal('SIGKILL');
  await before.exit(5);
  for (const tab of tabs) {
    await tab.front();
    await tab.until('the banner', () => !document.getElementById('away').hidden, null, 20);
    await tab.untilText('away', 'away');
    await tab.until('a lost connection', () => ['waiting', 'connecting'].includes(document.getElementById('link-state').dataset.state));
  }
  const places = { listen: `127.0.0.1:${before.port}`, admin: `127.0.0.1:${before.deskPort}` };
  world.relay = await Relay.start(binary, CONFIG, places);
  await before.stop();
  for (const tab of tabs) {
    await tab.front();
    await tab.until('no banner', () => document.getElementById('away').hidden, null, 20);
    await tab.untilJoined(20);
    await tab.untilText('link-returns', '1 time');
    await tab.untilText('state', 'running');
  }
  const problems = await talk(tabs, 'again');
  const { connections } = await tabs[1].values();
  const drawn = connections.connected;
  if (!drawn.slice(1).includes(null)) problems.push('no gap in the plot');
  if (drawn.at(-1) === null) problems.push('the plot does not go on');
  return [...problems, ...await closeAll(tabs, AWAY)];
}

// The sum of a line over time: what was counted between its first and its last point.
function area(secs, line) {
  return line.reduce((sum, value, at) => sum + (value === null || at === 0 ? 0 : value * (secs[at] - secs[at - 1])), 0);
}

async function plotsShow({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.until('two points', () => globalThis.consoleValues().messages.in.filter((n) => n !== null).length >= 2);
  const before = await api(relay, '/api/status');
  const peers = [];
  while (peers.length <= LISTENERS) peers.push(await RawPeer.open(relay.port, '/plotted'));
  for (let sent = 0; sent < MANY; sent += 1) {
    await peers[0].send(`message ${sent}`);
    if (sent % BURST === 0) await sleep(100);
  }
  const near = (got, wanted) => Math.abs(got - wanted) <= 1 + wanted * 0.02;
  const deadline = Date.now() + 10_000;
  let values;
  do {
    await sleep(200);
    values = await tab.values();
  } while (Date.now() < deadline && !near(area(values.secs, values.messages.deliveries), MANY * LISTENERS));
  const problems = [];
  for (const [name, wanted] of [['in', MANY], ['deliveries', MANY * LISTENERS]]) {
    const got = area(values.secs, values.messages[name]);
    if (!near(got, wanted)) problems.push(`plotted ${name}: ${got}, sent ${wanted}`);
  }
  await tab.until('all connections', (wanted) => globalThis.consoleValues().connections.connected.at(-1) === wanted, before.peers + peers.length);
  const last = await tab.values();
  problems.push(...differ('channels', last.connections.channels.at(-1), before.channels + 1));
  const [longest, mean] = [last.turn.longest.at(-1), last.turn.mean.at(-1)];
  if (!(mean > 0 && longest >= mean)) problems.push(`turns: longest ${longest}, mean ${mean}`);
  const told = await tab.evaluate(() => document.querySelector('#plot-connections dd').textContent);
  problems.push(...differ('the number above the plot', told, String(before.peers + peers.length)));
  peers.forEach((peer) => peer.close());
  return [...problems, ...await closeAll([tab])];
}

// One who does not read: in the plot of lag, first in the tables, and at last in the log.
async function slowPeerShows({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const [sender, quick, slow] = [await RawPeer.open(relay.port, '/slow'), await RawPeer.open(relay.port, '/slow'), await RawPeer.open(relay.port, '/slow')];
  slow.stopReading();
  const lagging = async () => (await api(relay, '/api/channels')).channels.find(({ path: at }) => at === '/slow')?.lag_bytes ?? 0;
  const load = Buffer.alloc(30_000, 'x');
  // The desk tells nothing new within a second, and above `max_lag` it would be over.
  for (let rounds = 0; rounds < 30 && await lagging() < 60_000; rounds += 1) {
    for (let more = 0; more < 4; more += 1) await sender.send(load);
    await sleep(1_050);
  }
  const lag = await lagging();
  await tab.until(`a lag of ${lag}`, (wanted) => globalThis.consoleValues().lag['furthest behind'].at(-1) >= wanted, Math.min(lag, 60_000));
  await tab.until('the slow channel first', () => document.querySelector('#channel-table tbody button')?.textContent === '/slow');
  await tab.click('#channel-table tbody tr button');
  await tab.until('its peers', () => document.querySelectorAll('#peer-table tbody tr').length === 3);
  const first = await tab.evaluate(() => document.querySelector('#peer-table tbody td:first-child').textContent);
  const { peers } = await api(relay, '/api/peers?channel=/slow');
  const problems = differ('the first of the peers', first, peers[0].id);
  if (!(peers[0].lag_bytes > peers[1].lag_bytes)) problems.push(`lags: ${peers.map(({ lag_bytes: n }) => n)}`);
  for (let more = 0; more < 60; more += 1) await sender.send(load);
  await tab.untilText('disconnects', 'slow_consumer 1', 40);
  await tab.until('the line of the log', () => [...document.querySelectorAll('#log-table tbody tr')].some((row) => {
    const words = [...row.cells].map(({ textContent }) => textContent);
    return words.includes('disconnected') && words.includes('slow_consumer') && words.includes('/slow');
  }));
  [sender, quick, slow].forEach((peer) => peer.close());
  return [...problems, ...await closeAll([tab])];
}

// Whatever peers send and are called is text on the page, and the code to copy keeps it in.
async function markupIsText(world) {
  const { relay } = world;
  const tabs = await pair(world, '/talk');
  const raw = await RawPeer.open(relay.port, MARKED_PATH);
  const shouter = await RawPeer.open(relay.port, '/talk');
  await shouter.send(MARKUP);
  await shouter.send(Buffer.from(MARKUP));
  const [tab] = tabs;
  await tab.front();
  await tab.untilHeard(MARKUP);
  const named = (name) => [...document.querySelectorAll('#channel-table tbody button')].some((button) => button.textContent === name);
  await tab.until('the channel, as it is', named, MARKED_PATH);
  await tab.evaluate((name) => [...document.querySelectorAll('#channel-table tbody button')].find((button) => button.textContent === name).click(), MARKED_PATH);
  await tab.untilText('peers-title', MARKED_PATH);
  await tab.until('its peer', () => document.querySelectorAll('#peer-table tbody tr').length === 1);
  raw.close();
  await tab.untilText('log-table', MARKED_PATH);
  await tab.click('#connect-button');
  await tab.fill('channel', '/</script><script>globalThis.pwned=1</script>');
  await tab.until('it in the code', () => document.getElementById('code').textContent.includes('/\\u003c/script>'));
  shouter.close();
  const marks = await tab.evaluate(() => ({
    pwned: globalThis.pwned ?? null,
    images: [...document.images].map((image) => image.getAttribute('src')),
    scripts: [...document.scripts].map((script) => script.getAttribute('src')),
  }));
  return [
    ...differ('the page', marks, { pwned: null, images: ['icon.svg'], scripts: ['uPlot.iife.min.js', 'console.js'] }),
    ...await closeAll(tabs),
  ];
}

// However much comes, the page holds no more of it than it says.
async function staysBounded({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.join('/bound');
  const peer = await RawPeer.open(relay.port, '/bound');
  for (let sent = 0; sent < MANY; sent += 1) await peer.send(`message ${sent}`);
  for (let sent = 0; sent < MANY; sent += 1) await peer.send(Buffer.alloc(50_000, sent));
  await tab.untilText('heard', `Heard ${2 * MANY} messages`, 30);
  await tab.until('the last message', (wanted) => document.querySelector('#lines > li:last-child pre')?.textContent.startsWith(`0000  ${wanted}`), ((MANY - 1) & 255).toString(16));
  const lines = await tab.evaluate(() => document.getElementById('lines').childElementCount);
  const points = await tab.evaluate(async () => {
    const { Plots } = await import('./console-plots.js');
    const plots = new Plots(document.createElement('div'));
    const status = await (await fetch('api/status')).json();
    for (let turns = 1; turns <= 1_000; turns += 1) plots.add({ ...status, totals: { ...status.totals, turns } });
    const values = plots.values();
    return [values.secs.length, values.lag['furthest behind'].length];
  });
  peer.close();
  return [...differ('lines', lines, MOST_LINES), ...differ('points', points, [320, 320]), ...await closeAll([tab])];
}

// Tab moves on until `id` has the focus; each stop has a name and shows that it has the focus.
async function tabTo(tab, what, is, argument) {
  for (let presses = 0; presses < 60; presses += 1) {
    await tab.press('Tab');
    const stop = await tab.evaluate(() => {
      const at = document.activeElement;
      const shown = at.closest('label.button') ?? at;
      const name = at.getAttribute('aria-label') || document.getElementById(at.getAttribute('aria-labelledby'))?.textContent || at.labels?.[0]?.textContent || at.textContent;
      return { body: at === document.body, tag: `${at.tagName} ${at.id}`, name: name?.trim(), outline: getComputedStyle(shown).outlineStyle };
    });
    if (!stop.body && (!stop.name || stop.outline === 'none')) throw new Error(`a stop without a name or a sign: ${JSON.stringify(stop)}`);
    if (await tab.evaluate(is, argument)) return;
  }
  throw new Error(`${what} is not reached by Tab`);
}

const hasFocus = (id) => document.activeElement.id === id;

async function keyboardAlone({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const other = await RawPeer.open(relay.port, '/keys');
  await tab.until('the address of the relay', () => document.getElementById('relay').value !== '');
  await tabTo(tab, 'the channel', hasFocus, 'channel');
  await tab.type('/keys');
  await tab.press('Enter');
  const id = await tab.untilJoined();
  await tab.until('the message field in focus', hasFocus, 'text');
  await tab.type('by hand');
  await tab.press('Enter');
  await tab.until('it among the sent', () => document.querySelector('#lines > li.sent')?.lastElementChild.textContent === 'by hand');
  await tab.until('the channel in the table', () => [...document.querySelectorAll('#channel-table button')].some((each) => each.textContent === '/keys'));
  await tabTo(tab, 'the button of the channel', () => document.activeElement.textContent === '/keys');
  await tab.press('Enter');
  await tab.until('its peers', () => document.querySelectorAll('#peer-table tbody tr').length === 2);
  await tabTo(tab, 'our own dismissal', (own) => document.activeElement.getAttribute('aria-label') === `dismiss ${own}`, id);
  await tab.press('Enter');
  await tab.until('the question', () => document.getElementById('dismiss').open);
  await tab.press('Escape');
  const back = (own) => !document.getElementById('dismiss').open && document.activeElement.getAttribute('aria-label') === `dismiss ${own}`;
  await tab.until('the focus back', back, id);
  const kept = await api(relay, '/api/peers?channel=/keys');
  await tab.press('Enter');
  await tab.until('the question again', hasFocus, 'dismiss-reason');
  await tab.type('enough');
  await tab.press('Enter');
  await tab.until('the end', () => document.getElementById('lines').textContent.includes('1008 enough'));
  await tab.until('the total', () => document.getElementById('disconnects').textContent.includes('operator 1'));
  other.close();
  return [...differ('kept at first', kept.total, 2), ...await closeAll([tab])];
}

// At 360 px nothing lies to the side, whatever is on the page.
async function fitsAPhone({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'), { width: 360, height: 740 });
  const long = `/${'w'.repeat(254)}`;
  const peers = [await RawPeer.open(relay.port, long), await RawPeer.open(relay.port, '/phone')];
  await tab.join('/phone');
  await peers[1].send('m'.repeat(3_000));
  await peers[1].send(Buffer.alloc(500, 7));
  await tab.until('both messages', () => document.querySelectorAll('#lines > li.heard').length === 2);
  await tab.until('the channels', () => document.querySelectorAll('#channel-table tbody tr').length >= 2);
  await tab.evaluate((name) => [...document.querySelectorAll('#channel-table button')].find((each) => each.textContent === name).click(), long);
  await tab.until('its peer', () => document.querySelectorAll('#peer-table tbody tr').length === 1);
  const wide = () => ({
    page: document.documentElement.scrollWidth - innerWidth,
    beyond: [...document.querySelectorAll('body *')].filter((each) => each.checkVisibility() && !each.closest('.skip, pre, .u-over')
      && each.getBoundingClientRect().right > innerWidth + 0.5).map((each) => `${each.tagName} ${each.id}`).slice(0, 5),
  });
  const problems = differ('to the side', await tab.evaluate(wide), { page: 0, beyond: [] });
  await tab.evaluate(() => document.querySelector('#peer-table tbody button').click());
  problems.push(...differ('with the dialog', await tab.evaluate(wide), { page: 0, beyond: [] }));
  peers.forEach((peer) => peer.close());
  return [...problems, ...await closeAll([tab])];
}

async function wearsThemes({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const ground = () => getComputedStyle(document.body).backgroundColor;
  const seen = {};
  for (let presses = 0; presses < 3; presses += 1) {
    await tab.click('#theme');
    seen[await tab.text('theme')] = await tab.evaluate(ground);
  }
  await tab.click('#theme');
  await tab.click('#theme');
  await tab.page.reload();
  const kept = [await tab.text('theme'), await tab.evaluate(ground)];
  await tab.click('#theme');
  return [
    ...differ('themes', Object.keys(seen), ['Theme: light', 'Theme: dark', 'Theme: system']),
    ...(seen['Theme: light'] === seen['Theme: dark'] ? ['light is dark'] : []),
    ...differ('kept', kept, ['Theme: dark', seen['Theme: dark']]),
    ...await closeAll([tab]),
  ];
}

// The code to copy, saved as it says, makes two pages talk.
async function codeRuns({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.until('the heartbeat in the code', () => document.getElementById('code').textContent.includes('"pong"'));
  await tab.fill('channel', '/own/page');
  const files = { '/': await tab.text('code'), '/wsrelayd.js': await (await fetch(relay.desk('/wsrelayd.js'))).text() };
  const server = http.createServer((request, response) => {
    const body = files[request.url];
    response.writeHead(body ? 200 : 404, { 'content-type': request.url === '/' ? 'text/html' : 'text/javascript' });
    response.end(body);
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const own = [];
  while (own.length < 2) own.push(await ConsoleTab.open(browser, `http://127.0.0.1:${server.address().port}/`));
  for (const each of own) await each.untilText('state', 'open');
  await own[0].front();
  await own[0].fill('line', 'from a page of my own');
  await own[0].press('Enter');
  await own[1].untilText('heard', 'from a page of my own');
  const lines = files['/'].trimEnd().split('\n').length;
  const problems = lines <= 24 ? [] : [`the code has ${lines} lines`];
  for (const each of own) await each.close();
  server.close();
  return [...problems, ...await closeAll([tab])];
}

// Markup that runs, and a request to elsewhere: the page's own policy forbids both, and it would have been noticed.
async function noticesOffences({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.untilText('state', 'running');
  const before = await tab.offences();
  await tab.evaluate(async () => {
    document.body.append(Object.assign(document.createElement('script'), { textContent: 'globalThis.pwned = 1' }));
    await fetch('http://127.0.0.1:9/elsewhere').catch(() => {});
  });
  await tab.until('both violations', () => globalThis.violations.length >= 2);
  const noticed = (await tab.offences()).join(' ');
  const words = ['script-src', 'connect-src'].filter((word) => !noticed.includes(word));
  const pwned = await tab.evaluate(() => globalThis.pwned ?? null);
  await tab.close();
  return [...differ('before', before, []), ...differ('not noticed', words, []), ...differ('pwned', pwned, null)];
}

// --- running them ----------------------------------------------------------------------------------------------------

async function checkAll(world) {
  const checks = [
    ['the console opens, says what runs, and knows where the relay is', greets],
    ['what must never happen is forbidden, and would be seen', noticesOffences],
    ['two tabs talk, in text and with a file', tabsTalk],
    ['heartbeats are shown, and are no messages', heartbeats],
    ['what is too large is not sent', tooLarge],
    ['what is plotted is what was sent', plotsShow],
    ['a slow peer stands first, and its end in the log', slowPeerShows],
    ['markup is text', markupIsText],
    ['lines and points are bounded', staysBounded],
    ['the keyboard is enough', keyboardAlone],
    ['a phone has room', fitsAPhone],
    ['light and dark', wearsThemes],
    ['the code to copy runs', codeRuns],
    ['the relay is killed: both tabs come back', comesBack],
  ];
  for (const [name, run] of checks) await check(name, () => run(world));
  if (kind !== 'chromium') return;
  const own = require('./console-chromium.js');
  for (const [name, run] of own.checks) await check(name, () => run(world));
  if (process.env.WSRELAYD_SHOTS) await own.takeShots(world, process.env.WSRELAYD_SHOTS);
}

async function main() {
  const world = { relay: await Relay.start(binary, CONFIG, { admin: DESK }) };
  try {
    world.browser = await Browser.start(kind, executable);
    console.log(`${kind} ${await world.browser.version()}`);
    const pages = path.join(__dirname, '../../src/admin/pages');
    const sizes = fs.readdirSync(pages).filter((name) => /^(console|icon)/.test(name)).map((name) => fs.statSync(path.join(pages, name)).size);
    console.log(`the console's own files: ${sizes.reduce((sum, size) => sum + size, 0)} bytes`);
    await checkAll(world);
  } finally {
    await world.browser?.stop();
    await world.relay.stop();
  }
}

conclude(RUN_SECS, main);
