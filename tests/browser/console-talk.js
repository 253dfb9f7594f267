// Checks of *try it*: tabs that talk, heartbeats, a relay that is killed and comes back, the code to copy.
'use strict';

const { differ } = require('./checks.js');
const { ConsoleTab, askDesk, sleep } = require('./console-tab.js');
const { serve } = require('./pages.js');
const { RawPeer } = require('./raw-peer.js');
const { Relay } = require('./relay.js');

const FILE = Buffer.from(Array.from({ length: 300 }, (_, at) => (at * 7) & 0xff));
const LIMIT_BYTES = 60 * 1024;
const MOST_CODE_LINES = 24;
// What a browser says of a relay that is not there.
const AWAY = new RegExp([
  'Failed to load resource', 'WebSocket connection to', 'ERR_CONNECTION', 'NetworkError', 'establish a connection',
  'was interrupted', 'request did not succeed',
].join('|'));

// A message each way. A tab in the background may paint nothing, so each is looked at in front.
async function talk(tabs, words) {
  for (const [at, tab] of tabs.entries()) {
    await tab.front();
    await tab.say(`${words} ${at}`);
    await tabs[1 - at].front();
    await tabs[1 - at].untilHeard(`${words} ${at}`);
  }
}

async function greets({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.untilText('state', 'running');
  await tab.untilText('about', 'up ');
  const suggested = await tab.evaluate(() => document.getElementById('relay').value);
  const plots = await tab.evaluate(() => document.querySelectorAll('#plots canvas').length);
  return [
    ...differ('the suggested relay', suggested, `ws://127.0.0.1:${relay.port}`),
    ...differ('plots', plots, 4),
  ];
}

// The second tab is what the link of the first one opens.
async function tabsTalk({ browser, relay }) {
  const first = await ConsoleTab.open(browser, relay.desk('/'));
  const ids = [await first.join('/talk')];
  const href = await first.evaluate(() => document.getElementById('second').getAttribute('href'));
  const second = await ConsoleTab.open(browser, relay.desk('/'), { hash: href.replace('./', '') });
  ids.push(await second.untilJoined());
  const { peers } = await askDesk(relay, '/api/peers?channel=%2Ftalk');
  const problems = differ('ids', ids.sort(), peers.map(({ id }) => id).sort());
  await talk([first, second], 'héllo <b>&amp;');
  const [line] = await second.lines('heard');
  const facts = { ...line, time: /^\d\d:\d\d:\d\d\.\d{3}$/.test(line.time) };
  const expected = { kind: 'text', size: 17, text: 'héllo <b>&amp; 0', time: true };
  return [...problems, ...differ('the line', facts, expected)];
}

async function fileArrives({ browser, relay }) {
  const sender = await ConsoleTab.open(browser, relay.desk('/'));
  await sender.join('/file');
  const receiver = await ConsoleTab.open(browser, relay.desk('/'));
  await receiver.join('/file');
  await sender.front();
  await sender.sendFile(FILE);
  await receiver.front();
  await receiver.until('a binary line', () => document.querySelector('#lines > li.heard[data-kind=binary]') !== null);
  const [{ size, text }] = await receiver.lines('heard');
  const rows = text.split('\n');
  const digits = rows.slice(0, 8).map((row) => row.slice(6, 29)).join(' ');
  return [
    ...differ('size', size, FILE.length),
    ...differ('hex', digits, FILE.subarray(0, 64).toString('hex').match(/../g).join(' ')),
    ...differ('the rest', rows.slice(8), ['and 236 bytes more']),
  ];
}

async function heartbeats({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.join('/beat');
  await tab.untilText('link-heartbeat', ' ms, the 2nd', 20);
  const heard = await tab.lines('heard');
  // The desk tells nothing new within a second.
  await sleep(1_050);
  const { totals } = await askDesk(relay, '/api/status');
  return [
    ...differ('heartbeats among the messages', heard, []),
    ...(totals.heartbeats >= 2 ? [] : [`the relay counted ${totals.heartbeats} heartbeats`]),
  ];
}

// The connection stays what it is.
async function tooLarge({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const id = await tab.join('/large');
  await tab.sendFile(Buffer.alloc(LIMIT_BYTES + 1));
  await tab.untilText('lines', 'max_message');
  return differ('the id', await tab.text('link-id'), id);
}

// The code to copy, saved as it says, makes two pages talk: pages of an origin of their own, which the relay must take.
async function codeRuns({ binary, config, browser }) {
  const files = {};
  const pages = await serve(files);
  const relay = await Relay.start(binary, pages.setting + config, '127.0.0.1:0', '127.0.0.1:0');
  try {
    return await codeRunsOn(browser, relay, pages.origin, files);
  } finally {
    pages.stop();
    await relay.stop();
  }
}

async function codeRunsOn(browser, relay, origin, files) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.untilText('code', '"pong"');
  await tab.fill('channel', '/own/page');
  const client = await (await fetch(relay.desk('/wsrelayd.js'))).text();
  const code = await tab.text('code');
  Object.assign(files, { '/': ['text/html', code], '/wsrelayd.js': ['text/javascript', client] });
  const own = [];
  while (own.length < 2) own.push(await ConsoleTab.open(browser, `${origin}/`));
  for (const each of own) await each.untilText('state', 'open');
  await own[0].front();
  await own[0].fill('line', 'from a page of my own');
  await own[0].press('Enter');
  await own[1].untilText('heard', 'from a page of my own');
  const other = await RawPeer.open(relay.port, '/own/page');
  await other.send(Buffer.alloc(5));
  await own[1].untilText('heard', '5 bytes');
  const lines = code.trimEnd().split('\n').length;
  // No page of ours: nothing in it records violations.
  for (const each of [...own, tab]) await each.close();
  return lines <= MOST_CODE_LINES ? [] : [`the code has ${lines} lines`];
}

async function comesBack(world) {
  const tabs = [];
  while (tabs.length < 2) {
    const tab = await ConsoleTab.open(world.browser, world.relay.desk('/'));
    await tab.join('/back');
    tab.expected = AWAY;
    tabs.push(tab);
  }
  await world.kill();
  const isLost = () => ['waiting', 'connecting'].includes(document.getElementById('link-state').dataset.state);
  for (const tab of tabs) {
    await tab.front();
    await tab.until('the banner', () => !document.getElementById('away').hidden, null, 20);
    await tab.until('a lost connection', isLost);
  }
  await world.restart();
  for (const tab of tabs) {
    await tab.front();
    await tab.until('no banner', () => document.getElementById('away').hidden, null, 20);
    await tab.untilJoined(20);
    await tab.untilText('link-returns', '1 time');
    await tab.untilText('state', 'running');
  }
  await talk(tabs, 'again');
  await tabs[1].front();
  await tabs[1].until('a plot that goes on', () => globalThis.consoleValues().messages.in.at(-1) !== null);
  const drawn = (await tabs[1].values()).connections.connected;
  return drawn.slice(1).includes(null) ? [] : ['no gap in the plot'];
}

module.exports = {
  checks: {
    'the console opens, says what runs, and knows where the relay is': greets,
    'two tabs talk, and each shows its own id': tabsTalk,
    'a file arrives as a binary message': fileArrives,
    'heartbeats are shown, and are no messages': heartbeats,
    'what is too large is not sent': tooLarge,
    'the code to copy runs': codeRuns,
    'the relay is killed: both tabs come back': comesBack,
  },
};
