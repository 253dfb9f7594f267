// Tabs that nobody looks at, in a real Chromium: node hidden.js [--full] RELAY BROWSER, both paths of programs.
//
// The tab is truly hidden, another one stands in front of it. Five minutes of that are simulated as the browser makes
// them, a clock that jumps by a minute, at which each timer fires once at most, late, while messages are heard as they
// come; and with --full they pass, with timers throttled as the browser throttles them. In a frozen tab nothing runs at
// all. Needs puppeteer-core in NODE_PATH.
'use strict';

const { Browser } = require('./browsers.js');
const { check, conclude, differ } = require('./checks.js');
const { ConsoleTab, sleep } = require('./console-tab.js');
const { RawPeer } = require('./raw-peer.js');
const { Relay } = require('./relay.js');

const isFull = process.argv.includes('--full');
const [binary, executable] = process.argv.slice(2).filter((argument) => argument !== '--full');
if (!executable) {
  console.error('usage: node hidden.js [--full] RELAY BROWSER');
  process.exit(2);
}

const RUN_SECS = isFull ? 500 : 120;
const CONFIG = `heartbeat = { request = "ping", reply = "pong" }
ping_interval = "10m"
log = "info"
`;
const ANY = '127.0.0.1:0';
const MINUTES = 5;
const MINUTE_MILLIS = 60_000;
const FROZEN_MILLIS = 5_000;

// In the tab, before its scripts: time passes as ever until `jump(millis)`, and from then on only by jumps.
function makeClock() {
  const real = { setInterval: setInterval.bind(globalThis), date: Date.now, passed: performance.now.bind(performance) };
  const stop = clearInterval.bind(globalThis);
  const timers = new Map();
  let jumped = null;
  let serial = 0;
  const now = () => jumped ?? real.passed();
  const begin = real.date() - real.passed();
  const add = (every) => (run, millis = 0, ...given) => {
    serial += 1;
    timers.set(serial, { at: now() + millis, every: every ? millis : null, run: () => run(...given) });
    return serial;
  };
  const fire = () => {
    const due = [...timers].filter(([, { at }]) => at <= now()).sort(([, one], [, other]) => one.at - other.at);
    for (const [id, timer] of due) {
      if (timers.get(id) !== timer) continue;
      if (timer.every === null) timers.delete(id);
      else timer.at = now() + timer.every;
      timer.run();
    }
  };
  globalThis.setTimeout = add(false);
  globalThis.setInterval = add(true);
  globalThis.clearTimeout = globalThis.clearInterval = (id) => timers.delete(id);
  performance.now = now;
  Date.now = () => begin + now();
  const passing = real.setInterval(() => jumped === null && fire(), 10);
  globalThis.jump = (millis) => {
    stop(passing);
    jumped = now() + millis;
    fire();
  };
}

// Another tab comes in front of it.
async function hide(tab, browser) {
  const other = await browser.newPage();
  await other.bringToFront();
  await tab.until('a hidden tab', () => document.visibilityState === 'hidden');
  return other;
}

async function look(tab) {
  await tab.front();
  await tab.until('a tab in sight', () => document.visibilityState === 'visible');
}

// Problems, if the connection is not the one that it was.
async function sameConnection(tab, id) {
  return [
    ...differ('the state', await tab.text('link-state'), 'open'),
    ...differ('the id', await tab.text('link-id'), id),
    ...differ('returns', await tab.text('link-returns'), 'not yet: it never left'),
  ];
}

// Five minutes, of which `pass` makes each.
async function minutes({ browser, relay }, prepare, pass) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'), { prepare });
  const id = await tab.join('/hidden');
  const peer = await RawPeer.open(relay.port, '/hidden');
  await hide(tab, browser);
  // What was on its way when it was hidden.
  await sleep(1_000);
  const [asked, beats] = [tab.asked.length, await beatsOf(tab)];
  for (let minute = 1; minute <= MINUTES; minute += 1) {
    await pass(tab);
    await peer.send(`minute ${minute}`);
  }
  const whileHidden = tab.asked.length - asked;
  const beating = await beatsOf(tab) - beats;
  await look(tab);
  await tab.untilHeard(`minute ${MINUTES}`);
  const heard = (await tab.lines('heard')).map(({ text }) => text);
  return [
    ...await sameConnection(tab, id),
    ...differ('heard', heard, Array.from({ length: MINUTES }, (_, at) => `minute ${at + 1}`)),
    ...differ('questions to the desk while nobody looked', whileHidden, 0),
    ...(beating > 0 ? [] : ['no heartbeat in five minutes']),
  ];
}

const beatsOf = async (tab) => Number(/, the (\d+)/.exec(await tab.text('link-heartbeat'))?.[1] ?? 0);

function simulated(world) {
  const pass = async (tab) => {
    await tab.evaluate((millis) => globalThis.jump(millis), MINUTE_MILLIS);
    // For the answers that are on their way.
    await sleep(300);
  };
  return minutes(world, (page) => page.evaluateOnNewDocument(makeClock), pass);
}

function real(world) {
  return minutes(world, () => {}, () => sleep(MINUTE_MILLIS));
}

// Chromium cuts the WebSockets of a page that it freezes: then there is nothing to keep, and the tab comes back.
async function frozen({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  tab.expected = /Page entered Back-Forward Cache/;
  await tab.join('/frozen');
  await tab.evaluate(() => {
    globalThis.ticks = 0;
    setInterval(() => { globalThis.ticks += 1; }, 100);
    document.addEventListener('freeze', () => { globalThis.ticks = 0; });
  });
  await hide(tab, browser);
  const session = await tab.page.createCDPSession();
  await session.send('Page.setWebLifecycleState', { state: 'frozen' });
  const peer = await RawPeer.open(relay.port, '/frozen');
  await peer.send('into the ice');
  await sleep(FROZEN_MILLIS);
  const ticks = await tab.evaluate(() => globalThis.ticks);
  await session.send('Page.setWebLifecycleState', { state: 'active' });
  await look(tab);
  await tab.untilText('link-returns', '1 time');
  await tab.untilJoined();
  await peer.send('out of it');
  await tab.untilHeard('out of it');
  return differ('ticks in the ice', ticks, 0);
}

async function main() {
  const relay = await Relay.start(binary, CONFIG, ANY, ANY);
  let browser;
  const cleanUp = () => {
    RawPeer.closeAll();
    return ConsoleTab.closeAll();
  };
  try {
    browser = await Browser.start('hiding', executable);
    console.log(`hiding tabs: ${await browser.version()}`);
    const world = { browser, relay };
    await check('a hidden tab keeps its connection for five minutes', () => simulated(world), cleanUp);
    await check('a frozen tab comes back', () => frozen(world), cleanUp);
    if (isFull) await check('a hidden tab keeps its connection for five minutes that pass', () => real(world), cleanUp);
  } finally {
    await browser?.stop();
    await relay.stop();
  }
}

conclude(RUN_SECS, main);
