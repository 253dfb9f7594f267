// A WebSocket client that comes back by itself: for wsrelayd, and for any other server. MIT licence; made to be copied.
//
// Owns one native WebSocket at a time, one timer and two listeners. Promises that a connection that is lost or dead is
// replaced, that timers which sleep in a hidden tab never cost a good one, that what was queued leaves in order, and that
// after `close()` nothing is left and nothing happens. Nothing is sent twice: what was handed to a connection that then
// broke may have been lost. Works unchanged in browsers, in workers and in Node 22 and newer.

/**
 * @typedef {'connecting' | 'open' | 'waiting' | 'closed'} State
 * @typedef {{ code?: number, reason?: string, wasClean?: boolean, error?: unknown }} End  how a connection ended, as in a
 *   CloseEvent; `error`: why there was none to begin with
 * @typedef {End & { state: State, attempt: number, delayMs?: number }} Change  `attempt`: how often it came back, or tried
 *   to, since a connection last stayed; `delayMs`: when it tries again
 * @typedef {Parameters<WebSocket['send']>[0]} Data
 * @typedef {string | string[]} Protocols
 *
 * @typedef {object} Heartbeat  the two words as the relay's configuration has them
 * @property {string} request
 * @property {string} reply  never passed on as a message
 * @property {number} [intervalMs]  between two questions: 25000
 * @property {number} [timeoutMs]  without a reply, or anything else, until the connection is replaced: 10000
 *
 * @typedef {object} Options
 * @property {Heartbeat | null} [heartbeat]  null, none: then a dead connection is noticed when the system notices it
 * @property {number} [queueMost]  messages kept while there is no connection, the newest of them: 0
 * @property {number} [minDelayMs]  the first wait is random up to this, each further one up to twice the last: 500
 * @property {number} [maxDelayMs]  and never up to more than this: 30000
 * @property {number} [stableMs]  after a connection that lasted so long, waits begin small again: 10000
 * @property {number} [connectMs]  a connection that does not open is given up, the asking for protocols included: 10000
 * @property {Protocols | (() => Protocols | Promise<Protocols>)} [protocols]  subprotocols to offer; a function is asked at
 *   each attempt, as for a token that runs out: `async () => ['bearer.' + await newToken(), 'chat']`. A browser needs the second
 *   one: it insists that one of those it offers is chosen, and a token never is.
 * @property {typeof globalThis.WebSocket} [WebSocket]
 */

/** @type {End} */
const BROKEN = { code: 1006, reason: '', wasClean: false };
const LOOKS = 4;
const LONGEST_HINT_SECS = 3600;
const HINT_SPREAD_MS = 1000;
const CLOSE_AFTER_ERROR_MS = 250;
// For these it was closed, and is wanted back like anybody: slowness may be over, and a token can be renewed.
const FORGIVEN = ['slow-consumer', 'token-expired'];

/**
 * Events: `state` (CustomEvent, detail: Change), `open`, `message` (MessageEvent, data: a string or an ArrayBuffer),
 * `heartbeat` (detail: `{ rttMs }`) and `drop` (detail: `{ data }`, what was queued and will not be sent).
 */
export class Wsrelayd extends EventTarget {
  /** @type {State} */ #state = 'connecting';
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {Data[]} */ #queue = [];
  /** @type {number | null} */ #askedAt = null;
  /** @type {object | null} */ #offer = null;
  #listening = new AbortController();
  #attempt = 0;
  #openedAt = 0;
  #awaiting = false;
  #toldWhen = false;

