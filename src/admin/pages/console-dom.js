// Elements and words of the console: how anything gets onto the page, how numbers are said, and what the browser keeps.
//
// Promises that what a peer sent never becomes markup: text goes in as text nodes, and nothing here reads HTML. A table
// keeps the elements of its rows while it changes, so that focus and selection stay where they are.

export const byId = (id) => document.getElementById(id);

// Strings among the children become text.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Makes `wanted` the children of `parent`, in this order. What is there already is moved only if it must be.
export function arrange(parent, wanted) {
  const focused = document.activeElement;
  const staying = new Set(wanted);
  for (const child of [...parent.children]) if (!staying.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const child of wanted) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  // An element that is moved loses the focus.
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

// A table of which each row has a key. A column is `{ label, text(item), press(item)?, name(item)?, hint(item)?, is? }`: with
// `press` its cells are buttons, which `name` names for who cannot see the row; it `is` a number, free text that breaks
// anywhere, or wide: on a phone the latter two have a line for themselves.
export class Table {
  constructor(table, { key, columns }) {
    this.key = key;
    this.columns = columns;
    this.rows = new Map();
    const heads = columns.map((column) =>
      element('th', { scope: 'col', role: 'columnheader', class: column.is }, column.label));
    this.body = element('tbody', { role: 'rowgroup' });
    // Roles are said although they go without saying: on a phone CSS makes cards of the rows, and that takes them away.
    table.setAttribute('role', 'table');
    table.append(element('thead', { role: 'rowgroup' }, element('tr', { role: 'row' }, ...heads)), this.body);
    table.hidden = true;
    this.table = table;
  }

  show(items) {
    const rows = new Map();
    for (const item of items) {
      const row = this.rows.get(this.key(item)) ?? this.add();
      this.fill(row, item);
      rows.set(this.key(item), row);
    }
    this.rows = rows;
    arrange(this.body, [...rows.values()].map(({ line }) => line));
    this.table.hidden = rows.size === 0;
  }

  add() {
    const row = { item: null };
    row.holders = this.columns.map(({ press }) => {
      if (!press) return null;
      const button = element('button', { type: 'button', class: 'link' });
      button.addEventListener('click', () => press(row.item, button));
      return button;
    });
    row.cells = this.columns.map((column, at) => {
      const cell = element('td', { role: 'cell', 'data-label': column.label, class: column.is });
      if (row.holders[at]) cell.append(row.holders[at]);
      return cell;
    });
    row.line = element('tr', { role: 'row' }, ...row.cells);
    return row;
  }

  fill(row, item) {
    row.item = item;
    this.columns.forEach(({ text, name, hint }, at) => {
      const holder = row.holders[at] ?? row.cells[at];
      setText(holder, text(item));
      if (name) holder.setAttribute('aria-label', name(item));
      if (hint) row.cells[at].title = hint(item);
    });
  }

  // The rows for which `is` holds are marked, and the buttons in them say so.
  mark(is) {
    for (const { item, line, holders } of this.rows.values()) {
      line.classList.toggle('chosen', is(item));
      for (const button of holders) button?.setAttribute('aria-pressed', String(is(item)));
    }
  }
}

// --- what is kept ----------------------------------------------------------------------------------------------------

// What `keep` kept under this name, or null. Some browsers keep nothing for a page: then it lasts as long as the page.
export function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

// With null: no longer.
export function keep(name, value) {
  if (kept(name) === value) return;
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // See above.
  }
}

// --- words -----------------------------------------------------------------------------------------------------------

export const count = (n) => Math.round(n).toLocaleString('en');

// `n` with as many digits as tell something.
const digits = (n) => (n >= 100 || Number.isInteger(n) ? count(n) : n >= 10 ? n.toFixed(1) : n.toFixed(2));

export const rate = (n) => (n >= 10 || Number.isInteger(n) ? count(n) : n.toFixed(1));

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = n;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit ? digits(value) : count(value)} ${units[unit]}`;
}

export function micros(n) {
  if (n < 1_000) return `${Math.round(n)} µs`;
  return n < 1e6 ? `${digits(n / 1_000)} ms` : `${digits(n / 1e6)} s`;
}

export function span(secs) {
  const whole = Math.floor(secs);
  const [days, hours] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24];
  const minutes = Math.floor(whole / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

// Time of the day, with so many digits of the second's fraction.
export function clock(millis, fraction = 0) {
  const options = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
  if (fraction) options.fractionalSecondDigits = fraction;
  return new Date(millis).toLocaleTimeString('en', options);
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
