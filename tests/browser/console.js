// The console in a real browser, on a real relay: node console.js [--firefox] RELAY BROWSER, both paths of programs.
//
// How *try it* connects is tried by console-join.js, what is said there by console-talk.js, what is shown by console-shows.js, how it is used by
// console-use.js, tokens and subprotocols by console-rights.js, what only playwright can by console-chromium.js, tabs that nobody looks at by hidden.js.
// WSRELAYD_SHOTS names a folder for screenshots. Needs what run.js needs.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Browser } = require('./browsers.js');
const { check, conclude, programs } = require('./checks.js');
const { ConsoleTab } = require('./console-tab.js');
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
const ANY = '127.0.0.1:0';

// Each file gives its checks as `{ words: run }`; a check gets the world and gives its problems.
const groups = ['./console-join.js', './console-talk.js', './console-shows.js', './console-use.js', './console-rights.js'];
if (kind === 'chromium') groups.push('./console-chromium.js');

// The relay that is there now, and the browser. `restart` ends the relay with SIGKILL and starts it at the same places.
class World {
  static async start() {
    const world = Object.assign(new World(), { binary, config: CONFIG });
    world.relay = await Relay.start(binary, CONFIG, ANY, ANY);
    return world;
  }

  async kill() {
    this.relay.signal('SIGKILL');
    await this.relay.exit(5);
  }

  async restart() {
    const { port, deskPort } = this.relay;
    await this.relay.stop();
    this.relay = await Relay.start(binary, CONFIG, `127.0.0.1:${port}`, `127.0.0.1:${deskPort}`);
  }

  async stop() {
    await this.browser?.stop();
    await this.relay.stop();
  }
}

function sizeOfPages() {
  const folder = path.join(__dirname, '../../src/admin/pages');
  const ours = fs.readdirSync(folder).filter((name) => /^(console|icon)/.test(name));
  return ours.reduce((sum, name) => sum + fs.statSync(path.join(folder, name)).size, 0);
}

// Each tab is asked for what must never happen.
function cleanUp() {
  RawPeer.closeAll();
  return ConsoleTab.closeAll();
}

async function main() {
  const world = await World.start();
  try {
    world.browser = await Browser.start(kind, executable);
    console.log(`${kind} ${await world.browser.version()}; the console's own files have ${sizeOfPages()} bytes`);
    for (const [name, run] of groups.flatMap((group) => Object.entries(require(group).checks))) {
      await check(name, () => run(world), cleanUp);
    }
    const folder = process.env.WSRELAYD_SHOTS;
    if (folder && kind === 'chromium') await require('./console-chromium.js').takeShots(world, folder);
  } finally {
    await world.stop();
  }
}

conclude(RUN_SECS, main);
