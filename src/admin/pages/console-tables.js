// The tables: channels, the peers of one, why connections were refused and ended.
//
// Owns which channel is looked at, and the dialog that dismisses a peer. Leaves to others: asking the desk (`ask`, from
// console.js), and when.

import { Table, bytes, byId, clock, count, element, plural, setText, span } from './console-dom.js';

const MOST_PEERS = 100;
// What an entry of the log tells of that belongs here: arrivals are in the plots.
const WORDS = { refused: 'refused', ended: 'disconnected', skipped: 'skipped' };

export class Channels {
  constructor(ask) {
    this.ask = ask;
    this.chosen = null;
    this.table = new Table(byId('channel-table'), {
      key: ({ path }) => path,
      columns: [
        { label: 'Channel', is: 'free', text: ({ path }) => path, press: ({ path }) => this.choose(path) },
        { label: 'Peers', is: 'number', text: ({ peers }) => count(peers) },
        { label: 'Event streams', is: 'number', text: (row) => count(row.event_streams) },
        { label: 'Lag', is: 'number', text: (row) => bytes(row.lag_bytes) },
        { label: 'Peers behind', is: 'number', text: (row) => count(row.lagging_peers) },
        { label: 'Backlog', is: 'number', text: (row) => bytes(row.backlog_bytes) },
        { label: 'Rule', is: 'free', text: ({ rule }) => rule ?? '–' },
      ],
    });
    this.peers = new Peers(ask, () => this.showPeers());
    byId('peers-close').addEventListener('click', () => this.choose(null));
    byId('peers').addEventListener('keydown', ({ key }) => key === 'Escape' && this.choose(null));
  }

  async show() {
    const { channels, total } = await this.ask('api/channels');
    this.table.show(channels);
    this.table.mark(({ path }) => path === this.chosen);
    const which = total > channels.length ? `The ${count(channels.length)} slowest of ${count(total)}` : 'The slowest first';
    const words = `${which}; a channel's name shows its peers.`;
    setText(byId('channels-note'), total ? words : 'None: nobody is connected.');
    const paths = channels.map(({ path }) => path);
    if (paths.join('\n') !== this.known) {
      this.known = paths.join('\n');
      byId('known').replaceChildren(...paths.map((path) => element('option', { value: path })));
    }
    if (this.chosen !== null) await this.showPeers();
  }

  // Which channel's peers are shown; null: none.
  async choose(path) {
    const left = this.chosen;
    this.chosen = path === left ? null : path;
    this.table.mark((row) => row.path === this.chosen);
    byId('peers').hidden = this.chosen === null;
    if (this.chosen === null) {
      const row = this.table.rows.get(left);
      row?.holders[0].focus();
      return;
    }
    setText(byId('peers-title'), `Peers of ${this.chosen}`);
    setText(byId('dismissed'), '');
    this.peers.show({ peers: [], total: 0 });
    byId('peers-title').focus();
    await this.showPeers().catch(() => {});
  }

  async showPeers() {
    const path = this.chosen;
    if (path === null) return;
    const answer = await this.ask(`api/peers?channel=${encodeURIComponent(path)}&limit=${MOST_PEERS}`);
    if (path === this.chosen) this.peers.show(answer);
  }
}

class Peers {
  constructor(ask, changed) {
    this.dismissal = new Dismissal(ask, changed);
    this.table = new Table(byId('peer-table'), {
      key: ({ id }) => id,
      columns: [
        { label: 'Id', text: ({ id }) => id },
        { label: 'Address', is: 'wide', text: (peer) => peer.address ?? '–', hint: ({ via }) => (via ? `through ${via}` : '') },
        { label: 'User', is: 'free', text: ({ user }) => user ?? '–' },
        { label: 'May', text: ({ may }) => may.join(', ') || 'nothing' },
        { label: 'Lag', is: 'number', text: (peer) => bytes(peer.lag_bytes) },
        { label: 'Reads', text: (peer) => (peer.takes_bytes ? 'yes' : 'not now') },
        { label: 'In', is: 'number', text: (peer) => count(peer.messages_in), hint: (peer) => bytes(peer.bytes_in) },
        { label: 'Out', is: 'number', text: (peer) => count(peer.messages_out), hint: (peer) => bytes(peer.bytes_out) },
        { label: 'Last heard', is: 'number', text: (peer) => `${span(peer.last_heard_secs)} ago` },
        { label: 'Here for', is: 'number', text: (peer) => span(peer.age_secs) },
        { label: 'Form', text: ({ form }) => form },
        {
          label: 'End it',
          text: () => 'dismiss',
          name: ({ id }) => `dismiss ${id}`,
          press: (peer, button) => this.dismissal.ask(peer, button),
        },
      ],
    });
  }

