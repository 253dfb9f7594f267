// A world for the client without a network: time that a test moves, timers that may be late or asleep, and sockets whose
// other end a test plays.
//
// Promises that there are never two sockets at a time, that no timer is set which a browser would not keep, and that
// where a timer and something from the network are due together the timer comes first: the worse order of the two. Judges
// nothing else; nothing here is real time, so that hours pass in a moment.

import { getEventListeners } from 'node:events';

import { Wsrelayd } from '../../src/admin/pages/wsrelayd.js';

const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const TIMER = 0;
const WIRE = 1;

class Clock {
  constructor() {
    this.now = 0;
    this.serial = 0;
    this.entries = new Map();
  }

  after(ms, kind, run) {
    this.serial += 1;
    this.entries.set(this.serial, { due: this.now + ms, kind, run, id: this.serial });
    return this.serial;
  }

  // What the client calls.
  setTimeout(run, ms) {
    if (!(ms >= 0 && ms <= LONGEST_TIMER_MS)) throw new Error(`a timer of ${ms} ms`);
    return this.after(ms, TIMER, run);
  }

  timers() {
    return [...this.entries.values()].filter((entry) => entry.kind === TIMER).length;
  }

  // What comes next by `until`, while timers run only at multiples of `everyMs` and the network is on time.
  next(until, everyMs) {
    const moment = ({ due, kind }) => {
      const at = Math.max(due, this.now);
      return kind === TIMER && everyMs ? Math.ceil(at / everyMs) * everyMs : at;
    };
    const coming = [...this.entries.values()].map((entry) => ({ ...entry, at: moment(entry) }));
    coming.sort((a, b) => a.at - b.at || a.kind - b.kind || a.due - b.due || a.id - b.id);
    return coming.find((entry) => entry.at <= until);
  }

  pass(ms, everyMs = 0) {
    const until = this.now + ms;
    for (let next = this.next(until, everyMs); next; next = this.next(until, everyMs)) {
      this.entries.delete(next.id);
      this.now = next.at;
      next.run();
    }
    this.now = until;
  }

  // Nothing runs meanwhile; then all that was due, at once.
  freeze(ms) {
    this.now += ms;
    this.pass(0);
  }
}

// Numbers from 0 to 1 that a seed decides.
function randomFrom(seed) {
  let state = BigInt(seed) * 2_862_933_555_777_941_757n + 3_037_000_493n;
  return () => {
    state = BigInt.asUintN(64, state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n);
    return Number(state >> 11n) / 2 ** 53;
  };
}

function socketClass(world) {
  return class {
    constructor(url, protocols) {
      if (world.alive().length) throw new Error('two sockets at a time');
      Object.assign(this, { url, protocols, readyState: CONNECTING, sent: [], closedWith: undefined });
      world.sockets.push(this);
      world.meet(this);
    }

    send(data) {
      if (this.readyState === CONNECTING) throw new Error('sent while connecting');
      if (this.readyState !== OPEN) return;
      this.sent.push(data);
      world.received(this, data);
    }

    close(code, reason) {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) throw new Error(`close with ${code}`);
      if (this.readyState >= CLOSING) return;
      this.readyState = CLOSING;
      this.closedWith = [code, reason];
      world.arrives(this, () => this.end(code ?? 1005, reason ?? '', true));
    }

    open() {
      if (this.readyState !== CONNECTING) return;
      this.readyState = OPEN;
      this.onopen?.({ type: 'open' });
    }

    hear(data) {
      if (this.readyState === OPEN) this.onmessage?.({ data });
    }

    end(code, reason, wasClean) {
      if (this.readyState === CLOSED) return;
      this.readyState = CLOSED;
      this.onclose?.({ code, reason, wasClean });
    }
  };
}

