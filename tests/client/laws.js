// What the client promises whatever happens: one socket and one timer at a time, the queue bounded and in order, and
// nothing after close(). A seed decides what happens; a failing one names itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { inWorld, inWorldOfPromises, settled } from './world.js';

const SEEDS = 400;
const STEPS = 150;
const QUEUE_MOST = 5;
const HOUR_MS = 3_600_000;
const BEAT = { request: 'ping', reply: 'pong' };
const CODES = [1000, 1001, 1002, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 4000];
const REASONS = ['', 'retry-after=3', 'slow-consumer', 'operator', 'retry-after=99999999999'];
const DOORS = ['open', 'open', 'open', 'refused', 'hanging', 'mute'];

// What must have been handed to sockets, and what dropped, by a queue that is as simple as can be.
class Model {
  constructor(world, client) {
    Object.assign(this, { world, client, queue: [], handed: [], dropped: [], count: 0 });
    client.addEventListener('state', ({ detail }) => {
      if (detail.state === 'open') this.handed.push(...this.queue.splice(0));
    });
  }

  send() {
    const data = `message ${this.count}`;
    this.count += 1;
    if (this.client.state === 'open' && this.world.socket.readyState === 1) {
      this.handed.push(data);
    } else {
      this.queue.push(data);
      if (this.queue.length > QUEUE_MOST) this.dropped.push(this.queue.shift());
    }
    assert.equal(this.client.send(data), true);
  }
}

const pickerOf = (world) => (list) => list[Math.floor(world.random() * list.length)];

// Protocols that are asked for, and all that may come of that.
function asker(world, reached) {
  const outcomes = {
    given: () => 'chat',
    'given later': () => world.later(Math.ceil(world.random() * 20_000), ['bearer.token', 'chat']),
    thrown: () => { throw new Error('no token'); },
    rejected: () => Promise.reject(new Error('no token')),
    never: () => new Promise(() => {}),
  };
  return () => {
    const name = pickerOf(world)(Object.keys(outcomes));
    reached.add(name);
    return outcomes[name]();
  };
}

function stepsOf(world, model) {
  const pick = pickerOf(world);
  const some = (most) => Math.ceil(world.random() * most);
  return [
    () => model.send(),
    () => model.send(),
    () => world.pass(some(300)),
    () => world.pass(some(60_000)),
    () => world.pass(some(300_000), 60_000),
    () => world.clock.freeze(some(HOUR_MS)),
    () => world.end(pick(CODES), pick(REASONS)),
    () => world.say('from others'),
    () => { world.doors = pick(DOORS); },
    () => { world.line = pick(['good', 'good', 'dead']); },
    () => { world.latencyMs = some(5_000); },
    () => { world.answers = world.random() < 0.8; },
    () => world.wakeBy(pick(['online', 'visibilitychange'])),
  ];
}

function holds(world, client, model) {
  const words = world.sockets.flatMap(({ sent }) => sent).filter((data) => data !== 'ping');
  assert.deepEqual(words, model.handed, 'what was sent, in order');
  assert.deepEqual(world.of('drop').map(({ data }) => data), model.dropped, 'what was dropped');
  assert.ok(world.clock.timers() <= 1, 'one timer');
  assert.equal(world.of('state').at(-1)?.state ?? 'connecting', client.state, 'the state is what was told last');
  if (client.state === 'waiting') assert.deepEqual([world.alive().length, world.clock.timers()], [0, 1], 'waiting');
  if (client.state === 'connecting') assert.equal(world.clock.timers(), 1, 'connecting has an end');
}

// Closed at a moment of its own, and then an hour in which everything happens that can.
function isOver(world, client, model) {
  client.close();
  assert.equal(client.state, 'closed');
  assert.deepEqual(world.of('drop').slice(model.dropped.length).map(({ data }) => data), model.queue, 'the unsent are told');
  const before = [world.log.length, world.sockets.length];
  assert.deepEqual([world.clock.timers(), world.listeners(), world.alive().length], [0, 0, 0], 'nothing is left');
  Object.assign(world, { line: 'good', doors: 'open' });
  world.socket?.hear('late');
  world.socket?.onopen?.({});
  world.socket?.onerror?.({});
  world.socket?.onclose?.({ code: 1012, reason: 'retry-after=1', wasClean: true });
  world.wakeBy('online');
  world.wakeBy('visibilitychange');
  client.close(1000);
  assert.equal(client.send('late'), false);
  world.pass(HOUR_MS);
  const isQuiet = () => assert.deepEqual([world.log.length, world.sockets.length], before, 'nothing happens');
  isQuiet();
  return isQuiet;
}

function live(seed, reached) {
  return inWorldOfPromises(async (world) => {
    const heartbeat = seed % 3 ? BEAT : null;
    const protocols = seed % 2 ? asker(world, reached) : undefined;
    const client = world.client({ heartbeat, queueMost: QUEUE_MOST, protocols });
    const model = new Model(world, client);
    const steps = stepsOf(world, model);
    assert.equal(world.listeners(), 2);
    for (let count = Math.ceil(world.random() * STEPS); count; count -= 1) {
      steps[Math.floor(world.random() * steps.length)]();
      holds(world, client, model);
      await settled();
      holds(world, client, model);
    }
    reached.add(client.state);
    for (const { type } of world.log) reached.add(type);
    reached.add(`sockets: ${Math.min(world.sockets.length, 10)}`);
    const isQuiet = isOver(world, client, model);
    await settled();
    isQuiet();
  }, seed);
}

