// When the client comes back: full jitter as a distribution, hints, dismissals, resets, and what wakes it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { inWorld } from './world.js';

const MANY = 2000;
const BUCKETS = 10;

// Numbers that are evenly spread over [from, to): bounds, mean, and each tenth within a quarter of its share.
function assertEven(numbers, from, to, what) {
  assert.ok(numbers.length >= 1000, `${what}: ${numbers.length} numbers`);
  assert.ok(numbers.every((number) => number >= from && number < to), `${what}: within ${from} and ${to}`);
  const counts = new Array(BUCKETS).fill(0);
  for (const number of numbers) counts[Math.floor(((number - from) / (to - from)) * BUCKETS)] += 1;
  const share = numbers.length / BUCKETS;
  assert.ok(counts.every((count) => Math.abs(count - share) < share / 4), `${what}: ${counts}`);
}

// Waits of clients that are refused `times` times in a row: one list for each time.
function refusals(times, options) {
  const waits = Array.from({ length: times }, () => []);
  for (let seed = 1; seed <= MANY; seed += 1) {
    inWorld((world) => {
      world.doors = 'refused';
      const client = world.client(options);
      while (world.changes('waiting').length < times) world.pass(1000);
      client.close();
      world.changes('waiting').slice(0, times).forEach(({ delayMs }, at) => waits[at].push(delayMs));
    }, seed);
  }
  return waits;
}

test('waits are even between nothing and a limit that doubles up to the longest', () => {
  const waits = refusals(7, { minDelayMs: 500, maxDelayMs: 10_000 });
  const limits = [500, 1000, 2000, 4000, 8000, 10_000, 10_000];
  assert.equal(waits.length, limits.length);
  limits.forEach((limit, at) => assertEven(waits[at], 0, limit, `wait ${at + 1}`));
});

test('it comes back when it said, and counts its attempts', () => {
  inWorld((world) => {
    world.doors = 'refused';
    world.client();
    world.pass(600_000);
    const waits = world.changes('waiting');
    const attempts = world.changes('connecting');
    assert.ok(attempts.length > 20, `${attempts.length} attempts`);
    attempts.forEach(({ at, attempt }, nth) => {
      assert.equal(at, waits[nth].at + waits[nth].delayMs);
      assert.deepEqual([attempt, waits[nth].attempt], [nth + 1, nth + 1]);
    });
    assert.ok(waits.every(({ delayMs }) => delayMs <= 30_000));
  });
});

test('years of refusals lead to no timer that a browser would not keep', () => {
  inWorld((world) => {
    world.doors = 'refused';
    world.client({ minDelayMs: 1, maxDelayMs: 1000 });
    world.pass(1_500_000);
    assert.ok(world.sockets.length > 2000, `${world.sockets.length} sockets`);
  });
});

// Waits after a connection that stayed was closed with `code` and `reason`, a thousand times; each time it came then.
function waitsAfter(code, reason) {
  return inWorld((world) => {
    world.opened({ stableMs: 0 });
    for (let nth = 0; nth < 1000; nth += 1) {
      world.end(code, reason);
      world.pass(world.latencyMs);
      const { at, delayMs, ...change } = world.changes('waiting').at(-1);
      assert.deepEqual([change.code, change.reason, change.attempt], [code, reason, 1]);
      world.pass(delayMs + world.latencyMs + 1);
      assert.equal(world.log.at(-3).at, at + delayMs, `${code} ${reason}`);
      assert.deepEqual(world.log.slice(-3).map(({ type, state }) => state ?? type), ['connecting', 'open', 'open']);
    }
    return world.changes('waiting').map(({ delayMs }) => delayMs);
  });
}

test('after each code it comes back: when, is a matter of the code and the hint', () => {
  const rows = [
    [1000, '', 0, 500],
    [1001, 'ping-timeout', 0, 500],
    [1002, '', 0, 500],
    [1006, '', 0, 500],
    [1007, '', 0, 500],
    [1009, 'too-big', 0, 500],
    [1008, 'slow-consumer', 0, 500],
    [1008, 'token-expired', 0, 500],
    [1008, 'publish-not-allowed', 30_000, 31_000],
    [1008, 'rate', 30_000, 31_000],
    [1008, 'operator', 30_000, 31_000],
    [1008, 'ping-flood', 30_000, 31_000],
    [1008, '', 30_000, 31_000],
    [1008, 'retry-after=60', 60_000, 61_000],
    [1012, 'retry-after=3', 3000, 4000],
    [1012, 'retry-after=0', 0, 1000],
    [1012, '', 0, 500],
    [1013, 'memory', 0, 500],
    [1013, 'memory, retry-after=7', 7000, 8000],
    [1012, 'retry-after=', 0, 500],
    [1012, 'retry-after=-3', 0, 500],
    [1012, 'retry-after=99999999999999999999', 3_600_000, 3_601_000],
    [4000, 'of its own', 0, 500],
  ];
  assert.ok(rows.length > 0);
  for (const [code, reason, from, to] of rows) assertEven(waitsAfter(code, reason), from, to, `${code} ${reason}`);
});

test('a hint that comes again and again spreads wider', () => {
  inWorld((world) => {
    world.client({ stableMs: 1e9, maxDelayMs: 8000 });
    for (let nth = 0; nth < 200; nth += 1) {
      world.pass(20_000);
      world.end(1012, 'retry-after=3');
    }
    world.pass(20_000);
    const waits = world.changes('waiting').map(({ delayMs }) => delayMs);
    assert.ok(waits.length === 200 && waits.every((ms) => ms >= 3000 && ms < 11_000), `${waits}`);
    assert.ok(waits.slice(10).some((ms) => ms > 10_000) && waits[0] < 4000, `${waits}`);
  });
});

