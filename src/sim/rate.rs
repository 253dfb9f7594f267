//! How much each client and each address has published, held against their rates.
//!
//! What is sent costs the time in which the rate brings as much. Nobody may begin to send what it cannot begin to pay: so
//! in any time no more is published than the rate brings, the burst, and one message; of an address one for each of its
//! clients, as what was begun may be ended. What was read before a reload is free. Two reckonings are kept. The one
//! favours the sender, and whoever is over its rate by that was read too soon; the other favours the relay, and whoever
//! may go on even by that and does not rests too long.

use std::{collections::BTreeMap, time::Duration};

use super::{client::Kind, net::Socket, verdict::TICK, world::World};
use crate::{
    address::Network,
    counters::Disconnect,
    limits::{Limits, OnRate},
};

/// Over how long those are spread who wait for the rate of their address.
const SPREAD: Duration = Duration::from_millis(200);

/// Header and mask of the smallest message.
const LEAST_FRAME: usize = 6;

const SECOND_NANOS: i128 = 1_000_000_000;

/// Who pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Payer {
    Client(usize),
    Address(Network),
}

/// Until when what was sent is paid for, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Debt {
    /// At the least; nothing is known after a reload.
    least: Option<i128>,
    /// At the most.
    most: Option<i128>,
    /// Since when there is a debt by the least of it.
    since: i128,
}

impl Debt {
    /// What may have been free costs nothing at the least.
    fn charge(&mut self, sent: usize, per_sec: usize, burst: Duration, is_free: bool, now: i128) {
        if per_sec == 0 {
            return;
        }
        let free = now - nanos(burst);
        let (sent, per_sec) = (sent as i128 * SECOND_NANOS, per_sec as i128);
        self.most = Some(self.most.map_or(free, |most| most.max(free)) + sent / per_sec + 1);
        if is_free {
            return;
        }
        if self.least.is_none_or(|least| least < now) {
            self.since = now;
        }
        self.least = Some(self.least.map_or(free, |least| least.max(free)) + sent / per_sec);
    }
}

fn nanos(time: Duration) -> i128 {
    time.as_nanos() as i128
}

/// All debts, for messages and for bytes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    debts: BTreeMap<Payer, [Debt; 2]>,
    /// Peers that were closed for their rates.
    closed: u64,
    /// Who has ended a message, which it may have begun before, while its address was in debt since then.
    ended: BTreeMap<(usize, Payer), i128>,
    /// Bytes of each client that may have been read before the last reload.
    free: BTreeMap<usize, usize>,
}

impl World {
    /// Who pays for what a client sends, as things stand.
    fn payers(&self, number: usize) -> impl Iterator<Item = Payer> {
        let client = &self.clients[number];
        let limits = self.here(client.channel);
        let own = limits.messages_per_sec > 0 || limits.bytes_per_sec > 0;
        let own = (own && client.kind != Kind::Poster).then_some(Payer::Client(number));
        let address = self.roads[number].client().filter(|_| limits.meters_addresses());
        own.into_iter().chain(address.map(Payer::Address))
    }

    /// A client has published a message of so many bytes.
    pub(super) fn charge(&mut self, number: usize, len: usize) -> Result<(), String> {
        let now = nanos(self.now);
        let is_free = self.is_free(number, len);
        let limits = self.here(self.clients[number].channel).clone_rates();
        for payer in self.payers(number).collect::<Vec<_>>() {
            let debts = self.tally.debts.entry(payer).or_default();
            let is_over = |debt: &&Debt| !is_free && debt.least.is_some_and(|least| least >= now);
            if let Some(&Debt { least: Some(over), since, .. }) = debts.iter().find(is_over)
                && (matches!(payer, Payer::Client(_))
                    || self.tally.ended.insert((number, payer), since) == Some(since))
            {
                let early = Duration::from_nanos((over - now) as u64);
                return Err(format!("client {number} was read {early:?} before {payer:?} had paid"));
            }
            let Rates { own, address, burst } = limits;
            let (messages, bytes) = if matches!(payer, Payer::Client(_)) { own } else { address };
            let [of_messages, of_bytes] = debts;
            of_messages.charge(1, messages, burst, is_free, now);
            of_bytes.charge(len, bytes, burst, is_free, now);
        }
        Ok(())
    }

    /// Whether a message may have been read before the last reload.
    fn is_free(&mut self, number: usize, len: usize) -> bool {
        let Some(free) = self.tally.free.get_mut(&number).filter(|free| **free > 0) else { return false };
        *free = free.saturating_sub(len + LEAST_FRAME);
        true
    }