test(`${SEEDS} lives: one socket, one timer, the queue in order, nothing after close()`, async () => {
  const reached = new Set();
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    try {
      await live(seed, reached);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
    }
  }
  const all = ['waiting', 'connecting', 'open', 'message', 'heartbeat', 'drop', 'state', 'sockets: 10',
    'given', 'given later', 'thrown', 'rejected', 'never'];
  assert.deepEqual(all.filter((name) => !reached.has(name)), [], 'the seeds reach everything');
});

test('in whatever state it is closed, nothing follows', () => {
  const states = {
    connecting: (world) => world.client({ queueMost: 3 }),
    hanging: (world) => { world.doors = 'hanging'; return world.client({ queueMost: 3 }); },
    open: (world) => world.opened({ queueMost: 3 }),
    waiting: (world) => { world.doors = 'refused'; return world.opened({ queueMost: 3, minDelayMs: 1e6, maxDelayMs: 1e6 }); },
    failed: (world) => { world.doors = 'mute'; return world.opened({ queueMost: 3 }); },
  };
  assert.ok(Object.keys(states).length > 0);
  for (const [name, make] of Object.entries(states)) {
    inWorld((world) => {
      const client = make(world);
      if (name !== 'open') client.send('unsent');
      isOver(world, client, { dropped: [], queue: name === 'open' ? [] : ['unsent'] });
    });
  }
});

test('close() says code and reason to the other end, once, and to who listens', () => {
  inWorld((world) => {
    const client = world.opened();
    client.close(4001, 'enough');
    client.close(4002, 'more');
    assert.deepEqual(world.socket.closedWith, [4001, 'enough']);
    assert.deepEqual(world.changes('closed').map(({ code, reason }) => [code, reason]), [[4001, 'enough']]);
  });
});

test('a code that a page may not use is an error, and changes nothing', () => {
  inWorld((world) => {
    const client = world.opened();
    assert.throws(() => client.close(1012));
    world.say('still here');
    world.pass(100);
    assert.deepEqual([client.state, world.of('message').length, world.listeners()], ['open', 1, 2]);
  });
});

test('a URL that is none is an error, and leaves nothing behind', () => {
  inWorld((world) => {
    const WebSocket = class { constructor() { throw new SyntaxError('no URL'); } };
    assert.throws(() => world.client({ WebSocket }), SyntaxError);
    assert.deepEqual([world.listeners(), world.clock.timers()], [0, 0]);
  });
});

test('a listener that closes amid an event is obeyed', () => {
  for (const state of ['open', 'waiting', 'connecting']) {
    inWorld((world) => {
      const client = world.client();
      client.addEventListener('state', ({ detail }) => { if (detail.state === state) client.close(); });
      world.pass(100);
      world.end(1006);
      world.pass(HOUR_MS);
      assert.equal(client.state, 'closed', state);
      assert.deepEqual([world.of('open').length, world.clock.timers()], [state === 'open' ? 0 : 1, 0], state);
    });
  }
});

test('what waits in the queue leaves before what listeners of the opening send', () => {
  inWorld((world) => {
    const client = world.client({ queueMost: 3 });
    client.addEventListener('state', ({ detail }) => { if (detail.state === 'open') client.send('on state'); });
    client.addEventListener('open', () => client.send('on open'));
    ['a', 'b', 'c', 'd'].forEach((data) => assert.equal(client.send(data), true));
    world.pass(100);
    assert.deepEqual(world.socket.sent, ['b', 'c', 'd', 'on state', 'on open']);
    assert.deepEqual(world.of('drop').map(({ data }) => data), ['a']);
  });
});

test('what is sent between the opening and its event stands behind what was queued', () => {
  inWorld((world) => {
    world.doors = 'hanging';
    const client = world.client({ queueMost: 3 });
    client.send('first');
    world.socket.readyState = 1;
    client.send('second');
    world.socket.onopen({ type: 'open' });
    assert.deepEqual(world.socket.sent, ['first', 'second']);
  });
});

test('without a queue nothing is kept, and send() says so', () => {
  inWorld((world) => {
    const client = world.client();
    assert.equal(client.send('early'), false);
    world.pass(100);
    assert.equal(client.send('now'), true);
    world.end(1012, 'retry-after=1');
    assert.equal(client.send('into a closing socket'), false);
    world.pass(100);
    assert.equal(client.send('while waiting'), false);
    world.pass(60_000);
    assert.deepEqual(world.sockets.map(({ sent }) => sent), [['now'], []]);
    assert.equal(world.of('drop').length, 0);
  });
});

test('messages are passed on as they came', () => {
  inWorld((world) => {
    world.opened();
    const bytes = new Uint8Array([1, 2, 3]).buffer;
    for (const data of ['text', '', bytes, 'pong']) world.say(data);
    world.pass(100);
    assert.deepEqual(world.of('message').map(({ data }) => data), ['text', '', bytes, 'pong']);
    assert.equal(world.of('message')[2].data, bytes);
    assert.equal(world.socket.binaryType, 'arraybuffer');
  });
});
