// The lines that the README gives for a page of one's own, run as they stand there, with another port.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { Relay, within } from '../browser/relay.js';
import { Page } from './page.js';

const ROOT = new URL('../../', import.meta.url);
const ADDRESS = '127.0.0.1:9310';
const MOST_LINES = 25;

function linesOfReadme() {
  const readme = fs.readFileSync(new URL('README.md', ROOT), 'utf8');
  const [, lines] = /^## Browser client$[^]*?^```js\n([^]*?)^```$/m.exec(readme) ?? assert.fail('no such lines');
  assert.equal(lines.split(ADDRESS).length, 2, 'one address');
  assert.ok(lines.split('\n').length <= MOST_LINES);
  return lines;
}

// A process that runs the lines, beside a copy of the client, and what it printed.
class Reader {
  constructor(port) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsrelayd-readme-'));
    fs.writeFileSync(path.join(this.folder, 'page.mjs'), linesOfReadme().replace(ADDRESS, `127.0.0.1:${port}`));
    fs.copyFileSync(new URL('src/admin/pages/wsrelayd.js', ROOT), path.join(this.folder, 'wsrelayd.js'));
    this.child = spawn(process.execPath, ['page.mjs'], { cwd: this.folder, stdio: ['ignore', 'pipe', 'inherit'] });
    process.once('exit', () => this.stop());
    this.printed = '';
    this.watch = () => {};
    this.child.stdout.setEncoding('utf8').on('data', (text) => { this.printed += text; this.watch(); });
  }

  // Until it has printed `pattern`. One at a time.
  prints(pattern) {
    const printed = new Promise((resolve) => {
      this.watch = () => { if (pattern.test(this.printed)) resolve(); };
      this.watch();
    });
    return within(15, `${pattern}`, printed).catch((error) => assert.fail(`${error.message}; printed:\n${this.printed}`));
  }

  stop() {
    this.child.kill('SIGKILL');
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

test('the lines of the README talk, and come back after the relay was killed', async (t) => {
  const relay = await Relay.start(process.env.RELAY, 'log = "info"\n');
  t.after(() => relay.stop());
  const page = new Page(relay.url('/room/7'));
  t.after(() => page.client.close());
  await page.open();
  const reader = new Reader(relay.port);
  t.after(() => reader.stop());
  await page.hears('hello, others');
  page.client.send('welcome');
  await reader.prints(/^they: welcome$/m);
  page.client.send(new Uint8Array(5));
  await reader.prints(/^they: 5 bytes$/m);
  relay.signal('SIGKILL');
  await relay.exit(5);
  await reader.prints(/^waiting, \d+ ms: 1006 $/m);
  const again = await Relay.start(process.env.RELAY, 'log = "info"\n', `127.0.0.1:${relay.port}`);
  t.after(() => again.stop());
  await page.open(2);
  await reader.prints(/^open$[^]*^waiting[^]*^open$/m);
  page.client.send('welcome back');
  await reader.prints(/^they: welcome back$/m);
});

test('the table of the README has every option with its default', () => {
  const source = fs.readFileSync(new URL('src/admin/pages/wsrelayd.js', ROOT), 'utf8');
  const readme = fs.readFileSync(new URL('README.md', ROOT), 'utf8');
  const [, given] = /constructor\(url, \{([^]*?)\} = \{\}\)/.exec(source);
  const defaults = [...given.matchAll(/(\w+) = ([^,]+?)\s*(?:,|$)/g)].map(([, name, value]) => [name, value.replace('_', '')]);
  const [section] = /^## Browser client$[^]*?(?=^## )/m.exec(readme);
  const rows = [...section.matchAll(/^\| `(\w+)` \| `([^`]+)` \|/gm)].map(([, name, value]) => [name, value]);
  assert.ok(rows.length >= 8);
  assert.deepEqual(rows, defaults);
});
