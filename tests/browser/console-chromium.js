// Checks and screenshots of the console for which playwright is needed: downloads, the clipboard, colour schemes.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { differ } = require('./checks.js');
const { ConsoleTab, sleep } = require('./console-tab.js');
const { RawPeer } = require('./raw-peer.js');

const SHOT_SECS = 25;

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
