// Checks of what the console shows: plots against what was sent, tables, the log; that it is text, and bounded.
'use strict';

const { differ } = require('./checks.js');
const { ConsoleTab, askDesk, sleep } = require('./console-tab.js');
const { RawPeer } = require('./raw-peer.js');

const MANY = 400;
const BURST = 20;
const LISTENERS = 3;
const CHANNELS = 40;
const MOST_LINES = 200;
const MOST_POINTS = 320;
const LOAD = Buffer.alloc(30_000, 'x');
const LAG_BYTES = 60_000;
const MARKUP = '<img src=x onerror=globalThis.pwned=1><script>globalThis.pwned=1</script>';
const MARKED_PATH = '/<img/src=x/onerror=globalThis.pwned=1>&amp;"\'';

function openAll(relay, count, path) {
  return Promise.all(Array.from({ length: count }, () => RawPeer.open(relay.port, path)));
}

// The sum of a line over time: what was counted between its first and its last point.
function area(secs, line) {
  return line.reduce((sum, value, at) => sum + (value === null || at === 0 ? 0 : value * (secs[at] - secs[at - 1])), 0);
}

const isNear = (got, wanted) => Math.abs(got - wanted) <= 1 + wanted * 0.02;

async function plotsShow({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.until('two points', () => globalThis.consoleValues().messages.in.filter((n) => n !== null).length >= 2);
  const before = await askDesk(relay, '/api/status');
  const peers = await openAll(relay, 1 + LISTENERS, '/plotted');
  for (let sent = 0; sent < MANY; sent += 1) {
    await peers[0].send(`message ${sent}`);
    if (sent % BURST === 0) await sleep(100);
  }
  const wanted = { in: MANY, deliveries: MANY * LISTENERS };
  const deadline = Date.now() + 10_000;
  let got;
  do {
    await sleep(200);
    const { secs, messages } = await tab.values();
    got = { in: area(secs, messages.in), deliveries: area(secs, messages.deliveries) };
  } while (Date.now() < deadline && !isNear(got.deliveries, wanted.deliveries));
  const names = Object.keys(wanted).filter((name) => !isNear(got[name], wanted[name]));
  const problems = names.map((name) => `plotted ${name}: ${got[name]}, sent ${wanted[name]}`);
  const all = before.peers - before.handshaking + peers.length;
  await tab.until('all connections', (n) => globalThis.consoleValues().connections.connected.at(-1) === n, all);
  const { connections, turn } = await tab.values();
  problems.push(...differ('channels', connections.channels.at(-1), before.channels + 1));
  const [longest, mean] = [turn.longest.at(-1), turn.mean.at(-1)];
  if (!(mean > 0 && longest >= mean)) problems.push(`turns: longest ${longest}, mean ${mean}`);
  const told = await tab.evaluate(() => document.querySelector('#plot-connections dd').textContent);
  problems.push(...differ('the number above the plot', told, String(all)));
  return problems;
}

async function lagOf(relay, channel) {
  const { channels } = await askDesk(relay, '/api/channels');
  return channels.find(({ path }) => path === channel)?.lag_bytes ?? 0;
}

// One who does not read: in the plot of lag, first in the tables, and at last in the log.
async function slowPeerShows({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const peers = await openAll(relay, 3, '/slow');
  peers[2].stopReading();
  // The desk tells nothing new within a second, and above `max_lag` it would be over.
  for (let rounds = 0; rounds < 30 && await lagOf(relay, '/slow') < LAG_BYTES; rounds += 1) {
    for (let more = 0; more < 4; more += 1) await peers[0].send(LOAD);
    await sleep(1_050);
  }
  await tab.until('a lag', (n) => globalThis.consoleValues().lag['furthest behind'].at(-1) >= n, LAG_BYTES);
  const isFirst = () => document.querySelector('#channel-table tbody button')?.textContent === '/slow';
  await tab.until('the slow channel first', isFirst);
  await tab.click('#channel-table tbody button');
  await tab.untilRows('peer-table', 3);
  const first = await tab.evaluate(() => document.querySelector('#peer-table tbody td').textContent);
  const { peers: rows } = await askDesk(relay, '/api/peers?channel=/slow');
  const problems = differ('the first of the peers', first, rows[0].id);
  if (!(rows[0].lag_bytes > rows[1].lag_bytes)) problems.push(`lags: ${rows.map(({ lag_bytes: lag }) => lag)}`);
  for (let more = 0; more < 60; more += 1) await peers[0].send(LOAD);
  await tab.untilText('disconnects', 'slow_consumer 1', 40);
  await tab.until('the line of the log', () => [...document.querySelectorAll('#log-table tbody tr')].some((row) => {
    const words = [...row.cells].map(({ textContent }) => textContent);
    return ['disconnected', 'slow_consumer', '/slow'].every((word) => words.includes(word));
  }));
  return problems;
}

// Whatever peers send and are called is text on the page, and the code to copy keeps it in.
async function markupIsText({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.join('/talk');
  const named = await RawPeer.open(relay.port, MARKED_PATH);
  const shouter = await RawPeer.open(relay.port, '/talk');
  await shouter.send(MARKUP);
  await shouter.send(Buffer.from(MARKUP));
  await tab.untilHeard(MARKUP);
  await tab.pressChannel(MARKED_PATH);
  await tab.untilText('peers-title', MARKED_PATH);
  await tab.untilRows('peer-table', 1);
  named.close();
  await tab.untilText('log-table', MARKED_PATH);
  await tab.click('#connect-button');
  await tab.fill('channel', '/</script><script>globalThis.pwned=1</script>');
  await tab.untilText('code', '/\\u003c/script>');
  const found = await tab.evaluate(() => ({
    pwned: globalThis.pwned ?? null,
    images: [...document.images].map((image) => image.getAttribute('src')),
    scripts: [...document.scripts].map((script) => script.getAttribute('src')),
  }));
  const expected = { pwned: null, images: ['icon.svg'], scripts: ['uPlot.iife.min.js', 'console.js'] };
  return differ('the page', found, expected);
}

// Markup that runs, and a request to elsewhere: the page's own policy forbids both, and the checks would notice.
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
  const missed = ['script-src', 'connect-src'].filter((word) => !noticed.includes(word));
  const pwned = await tab.evaluate(() => globalThis.pwned ?? null);
  await tab.close();
  return [...differ('before', before, []), ...differ('missed', missed, []), ...differ('pwned', pwned, null)];
}

// However much comes, the page holds no more of it than it says.
async function staysBounded({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.join('/bound');
  const peer = await RawPeer.open(relay.port, '/bound');
  for (let sent = 0; sent < MANY; sent += 1) await peer.send(`message ${sent}`);
  for (let sent = 0; sent < MANY; sent += 1) {
    await peer.send(Buffer.alloc(50_000, sent));
    // More at once could make the tab itself a slow consumer.
    if (sent % 8 === 7) await tab.untilText('heard', `Heard ${MANY + sent + 1} messages`);
  }
  const last = `0000  ${((MANY - 1) & 255).toString(16)}`;
  const isLast = (words) => document.querySelector('#lines > li:last-child pre')?.textContent.startsWith(words);
  await tab.until('the last', isLast, last);
  const lines = await tab.evaluate(() => document.getElementById('lines').childElementCount);
  const points = await tab.evaluate(async () => {
    const { Plots } = await import('./console-plots.js');
    const plots = new Plots(document.createElement('div'));
    const status = await (await fetch('api/status')).json();
    for (let turns = 1; turns <= 1_000; turns += 1) plots.add({ ...status, totals: { ...status.totals, turns } });
    const values = plots.values();
    return [values.secs.length, values.lag['furthest behind'].length];
  });
  const problems = [...differ('lines', lines, MOST_LINES), ...differ('points', points, [MOST_POINTS, MOST_POINTS])];
  return problems;
}

// Connections come in whole ones.
async function marksAreWhole({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const marks = await tab.evaluate(async () => {
    const { Plots } = await import('./console-plots.js');
    const plots = new Plots(document.body.appendChild(document.createElement('div')));
    const status = await (await fetch('api/status')).json();
    for (const turns of [1, 2]) plots.add({ ...status, peers: 7, handshaking: 0, totals: { ...status.totals, turns } });
    await new Promise((resolve) => { setTimeout(resolve, 100); });
    return plots.drawings[0].uplot.axes[1]._splits;
  });
  return marks.length > 1 && marks.every(Number.isInteger) ? [] : [`marks at ${marks}`];
}

// However many channels there are, what stands below them is not far.
async function channelsScroll({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await Promise.all(Array.from({ length: CHANNELS }, (_, at) => RawPeer.open(relay.port, `/many/${at}`)));
  await tab.untilRows('channel-table', CHANNELS);
  const [box, table] = await tab.evaluate(() => {
    const shown = document.getElementById('channel-table');
    return [shown.parentElement.clientHeight, shown.clientHeight];
  });
  return box > 0 && box < table / 2 ? [] : [`a table of ${table} in a box of ${box}`];
}

// Another process counts its entries from the beginning again.
async function logIsThisProcess({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const shown = await tab.evaluate(async () => {
    const { Ends } = await import('./console-tables.js');
    const told = ['before', 'after'].map((reason, at) => ({ entries: [{ seq: 7, at_ms: at, event: 'refused', reason }] }));
    const ends = new Ends(async () => told.shift());
    await ends.show();
    await ends.show();
    return [...ends.table.rows.values()].map(({ item }) => item.reason);
  });
  return differ('the log', shown, ['after']);
}

module.exports = {
  checks: {
    'what is plotted is what was sent': plotsShow,
    'a slow peer stands first, and its end in the log': slowPeerShows,
    'markup is text': markupIsText,
    'what must never happen is forbidden, and would be seen': noticesOffences,
    'lines and points are bounded': staysBounded,
    'the marks of connections are whole': marksAreWhole,
    'many channels scroll': channelsScroll,
    'the log is that of the process that runs': logIsThisProcess,
  },
};
