// What of the console only Chromium lets be tried: a tab that is hidden, throttled, frozen; downloads; screenshots.
//
// A hidden tab is a truly hidden one (DevTools protocol: the page hears `visibilitychange`). Its five minutes are
// simulated as the browser makes them: a clock that jumps by a minute, at which each timer fires once at most, late,
// while messages are heard as they come; and a freeze, in which nothing runs, and then everything is late at once.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { differ } = require('./checks.js');
const { ConsoleTab, sleep } = require('./console-tab.js');
const { RawPeer } = require('./raw-peer.js');

const MINUTES = 5;
// Longer than the client's heartbeat and its timeout together, in *try it*.
const FROZEN_MILLIS = 18_000;
const SHOT_SECS = 25;

async function lifecycle(tab, state) {
  tab.session ??= await tab.page.context().newCDPSession(tab.page);
  await tab.session.send('Page.setWebLifecycleState', { state });
}

// Hidden, and running: after a freeze a page stays hidden until somebody looks.
async function hide(tab) {
  await lifecycle(tab, 'frozen');
  await lifecycle(tab, 'active');
  await tab.until('a hidden tab', () => document.visibilityState === 'hidden');
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

async function survivesMinutes({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'), { prepare: (page) => page.clock.install() });
  const id = await tab.join('/hidden');
  const peer = await RawPeer.open(relay.port, '/hidden');
  await hide(tab);
  const asked = tab.asked.length;
  for (let minute = 1; minute <= MINUTES; minute += 1) {
    await tab.page.clock.fastForward(60_000);
    await peer.send(`minute ${minute}`);
    await sleep(300);
  }
  const whileHidden = tab.asked.length - asked;
  await look(tab);
  await tab.untilHeard(`minute ${MINUTES}`);
  const heard = (await tab.lines('heard')).map(({ text }) => text);
  peer.close();
  return [
    ...await sameConnection(tab, id),
    ...differ('heard', heard, Array.from({ length: MINUTES }, (_, at) => `minute ${at + 1}`)),
    ...(whileHidden <= 1 ? [] : [`asked ${whileHidden} times while nobody looked`]),
    ...await tab.offences(),
  ];
}

async function survivesAFreeze({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const id = await tab.join('/frozen');
  const peer = await RawPeer.open(relay.port, '/frozen');
  await lifecycle(tab, 'frozen');
  await peer.send('into the ice');
  await sleep(FROZEN_MILLIS);
  await lifecycle(tab, 'active');
  await look(tab);
  await tab.untilHeard('into the ice');
  // A timer that came late must not end it a moment later either.
  await sleep(2_000);
  const problems = await sameConnection(tab, id);
  await peer.send('out of it');
  await tab.untilHeard('out of it');
  peer.close();
  return [...problems, ...await tab.offences()];
}

async function savesBytes({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.join('/save');
  const peer = await RawPeer.open(relay.port, '/save');
  const bytes = Buffer.from(Array.from({ length: 5_000 }, (_, at) => (at * 31) & 0xff));
  await peer.send(bytes);
  await tab.until('its line', () => document.querySelector('#lines > li.heard button'));
  const coming = tab.page.waitForEvent('download', { timeout: 10_000 });
  await tab.click('#lines > li.heard button');
  const saved = fs.readFileSync(await (await coming).path());
  peer.close();
  return [...(saved.equals(bytes) ? [] : [`saved ${saved.length} bytes that are others`]), ...await tab.offences()];
}

async function copies({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: tab.desk });
  await tab.click('#recipe summary');
  await tab.click('#copy');
  await tab.untilText('copied', 'copied');
  const copied = await tab.evaluate(() => navigator.clipboard.readText());
  return [...differ('the clipboard', copied, await tab.text('code')), ...await tab.offences()];
}

// Pictures of a relay at work, for people.
async function takeShots({ browser, relay }, folder) {
  fs.mkdirSync(folder, { recursive: true });
  const tab = await ConsoleTab.open(browser, relay.desk('/'), { width: 1440, height: 1000 });
  const rooms = ['/room/7', '/room/8', '/game/lobby', '/ticker'];
  const peers = [];
  for (const [at, room] of rooms.entries()) {
    for (let more = 0; more < 3 + at * 2; more += 1) peers.push([await RawPeer.open(relay.port, room), room]);
  }
  await tab.join('/room/7');
  const end = Date.now() + SHOT_SECS * 1000;
  for (let round = 0; Date.now() < end; round += 1) {
    const [peer] = peers[round % peers.length];
    for (let more = 0; more < 3 + 3 * Math.sin(round / 20); more += 1) await peer.send(`tick ${round}.${more}`);
    await sleep(40 + 30 * Math.cos(round / 50));
  }
  await peers[0][0].send('Hello from another tab');
  await peers[0][0].send(Buffer.from('a file, byte by byte: \u00e9\u{1f980} and so on, up to its end'));
  await tab.say('Hello, others');
  await tab.click('#channel-table tbody button');
  await tab.until('peers', () => document.querySelector('#peer-table tbody tr'));
  await tab.evaluate(() => document.activeElement.blur());
  for (const [name, width, height] of [['wide', 1440, 1000], ['phone', 360, 740]]) {
    await tab.resize(width, height);
    for (const colorScheme of ['light', 'dark']) {
      await tab.page.emulateMedia({ colorScheme });
      await sleep(1_300);
      await tab.page.screenshot({ path: path.join(folder, `console-${name}-${colorScheme}.png`), fullPage: true });
    }
  }
  peers.forEach(([peer]) => peer.close());
  await tab.close();
}

module.exports = {
  checks: {
    'a hidden tab keeps its connection for five minutes': survivesMinutes,
    'a frozen tab keeps its connection': survivesAFreeze,
    'a binary message is saved as it came': savesBytes,
    'the code is copied': copies,
  },
  takeShots,
};
