// One tab with the console in it, in either browser: what is done in it, and what is read out of it.
//
// Promises that every wait ends and says what it waited for. Collects what must never happen: errors in the tab,
// violations of the page's own policy, requests to anywhere but the desk.
'use strict';

const { within } = require('./relay.js');

const CALL_SECS = 15;
const UNTIL_SECS = 15;
const LOOK_MILLIS = 50;

// All that are open.
const tabs = new Set();

const sleep = (millis) => new Promise((resolve) => { setTimeout(resolve, millis); });

class ConsoleTab {
  static async open(browser, desk, { hash = '', width = 1280, height = 900, prepare = () => {} } = {}) {
    const tab = new ConsoleTab();
    tab.origin = new URL(desk).origin;
    tab.page = await within(20, 'a new tab', browser.newPage());
    tabs.add(tab);
    tab.problems = [];
    tab.asked = [];
    // Errors that belong to what a check does.
    tab.expected = /^$/;
    await tab.watch();
    await tab.resize(width, height);
    await prepare(tab.page);
    await within(20, 'the console', tab.page.goto(`${desk}${hash}`));
    return tab;
  }

  async watch() {
    const { page } = this;
    page.on('pageerror', (error) => this.problems.push(`error: ${error.message}`));
    page.on('console', (message) => {
      const isBad = ['error', 'warning', 'warn'].includes(message.type());
      if (isBad) this.problems.push(`${message.type()}: ${message.text()}`);
    });
    page.on('request', (request) => this.asked.push(request.url()));
    const record = () => {
      globalThis.violations = [];
      addEventListener('securitypolicyviolation', (event) => {
        globalThis.violations.push(`${event.effectiveDirective} forbids ${event.blockedURI}`);
      });
    };
    await (page.addInitScript ? page.addInitScript(record) : page.evaluateOnNewDocument(record));
  }

  resize(width, height) {
    const { page } = this;
    return page.setViewportSize ? page.setViewportSize({ width, height }) : page.setViewport({ width, height });
  }

  // What `run` gives in the tab.
  evaluate(run, argument) {
    return within(CALL_SECS, 'a look into a tab', this.page.evaluate(run, argument));
  }

  // What `run` gives as soon as that is something; `what` names it.
  async until(what, run, argument, secs = UNTIL_SECS) {
    const deadline = Date.now() + secs * 1000;
    for (;;) {
      const found = await this.evaluate(run, argument);
      if (found) return found;
      if (Date.now() > deadline) throw new Error(`${what}: not within ${secs} s; ${await this.tells()}`);
      await sleep(LOOK_MILLIS);
    }
  }

  // The tab in a few words, for who reads of a failure.
  async tells() {
    const words = await this.evaluate(() => document.body.innerText.replaceAll(/\s+/g, ' ').slice(0, 1500));
    return `${this.problems.slice(0, 3).join('; ')} | ${words}`;
  }

  text(id) {
    return this.evaluate((name) => document.getElementById(name).textContent, id);
  }

  untilText(id, wanted, secs) {
    const look = ([name, words]) => document.getElementById(name).textContent.includes(words);
    return this.until(`${wanted} in #${id}`, look, [id, wanted], secs);
  }

  click(selector) {
    return within(CALL_SECS, `a click on ${selector}`, this.page.click(selector));
  }

  press(key) {
    return within(CALL_SECS, `the key ${key}`, this.page.keyboard.press(key));
  }

  type(words) {
    return within(CALL_SECS, 'typing', this.page.keyboard.type(words));
  }

  async fill(id, words) {
    await this.evaluate((name) => {
      document.getElementById(name).focus();
      document.getElementById(name).select();
    }, id);
    await this.type(words);
  }

  // Chooses a channel and connects; gives the connection's own id.
  async join(channel) {
    await this.until('the address of the relay', () => document.getElementById('relay').value !== '');
    await this.fill('channel', channel);
    await this.press('Enter');
    return this.untilJoined();
  }

  async untilJoined(secs) {
    const isOpen = () => document.getElementById('link-state').dataset.state === 'open';
    await this.until('an open connection', isOpen, null, secs);
    const id = () => /^\d+\.\d+$/.exec(document.getElementById('link-id').textContent)?.[0];
    return this.until('the id', id, null, secs);
  }

  async say(words) {
    await this.fill('text', words);
    await this.press('Enter');
  }

  sendFile(bytes, name = 'file.bin') {
    return this.evaluate(([values, called]) => {
      const chosen = new DataTransfer();
      chosen.items.add(new File([new Uint8Array(values)], called));
      const field = document.getElementById('file');
      field.files = chosen.files;
      field.dispatchEvent(new Event('change', { bubbles: true }));
    }, [[...bytes], name]);
  }

  // The lines of one way: `heard`, `sent` or `note`.
  lines(way) {
    return this.evaluate((wanted) => {
      const lines = [...document.querySelectorAll(`#lines > li.${wanted}`)];
      return lines.map((line) => ({
        kind: line.dataset.kind,
        size: Number(line.dataset.size),
        text: line.lastElementChild.textContent,
        time: line.querySelector('time').textContent,
      }));
    }, way);
  }

  async untilHeard(text, secs) {
    const look = (words) => {
      const heard = [...document.querySelectorAll('#lines > li.heard > p')];
      return heard.some((line) => line.textContent === words);
    };
    return this.until(`"${text.slice(0, 40)}" among what was heard`, look, text, secs);
  }

  untilRows(table, count) {
    const look = ([id, wanted]) => document.querySelectorAll(`#${id} tbody tr`).length === wanted;
    return this.until(`${count} rows in #${table}`, look, [table, count]);
  }

  // Presses a channel's button in the table as soon as it is there.
  pressChannel(name) {
    const press = (words) => {
      const buttons = [...document.querySelectorAll('#channel-table button')];
      const found = buttons.find((each) => each.textContent === words);
      found?.click();
      return found !== undefined;
    };
    return this.until(`the channel ${name.slice(0, 40)}`, press, name);
  }

  values() {
    return this.evaluate(() => globalThis.consoleValues());
  }

  // What must never happen, and did.
  async offences() {
    const violations = await this.evaluate(() => globalThis.violations);
    // Firefox tells of *try it*'s own connection as of a request.
    const isFine = (url) => url.startsWith(`${this.origin}/`) || /^(blob|data):|\?wsrelayd-tag=[0-9a-f]+$/.test(url);
    const elsewhere = this.asked.filter((url) => !isFine(url));
    const errors = this.problems.filter((problem) => !this.expected.test(problem));
    return [...errors, ...violations, ...elsewhere.map((url) => `asked ${url}`)];
  }

  front() {
    return within(CALL_SECS, 'a tab to the front', this.page.bringToFront());
  }

  close() {
    tabs.delete(this);
    return within(CALL_SECS, 'the end of a tab', this.page.close());
  }

  // Closes all; gives what must never happen, and did.
  static async closeAll() {
    const problems = [];
    for (const tab of [...tabs]) {
      problems.push(...await tab.offences());
      await tab.close();
    }
    return problems;
  }
}

// What the desk itself says.
async function askDesk(relay, target) {
  const answer = await within(10, target, fetch(relay.desk(target)));
  if (!answer.ok) throw new Error(`${target}: ${answer.status}`);
  return answer.json();
}

module.exports = { ConsoleTab, askDesk, sleep };