    /// Until when a client may be left unread for its rate.
    pub(super) fn rests_until(&self, number: usize) -> Duration {
        let most = |payer| {
            let debts = self.tally.debts.get(&payer)?;
            debts.iter().filter_map(|debt| debt.most).max()
        };
        let most = self.payers(number).filter_map(most).max().unwrap_or_default().max(0);
        Duration::from_nanos(most as u64)
    }

    /// Rates have changed: what was owed under the former ones is not known any more to the least.
    pub(super) fn forget_debts(&mut self) {
        self.tally.debts.values_mut().flatten().for_each(|debt| debt.least = None);
        let most = self.plan.limits.turn.read_per_peer;
        self.tally.free = (0..self.clients.len()).map(|number| (number, most)).collect();
    }

    /// Whoever was closed for its rate in this turn was over it.
    pub(super) fn check_closed_for_rate(&mut self) -> Result<(), String> {
        let closed = super::core::counters(&self.core).disconnected(Disconnect::Rate);
        let newly = closed - std::mem::replace(&mut self.tally.closed, closed);
        if newly == 0 {
            return Ok(());
        }
        let was_there = |socket: &Socket, buried_at| !socket.buried || buried_at == Some(self.now);
        let is_over = |number: &usize| {
            let (client, socket) = (&self.clients[*number], &self.net.sockets[*number]);
            client.is_over_rate_for_good(self.here(client.channel), self.book.accepted[*number])
                && was_there(socket, self.fortunes[*number].buried_at)
                && self.rests_until(*number) >= self.now
        };
        let over: Vec<_> = (0..self.clients.len()).filter(is_over).collect();
        over.iter().for_each(|number| self.fortunes[*number].was_over_rate = true);
        if newly > over.len() as u64 {
            return Err(format!("law 8: {newly} are closed for their rates, {} were over them", over.len()));
        }
        Ok(())
    }

    /// Whoever waits for its rate is read again in time.
    pub(super) fn judge_rest(&self, number: usize) -> Result<(), String> {
        let (client, socket) = (&self.clients[number], &self.net.sockets[number]);
        let limits = self.here(client.channel);
        let lies_here = client.has_sent_all() && self.book.accepted[number] < client.sent.len();
        let has_more = socket.has_unread() || lies_here && client.breach.is_none();
        let waits = limits.meters() && limits.on_rate == OnRate::Wait && has_more;
        if !waits || !client.is_welcome() || !client.is_talking() || socket.buried || socket.tainted {
            return Ok(());
        }
        let until = self.rests_until(number);
        if self.now > until.max(socket.heard_at) + TICK * 2 + SPREAD {
            return Err(format!("law 6: client {number} has paid until {until:?}, and rests"));
        }
        Ok(())
    }

    /// What all that is not published yet costs, at the most.
    pub(super) fn outstanding(&self) -> Duration {
        let time = |n: usize, rate: usize| {
            if rate == 0 { Duration::ZERO } else { Duration::from_secs_f64(n as f64 / rate as f64) }
        };
        let of_client = |number: &usize| {
            let client = &self.clients[*number];
            let Rates { own, address, .. } = self.here(client.channel).clone_rates();
            let rest = client.sent.iter().skip(self.book.accepted[*number]);
            let (messages, bytes) = rest.fold((0, 0), |(n, bytes), one| (n + 1, bytes + one.payload.len()));
            let each = |(per_sec, bytes_per_sec)| time(messages, per_sec) + time(bytes, bytes_per_sec);
            each(own) + each(address) + (TICK + SPREAD) * messages as u32
        };
        let metered = |number: &&usize| self.here(self.clients[**number].channel).meters();
        let debts = self.tally.debts.values().flatten().filter_map(|debt| debt.most).max().unwrap_or(0);
        let debts = Duration::from_nanos((debts - nanos(self.now)).max(0) as u64);
        self.living.iter().filter(metered).map(of_client).sum::<Duration>() + debts
    }
}

/// The rates of some limits, for messages and for bytes.
#[derive(Clone, Copy)]
struct Rates {
    own: (usize, usize),
    address: (usize, usize),
    burst: Duration,
}

impl Limits {
    fn clone_rates(&self) -> Rates {
        Rates {
            own: (self.messages_per_sec as usize, self.bytes_per_sec),
            address: (self.address_messages_per_sec as usize, self.address_bytes_per_sec),
            burst: self.rate_burst,
        }
    }
}
