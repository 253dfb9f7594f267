// A client with a record of what it heard, for tests against a real relay.
//
// Promises that every wait ends, with what was heard so far, and that a test file which is cut short takes its relays along.

import { Wsrelayd } from '../../src/admin/pages/wsrelayd.js';

const WAIT_SECS = 15;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

export class Page {
  constructor(url, options) {
    Object.assign(this, { messages: [], changes: [], beats: [], watchers: new Set() });
    this.client = new Wsrelayd(url, { minDelayMs: 50, maxDelayMs: 400, ...options });
    this.on('message', ({ data }) => this.messages.push(data));
    this.on('state', ({ detail }) => this.changes.push({ ...detail, at: performance.now() }));
    this.on('heartbeat', ({ detail }) => this.beats.push(detail.rttMs));
  }

  on(type, note) {
    this.client.addEventListener(type, (event) => {
      note(event);
      for (const watch of this.watchers) watch();
    });
  }

  // Until `condition` holds, which is asked at each event.
  until(what, condition, secs = WAIT_SECS) {
    return new Promise((resolve, reject) => {
      const settle = (then, value) => {
        clearTimeout(timer);
        this.watchers.delete(watch);
        then(value);
      };
      const watch = () => { if (condition()) settle(resolve); };
      const late = () => settle(reject, new Error(`${what}: not within ${secs} s; heard ${this}`));
      const timer = setTimeout(late, secs * 1000);
      this.watchers.add(watch);
      watch();
    });
  }

  toString() {
    return JSON.stringify({ changes: this.changes, messages: this.messages.map(String) });
  }

  // The nth time that it is open.
  open(times = 1) {
    return this.until(`open for the ${times}. time`, () => this.count('open') >= times);
  }

  count(state) {
    return this.changes.filter((change) => change.state === state).length;
  }

  hears(...messages) {
    return this.until(`hears ${messages}`, () => messages.every((message) => this.messages.includes(message)));
  }

  waiting() {
    return this.changes.filter(({ state }) => state === 'waiting');
  }
}