  show({ peers, total }) {
    this.table.show(peers);
    const all = plural(total, 'peer');
    const words = total > peers.length ? `The ${count(peers.length)} slowest of ${all}.` : `${all}, the slowest first.`;
    setText(byId('peers-note'), words);
  }
}

// Asks before it closes somebody's connection.
class Dismissal {
  constructor(ask, done) {
    this.fetch = ask;
    this.done = done;
    this.dialog = byId('dismiss');
    byId('dismiss-cancel').addEventListener('click', () => this.dialog.close());
    this.dialog.addEventListener('close', () => this.button?.focus());
    byId('dismiss-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.dismiss();
    });
  }

  ask(peer, button) {
    this.peer = peer;
    this.button = button;
    const who = [peer.id, peer.user, peer.address ?? 'without an address'].filter(Boolean).join(', ');
    setText(byId('dismiss-who'), `${who}, on ${peer.channel}`);
    setText(byId('dismiss-problem'), '');
    this.dialog.showModal();
    byId('dismiss-reason').select();
  }

  async dismiss() {
    const reason = encodeURIComponent(byId('dismiss-reason').value);
    const { id } = this.peer;
    try {
      await this.fetch(`api/peers/${encodeURIComponent(id)}?reason=${reason}`, { method: 'DELETE' });
    } catch (error) {
      setText(byId('dismiss-problem'), `It did not work: ${error.message}`);
      return;
    }
    this.button = byId('peers-title');
    this.dialog.close();
    await this.done().catch(() => {});
    setText(byId('dismissed'), `${id} is dismissed.`);
  }
}

export class Ends {
  constructor(ask) {
    this.ask = ask;
    this.newest = null;
    this.table = new Table(byId('log-table'), {
      key: ({ seq }) => seq,
      columns: [
        { label: 'Time', text: (entry) => clock(entry.at_ms) },
        { label: 'What', text: ({ event }) => WORDS[event] },
        { label: 'Reason', text: ({ reason }) => reason ?? '–' },
        { label: 'Channel', is: 'free', text: ({ channel }) => channel ?? '–' },
        { label: 'Address', is: 'wide', text: ({ address }) => address ?? '–' },
        { label: 'Id', text: ({ peer }) => peer ?? '–' },
        { label: 'User', is: 'free', text: ({ user }) => user ?? '–' },
        { label: 'After', is: 'number', text: ({ lasted_secs: secs }) => (Number.isFinite(secs) ? span(secs) : '–') },
      ],
    });
  }

  showTotals({ refused, disconnects }) {
    this.chips(byId('refused'), refused);
    this.chips(byId('disconnects'), disconnects);
  }

  chips(list, totals) {
    const counted = Object.entries(totals).filter(([, n]) => n > 0).sort(([, one], [, other]) => other - one);
    const said = JSON.stringify(counted);
    if (list.dataset.said === said) return;
    list.dataset.said = said;
    const chips = counted.map(([reason, n]) => element('li', {}, element('code', {}, reason), ` ${count(n)}`));
    list.replaceChildren(...(chips.length ? chips : [element('li', { class: 'none' }, 'none so far')]));
  }

  async show() {
    const { entries } = await this.ask('api/log');
    // Another process counts from the beginning again.
    const newest = entries.length ? `${entries[0].at_ms} ${entries[0].seq}` : '';
    if (newest === this.newest) return;
    this.newest = newest;
    this.table.show(entries.filter(({ event }) => event in WORDS));
  }
}
