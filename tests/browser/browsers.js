// Starts a headless browser and opens tabs in it. Owns the browser's process: `stop` ends it, and so does our exit.
//
// Promises that nothing is written to the user's home directory, and that neither browser is given a way out of this
// machine: no name resolves and no proxy is there. What an interrupted run leaves lies in TMPDIR.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { within } = require('./relay.js');

const START_SECS = 40;

// run.js hears the signals; at its exit both libraries kill what they started.
const UNHEARD = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };

const CHROMIUM = [
  '--no-sandbox',
  '--no-first-run',
  '--no-proxy-server',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-domain-reliability',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

// All that is not loopback goes to a proxy on a port where nobody listens; loopback goes to no proxy.
const FIREFOX = {
  'network.proxy.type': 1,
  'network.proxy.http': '127.0.0.1',
  'network.proxy.http_port': 9,
  'network.proxy.ssl': '127.0.0.1',
  'network.proxy.ssl_port': 9,
  'network.proxy.allow_hijacking_localhost': false,
  'network.proxy.failover_direct': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.trr.mode': 5,
  'network.dns.disabled': true,
  'app.update.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
};

async function startChromium(executablePath, env) {
  const { chromium } = require('playwright-core');
  const browser = await chromium.launch({
    executablePath,
    env,
    args: CHROMIUM,
    timeout: START_SECS * 1000,
    ...UNHEARD,
  });
  const context = await browser.newContext();
  return { browser, newPage: () => context.newPage() };
}

// Chromium as people have it: a tab that is not in front is hidden, and its timers are throttled. Playwright's tabs are
// always in sight.
async function startHiding(executablePath, env) {
  const puppeteer = require('puppeteer-core');
  const browser = await puppeteer.launch({
    executablePath,
    env,
    headless: true,
    ...UNHEARD,
    args: CHROMIUM,
    ignoreDefaultArgs: [
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
    ],
    timeout: START_SECS * 1000,
  });
  return { browser, newPage: () => browser.newPage() };
}

async function startFirefox(executablePath, env) {
  const puppeteer = require('puppeteer-core');
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath,
    env,
    headless: true,
    ...UNHEARD,
    extraPrefsFirefox: FIREFOX,
    timeout: START_SECS * 1000,
  });
  return { browser, newPage: () => browser.newPage() };
}

// One tab: calls what page.js offers, each call bounded.
class Tab {
  constructor(page) {
    this.page = page;
  }

  call(method, argument, secs) {
    // `page` in the function is the one of page.js: the function runs in the tab.
    const run = this.page.evaluate(([name, given]) => page[name](given), [method, argument]);
    return within(secs, `${method} in a tab`, run);
  }
}

class Browser {
  constructor({ browser, newPage }, home) {
    this.browser = browser;
    this.newPage = newPage;
    this.home = home;
  }

  static async start(kind, executablePath) {
    const start = { firefox: startFirefox, hiding: startHiding }[kind] ?? startChromium;
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wsrelayd-browser-'));
    const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home };
    const started = await within(START_SECS + 5, `the start of ${kind}`, start(executablePath, env));
    return new Browser(started, home);
  }

  version() {
    return this.browser.version();
  }

  // As another user would: with nothing of what the others have.
  async openTabApart(url) {
    const { browser } = this;
    const context = await (browser.newContext ?? browser.createBrowserContext).call(browser);
    return this.openTab(url, () => context.newPage());
  }

  async openTab(url, newPage = this.newPage) {
    const opened = (async () => {
      const page = await newPage();
      await page.goto(url);
      return new Tab(page);
    })();
    return within(20, 'a new tab', opened);
  }

  // Both libraries kill at our exit what did not close in time.
  async stop() {
    await within(10, 'the end of the browser', this.browser.close());
    fs.rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

module.exports = { Browser };
