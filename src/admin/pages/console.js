// The console: asks the desk how the relay does, once a second, and hands the answers to the parts of the page.
//
// Owns the asking: one question at a time, none while nobody looks, and a banner while nobody answers, until somebody
// does. Everything shown comes from /api; what is sent and heard in *try it* goes to the relay itself.

import { byId, count, keep, kept, setText, span } from './console-dom.js';
import { makePlots } from './console-plots.js';
import { Channels, Ends } from './console-tables.js';
import { TryPane } from './console-try.js';

// From one answer to the next question: the desk tells nothing new within a second.
const EVERY_MILLIS = 1_000;
const AWAY_MILLIS = 2_000;
const PATIENCE_MILLIS = 5_000;
// One question that fails may be one visitor too many at the desk.
const MISSES_TO_BE_AWAY = 2;
const THEMES = ['system', 'light', 'dark'];

// The JSON at `path`, which is relative, so that a proxy may give the console a folder.
async function ask(path, options = {}) {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MILLIS), ...options });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
  return answer.json();
}

class Console {
  constructor() {
    this.status = null;
    this.plots = makePlots();
    this.channels = new Channels(ask);
    this.ends = new Ends(ask);
    this.pane = new TryPane(ask);
    this.rounds = 0;
    this.misses = 0;
    this.timer = null;
    this.isAsking = false;
    document.addEventListener('visibilitychange', () => this.look());
    this.look();
  }

  // Somebody looks, or nobody any more.
  look() {
    clearTimeout(this.timer);
    if (!document.hidden && !this.isAsking) this.round();
  }

  // One round of questions, and the time of the next.
  async round() {
    this.isAsking = true;
    try {
      this.show(await ask('api/status'));
      // What is long is asked in every other round. A failure here is not the relay's absence: that has just answered.
      if (this.rounds % 2 === 0) {
        for (const part of [this.channels, this.ends]) await part.show().catch(() => {});
      }
      this.rounds += 1;
    } catch {
      this.miss();
    }
    this.isAsking = false;
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.round(), this.isAway() ? AWAY_MILLIS : EVERY_MILLIS);
  }

  isAway() {
    return this.misses >= MISSES_TO_BE_AWAY;
  }

  show(status) {
    this.misses = 0;
    this.status = status;
    byId('away').hidden = true;
    this.tellState(status.state);
    const { version, uptime_secs: up, max_connections: most } = status;
    setText(byId('about'), `${version} · up ${span(up)} · at most ${count(most)} connections`);
    this.plots.add(status);
    this.ends.showTotals(status);
    this.pane.learn(status);
  }

  miss() {
    this.misses += 1;
    this.plots.miss();
    if (!this.isAway()) return;
    this.tellState('away');
    setText(byId('away'), 'The relay is away. Trying again, every two seconds …');
    byId('away').hidden = false;
  }

  tellState(state) {
    setText(byId('state'), state);
    byId('state').dataset.state = state;
  }
}

// --- light and dark --------------------------------------------------------------------------------------------------

function wear(theme) {
  document.documentElement.dataset.theme = theme;
  setText(byId('theme'), `Theme: ${theme}`);
}

const worn = kept('theme');
wear(THEMES.includes(worn) ? worn : 'system');
const page = new Console();
byId('theme').addEventListener('click', () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  wear(next);
  keep('theme', next);
  page.plots.redraw();
});

// All points of the plots, for whoever asks from the developer tools.
globalThis.consoleValues = () => page.plots.values();
