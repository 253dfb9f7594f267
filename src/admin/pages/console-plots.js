// The plots: what the relay did in the last five minutes, a point for each answer of the desk.
//
// Owns the points, of which there are never more than `MOST_POINTS`, and the four drawings. Per second is what came
// between two answers, by the totals: the area under a line is the number of messages. Where no answer came the lines
// have a gap. `values()` tells all points, for tests and for who looks from the developer tools.

/* global uPlot */
import { byId, bytes, clock, count, element, micros, rate, setText } from './console-dom.js';

const SPAN_SECS = 300;
// With less than this on the plot, the beginning is empty.
const LEAST_SPAN_SECS = 60;
const MOST_POINTS = 320;
// Two answers that lie further apart are not joined by a line.
const GAP_SECS = 5;
const HEIGHT = 132;
const POWERS = Array.from({ length: 40 }, (_, at) => 2 ** at);
const WHOLE = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((ten) => [ten, 2 * ten, 5 * ten]);

// A line without `drawn` is told as a number only. `floor`: the scale ends no lower. `steps`: from one mark to the next.
const PLOTS = [
  {
    name: 'connections',
    title: 'Connections',
    say: count,
    floor: 4,
    steps: WHOLE,
    lines: [{ name: 'connected', drawn: true }, { name: 'channels', drawn: true }],
  },
  {
    name: 'messages',
    title: 'Messages per second',
    say: rate,
    floor: 4,
    lines: [{ name: 'in', drawn: true }, { name: 'deliveries', drawn: true }],
  },
  {
    name: 'lag',
    title: 'Lag',
    say: bytes,
    floor: 1024,
    steps: POWERS,
    lines: [{ name: 'furthest behind', drawn: true }, { name: 'peers behind', say: count }],
  },
  {
    name: 'turn',
    title: 'Turn of the loop',
    say: micros,
    floor: 100,
    lines: [{ name: 'longest', drawn: true }, { name: 'mean', drawn: true }],
  },
];

// The time of marks that lie `step` seconds apart.
const times = (marks, step) => marks.map((secs) => clock(secs * 1000).slice(0, step < 60 ? 8 : 5));

// From the first point to now, as far as the plot reaches.
function reach(first) {
  const now = Date.now() / 1000;
  const span = Math.min(SPAN_SECS, Math.max(LEAST_SPAN_SECS, now - first));
  return [now - span, now];
}

// What one answer says, by name of plot and line. `before` is the answer before it, `secs` ago.
function measure(status, before, secs) {
  const perSecond = (name) => before && Math.max(0, (status.totals[name] - before.totals[name]) / secs);
  return {
    connections: [status.peers - status.handshaking, status.channels],
    messages: [perSecond('messages_in'), perSecond('deliveries')],
    lag: [status.lag_bytes, status.lagging_peers],
    turn: [status.rates.longest_turn_micros, status.rates.mean_turn_micros],
  };
}

const isOneProcess = (one, other) => one && one.pid === other.pid && one.started_at === other.started_at;

export class Plots {
  constructor(holder) {
    this.times = [];
    this.before = null;
    this.drawings = PLOTS.map((plot) => new Drawing(plot, holder));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw());
  }

  // The next answer.
  add(status) {
    const at = performance.now();
    const { before } = this;
    // Asked by somebody else too, the desk tells the same again: no turn has passed.
    if (isOneProcess(before?.status, status) && before.status.totals.turns === status.totals.turns) return;
    const known = isOneProcess(before?.status, status);
    const secs = known ? (at - before.at) / 1000 : 0;
    if (!known || secs > GAP_SECS) this.append(null);
    this.append(measure(status, known ? before.status : null, secs));
    this.before = { status, at };
  }

  // No answer came.
  miss() {
    this.append(null);
  }

  append(values) {
    const secs = Date.now() / 1000;
    // The clock was put back: what was drawn lies in the future now.
    if (secs < this.times.at(-1)) this.forget(this.times.length);
    this.times.push(secs);
    this.forget(this.times.length - MOST_POINTS);
    for (const drawing of this.drawings) drawing.append(values?.[drawing.plot.name]);
    this.redraw();
  }

  forget(most) {
    if (most <= 0) return;
    this.times.splice(0, most);
    for (const drawing of this.drawings) drawing.columns.forEach((column) => column.splice(0, most));
  }

  redraw() {
    for (const drawing of this.drawings) drawing.draw(this.times);
  }

  values() {
    const lines = ({ plot, columns }) => plot.lines.map(({ name }, at) => [name, [...columns[at]]]);
    const drawn = this.drawings.map((drawing) => [drawing.plot.name, Object.fromEntries(lines(drawing))]);
    return { secs: [...this.times], ...Object.fromEntries(drawn) };
  }
}

