// Try it: one connection to a channel of the relay, with the client that a page of one's own would use.
//
// Owns the form, the connection and what is told about it: its state, its own id (found in the desk's list by a tag,
// since a page cannot read the headers of its own 101), heartbeats, returns. Promises that a token goes nowhere but to the
// relay, among the subprotocols. Leaves to others: the lines
// (console-lines.js), the code to copy (console-recipe.js).

import { Wsrelayd } from './wsrelayd.js';
import { byId, bytes, keep, kept, plural, setText } from './console-dom.js';
import { Lines } from './console-lines.js';
import { Recipe } from './console-recipe.js';

// Sooner than a page of one's own would: somebody is watching.
const HEARTBEAT_MILLIS = 5_000;
const MOST_DELAY_MILLIS = 5_000;
// The desk tells what it told before for up to a second.
const ID_MILLIS = 1_100;
const ID_TRIES = 4;
const COUNTDOWN_MILLIS = 250;
// Chosen beside a token where no other subprotocol is named: browsers insist that one is.
const STAND_IN = 'wsrelayd';
// RFC 9110 5.6.2.
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export class TryPane {
  constructor(ask) {
    this.ask = ask;
    this.lines = new Lines();
    this.recipe = new Recipe();
    this.room = null;
    this.facts = null;
    byId('connect').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.room) this.leave();
      else this.join();
    });
    byId('say').addEventListener('submit', (event) => {
      event.preventDefault();
      this.say();
    });
    // While *Send* is disabled the form does not submit itself, and somebody waits for a word.
    byId('text').addEventListener('keydown', ({ key, isComposing }) => {
      if (key === 'Enter' && !isComposing && byId('send').disabled) this.say();
    });
    // There Enter would end the connection for which something new is typed.
    byId('rights').addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && this.room && event.target.matches('input')) event.preventDefault();
    });
    byId('file').addEventListener('change', () => this.sendFile());
    byId('connect').addEventListener('input', () => this.invite());
    // Any other hash is a place on this page.
    this.joinsSoon = /^#(%2F|\/)/i.test(location.hash);
    if (this.joinsSoon) {
      byId('channel').value = channelInHash();
      byId('relay').value = kept('relay') ?? '';
    }
    this.invite();
  }

  // What the desk says of the relay: where it listens, its limits.
  learn({ relay }) {
    this.facts = relay ?? null;
    const field = byId('relay');
    // What somebody typed stays.
    if (relay && (field.value === '' || field.value === this.suggested)) {
      this.suggested = suggest(relay.listen);
      field.value = this.suggested;
      field.placeholder = this.suggested ? '' : 'the address of the proxy in front';
    }
    this.invite();
    if (relay && !relay.heartbeat && !this.room) setText(byId('link-heartbeat'), 'off in the configuration');
    if (relay && this.joinsSoon) {
      this.joinsSoon = false;
      if (field.value) this.join();
    }
  }

  // The link for a second tab, and the code, follow what is typed. An address of one's own is not for the hash, where
  // a link from elsewhere could name one too.
  invite() {
    const { channel, url } = this.target();
    byId('second').setAttribute('href', `./#${encodeURIComponent(channel)}`);
    const { value } = byId('relay');
    keep('relay', value && value !== this.suggested ? value : null);
    this.recipe.show(url, this.facts?.heartbeat ?? null, typedOffer());
  }

  target() {
    const channel = byId('channel').value.trim().replace(/^\/*/, '/');
    return { channel, url: byId('relay').value.trim().replace(/\/+$/, '') + channel };
  }

  join() {
    const { channel, url } = this.target();
    if (/[?#]/.test(channel)) {
      this.lines.note('A channel is a path: it holds no ? and no #.');
      return;
    }
    const fault = faultOf(typedOffer());
    if (fault) {
      this.lines.note(`${fault}.`);
      return;
    }
    this.tag = crypto.getRandomValues(new BigUint64Array(1))[0].toString(16);
    const heartbeat = this.facts?.heartbeat ? { ...this.facts.heartbeat, intervalMs: HEARTBEAT_MILLIS } : null;
    let room;
    try {
      const options = { heartbeat, protocols: makeOffer, maxDelayMs: MOST_DELAY_MILLIS };
      room = new Wsrelayd(new URL(`${url}?wsrelayd-tag=${this.tag}`), options);
    } catch (error) {
      this.lines.note(`No connection: ${error.message}`);
      return;
    }
    this.room = room;
    this.counts = { opens: 0, beats: 0 };
    this.stood = false;
    setText(byId('link-heartbeat'), heartbeat ? 'none yet' : 'off in the configuration');
    setText(byId('link-returns'), 'not yet: it never left');
    // Events of a connection that was left are not this one's.
    const hear = (name, heard) => room.addEventListener(name, (event) => this.room === room && heard(event));
    hear('open', () => this.opened(room));
    hear('message', ({ data }) => this.lines.add('heard', data));
    hear('heartbeat', ({ detail }) => this.beat(detail.rttMs));
    hear('state', ({ detail }) => this.changed(detail));
    this.arrange(true);
    this.changed({ state: room.state, attempt: 0 });
  }

  leave() {
    const { room } = this;
    this.room = null;
    room.close(1000);
    this.arrange(false);
    clearInterval(this.countdown);
    this.tell('closed', 'not connected');
    setText(byId('link-id'), '–');
    this.lines.note('Left.');
  }

  // The form belongs to a connection, or to none.
  arrange(isJoined) {
    setText(byId('connect-button'), isJoined ? 'Disconnect' : 'Connect');
    byId('channel').readOnly = isJoined;
    byId('relay').readOnly = isJoined;
    if (isJoined) byId('text').focus({ preventScroll: true });
  }

  tell(state, words) {
    setText(byId('link-state'), words);
    byId('link-state').dataset.state = state;
    byId('send').disabled = state !== 'open';
    byId('file').disabled = state !== 'open';
    byId('file-label').toggleAttribute('data-off', state !== 'open');
  }

  changed({ state, attempt, delayMs, code, reason, error }) {
    clearInterval(this.countdown);
    if (state === 'waiting') {
      this.lines.note(`${error ? `${error.message}.` : this.loss(attempt, code, reason)} Trying again in ${secs(delayMs)}.`);
      this.stood = false;
      setText(byId('link-id'), '–');
      this.count(delayMs, attempt);
      return;
    }
    this.tell(state, state === 'connecting' && attempt ? `connecting, attempt ${attempt}` : state);
    if (state === 'closed') this.lines.note(`Closed for good${cause(code, reason)}.`);
  }

  // A browser tells a page nothing of why it got no connection.
  loss(attempt, code, reason) {
    if (this.stood) return `The connection is gone${cause(code, reason)}.`;
    if (attempt > 1) return `No connection yet${cause('', reason)}.`;
    const { url } = this.target();
    return `No connection to ${url}${cause('', reason)}: does the relay answer there? “Refused” tells of requests that reached it.`;
  }

  // Seconds until the next attempt, as they pass.
  count(delayMs, attempt) {
    const end = performance.now() + (delayMs ?? 0);
    const then = attempt ? `, then attempt ${attempt}` : '';
    const say = () => this.tell('waiting', `waiting ${secs(Math.max(0, end - performance.now()))}${then}`);
    this.countdown = setInterval(say, COUNTDOWN_MILLIS);
    say();
  }

  opened(room) {
    this.counts.opens += 1;
    this.stood = true;
    const returns = this.counts.opens - 1;
    const chosen = room.protocol && `, with the subprotocol ${room.protocol}`;
    this.lines.note(returns ? `Connected again${chosen}.` : `Connected to ${this.target().channel}${chosen}.`);
    if (returns) setText(byId('link-returns'), plural(returns, 'time'));
    this.findId(room, this.counts.opens);
  }

  // The youngest with our tag: an older one may be a connection of ours that the relay does not yet know to be dead.
  async findId(room, opens) {
    const isCurrent = () => this.room === room && this.counts.opens === opens;
    for (let tries = 0; tries < ID_TRIES && isCurrent(); tries += 1) {
      const answer = await this.ask(`api/peers?tag=${this.tag}`).catch(() => ({ peers: [] }));
      const [youngest] = answer.peers.sort((one, other) => one.age_secs - other.age_secs);
      if (!isCurrent()) return;
      if (youngest) {
        setText(byId('link-id'), youngest.id);
        return;
      }
      await new Promise((resolve) => { setTimeout(resolve, ID_MILLIS); });
    }
    if (isCurrent()) setText(byId('link-id'), 'unknown to this relay');
  }

  beat(rttMs) {
    this.counts.beats += 1;
    setText(byId('link-heartbeat'), `${rttMs.toFixed(1)} ms, the ${ordinal(this.counts.beats)}`);
  }

  say() {
    const field = byId('text');
    if (this.send(field.value, new TextEncoder().encode(field.value).length)) field.value = '';
  }

  async sendFile() {
    const [file] = byId('file').files;
    if (!file) return;
    const { room } = this;
    // Before it is read: it may be larger than what fits into memory.
    if (this.fits(file.size)) {
      const data = await file.arrayBuffer().catch(() => null);
      if (data === null) this.lines.note(`${file.name} cannot be read.`);
      else if (this.room === room) this.send(data, data.byteLength);
    }
    byId('file').value = '';
  }

  // Whether it was sent; if not, a line says why.
  send(data, size) {
    if (!this.fits(size)) return false;
    const isSent = this.room?.send(data) ?? false;
    if (isSent) this.lines.add('sent', data);
    else this.lines.note('Not sent: there is no connection.');
    return isSent;
  }

  // The relay would end the connection with 1009.
  fits(size) {
    const most = this.facts?.max_message ?? Infinity;
    if (size > most) this.lines.note(`Not sent: ${bytes(size)}, and this relay takes ${bytes(most)} (max_message).`);
    return size <= most;
  }
}

// What is offered, as it is typed: the token alone, and the subprotocols beside it, one at least where there is a token.
function typedOffer() {
  const token = byId('token').value.trim();
  const protocols = [...new Set(byId('protocols').value.split(/[\s,]+/).filter(Boolean))];
  if (token && protocols.length === 0) protocols.push(STAND_IN);
  return { token, hasToken: token !== '', protocols };
}

// Why that cannot be offered, in words that do not hold the token.
function faultOf({ token, hasToken, protocols }) {
  if (hasToken && !NAME.test(token)) return 'This is no token: it holds characters that no token has';
  const wrong = protocols.find((name) => !NAME.test(name));
  return wrong ? `No subprotocol: ${wrong}` : null;
}

// At each attempt, so that a new token may take the place of one that has run out.
function makeOffer() {
  const offer = typedOffer();
  const fault = faultOf(offer);
  if (fault) throw new Error(fault);
  return offer.hasToken ? [`bearer.${offer.token}`, ...offer.protocols] : offer.protocols;
}

// Where the relay is for somebody who reached the desk at this address: at the door that stands open there, else at
// the first one; without a door of TCP nobody knows.
export function suggest(listen, { protocol, host, hostname } = location) {
  if (protocol === 'https:') return `wss://${host}`;
  const doors = listen.filter((place) => !/^(unix|systemd):/.test(place)).map((place) => {
    const at = place.lastIndexOf(':');
    return { host: place.slice(0, at), port: place.slice(at + 1) };
  });
  const here = hostname === 'localhost' ? ['127.0.0.1', '[::1]'] : [hostname];
  const door = doors.find((each) => [...here, '0.0.0.0', '[::]'].includes(each.host));
  if (door) return `ws://${hostname}:${door.port}`;
  return doors.length ? `ws://${doors[0].host}:${doors[0].port}` : '';
}

function channelInHash() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return '/hello';
  }
}

// As it is told of an end: code and reason, those that there are.
function cause(code, reason) {
  const words = [code, reason].filter(Boolean).join(' ');
  return words && ` (${words})`;
}

const secs = (millis) => `${((millis ?? 0) / 1000).toFixed(1)} s`;

function ordinal(n) {
  const ending = { 1: 'st', 2: 'nd', 3: 'rd' }[n % 10];
  return `${n}${n % 100 > 10 && n % 100 < 14 ? 'th' : ending ?? 'th'}`;
}
