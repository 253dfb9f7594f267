// The client with tokens, under a real Node against a real relay: RELAY in the environment names the binary.
//
// A token runs out and the client comes back with a new one; whoever asks for one in vain asks again; one who may only listen
// and speaks is sent away for longer.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Relay } from '../browser/relay.js';
import { Issuer } from '../browser/tokens.js';
import { Page } from './page.js';

const ROOM = '/feed/7';
const RULES = 'token_leeway = "0s"\nlog = "info"\n[[channel]]\npath = "/feed/*"\nsubscribe = "token"\npublish = "token"\n';
const BOTH = { subscribe: ['/feed/*'], publish: ['/feed/*'], sub: 'mary' };

// What a test needs, until it ends: a relay that takes the issuer's tokens, and clients by what they offer.
async function scene(t) {
  const issuer = new Issuer();
  const relay = await Relay.start(process.env.RELAY, issuer.setting + RULES);
  t.after(() => relay.stop());
  const page = (protocols, options) => {
    const made = new Page(relay.url(ROOM), { protocols, ...options });
    t.after(() => made.client.close());
    return made;
  };
  return { issuer, relay, page };
}

test('a token runs out, and it comes back with a new one, as after any loss', async (t) => {
  const { issuer, relay, page } = await scene(t);
  const listener = page(['chat', `bearer.${issuer.token(60, BOTH)}`]);
  await listener.open();
  const secs = [3, 60];
  const renewing = page(async () => [`bearer.${issuer.token(secs.shift(), BOTH)}`, 'chat']);
  await renewing.open(2);
  assert.deepEqual(renewing.waiting().map(({ code, reason }) => [code, reason]), [[1008, 'token-expired']]);
  assert.ok(renewing.waiting()[0].delayMs <= 50, 'it was not kept away');
  assert.deepEqual([renewing.client.protocol, secs.length], ['chat', 0]);
  assert.equal(renewing.client.send('still here'), true);
  await listener.hears('still here');
  assert.equal(listener.waiting().length, 0);
  relay.signal('SIGUSR1');
  const [line] = await relay.says(/\bdisconnects\.token_expired=1\b.*/, 5);
  assert.ok(line && !relay.output.includes('bearer'), relay.output);
});

test('one who asks for a token in vain, or brings one that is no good, asks again', async (t) => {
  const { issuer, page } = await scene(t);
  const offers = [
    () => { throw new Error('no service'); },
    () => [`bearer.${issuer.token(-60, BOTH)}`, 'chat'],
    () => ['chat'],
    () => [`bearer.${issuer.token(60, BOTH)}`, 'chat'],
  ];
  const asking = page(() => offers.shift()());
  await asking.open();
  const ends = asking.waiting().map(({ code, reason, error }) => [code, reason, error?.message]);
  assert.deepEqual(ends, [[1006, 'protocols-failed', 'no service'], ...Array(2).fill([1006, '', undefined])]);
});

test('one who may only listen hears, and is sent away for longer when it speaks', async (t) => {
  const { issuer, page } = await scene(t);
  const listener = page([`bearer.${issuer.token(60, { ...BOTH, publish: [] })}`, 'chat'], { maxDelayMs: 400 });
  const speaker = page([`bearer.${issuer.token(60, { ...BOTH, subscribe: [] })}`, 'chat']);
  await Promise.all([listener.open(), speaker.open()]);
  speaker.client.send('hear, hear');
  await listener.hears('hear, hear');
  listener.client.send('me too');
  await listener.until('its end', () => listener.waiting().length === 1);
  const [{ code, reason, delayMs }] = listener.waiting();
  assert.deepEqual([code, reason], [1008, 'publish-not-allowed']);
  assert.ok(delayMs >= 400, `${delayMs} ms`);
  await listener.open(2);
  assert.deepEqual(speaker.messages, [], 'nothing of it was relayed');
});
