// What was sent and heard in *try it*, as lines: the time, the size, the kind, and what it says.
//
// Promises bounded memory, however much comes: the newest `MOST_LINES`; of each the first part on the page, and the rest
// kept for saving while all of them stay below `MOST_KEPT_BYTES`. Painted once a frame, and never while nobody looks.
// Text is shown as text, whatever it says.

import { arrange, byId, bytes, clock, element, plural, setText } from './console-dom.js';

const MOST_LINES = 200;
const MOST_KEPT_BYTES = 16 * 1024 * 1024;
const MOST_CHARS = 2_000;
const MOST_HEX_BYTES = 64;
const HEX_COLUMNS = 8;
const REVOKE_MILLIS = 10_000;
const ARROWS = { heard: '←', sent: '→', note: '·' };

export class Lines {
  constructor() {
    this.list = byId('lines');
    this.lines = [];
    this.keptBytes = 0;
    this.totals = { heard: 0, heardBytes: 0, sent: 0 };
    this.isPlanned = false;
  }

  // `way` is heard or sent, `data` a string or an ArrayBuffer.
  add(way, data) {
    const size = typeof data === 'string' ? new TextEncoder().encode(data).length : data.byteLength;
    this.totals[way] += 1;
    if (way === 'heard') this.totals.heardBytes += size;
    this.append({ way, data, size, at: Date.now() });
  }

  // What happened to the connection.
  note(text) {
    this.append({ way: 'note', data: text, size: 0, at: Date.now() });
  }

  append(line) {
    line.kept = line.size;
    this.lines.push(line);
    this.keptBytes += line.kept;
    if (this.lines.length > MOST_LINES) this.keptBytes -= this.lines.shift().kept;
    for (const old of this.lines) {
      if (this.keptBytes <= MOST_KEPT_BYTES) break;
      this.forget(old);
    }
    this.plan();
  }

  // Lets go of what a line holds beyond what it shows.
  forget(line) {
    if (line.kept === 0) return;
    line.item ??= draw(line);
    line.save?.remove();
    this.keptBytes -= line.kept;
    line.kept = 0;
    line.data = null;
  }

  plan() {
    if (this.isPlanned) return;
    this.isPlanned = true;
    requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.isPlanned = false;
    const { list } = this;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    arrange(list, this.lines.map((line) => (line.item ??= draw(line))));
    if (isAtEnd) list.scrollTop = list.scrollHeight;
    const { heard, heardBytes, sent } = this.totals;
    setText(byId('heard'), `Heard ${plural(heard, 'message')}, ${bytes(heardBytes)}; sent ${plural(sent, 'message')}.`);
  }
}

function draw(line) {
  const { way, data, size, at } = line;
  const kind = way === 'note' ? 'note' : typeof data === 'string' ? 'text' : 'binary';
  const body = kind === 'binary' ? hexOf(data) : excerpt(data);
  const facts = [
    element('time', { datetime: new Date(at).toISOString() }, clock(at, 3)),
    element('span', { class: 'way', role: 'img', 'aria-label': way }, ARROWS[way]),
  ];
  if (kind !== 'note') facts.push(element('span', {}, kind), element('span', {}, bytes(size)));
  if (kind === 'binary' || (kind === 'text' && body !== data)) {
    line.save = element('button', { type: 'button', class: 'link' }, 'save');
    line.save.addEventListener('click', () => save(line.data, kind, at));
    facts.push(line.save);
  }
  const shown = kind === 'binary' ? element('pre', {}, body) : element('p', { dir: 'auto' }, body);
  const head = element('div', { class: 'facts' }, ...facts);
  return element('li', { class: way, 'data-kind': kind, 'data-size': String(size) }, head, shown);
}

// Half a letter at the cut is none.
function excerpt(text) {
  const rest = text.length - MOST_CHARS;
  return rest > 0 ? `${text.slice(0, MOST_CHARS).toWellFormed()} … and ${plural(rest, 'character')} more` : text;
}

// As a hex dump has it, narrow enough for a phone: the offset, the bytes, their letters.
function hexOf(data) {
  const shown = new Uint8Array(data, 0, Math.min(data.byteLength, MOST_HEX_BYTES));
  const rows = [];
  for (let from = 0; from < shown.length; from += HEX_COLUMNS) {
    const row = [...shown.subarray(from, from + HEX_COLUMNS)];
    const digits = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const letters = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    rows.push(`${from.toString(16).padStart(4, '0')}  ${digits.padEnd(HEX_COLUMNS * 3)} ${letters}`);
  }
  const rest = data.byteLength - shown.length;
  if (rest > 0) rows.push(`and ${plural(rest, 'byte')} more`);
  return rows.join('\n') || 'no bytes';
}

function save(data, kind, at) {
  const address = URL.createObjectURL(new Blob([data]));
  const name = `message-${new Date(at).toISOString().replaceAll(':', '')}.${kind === 'binary' ? 'bin' : 'txt'}`;
  element('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), REVOKE_MILLIS);
}
