// What the client offers as subprotocols, and with them a token that runs out: asked for at each attempt, as a list or as a
// promise of one; and what comes of asking in vain.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { inWorld, inWorldOfPromises, settled } from './world.js';

// So much time in small steps, between which promises get their turn.
async function pass(world, ms, stepMs = 100) {
  for (let left = ms; left > 0; left -= stepMs) {
    world.pass(Math.min(left, stepMs));
    await settled();
  }
}

const offered = (world) => world.sockets.map(({ protocols }) => protocols);
const refusals = (world) => world.changes('waiting').map(({ code, reason }) => [code, reason]);

test('protocols are offered as they are given', () => {
  for (const protocols of ['chat', ['chat', 'chat.v2'], []]) {
    inWorld((world) => {
      world.opened({ protocols });
      assert.deepEqual(offered(world), [protocols]);
    });
  }
});

test('a function is asked anew at each attempt, and what it gives is offered', async () => {
  const kinds = {
    list: (nth) => [`bearer.${nth}`, 'chat'],
    word: (nth) => `chat.${nth}`,
    promise: (nth) => Promise.resolve([`bearer.${nth}`, 'chat']),
    'promise of later': (nth, world) => world.later(2_000, [`bearer.${nth}`, 'chat']),
  };
  assert.ok(Object.keys(kinds).length > 0);
  for (const [name, give] of Object.entries(kinds)) {
    await inWorldOfPromises(async (world) => {
      let asked = 0;
      const client = world.client({ protocols: () => give(asked += 1, world), stableMs: 0 });
      for (const end of [[1008, 'token-expired'], [1006, ''], [1008, 'token-expired']]) {
        await pass(world, 3_000);
        assert.equal(client.state, 'open', name);
        world.end(...end);
        await pass(world, 600);
      }
      await pass(world, 3_000);
      const expected = await Promise.all([1, 2, 3, 4].map((nth) => (name === 'word' ? give(nth) : kinds.list(nth))));
      assert.deepEqual([offered(world), asked], [expected, 4], name);
    });
  }
});

test('asking in vain is a failed attempt, with the usual wait, and is said with its error', async () => {
  const error = new Error('no token');
  const kinds = { thrown: () => { throw error; }, rejected: () => Promise.reject(error) };
  assert.ok(Object.keys(kinds).length > 0);
  for (const [name, fail] of Object.entries(kinds)) {
    const waits = [];
    for (let seed = 1; seed <= 200; seed += 1) {
      await inWorldOfPromises(async (world) => {
        const answers = [fail, fail, fail, () => ['bearer.t', 'chat']];
        const client = world.client({ protocols: () => answers.shift()(), maxDelayMs: 1_500 });
        assert.equal(client.state, 'connecting', 'nothing fails before anybody listens');
        await settled();
        await pass(world, 5_000);
        assert.equal(client.state, 'open', name);
        assert.deepEqual(refusals(world), Array(3).fill([1006, 'protocols-failed']), name);
        assert.ok(world.changes('waiting').every((change) => change.error === error), name);
        waits.push(world.changes('waiting').map(({ delayMs }) => delayMs));
      }, seed);
    }
    [500, 1_000, 1_500].forEach((limit, nth) => {
      const longest = Math.max(...waits.map((each) => each[nth]));
      assert.ok(longest < limit && longest > limit * 0.9, `${name}, wait ${nth + 1}: up to ${longest}`);
    });
  }
});

test('what may not be offered is a failed attempt too', async () => {
  await inWorldOfPromises(async (world) => {
    const WebSocket = class { constructor() { throw new SyntaxError('no protocol'); } };
    const client = world.client({ protocols: () => 'no protocol', WebSocket });
    await pass(world, 100);
    assert.deepEqual(refusals(world)[0], [1006, 'protocols-failed']);
    assert.ok(world.changes('waiting')[0].error instanceof SyntaxError);
    client.close();
  });
});

test('asking for too long is given up, and an answer that comes then is not heard', async () => {
  await inWorldOfPromises(async (world) => {
    const answers = [() => world.later(60_000, 'late'), () => 'chat'];
    world.client({ protocols: () => answers.shift()(), connectMs: 4_000 });
    await pass(world, 3_900);
    assert.equal(world.changes('waiting').length, 0);
    await pass(world, 100);
    assert.deepEqual(refusals(world), [[1006, 'connect-timeout']]);
    await pass(world, 100_000);
    assert.deepEqual(offered(world), ['chat']);
  });
});

test('the time for a connection holds for asking and opening together', async () => {
  await inWorldOfPromises(async (world) => {
    world.doors = 'hanging';
    world.client({ protocols: () => world.later(3_000, 'chat'), connectMs: 4_000 });
    await pass(world, 3_900);
    assert.deepEqual([offered(world), refusals(world)], [['chat'], []]);
    await pass(world, 100);
    assert.deepEqual(refusals(world), [[1006, 'connect-timeout']]);
  });
});

test('closed while it asks, it never connects; closed at once, it does not ask', async () => {
  await inWorldOfPromises(async (world) => {
    let asked = 0;
    const protocols = () => { asked += 1; return world.later(500, 'chat'); };
    const early = world.client({ protocols });
    early.close();
    await settled();
    assert.equal(asked, 0);
    const client = world.client({ protocols });
    await settled();
    assert.equal(asked, 1);
    client.close();
    await pass(world, 2_000);
    assert.deepEqual([client.state, world.sockets.length, world.clock.timers(), world.listeners()], ['closed', 0, 0, 0]);
  });
});

test('a failure that is closed upon is not told', async () => {
  await inWorldOfPromises(async (world) => {
    let refuse;
    const client = world.client({ protocols: () => new Promise((_, reject) => { refuse = reject; }) });
    await settled();
    client.close();
    refuse(new Error('no token'));
    await pass(world, 2_000);
    assert.deepEqual([world.changes('waiting').length, client.state], [0, 'closed']);
  });
});
