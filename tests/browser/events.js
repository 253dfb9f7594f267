// A browser's own EventSource through a real nginx, with the configuration that `wsrelayd nginx` prints:
// node events.js RELAY BROWSER, both paths of programs.
//
// A page of the same origin hears what is posted; the relay is killed, and started again: the EventSource, which gives
// up for good on any answer but 200, has come back by itself. Needs nginx in PATH and playwright-core in NODE_PATH.
'use strict';

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { Browser } = require('./browsers.js');
const { check, conclude, differ, programs } = require('./checks.js');
const { Relay } = require('./relay.js');

const { kind, binary, executable } = programs('events.js');
const RUN_SECS = 120;
const WAIT_MILLIS = 15_000;
const CONFIG = 'event_stream = true\nhttp_publish = true\n';
const PAGE = '/page.html';

// A port that was free a moment ago.
function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// nginx with the printed location, and a page beside it.
class Nginx {
  constructor(relayPort, port) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsrelayd-nginx-'));
    const file = (name, text) => {
      fs.writeFileSync(path.join(this.folder, name), text);
      return path.join(this.folder, name);
    };
    const relay = file('wsrelayd.toml', `listen = ["127.0.0.1:${relayPort}"]\n${CONFIG}`);
    const printed = execFileSync(binary, ['nginx', '--config', relay], { encoding: 'utf8' });
    const page = `location = ${PAGE} { default_type text/html; return 200 "<!doctype html><title>events</title>"; }`;
    file('site.conf', printed
      .replace(/listen 80;/, `listen 127.0.0.1:${port};`)
      .replace(/server_name ws\.example\.com;/, `server_name _;\n${page}`));
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${this.folder}/${name};`).join('\n');
    const user = process.getuid() === 0 ? 'user root;' : '';
    const config = file('nginx.conf', `${user}\ndaemon off;\npid ${this.folder}/pid;\nevents {}\n`
      + `http { access_log off;\n${paths}\ninclude ${this.folder}/site.conf; }\n`);
    const given = ['-p', this.folder, '-c', config, '-e', `${this.folder}/error.log`];
    this.child = spawn('nginx', given, { stdio: 'ignore' });
    this.ended = new Promise((resolve) => this.child.on('error', resolve).on('exit', resolve));
    process.once('exit', () => this.child.kill('SIGTERM'));
  }

  async stop() {
    this.child.kill('SIGTERM');
    await this.ended;
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

// Until it holds, or an error that says what did not.
async function until(what, holds) {
  const late = Date.now() + WAIT_MILLIS;
  while (!await holds()) {
    if (Date.now() > late) throw new Error(`${what}: not within ${WAIT_MILLIS} ms`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

// In the page: notes all that an EventSource tells.
function hear() {
  const told = [];
  const source = new EventSource('/room');
  source.onopen = () => told.push(['open']);
  for (const name of ['message', 'binary', 'text-base64', 'close']) {
    source.addEventListener(name, ({ type, data }) => told.push([type, data]));
  }
  Object.assign(globalThis, { told, source });
}

const told = (page, name) => page.evaluate((wanted) => globalThis.told.filter(([type]) => type === wanted), name);
const state = (page) => page.evaluate(() => globalThis.source.readyState);

async function post(port, body, type) {
  const answer = await fetch(`http://127.0.0.1:${port}/room`, { method: 'POST', body, headers: { 'Content-Type': type } });
  return [answer.status, await answer.text()];
}

async function hears(page, port) {
  await until('the stream opens', async () => (await told(page, 'open')).length === 1);
  const problems = differ('a text is posted', await post(port, 'grüße,\nothers', 'text/plain'), [202, '{"peers":1}\n']);
  problems.push(...differ('text with CR', (await post(port, 'a\rb', 'text/plain'))[0], 202));
  problems.push(...differ('bytes', (await post(port, Buffer.from([0, 255]), 'application/octet-stream'))[0], 202));
  await until('all have come', async () => (await told(page, 'binary')).length === 1);
  problems.push(...differ('message', await told(page, 'message'), [['message', 'grüße,\nothers']]));
  problems.push(...differ('text-base64', await told(page, 'text-base64'), [['text-base64', btoa('a\rb')]]));
  return [...problems, ...differ('binary', await told(page, 'binary'), [['binary', 'AP8=']])];
}

async function returns(page, port, relay, startAgain) {
  await relay.stop();
  await until('it notices', async () => await state(page) !== 1);
  // Longer than it takes to try again: an answer other than 200 would have ended it by now.
  await new Promise((resolve) => { setTimeout(resolve, 6_000); });
  const problems = differ('given up', await state(page) === 2, false);
  await startAgain();
  await until('a message after the return', async () => {
    await post(port, 'back', 'text/plain');
    return (await told(page, 'message')).some(([, data]) => data === 'back');
  });
  return problems;
}

conclude(RUN_SECS, async () => {
  const [relayPort, port] = [await freePort(), await freePort()];
  let relay = await Relay.start(binary, CONFIG, `127.0.0.1:${relayPort}`);
  const nginx = new Nginx(relayPort, port);
  const browser = await Browser.start(kind, executable);
  const page = await browser.newPage();
  await until('nginx answers', () => fetch(`http://127.0.0.1:${port}${PAGE}`).then(({ ok }) => ok, () => false));
  await page.goto(`http://127.0.0.1:${port}${PAGE}`);
  await page.evaluate(hear);
  await check('an EventSource behind nginx hears text and bytes as they were', () => hears(page, port));
  await check('it comes back by itself when the relay does', () => returns(page, port, relay, async () => {
    relay = await Relay.start(binary, CONFIG, `127.0.0.1:${relayPort}`);
  }));
  await browser.stop();
  await nginx.stop();
  await relay.stop();
});
