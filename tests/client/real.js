// The client under a real Node against a real relay: RELAY in the environment names the binary.
//
// Two clients talk; the relay is killed, stopped, held still; a client lives in a worker; a process ends by itself.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { Relay, within } from '../browser/relay.js';
import { Page } from './page.js';

const CONFIG = 'drain = "2s"\nping_interval = "25s"\nlog = "info"\nheartbeat = { request = "ping", reply = "pong" }\n';
const MANY = 8;

// A relay that ends with the test.
async function relayFor(t, listen) {
  const relay = await Relay.start(process.env.RELAY, CONFIG, listen);
  t.after(() => relay.stop());
  return relay;
}

// A client that ends with the test.
function pageFor(t, url, options) {
  const page = new Page(url, options);
  t.after(() => page.client.close());
  return page;
}

async function talk(first, second, word) {
  assert.equal(first.client.send(`${word} there`), true);
  await second.hears(`${word} there`);
  assert.equal(second.client.send(`${word} back`), true);
  await first.hears(`${word} back`);
}

test('two clients exchange text and bytes', async (t) => {
  const relay = await relayFor(t);
  const pages = [0, 1].map(() => pageFor(t, relay.url('/room')));
  await Promise.all(pages.map((page) => page.open()));
  await talk(...pages, 'text');
  pages[0].client.send(new Uint8Array([0, 255, 7]));
  await pages[1].until('bytes', () => pages[1].messages.length === 2);
  assert.deepEqual(pages[1].messages[1], new Uint8Array([0, 255, 7]).buffer);
  assert.deepEqual(pages[0].messages, ['text back']);
});

test('what was queued before the connection was there arrives, the newest in order', async (t) => {
  const relay = await relayFor(t);
  const listener = pageFor(t, relay.url('/room'));
  await listener.open();
  const page = pageFor(t, relay.url('/room'), { queueMost: 2 });
  ['dropped', 'first', 'second'].forEach((word) => assert.equal(page.client.send(word), true));
  await page.open();
  page.client.send('third');
  await listener.hears('third');
  assert.deepEqual(listener.messages, ['first', 'second', 'third']);
});

test('the relay is killed and comes back: so do both by themselves', async (t) => {
  const relay = await relayFor(t);
  const pages = [0, 1].map(() => pageFor(t, relay.url('/room')));
  await Promise.all(pages.map((page) => page.open()));
  await talk(...pages, 'before');
  relay.signal('SIGKILL');
  await relay.exit(5);
  await Promise.all(pages.map((page) => page.until('three refusals', () => page.waiting().length >= 3)));
  for (const { code, wasClean } of pages.flatMap((page) => page.waiting())) {
    assert.deepEqual([code, wasClean], [1006, false]);
  }
  const again = await relayFor(t, `127.0.0.1:${relay.port}`);
  await Promise.all(pages.map((page) => page.open(2)));
  await talk(...pages, 'after');
  again.signal('SIGUSR1');
  const [, joined] = await again.says(/\bjoined=(\d+)/, 5);
  assert.equal(Number(joined), 2, 'one connection each');
});

test('SIGTERM: each client comes back when it was told, and not before', async (t) => {
  const relay = await relayFor(t);
  const pages = Array.from({ length: MANY }, () => pageFor(t, relay.url('/room')));
  await Promise.all(pages.map((page) => page.open()));
  relay.signal('SIGTERM');
  await Promise.all(pages.map((page) => page.until('1012', () => page.waiting().length === 1)));
  assert.equal(await relay.exit(15), 0);
  await relayFor(t, `127.0.0.1:${relay.port}`);
  await Promise.all(pages.map((page) => page.open(2)));
  for (const page of pages) {
    const [end] = page.waiting();
    const told = Number(/^retry-after=(\d+)$/.exec(end.reason)[1]) * 1000;
    assert.deepEqual([end.code, end.wasClean], [1012, true]);
    assert.ok(told >= 1000 && end.delayMs >= told && end.delayMs < told + 1000, `told ${told}, waits ${end.delayMs}`);
    const came = page.changes.find(({ state, at }) => state === 'connecting' && at > end.at);
    assert.ok(came.at - end.at >= told - 5, `told ${told} ms, came after ${came.at - end.at} ms`);
  }
});

test('a relay that stands still is noticed by the heartbeat, and when it goes on so does the client', async (t) => {
  const relay = await relayFor(t);
  const other = pageFor(t, relay.url('/room'));
  await other.open();
  const heartbeat = { request: 'ping', reply: 'pong', intervalMs: 100, timeoutMs: 1000 };
  const page = pageFor(t, relay.url('/room'), { heartbeat, connectMs: 1000 });
  await page.until('three heartbeats', () => page.beats.length >= 3);
  assert.deepEqual([page.waiting(), page.messages, other.messages], [[], [], []], 'and nobody hears of it');
  relay.signal('SIGSTOP');
  const stopped = performance.now();
  await page.until('two ends', () => page.waiting().length >= 2);
  relay.signal('SIGCONT');
  const [dead, hanging] = page.waiting();
  assert.deepEqual([dead.code, dead.reason], [1006, 'heartbeat-timeout']);
  assert.deepEqual([hanging.code, hanging.reason], [1006, 'connect-timeout']);
  assert.ok(dead.at - stopped >= 500, `noticed after ${dead.at - stopped} ms`);
  await page.open(2);
  const before = page.beats.length;
  await page.until('a heartbeat', () => page.beats.length > before);
});

test('it works in a worker', async (t) => {
  const relay = await relayFor(t);
  const page = pageFor(t, relay.url('/room'));
  await page.open();
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: { url: relay.url('/room') } });
  t.after(() => worker.terminate());
  const exit = once(worker, 'exit');
  await page.hears('from the worker');
  page.client.send('to the worker');
  const [heard] = await within(15, 'the worker', once(worker, 'message'));
  assert.equal(heard, 'to the worker');
  const [code] = await within(15, 'its end', exit);
  assert.equal(code, 0, 'close() lets a thread end by itself');
});

test('a process whose clients are closed ends by itself', async (t) => {
  const relay = await relayFor(t);
  const module = new URL('../../src/admin/pages/wsrelayd.js', import.meta.url);
  const script = `
    import { Wsrelayd } from ${JSON.stringify(module.href)};
    const options = { heartbeat: { request: 'ping', reply: 'pong' } };
    const [url, nobody] = process.argv.slice(1);
    const open = new Wsrelayd(url, options);
    const waiting = new Wsrelayd(nobody, { minDelayMs: 3e5, maxDelayMs: 3e5 });
    open.addEventListener('open', () => setTimeout(() => { open.close(); waiting.close(); }, 300));`;
  const given = ['--input-type=module', '-e', script, relay.url('/room'), 'ws://127.0.0.1:1/'];
  const child = spawn(process.execPath, given, { stdio: ['ignore', 'inherit', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  process.once('exit', () => child.kill('SIGKILL'));
  const [code] = await within(15, 'the process', once(child, 'exit'));
  assert.equal(code, 0);
});
