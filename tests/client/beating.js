// The application heartbeat: a dead connection is noticed in time, and timers that are late never cost a good one.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { inWorld } from './world.js';

const INTERVAL_MS = 25_000;
const TIMEOUT_MS = 10_000;
const BEAT = { heartbeat: { request: 'ping', reply: 'pong' } };
const HOUR_MS = 3_600_000;

// Problems of a client that should have kept its one good connection.
function assertKept(world, client, what) {
  assert.equal(world.sockets.length, 1, `${what}: one socket`);
  assert.equal(client.state, 'open', what);
  assert.equal(world.changes('waiting').length, 0, what);
}

test('it asks after each interval of quiet, hears the reply, and passes neither on', () => {
  inWorld((world) => {
    world.latencyMs = 40;
    world.opened(BEAT);
    world.pass(10 * INTERVAL_MS + 1000);
    assert.deepEqual(world.socket.sent, new Array(10).fill('ping'));
    assert.deepEqual(world.of('heartbeat').map(({ rttMs }) => rttMs), new Array(10).fill(40));
    assert.equal(world.of('message').length, 0);
  });
});

test('interval and timeout are as they are given, and defaults where one is not', () => {
  const rows = [
    [{}, 25_000, 10_000],
    [{ intervalMs: 700 }, 700, 10_000],
    [{ timeoutMs: 300 }, 25_000, 300],
    [{ intervalMs: undefined, timeoutMs: undefined }, 25_000, 10_000],
  ];
  assert.ok(rows.length > 0);
  for (const [given, intervalMs, timeoutMs] of rows) {
    inWorld((world) => {
      world.opened({ heartbeat: { request: 'ping', reply: 'pong', ...given } });
      world.line = 'dead';
      world.pass(intervalMs - 1);
      assert.deepEqual(world.socket.sent, []);
      world.pass(1);
      assert.deepEqual(world.socket.sent, ['ping']);
      world.pass(timeoutMs - 1);
      assert.equal(world.changes('waiting').length, 0);
      world.pass(1);
      assert.deepEqual(world.changes('waiting').map(({ code, reason }) => [code, reason]), [[1006, 'heartbeat-timeout']]);
    });
  }
});

test('a connection that dies at any moment is noticed within interval and timeout, and replaced', () => {
  const moments = Array.from({ length: 500 }, (_, nth) => nth * 171);
  assert.ok(moments.at(-1) > 2 * (INTERVAL_MS + TIMEOUT_MS));
  for (const moment of moments) {
    inWorld((world) => {
      world.latencyMs = 150;
      const client = world.opened(BEAT);
      world.pass(moment);
      world.line = 'dead';
      const died = world.clock.now;
      world.pass(INTERVAL_MS + TIMEOUT_MS);
      const [{ at }] = world.changes('waiting');
      assert.ok(at - died <= INTERVAL_MS + TIMEOUT_MS, `died at ${moment}, noticed after ${at - died}`);
      assert.equal(world.sockets[0].readyState, 2);
      world.line = 'good';
      world.pass(60_000);
      assert.equal(client.state, 'open');
      world.sockets[0].onmessage?.({ data: 'of the dead' });
      assert.equal(world.of('message').length, 0);
    }, moment + 1);
  }
});

test('whatever is heard is a sign of life, also without a reply', () => {
  inWorld((world) => {
    const client = world.opened(BEAT);
    world.answers = false;
    for (let count = 0; count < 200; count += 1) {
      world.pass(9_000);
      world.say('something');
    }
    assertKept(world, client, 'others talk');
    assert.ok(world.socket.sent.length > 30);
    world.pass(INTERVAL_MS + TIMEOUT_MS + 100);
    assert.equal(world.changes('waiting').length, 1);
  });
});

test('a reply behind other messages is still told, with its time', () => {
  inWorld((world) => {
    world.opened(BEAT);
    world.answers = false;
    world.pass(INTERVAL_MS);
    world.say('first');
    world.pass(3000);
    world.say('pong');
    world.pass(1000);
    assert.deepEqual(world.of('heartbeat').map(({ rttMs }) => rttMs), [3020]);
    assert.deepEqual(world.of('message').map(({ data }) => data), ['first']);
  });
});

test('the word of the reply is never a message, asked for or not', () => {
  inWorld((world) => {
    world.opened(BEAT);
    world.say('pong');
    world.say('ping');
    world.pass(1000);
    assert.equal(world.of('heartbeat').length, 0);
    assert.deepEqual(world.of('message').map(({ data }) => data), ['ping']);
    world.pass(INTERVAL_MS);
    world.say('pong');
    world.pass(1000);
    assert.equal(world.of('heartbeat').length, 1, 'one for one question');
  });
});