// One plot: its columns of points, its canvas, and the numbers above it.
class Drawing {
  constructor(plot, holder) {
    this.plot = plot;
    this.columns = plot.lines.map(() => []);
    this.numbers = plot.lines.map(() => element('dd', {}, '–'));
    this.swatches = plot.lines.map(({ drawn }, at) => element('i', { class: drawn ? `swatch line-${at}` : 'swatch' }));
    const terms = plot.lines.map(({ name }, at) => element('dt', {}, this.swatches[at], name));
    const legend = terms.map((term, at) => element('div', {}, term, this.numbers[at]));
    this.canvas = element('div', { class: 'canvas', role: 'img', 'aria-label': plot.title });
    this.figure = element('figure', { class: 'card plot', id: `plot-${plot.name}` },
      element('figcaption', {}, plot.title), element('dl', {}, ...legend), this.canvas);
    holder.append(this.figure);
    this.uplot = new uPlot(this.options(), [[], ...this.drawn([])], this.canvas);
    new ResizeObserver(() => this.fit()).observe(this.canvas);
  }

  // One column for each line that is drawn.
  drawn() {
    return this.columns.filter((_, at) => this.plot.lines[at].drawn);
  }

  append(values) {
    this.columns.forEach((column, at) => column.push(values?.[at] ?? null));
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (width > 0 && width !== this.uplot.width) this.uplot.setSize({ width, height: HEIGHT });
  }

  draw(times) {
    this.uplot.setData([times, ...this.drawn()]);
    this.tell(this.uplot.cursor.idx);
    const most = Math.max(0, ...this.columns[0].filter(Number.isFinite));
    const now = this.plot.lines.map(({ name }, at) => `${name} ${this.said(at, -1)}`).join(', ');
    const words = `${this.plot.title}: ${now}; at most ${this.plot.say(most)} in five minutes`;
    this.canvas.setAttribute('aria-label', words);
  }

  // The numbers at a point, or the newest ones.
  tell(point) {
    this.numbers.forEach((number, at) => setText(number, this.said(at, point ?? -1)));
  }

  said(at, point) {
    const value = this.columns[at].at(point);
    const say = this.plot.lines[at].say ?? this.plot.say;
    return Number.isFinite(value) ? say(value) : '–';
  }

  options() {
    const { plot } = this;
    const edge = () => getComputedStyle(this.figure).getPropertyValue('border-top-color');
    const words = () => getComputedStyle(this.figure.firstElementChild).color;
    const colour = (at) => getComputedStyle(this.swatches[at]).color;
    const drawn = plot.lines.flatMap((line, at) => (line.drawn ? [at] : []));
    const axis = { stroke: words, font: '11px system-ui, sans-serif', ticks: { show: false } };
    return {
      width: this.canvas.clientWidth || 300,
      height: HEIGHT,
      // To the right, room for half of the last time.
      padding: [8, 24, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: 'console', setSeries: false }, y: false, drag: { x: false, y: false } },
      hooks: { setCursor: [({ cursor }) => this.tell(cursor.idx)] },
      scales: {
        x: { range: ({ data }) => reach(data[0][0] ?? Infinity) },
        y: { range: (_, __, high) => [0, Math.max((high ?? 0) * 1.1, plot.floor)] },
      },
      series: [{}, ...drawn.map((at) => ({
        stroke: () => colour(at),
        fill: at === 0 ? () => colour(at).replace(')', ' / 12%)').replaceAll(',', '') : undefined,
        width: 1.6,
        points: { show: false },
      }))],
      axes: [
        { ...axis, grid: { show: false }, size: 26, space: 64, values: (_, all, __, ___, step) => times(all, step) },
        {
          ...axis,
          grid: { stroke: edge, width: 1 },
          size: 58,
          space: 30,
          values: (_, all) => all.map(plot.say),
          ...(plot.steps ? { incrs: plot.steps } : {}),
        },
      ],
    };
  }
}

export const makePlots = () => new Plots(byId('plots'));
