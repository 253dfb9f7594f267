// Checks and screenshots of the console for which playwright is needed: downloads, the clipboard, colour schemes.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { differ } = require('./checks.js');
const { ConsoleTab, sleep } = require('./console-tab.js');
const { RawPeer } = require('./raw-peer.js');

const SHOT_SECS = 45;

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
  return saved.equals(bytes) ? [] : [`saved ${saved.length} bytes that are others`];
}

async function copies({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  await tab.page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: tab.origin });
  await tab.click('#recipe summary');
  await tab.click('#copy');
  await tab.untilText('copied', 'copied');
  const copied = await tab.evaluate(() => navigator.clipboard.readText());
  return differ('the clipboard', copied, await tab.text('code'));
}

// Says something about twenty times a second, now more, now less, until `isOver` does.
async function chatter(peers, isOver) {
  for (let round = 0; !isOver(); round += 1) {
    const peer = peers[(round * 7) % peers.length];
    for (let more = 0; more < 3 + 3 * Math.sin(round / 20); more += 1) await peer.send(`tick ${round}.${more}`);
    await sleep(40 + 30 * Math.cos(round / 50));
  }
}

// Pictures of a relay at work, for people.
async function takeShots(world, folder) {
  await world.kill();
  await world.restart();
  const { browser, relay } = world;
  fs.mkdirSync(folder, { recursive: true });
  const tab = await ConsoleTab.open(browser, relay.desk('/'), { width: 1440, height: 1000 });
  const peers = [];
  for (const [at, room] of ['/room/7', '/room/8', '/game/lobby', '/ticker'].entries()) {
    for (let more = 0; more < 3 + at * 2; more += 1) peers.push(await RawPeer.open(relay.port, room));
  }
  let isOver = false;
  const chat = chatter(peers.slice(3, -2), () => isOver);
  await RawPeer.open(relay.port, '/two%20slashes//').catch(() => {});
  await tab.join('/room/7');
  await sleep(SHOT_SECS * 1000);
  peers.at(-1).close();
  await peers[0].send('Hello from another tab');
  await peers[0].send(Buffer.from('a file, byte by byte: \u00e9\u{1f980} and so on, up to its end'));
  await tab.say('Hello, others');
  await tab.pressChannel('/room/8');
  await tab.until('peers', () => document.querySelector('#peer-table tbody tr') !== null);
  await tab.evaluate(() => document.activeElement.blur());
  for (const [name, width, height] of [['wide', 1440, 1000], ['phone', 360, 740]]) {
    await tab.resize(width, height);
    for (const colorScheme of ['light', 'dark']) {
      await tab.page.emulateMedia({ colorScheme });
      await sleep(2_300);
      await tab.page.screenshot({ path: path.join(folder, `console-${name}-${colorScheme}.png`), fullPage: true });
    }
  }
  isOver = true;
  await chat;
  RawPeer.closeAll();
  await tab.close();
}

module.exports = {
  checks: {
    'a binary message is saved as it came': savesBytes,
    'the code is copied': copies,
  },
  takeShots,
};
