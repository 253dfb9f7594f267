// Checks of *try it* with tokens and subprotocols: how a token goes out, and where it must not stand; and what the tables say
// of rights.
'use strict';

const { differ } = require('./checks.js');
const { ConsoleTab, askDesk } = require('./console-tab.js');
const { serve } = require('./pages.js');
const { Relay } = require('./relay.js');
const { Issuer } = require('./tokens.js');

const ANY = '127.0.0.1:0';
const RULES = `token_leeway = "0s"
[[channel]]
path = "/**"
[[channel]]
path = "/secret/*"
subscribe = "token"
publish = "token"
subprotocols = ["chat.v1", "wsrelayd", "chat"]
`;
const PATHS = ['/secret/*'];
const MARY = { subscribe: PATHS, publish: PATHS, sub: 'mary' };
// What browsers say of a handshake that is refused.
const REFUSED = /WebSocket connection to|establish a connection|was interrupted/;

// A check with a relay of its own, whose tokens an issuer makes.
function withTokens(run) {
  return async (world) => {
    const issuer = new Issuer();
    const pages = await serve(issuer.files = {});
    const relay = await Relay.start(world.binary, issuer.setting + pages.setting + world.config + RULES, ANY, ANY);
    try {
      const tab = await ConsoleTab.open(world.browser, relay.desk('/'));
      tab.expected = REFUSED;
      await tab.until('the address of the relay', () => document.getElementById('relay').value !== '');
      await tab.fill('channel', '/secret/1');
      await tab.click('#rights summary');
      const problems = await run({ ...world, relay, issuer, tab, pages });
      return [...problems, ...await ConsoleTab.closeAll()];
    } finally {
      pages.stop();
      await relay.stop();
    }
  };
}

// As if it were pasted: a token that is typed letter by letter may have run out by its end.
function paste(tab, id, words) {
  return tab.evaluate(([name, value]) => {
    const field = document.getElementById(name);
    field.focus();
    field.value = value;
    field.dispatchEvent(new Event('input', { bubbles: true }));
  }, [id, words]);
}

async function tokenJoins({ relay, issuer, tab }) {
  const token = issuer.token(60, MARY);
  await paste(tab, 'token', token);
  await tab.press('Enter');
  const id = await tab.untilJoined();
  await tab.pressChannel('/secret/1');
  await tab.untilRows('peer-table', 1);
  const cells = (table) => [...document.querySelectorAll(`#${table} tbody td`)].map((cell) => [cell.dataset.label, cell.textContent]);
  const peer = Object.fromEntries(await tab.evaluate(cells, 'peer-table'));
  const channel = Object.fromEntries(await tab.evaluate(cells, 'channel-table'));
  const places = await tab.evaluate(() => ({
    address: location.href,
    kept: JSON.stringify({ ...localStorage, ...sessionStorage }),
    cookies: document.cookie,
    page: document.documentElement.outerHTML,
    text: document.body.innerText,
  }));
  const field = await tab.evaluate(() => ['type', 'autocomplete', 'name'].map((name) => document.getElementById('token').getAttribute(name)));
  const said = { ...places, asked: tab.asked.join(), log: relay.output, desk: JSON.stringify(await askDesk(relay, '/api/log')) };
  const told = (await tab.lines('note')).map(({ text }) => text);
  await tab.page.reload();
  const left = await tab.evaluate(() => document.getElementById('token').value);
  return [
    ...differ('the peer', [peer.Id, peer.User, peer.May], [id, 'mary', 'subscribe, publish']),
    ...differ('the rule', channel.Rule, '/secret/*'),
    ...differ('the field', field, ['password', 'off', null]),
    ...differ('told', told, ['Connected to /secret/1, with the subprotocol wsrelayd.']),
    ...differ('places with the token', Object.keys(said).filter((name) => said[name].includes(token)), []),
    ...differ('after a reload', left, ''),
  ];
}

async function withoutOne({ tab }) {
  await tab.click('#connect-button');
  await tab.untilText('lines', 'No connection to');
  await tab.untilText('refused', 'token_missing');
  await tab.click('#connect-button');
  await tab.fill('token', 'no token');
  await tab.press('Enter');
  await tab.untilText('lines', 'This is no token: it holds characters that no token has.');
  const state = await tab.text('link-state');
  const isShown = (await tab.text('lines')).includes('no token.');
  return [...differ('joined', state, 'not connected'), ...(isShown ? ['what was typed is shown'] : [])];
}

// Enter in the field must not end what it is typed for.
async function takesANewOne({ issuer, tab }) {
  await paste(tab, 'token', issuer.token(3, MARY));
  await tab.press('Enter');
  await tab.untilJoined();
  await tab.untilText('lines', 'The connection is gone (1008 token-expired).');
  await tab.untilText('refused', 'token_expired');
  await paste(tab, 'token', issuer.token(60, MARY));
  await tab.press('Enter');
  await tab.untilJoined();
  await tab.untilText('link-returns', '1 time');
  return differ('the end', (await tab.text('disconnects')).includes('token_expired'), true);
}

async function choosesASubprotocol({ issuer, tab }) {
  await paste(tab, 'token', issuer.token(60, MARY));
  await tab.fill('protocols', 'chat.v2, chat.v1 chat.v2');
  await tab.press('Enter');
  await tab.untilJoined();
  await tab.untilText('lines', 'with the subprotocol chat.v1');
  await tab.click('#connect-button');
  await tab.fill('protocols', 'no, (good)');
  await tab.press('Enter');
  await tab.untilText('lines', 'No subprotocol: (good).');
  return [];
}

// The code to copy asks for a token, and holds none.
async function codeAsks({ browser, issuer, tab, pages, relay }) {
  const token = issuer.token(60, MARY);
  await paste(tab, 'token', token);
  await tab.fill('protocols', 'chat');
  const code = await tab.text('code');
  const client = await (await fetch(relay.desk('/wsrelayd.js'))).text();
  Object.assign(issuer.files, { '/': ['text/html', code], '/wsrelayd.js': ['text/javascript', client] });
  const answer = (page) => page.on('dialog', (dialog) => dialog.accept(token));
  const own = await ConsoleTab.open(browser, `${pages.origin}/`, { prepare: answer });
  await own.untilText('state', 'open');
  await own.close();
  return code.includes(token) ? ['the code holds the token'] : [];
}

// On a phone with all of it unfolded.
async function fitsAPhone({ tab }) {
  await tab.resize(360, 740);
  const page = await tab.evaluate(() => {
    const fields = ['token', 'protocols', 'connect-button'].map((id) => document.getElementById(id).getBoundingClientRect());
    return [document.documentElement.scrollWidth - innerWidth, fields.every(({ left, right, height }) => left >= 0 && right <= innerWidth && height > 20)];
  });
  return differ('to the side, and all fields in sight', page, [0, true]);
}

module.exports = {
  checks: {
    'a token joins, and stands nowhere': withTokens(tokenJoins),
    'without one, or with what is none: said so': withTokens(withoutOne),
    'a token runs out: a new one that is typed is taken': withTokens(takesANewOne),
    'the subprotocol that is chosen is said': withTokens(choosesASubprotocol),
    'the code to copy asks for a token, and holds none': withTokens(codeAsks),
    'a phone has room for a token': withTokens(fitsAPhone),
  },
};
