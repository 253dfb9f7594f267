// Checks of how a connection of *try it* begins, or does not: where the relay is looked for, what the address of the page
// says, and what is told of a relay that is not there.
'use strict';

const net = require('node:net');
const { differ } = require('./checks.js');
const { ConsoleTab, askDesk } = require('./console-tab.js');

const LOOK_MILLIS = 3_000;
const TYPED = 'the address of the relay';

// A page at `page`, a relay that listens on `listen`: what is proposed.
const PROPOSALS = [
  { page: 'http://127.0.0.1:9311/', listen: ['127.0.0.1:9310'], relay: 'ws://127.0.0.1:9310' },
  { page: 'http://127.0.0.1:9311/', listen: ['127.0.0.5:9310'], relay: 'ws://127.0.0.5:9310' },
  { page: 'http://127.0.0.1:9311/', listen: ['10.0.0.1:1', 'unix:/run/a', '127.0.0.1:2'], relay: 'ws://127.0.0.1:2' },
  { page: 'http://localhost:9311/', listen: ['10.0.0.1:1', '127.0.0.1:2'], relay: 'ws://localhost:2' },
  { page: 'http://localhost:9311/', listen: ['[::1]:2'], relay: 'ws://localhost:2' },
  { page: 'http://10.0.0.7:9311/', listen: ['0.0.0.0:2'], relay: 'ws://10.0.0.7:2' },
  { page: 'http://[::1]:9311/', listen: ['127.0.0.1:1', '[::]:2'], relay: 'ws://[::1]:2' },
  { page: 'http://127.0.0.1:9311/', listen: ['unix:/run/a', 'systemd:relay'], relay: '' },
  { page: 'https://relay.example.org/desk/', listen: ['unix:/run/a'], relay: 'wss://relay.example.org' },
];

async function proposes({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const got = await tab.evaluate(async (rows) => {
    const { suggest } = await import('./console-try.js');
    return rows.map(({ page, listen }) => suggest(listen, new URL(page)));
  }, PROPOSALS);
  return differ('proposals', got, PROPOSALS.map((row) => row.relay));
}

// Without one to propose, the field says what belongs there, and nothing is joined.
async function asksForAProxy({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const status = await askDesk(relay, '/api/status');
  status.relay.listen = ['unix:/run/relay.sock'];
  const found = await tab.evaluate(async (told) => {
    const { TryPane } = await import('./console-try.js');
    location.hash = '#%2Ftalk';
    document.getElementById('relay').value = '';
    new TryPane(() => {}).learn(told);
    return [document.getElementById('relay').placeholder, document.getElementById('link-state').textContent];
  }, status);
  return differ('field and connection', found, ['the address of the proxy in front', 'not connected']);
}

async function joinsForAPathAlone({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'), { hash: '#try' });
  await tab.until(TYPED, () => document.getElementById('relay').value !== '');
  await tab.until('two points', () => globalThis.consoleValues().secs.length > 2);
  const found = await tab.evaluate(() => [document.getElementById('channel').value, document.getElementById('link-state').textContent]);
  return differ('channel and connection', found, ['/hello', 'not connected']);
}

// What the link of a tab opens has the relay that was typed there; a tab of its own has the one that is proposed.
async function secondTabKeepsTheRelay({ browser, relay }) {
  const typed = relay.url('/behind');
  const first = await ConsoleTab.open(browser, relay.desk('/'));
  await first.until(TYPED, () => document.getElementById('relay').value !== '');
  await first.fill('relay', typed);
  await first.join('/kept');
  const href = await first.evaluate(() => document.getElementById('second').getAttribute('href'));
  const second = await ConsoleTab.open(browser, relay.desk('/'), { hash: href.replace('./', '') });
  await second.untilJoined();
  const { total } = await askDesk(relay, '/api/peers?channel=%2Fbehind%2Fkept');
  const own = await ConsoleTab.open(browser, relay.desk('/'));
  await own.until(TYPED, () => document.getElementById('relay').value !== '');
  const proposed = await own.evaluate(() => document.getElementById('relay').value);
  return [...differ('peers', total, 2), ...differ('of its own', proposed, relay.url(''))];
}

// A port at which nobody listens.
async function closedPort() {
  const server = net.createServer();
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

// Its countdown is on the page, and nothing of what changes by itself is spoken.
async function tellsOfNoRelay({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  tab.expected = /WebSocket connection to|establish a connection|ERR_CONNECTION/;
  await tab.until(TYPED, () => document.getElementById('relay').value !== '');
  const nowhere = `ws://127.0.0.1:${await closedPort()}`;
  await tab.fill('relay', nowhere);
  await tab.fill('channel', '/none');
  await tab.press('Enter');
  await tab.untilText('lines', `No connection to ${nowhere}/none: does the relay answer there?`);
  await tab.untilText('lines', 'No connection yet');
  const gone = (await tab.lines('note')).filter(({ text }) => text.includes('is gone'));
  const spoken = await tab.evaluate(async (millis) => {
    const heard = [];
    const watch = new MutationObserver((changes) => heard.push(...changes.map(({ target }) => target.id)));
    for (const each of document.querySelectorAll('[role=status], [role=alert], [aria-live]')) {
      watch.observe(each, { childList: true, characterData: true, subtree: true });
    }
    await new Promise((resolve) => { setTimeout(resolve, millis); });
    return heard;
  }, LOOK_MILLIS);
  return [...differ('told to be gone', gone, []), ...differ('spoken', spoken, [])];
}

async function saysWhatIsNotSent({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const look = () => document.getElementById('file-label').hasAttribute('data-off');
  const before = await tab.evaluate(look);
  await tab.say('to nobody');
  await tab.untilText('lines', 'Not sent: there is no connection.');
  await tab.join('/file');
  return [...differ('no file before', before, true), ...differ('no file afterwards', await tab.evaluate(look), false)];
}

module.exports = {
  checks: {
    'the relay is proposed where it listens': proposes,
    'a relay behind a proxy is asked for': asksForAProxy,
    'a hash that is no path joins nothing': joinsForAPathAlone,
    'the second tab keeps the relay that was typed': secondTabKeepsTheRelay,
    'no relay there: said so, and not aloud all the time': tellsOfNoRelay,
    'without a connection Enter says so': saysWhatIsNotSent,
  },
};
