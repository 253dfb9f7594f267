// Checks of how the console is used: by the keyboard alone, on a phone, by day and by night.
'use strict';

const { differ } = require('./checks.js');
const { ConsoleTab, askDesk } = require('./console-tab.js');
const { RawPeer } = require('./raw-peer.js');

const MOST_STOPS = 60;

// What has the focus: whether it has a name, and whether that it has the focus can be seen.
function stop() {
  const at = document.activeElement;
  if (at === document.body) return { isBody: true };
  const titles = document.getElementById(at.getAttribute('aria-labelledby'))?.textContent;
  const name = at.getAttribute('aria-label') ?? titles ?? at.labels?.[0]?.textContent ?? at.textContent;
  const seen = at.closest('label.button') ?? at;
  return { tag: `${at.tagName} ${at.id}`, name: name.trim(), outline: getComputedStyle(seen).outlineStyle };
}

// Tab moves on until `is` holds.
async function tabTo(tab, what, is, argument) {
  for (let presses = 0; presses < MOST_STOPS; presses += 1) {
    await tab.press('Tab');
    const found = await tab.evaluate(stop);
    const isFine = found.isBody || (found.name && found.outline !== 'none');
    if (!isFine) throw new Error(`a stop without a name or without a sign: ${JSON.stringify(found)}`);
    if (await tab.evaluate(is, argument)) return;
  }
  throw new Error(`${what} is not reached by Tab`);
}

const hasFocus = (id) => document.activeElement.id === id;
function focusSays(words) {
  const at = document.activeElement;
  return [at.getAttribute('aria-label'), at.textContent].includes(words);
}

async function keyboardAlone({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const other = await RawPeer.open(relay.port, '/keys');
  await tab.until('the address of the relay', () => document.getElementById('relay').value !== '');
  await tabTo(tab, 'the channel', hasFocus, 'channel');
  await tab.type('/keys');
  await tab.press('Enter');
  const id = await tab.untilJoined();
  await tab.until('the message field in focus', hasFocus, 'text');
  await tab.type('by hand');
  await tab.press('Enter');
  await tab.until('it among the sent', () => document.querySelector('#lines > li.sent > p')?.textContent === 'by hand');
  await tab.untilText('channel-table', '/keys');
  await tabTo(tab, 'the button of the channel', focusSays, '/keys');
  await tab.press('Enter');
  await tab.untilRows('peer-table', 2);
  await tabTo(tab, 'our own dismissal', focusSays, `dismiss ${id}`);
  await tab.press('Enter');
  await tab.until('the question', hasFocus, 'dismiss-reason');
  await tab.press('Escape');
  await tab.until('the focus back', focusSays, `dismiss ${id}`);
  const kept = await askDesk(relay, '/api/peers?channel=/keys');
  await tab.press('Enter');
  await tab.until('the question again', hasFocus, 'dismiss-reason');
  await tab.type('enough');
  await tab.press('Enter');
  await tab.untilText('lines', '1008 enough');
  await tab.untilText('disconnects', 'operator 1');
  await tab.untilText('dismissed', `${id} is dismissed.`);
  return differ('kept at first', kept.total, 2);
}

// Rows change places every other second, also while somebody stands on one of them.
async function focusStays({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const stayed = await tab.evaluate(async () => {
    const { Table } = await import('./console-dom.js');
    const holder = document.body.appendChild(document.createElement('table'));
    const columns = [{ label: 'name', text: ({ name }) => name, press: () => {} }];
    const table = new Table(holder, { key: ({ name }) => name, columns });
    const rows = ['one', 'two', 'three', 'four'].map((name) => ({ name }));
    table.show(rows);
    const button = [...holder.querySelectorAll('button')].at(-1);
    button.focus();
    const orders = [[3, 0, 1, 2], [2, 1, 3], [0, 3]];
    return orders.map((order) => {
      table.show(order.map((at) => rows[at]));
      const shown = [...holder.querySelectorAll('button')].map((each) => each.textContent);
      return [document.activeElement === button, shown.join(' ')];
    });
  });
  return differ('focus and order', stayed, [[true, 'four one two three'], [true, 'three two four'], [true, 'one four']]);
}

// What lies to the right of the screen, boxes that scroll by themselves left out.
function beyond() {
  const isOut = (each) => each.checkVisibility() && !each.closest('.skip, pre, .u-over')
    && each.getBoundingClientRect().right > innerWidth + 0.5;
  return {
    page: Math.max(0, document.documentElement.scrollWidth - innerWidth),
    out: [...document.querySelectorAll('body *')].filter(isOut).map((each) => `${each.tagName} ${each.id}`).slice(0, 5),
  };
}

async function fitsAPhone({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'), { width: 360, height: 740 });
  const long = `/${'w'.repeat(254)}`;
  const peers = [await RawPeer.open(relay.port, long), await RawPeer.open(relay.port, '/phone')];
  await tab.join('/phone');
  const tops = await tab.evaluate(() => ['try', 'plots'].map((id) => document.getElementById(id).getBoundingClientRect().top));
  await peers[1].send('m'.repeat(3_000));
  await peers[1].send(Buffer.alloc(500, 7));
  await tab.until('both messages', () => document.querySelectorAll('#lines > li.heard').length === 2);
  await tab.pressChannel(long);
  await tab.untilRows('peer-table', 1);
  const width = await tab.evaluate(() => innerWidth);
  const problems = differ('to the side', await tab.evaluate(beyond), { page: 0, out: [] });
  await tab.evaluate(() => document.querySelector('#peer-table tbody button').click());
  problems.push(...differ('with the dialog', await tab.evaluate(beyond), { page: 0, out: [] }));
  if (tops[0] > tops[1]) problems.push(`*try it* is below the plots: ${tops}`);
  return [...differ('the width', width, 360), ...problems];
}

async function wearsThemes({ browser, relay }) {
  const tab = await ConsoleTab.open(browser, relay.desk('/'));
  const ground = () => getComputedStyle(document.body).backgroundColor;
  const seen = {};
  while (Object.keys(seen).length < 3) {
    await tab.click('#theme');
    const name = await tab.text('theme');
    if (name in seen) break;
    seen[name] = await tab.evaluate(ground);
  }
  await tab.click('#theme');
  await tab.click('#theme');
  await tab.page.reload();
  await tab.untilText('theme', 'dark');
  const kept = await tab.evaluate(ground);
  await tab.click('#theme');
  const names = Object.keys(seen).sort();
  return [
    ...differ('themes', names, ['Theme: dark', 'Theme: light', 'Theme: system']),
    ...(seen['Theme: light'] === seen['Theme: dark'] ? ['light is dark'] : []),
    ...differ('kept', kept, seen['Theme: dark']),
  ];
}

module.exports = {
  checks: {
    'the keyboard is enough': keyboardAlone,
    'the focus stays where it is while rows move': focusStays,
    'a phone has room': fitsAPhone,
    'light and dark': wearsThemes,
  },
};