export class World {
  // `doors`: what becomes of a new socket: open, refused, hanging, or mute (an error and no close event). `line`: good, or
  // dead, over which nothing comes any more. `answers`: whether heartbeats are answered.
  constructor(seed) {
    Object.assign(this, { doors: 'open', line: 'good', answers: true, latencyMs: 20, sockets: [], log: [] });
    this.clock = new Clock();
    this.random = randomFrom(seed);
    this.page = new EventTarget();
    this.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  }

  alive() {
    return this.sockets.filter(({ readyState }) => readyState <= OPEN);
  }

  get socket() {
    return this.sockets.at(-1);
  }

  arrives(socket, run) {
    this.clock.after(this.latencyMs, WIRE, () => this.line === 'good' && run());
  }

  meet(socket) {
    const answers = {
      open: () => socket.open(),
      refused: () => socket.end(1006, '', false),
      mute: () => socket.onerror?.({ type: 'error' }),
      hanging: () => {},
    };
    this.arrives(socket, answers[this.doors]);
  }

  received(socket, data) {
    if (data === 'ping' && this.answers) this.say('pong', socket);
  }

  // Something for the client, from the other end.
  say(data, socket = this.socket) {
    this.arrives(socket, () => socket?.hear(data));
  }

  // What settles when so much time has passed.
  later(ms, value) {
    return new Promise((resolve) => { this.clock.after(ms, WIRE, () => resolve(value)); });
  }

  // The other end closes: the socket is closing for a moment, and then closed.
  end(code, reason = '', socket = this.socket) {
    if (socket?.readyState !== OPEN) return;
    socket.readyState = CLOSING;
    this.arrives(socket, () => socket.end(code, reason, code !== 1006));
  }

  pass(ms, everyMs) {
    this.clock.pass(ms, everyMs);
  }

  wakeBy(type) {
    this.document.visibilityState = 'visible';
    (type === 'online' ? this.page : this.document).dispatchEvent(new Event(type));
  }

  listeners() {
    return getEventListeners(this.page, 'online').length + getEventListeners(this.document, 'visibilitychange').length;
  }

  // A client, all of whose events stand in `log` with their time.
  client(options = {}) {
    const client = new Wsrelayd('ws://relay/room', { WebSocket: socketClass(this), ...options });
    for (const type of ['state', 'open', 'message', 'heartbeat', 'drop']) {
      client.addEventListener(type, ({ detail, data }) => this.log.push({ type, at: this.clock.now, data, ...detail }));
    }
    return client;
  }

  // One that is open.
  opened(options) {
    const client = this.client(options);
    this.pass(this.latencyMs);
    return client;
  }

  of(type) {
    return this.log.filter((entry) => entry.type === type);
  }

  changes(state) {
    return this.of('state').filter((entry) => entry.state === state);
  }

  install() {
    const { clock, page } = this;
    const before = { setTimeout, clearTimeout, random: Math.random, now: performance.now };
    Object.assign(globalThis, {
      setTimeout: (run, ms) => clock.setTimeout(run, ms),
      clearTimeout: (id) => clock.entries.delete(id),
      addEventListener: page.addEventListener.bind(page),
      document: this.document,
    });
    Math.random = () => this.random();
    performance.now = () => clock.now;
    return () => {
      Object.assign(globalThis, { setTimeout: before.setTimeout, clearTimeout: before.clearTimeout });
      Object.assign(Math, { random: before.random });
      performance.now = before.now;
      delete globalThis.addEventListener;
      delete globalThis.document;
    };
  }
}

// What promises that are settled have led to.
export async function settled() {
  for (let turns = 0; turns < 20; turns += 1) await null;
}

// As below, for a body that waits for promises, and for nothing else.
export async function inWorldOfPromises(body, seed = 1) {
  const world = new World(seed);
  const restore = world.install();
  try {
    return await body(world);
  } finally {
    restore();
  }
}

// Runs `body` in a world of its own. Nothing in it may wait for real time.
export function inWorld(body, seed = 1) {
  const world = new World(seed);
  const restore = world.install();
  try {
    return body(world);
  } finally {
    restore();
  }
}
