// A relay of our own for one check: started on a free port, found by its first line, ended by its process id.
//
// Promises that every wait ends and that nothing is left running when this process exits. Knows nothing of WebSocket.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ADDRESS = /ws:\/\/127\.0\.0\.1:(\d+)/;
const DESK = /for operators on http:\/\/127\.0\.0\.1:(\d+)/;
const MOST_LOG_CHARS = 20_000;

// `promise`, or an error that names `what` after `secs`.
function within(secs, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${secs} s`)), secs * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

class Relay {
  // Use `start`. `output` is the end of what the relay wrote; `ended` resolves with its exit code, or its signal.
  constructor(binary, config, listen, admin) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsrelayd-test-'));
    this.output = '';
    this.watchers = new Set();
    const file = path.join(this.folder, 'wsrelayd.toml');
    fs.writeFileSync(file, config);
    const places = ['--listen', listen, ...(admin ? ['--admin', admin] : [])];
    this.child = spawn(binary, ['--config', file, ...places], { stdio: ['ignore', 'pipe', 'pipe'] });
    // One text for both outputs: the address line may stand on either.
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => this.hear(text));
    }
    this.ended = new Promise((resolve) => {
      this.child.on('error', resolve);
      this.child.on('close', (code, signal) => resolve(code ?? signal));
    });
    this.atExit = () => this.discard();
    process.once('exit', this.atExit);
  }

  // With `admin`, an address, it has a desk too, on `deskPort`.
  static async start(binary, config, listen = '127.0.0.1:0', admin = undefined) {
    const relay = new Relay(binary, config, listen, admin);
    try {
      relay.port = Number((await relay.says(ADDRESS, 10))[1]);
      if (admin) relay.deskPort = Number((await relay.says(DESK, 10))[1]);
    } catch (error) {
      await relay.stop();
      throw new Error(`the relay did not start: ${error.message}; output:\n${relay.output}`);
    }
    return relay;
  }

  hear(text) {
    this.output = (this.output + text).slice(-MOST_LOG_CHARS);
    this.watchers.forEach((watch) => watch());
  }

  // The first match of `pattern` in the output, waited for.
  says(pattern, secs) {
    let watch;
    const found = new Promise((resolve, reject) => {
      watch = () => {
        const match = pattern.exec(this.output);
        if (match) resolve(match);
      };
      this.watchers.add(watch);
      this.ended.then((how) => reject(new Error(`it ended: ${how}`)));
      watch();
    });
    return within(secs, `a line with ${pattern}`, found).finally(() => this.watchers.delete(watch));
  }

  url(target) {
    return `ws://127.0.0.1:${this.port}${target}`;
  }

  desk(target) {
    return `http://127.0.0.1:${this.deskPort}${target}`;
  }

  signal(name) {
    this.child.kill(name);
  }

  // The exit code, or the name of the signal that ended it.
  exit(secs) {
    return within(secs, 'the end of the relay', this.ended);
  }

  // Whatever became of it: gone, and its folder too.
  async stop() {
    this.child.kill('SIGKILL');
    await this.exit(5);
    process.removeListener('exit', this.atExit);
    this.discard();
  }

  discard() {
    this.child.kill('SIGKILL');
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

module.exports = { Relay, within };