test('a connection that stayed makes waits small again, and one that did not makes them longer', () => {
  const endAfter = (world, ms) => {
    while (!world.alive().some(({ readyState }) => readyState === 1)) world.pass(100);
    world.pass(world.changes('open').at(-1).at + ms - world.clock.now);
    world.socket.end(1006, '', false);
    return world.changes('waiting').at(-1).attempt;
  };
  inWorld((world) => {
    world.client({ stableMs: 10_000 });
    const attempts = [1_000, 9_999, 5_000, 10_000, 2_000, 60_000].map((ms) => endAfter(world, ms));
    assert.deepEqual(attempts, [1, 2, 3, 1, 2, 1]);
  });
});

test('time in which it was not open does not count as having stayed', () => {
  inWorld((world) => {
    world.opened();
    world.pass(1000);
    world.end(1006);
    world.pass(100);
    world.doors = 'hanging';
    world.pass(100_000);
    const attempts = world.changes('waiting').map(({ attempt }) => attempt);
    assert.deepEqual(attempts, attempts.map((_, nth) => nth + 1));
  });
});

test('back online or seen again it does not wait, unless it was told when to come', () => {
  const rows = [
    ['online', 1006, '', 1],
    ['visibilitychange', 1006, '', 1],
    ['online', 1012, 'retry-after=5', 0],
    ['visibilitychange', 1012, 'retry-after=5', 0],
    ['visibilitychange', 1008, 'operator', 0],
    ['visibilitychange', 1008, 'slow-consumer', 1],
    ['visibilitychange', 1008, 'token-expired', 1],
    ['online', 1008, 'publish-not-allowed', 0],
  ];
  assert.ok(rows.length > 0);
  for (const [type, code, reason, more] of rows) {
    inWorld((world) => {
      world.opened({ minDelayMs: 1e6, maxDelayMs: 1e6 });
      world.end(code, reason);
      world.pass(100);
      world.wakeBy(type);
      world.wakeBy(type);
      assert.equal(world.sockets.length, 1 + more, `${type} after ${code} ${reason}`);
      assert.equal(world.clock.timers(), 1);
    });
  }
});

test('what told it once when to come does not hold for the next time', () => {
  inWorld((world) => {
    world.opened({ minDelayMs: 1e6, maxDelayMs: 1e6, stableMs: 0 });
    world.end(1012, 'retry-after=1');
    world.pass(1_100_000);
    assert.equal(world.socket.readyState, 1);
    world.end(1006);
    world.pass(100);
    world.wakeBy('online');
    assert.equal(world.sockets.length, 3);
  });
});

test('a tab that is hidden is no reason to try', () => {
  inWorld((world) => {
    world.opened({ minDelayMs: 1e6, maxDelayMs: 1e6 });
    world.end(1006);
    world.pass(100);
    world.document.visibilityState = 'hidden';
    world.document.dispatchEvent(new Event('visibilitychange'));
    assert.equal(world.sockets.length, 1);
  });
});

test('a socket that hangs while connecting is given up, and what it says later is not heard', () => {
  inWorld((world) => {
    world.doors = 'hanging';
    world.client({ connectMs: 4000 });
    world.pass(3999);
    assert.equal(world.changes('waiting').length, 0);
    world.pass(1);
    const [{ code, reason, wasClean }] = world.changes('waiting');
    assert.deepEqual([code, reason, wasClean], [1006, 'connect-timeout', false]);
    assert.deepEqual(world.socket.readyState, 2);
    world.doors = 'open';
    world.pass(10_000);
    const [first, second] = world.sockets;
    first.readyState = 1;
    first.onopen?.({});
    first.hear('of the past');
    first.onclose?.({ code: 1012, reason: 'retry-after=9', wasClean: true });
    world.pass(10_000);
    assert.deepEqual([second.readyState, world.sockets.length, world.of('message').length], [1, 2, 0]);
    assert.equal(world.changes('open').length, 1);
  });
});

test('a handshake that is late only because the tab slept is not given up', () => {
  inWorld((world) => {
    world.latencyMs = 300;
    const client = world.client({ connectMs: 4000 });
    world.clock.freeze(600_000);
    assert.equal(client.state, 'open');
    assert.equal(world.sockets.length, 1);
  });
});

test('an error without a close event is an end too', () => {
  inWorld((world) => {
    world.doors = 'mute';
    world.client();
    world.pass(1100);
    const [{ code, wasClean }] = world.changes('waiting');
    assert.deepEqual([code, wasClean], [1006, false]);
    world.doors = 'open';
    world.pass(5000);
    assert.equal(world.socket.readyState, 1);
  });
});

test('an error before a close event takes nothing from it', () => {
  inWorld((world) => {
    world.opened();
    world.socket.onerror({ type: 'error' });
    world.socket.end(1012, 'retry-after=5', false);
    const [{ code, reason }] = world.changes('waiting');
    assert.deepEqual([code, reason], [1012, 'retry-after=5']);
    world.pass(4999);
    assert.equal(world.sockets.length, 1);
  });
});

test('a thousand that are cut off together come back spread over the whole wait', () => {
  const waits = [];
  for (let seed = 1; seed <= 1000; seed += 1) {
    inWorld((world) => {
      world.opened();
      world.pass(20_000);
      world.socket.end(1006, '', false);
      world.pass(1000);
      waits.push(world.changes('connecting').at(-1).at - 20_020);
    }, seed);
  }
  assertEven(waits, 0, 500, 'after a cut');
});