test('a question that the former connection left open is not answered by the next one', () => {
  inWorld((world) => {
    world.opened(BEAT);
    world.answers = false;
    world.pass(INTERVAL_MS);
    world.socket.end(1006, '', false);
    world.pass(5_000);
    world.say('pong');
    world.pass(1_000);
    assert.deepEqual([world.sockets.length, world.of('heartbeat').length], [2, 0]);
  });
});

test('in a hidden tab whose timers run once a second, a minute, or ten, a good connection stays', () => {
  const rows = [1000, 60_000, 600_000].flatMap((everyMs) => [20, 1900, 9_000].map((latencyMs) => [everyMs, latencyMs]));
  assert.ok(rows.length > 0);
  for (const [everyMs, latencyMs] of rows) {
    inWorld((world) => {
      world.latencyMs = latencyMs;
      const client = world.opened(BEAT);
      world.pass(24 * HOUR_MS, everyMs);
      assertKept(world, client, `timers every ${everyMs} ms, latency ${latencyMs} ms`);
      assert.ok(world.of('heartbeat').length >= 70, `${world.of('heartbeat').length} heartbeats`);
    });
  }
});

test('and a dead one is noticed after five turns of the timers', () => {
  for (const everyMs of [1000, 60_000]) {
    inWorld((world) => {
      world.opened(BEAT);
      world.pass(HOUR_MS, everyMs);
      world.line = 'dead';
      world.pass(INTERVAL_MS + TIMEOUT_MS + 5 * everyMs, everyMs);
      assert.ok(world.changes('waiting').length >= 1, `timers every ${everyMs} ms`);
    });
  }
});

test('frozen at any moment for any time, and thawed with the timers first, a good connection stays', () => {
  const moments = Array.from({ length: 300 }, (_, nth) => 20_000 + nth * 61);
  const sleeps = [1_000, 9_999, 10_001, 35_000, 300_000, 8 * HOUR_MS];
  assert.ok(moments.length && sleeps.length);
  for (const moment of moments) {
    for (const sleep of sleeps) {
      inWorld((world) => {
        world.latencyMs = 900;
        const client = world.opened(BEAT);
        world.pass(moment);
        world.clock.freeze(sleep);
        world.pass(100_000);
        assertKept(world, client, `frozen at ${moment} for ${sleep} ms`);
      });
    }
  }
});

test('a tab that wakes for two seconds each minute keeps a good connection', () => {
  inWorld((world) => {
    world.latencyMs = 1500;
    const client = world.opened(BEAT);
    for (let minute = 0; minute < 600; minute += 1) {
      world.clock.freeze(58_000);
      world.pass(2_000);
    }
    assertKept(world, client, 'mostly asleep');
    assert.ok(world.of('heartbeat').length > 100);
  });
});

test('a page that keeps its thread busy until the last moment keeps a good connection', () => {
  inWorld((world) => {
    const client = world.opened(BEAT);
    world.pass(INTERVAL_MS + 1);
    world.clock.freeze(TIMEOUT_MS - 1);
    world.pass(60_000);
    assertKept(world, client, 'busy');
  });
});

test('back online or seen again it asks at once, once, and a dead one is noticed within the timeout', () => {
  for (const type of ['online', 'visibilitychange']) {
    inWorld((world) => {
      world.opened(BEAT);
      world.pass(5_000);
      world.line = 'dead';
      world.wakeBy(type);
      assert.deepEqual(world.socket.sent, ['ping']);
      world.pass(TIMEOUT_MS - 1);
      world.wakeBy(type);
      assert.deepEqual([world.socket.sent.length, world.changes('waiting').length], [1, 0]);
      world.pass(1);
      assert.equal(world.changes('waiting').length, 1, type);
    });
  }
});

test('and a good one stays, and is asked again after the interval', () => {
  inWorld((world) => {
    const client = world.opened(BEAT);
    world.pass(5_000);
    world.wakeBy('visibilitychange');
    world.pass(INTERVAL_MS + 10);
    assert.equal(world.socket.sent.length, 1);
    world.pass(1000);
    assert.equal(world.socket.sent.length, 2);
    assertKept(world, client, 'seen again');
  });
});

test('a socket that is closing and never closes is replaced too', () => {
  inWorld((world) => {
    const client = world.opened(BEAT);
    world.socket.readyState = 2;
    world.pass(INTERVAL_MS + TIMEOUT_MS);
    assert.equal(world.changes('waiting').length, 1);
    world.pass(60_000);
    assert.equal(client.state, 'open');
  });
});

test('without a heartbeat there is nothing to ask, no timer, and no end by silence', () => {
  inWorld((world) => {
    const client = world.opened();
    world.pass(HOUR_MS);
    world.wakeBy('online');
    world.wakeBy('visibilitychange');
    assertKept(world, client, 'silent');
    assert.deepEqual([world.socket.sent, world.clock.timers()], [[], 0]);
  });
});