  /**
   * Connects. Throws what `new WebSocket` throws, for a URL that is none; where `protocols` is a function that is a
   * failed attempt.
   * @param {string | URL} url
   * @param {Options} [options]
   */
  constructor(url, { heartbeat = null, queueMost = 0, minDelayMs = 500, maxDelayMs = 30_000, stableMs = 10_000,
    connectMs = 10_000, protocols = [], WebSocket = globalThis.WebSocket } = {}) {
    super();
    const { intervalMs = 25_000, timeoutMs = 10_000 } = heartbeat ?? {};
    this.#heartbeat = heartbeat && { ...heartbeat, intervalMs, timeoutMs };
    this.#options = { url, queueMost, minDelayMs, maxDelayMs, stableMs, connectMs, protocols, WebSocket };
    this.#connect();
    const { signal } = this.#listening;
    const wakeIfSeen = () => { if (document.visibilityState === 'visible') this.#wake(); };
    globalThis.addEventListener?.('online', () => this.#wake(), { signal });
    globalThis.document?.addEventListener('visibilitychange', wakeIfSeen, { signal });
  }

  #heartbeat;
  #options;

  get state() {
    return this.#state;
  }

  /** The subprotocol that was chosen, or ''. */
  get protocol() {
    return this.#socket?.protocol ?? '';
  }

  /** Sends or queues: false if it did neither. A full queue drops its oldest. @param {Data} data @returns {boolean} */
  send(data) {
    // A socket that is closing takes everything and sends nothing; one that has opened, and not said so, is not yet ours.
    if (this.#state === 'open' && this.#socket?.readyState === 1) {
      this.#socket.send(data);
      return true;
    }
    if (this.#state === 'closed' || this.#options.queueMost < 1) return false;
    this.#queue.push(data);
    if (this.#queue.length > this.#options.queueMost) this.#tell('drop', { data: this.#queue.shift() });
    return true;
  }

  /** Closes for good, the only end there is. @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    if (this.#state === 'closed') return;
    // First, since it throws for codes that a page may not use.
    this.#socket?.close(code, reason);
    this.#letGo();
    this.#listening.abort();
    const unsent = this.#queue.splice(0);
    this.#enter('closed', { code, reason });
    for (const data of unsent) this.#tell('drop', { data });
  }

  #connect() {
    const { protocols, connectMs } = this.#options;
    if (typeof protocols === 'function') this.#askFor(protocols);
    else this.#dial(protocols);
    this.#giveUpAfter(connectMs, 'connect-timeout');
    this.#enter('connecting');
  }

  // What comes when the attempt is over is not heard.
  /** @param {() => Protocols | Promise<Protocols>} protocols */
  async #askFor(protocols) {
    const offer = this.#offer = {};
    const isWanted = () => this.#offer === offer;
    // Not before whoever made this client listens to it.
    await null;
    try {
      const offered = isWanted() ? await protocols() : [];
      if (isWanted()) this.#dial(offered);
    } catch (error) {
      if (isWanted()) this.#lost({ ...BROKEN, reason: 'protocols-failed', error });
    }
  }

  /** @param {Protocols} protocols */
  #dial(protocols) {
    const { url, WebSocket } = this.#options;
    const socket = new WebSocket(url, protocols);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = ({ data }) => this.#heard(data);
    socket.onclose = ({ code, reason, wasClean }) => this.#lost({ code, reason, wasClean });
    // Node 22 tells of a connection that failed by this event alone; elsewhere the close event follows at once.
    socket.onerror = () => this.#wait(CLOSE_AFTER_ERROR_MS, () => this.#lost(BROKEN));
    this.#socket = socket;
  }

  /** @param {WebSocket} socket */
  #opened(socket) {
    this.#openedAt = performance.now();
    this.#rest();
    for (const data of this.#queue.splice(0)) socket.send(data);
    this.#enter('open');
    if (this.#socket === socket) this.dispatchEvent(new Event('open'));
  }

  /** @param {unknown} data */
  #heard(data) {
    if (this.#awaiting) this.#rest();
    if (data !== this.#heartbeat?.reply) {
      this.dispatchEvent(new MessageEvent('message', { data }));
    } else if (this.#askedAt !== null) {
      const rttMs = performance.now() - this.#askedAt;
      this.#askedAt = null;
      this.#tell('heartbeat', { rttMs });
    }
  }

  // The connection lives: nothing to do until the next heartbeat.
  #rest() {
    this.#awaiting = false;
    clearTimeout(this.#timer);
    if (this.#heartbeat) this.#wait(this.#heartbeat.intervalMs, () => this.#ask());
  }

  #ask() {
    if (!this.#heartbeat) return;
    this.#awaiting = true;
    this.#askedAt = performance.now();
    this.#socket?.send(this.#heartbeat.request);
    this.#giveUpAfter(this.#heartbeat.timeoutMs, 'heartbeat-timeout');
  }

  // In quarters: while our own timers sleep, what came may lie unheard, so a quarter that took minutes counts as one.
  #giveUpAfter(/** @type {number} */ ms, /** @type {string} */ reason, looks = LOOKS) {
    const more = () => this.#giveUpAfter(ms, reason, looks - 1);
    this.#wait(ms / LOOKS, looks > 1 ? more : () => this.#lost({ ...BROKEN, reason }));
  }

  // Back online, or seen again: no reason to wait, and to doubt what is open. A question that is out is not asked twice.
  #wake() {
    if (this.#state === 'waiting' && !this.#toldWhen) this.#connect();
    else if (this.#state === 'open' && !this.#awaiting) this.#ask();
  }

  /** @param {End} end */
  #lost(end) {
    if (this.#state === 'open' && performance.now() - this.#openedAt >= this.#options.stableMs) this.#attempt = 0;
    this.#letGo();
    const delayMs = this.#delayMsAfter(end);
    this.#attempt += 1;
    this.#wait(delayMs, () => this.#connect());
    this.#enter('waiting', { delayMs, ...end });
  }

  // Random up to a limit that doubles (full jitter), or that much after the time that it was told: by the hint in the
  // reason, or by being closed for what it did or by an operator (1008), who does not want it back at once.
  /** @param {End} end */
  #delayMsAfter({ code, reason = '' }) {
    const { minDelayMs, maxDelayMs } = this.#options;
    const mostMs = Math.min(maxDelayMs, minDelayMs * 2 ** this.#attempt);
    const hint = /\bretry-after=(\d+)/.exec(reason);
    this.#toldWhen = hint !== null || (code === 1008 && !FORGIVEN.includes(reason));
    if (!this.#toldWhen) return Math.random() * mostMs;
    const leastMs = hint ? Math.min(Number(hint[1]), LONGEST_HINT_SECS) * 1000 : maxDelayMs;
    return leastMs + Math.random() * Math.max(mostMs, HINT_SPREAD_MS);
  }

  #letGo() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = this.#askedAt = this.#offer = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = () => {};
    socket.close();
  }

  #wait(/** @type {number} */ ms, /** @type {() => void} */ then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  #enter(/** @type {State} */ state, /** @type {Partial<Change>} */ more = {}) {
    this.#state = state;
    this.#tell('state', { state, attempt: this.#attempt, ...more });
  }

  #tell(/** @type {string} */ type, /** @type {object} */ detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
