//! Who is here from which address: how many connections, and how many handshakes of late.
//!
//! Owns the accounts of all clients whose addresses are limited. An account is open while its client has connections,
//! and after that for as long as its handshakes still count. Promises: counts are exact; what an address that floods us
//! may take is its connections and `REFUSALS_AT_ONCE`; the number of accounts is bounded, by the connections and
//! `IDLE_ADDRESSES`. Leaves to others whose address is limited, and which it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    address::Network,
    handshake::Refusal,
    limits::{IDLE_ADDRESSES, Limits},
    meter::{Meter, Room},
    peer::Stay,
    token_bucket::TokenBucket,
};

/// So many seconds' worth of handshakes may come at once: a page with some sockets, opened again and again, is none of
/// our business. It is also how long an account takes to be as good as new.
const BURST_SECS: u32 = 5;

/// Refusals of one client that are under way; each holds a slot until its client has gone. Whoever comes beyond that is
/// dropped without an answer, or a single address would fill the relay with refusals.
const REFUSALS_AT_ONCE: usize = 8;

/// The accounts.
#[derive(Debug)]
pub(super) struct Visitors {
    accounts: BTreeMap<Network, Account>,
    /// Those without connections, by the time at which they are as good as new.
    idle: BTreeSet<(Instant, Network)>,
    /// The latest time that anybody told.
    latest: Instant,
}

#[derive(Debug)]
struct Account {
    connections: usize,
    /// Refused, and still in their slots.
    refused: usize,
    handshakes: TokenBucket,
    /// What its peers have sent of late, where that is limited: messages and bytes.
    meters: Option<[Meter; 2]>,
    /// Its place among the idle.
    idle_until: Option<Instant>,
}

/// What becomes of one more connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Welcome(Stay),
    Refuse(Stay, Refusal),
    /// Refused, and not even told so.
    Drop(Refusal),
}

impl Visitors {
    pub(super) fn new(now: Instant) -> Self {
        Self { accounts: BTreeMap::new(), idle: BTreeSet::new(), latest: now }
    }

    /// One more connection of a client.
    pub(super) fn admit(&mut self, client: Network, limits: &Limits, now: Instant) -> Answer {
        self.latest = self.latest.max(now);
        let account = self.accounts.entry(client).or_insert_with(|| Account::new(limits, now));
        if let Some(until) = account.idle_until.take() {
            self.idle.remove(&(until, client));
        }
        match account.objection(limits, now) {
            None => {
                account.connections += 1;
                Answer::Welcome(Stay { client, is_refused: false })
            }
            Some(refusal) if account.refused < REFUSALS_AT_ONCE => {
                account.refused += 1;
                Answer::Refuse(Stay { client, is_refused: true }, refusal)
            }
            Some(refusal) => Answer::Drop(refusal),
        }
    }

    /// A peer of this client has sent one message of so many bytes, at the rates of these limits.
    pub(super) fn charge(&mut self, client: Network, len: usize, limits: &Limits, now: Instant) {
        let Some(account) = self.accounts.get_mut(&client) else { return };
        let burst = limits.rate_burst;
        let [messages, bytes] = account.meters.get_or_insert_with(|| [Meter::new(burst, now); 2]);
        messages.charge(1, limits.address_messages_per_sec.into(), burst, now);
        bytes.charge(len as u64, limits.address_bytes_per_sec as u64, burst, now);
    }

    /// Other rates hold: what was sent at the old ones is forgotten.
    pub(super) fn renew_meters(&mut self) {
        self.accounts.values_mut().for_each(|account| account.meters = None);
    }

    /// When the peers of this client may send more, if that is not at once.
    pub(super) fn free_at(&self, client: Network, now: Instant) -> Option<Instant> {
        let [messages, bytes] = self.accounts.get(&client)?.meters.as_ref()?;
        messages.free_at(now).max(bytes.free_at(now))
    }

    /// How much the peers of this client may send at once.
    pub(super) fn room(&self, client: Network, limits: &Limits, now: Instant) -> Room {
        let burst = limits.rate_burst;
        let meters = self.accounts.get(&client).and_then(|account| account.meters);
        let [messages, bytes] = meters.unwrap_or_else(|| [Meter::new(burst, now); 2]);
        Room {
            messages: messages.room(limits.address_messages_per_sec.into(), burst, now),
            bytes: bytes.room(limits.address_bytes_per_sec as u64, burst, now),
        }
    }

    /// A connection that was counted is no more. Says how many accounts had to be closed early.
    pub(super) fn leave(&mut self, stay: Stay, limits: &Limits) -> u64 {
        let Stay { client, is_refused } = stay;
        let Some(account) = self.accounts.get_mut(&client) else { return 0 };
        let count = if is_refused { &mut account.refused } else { &mut account.connections };
        *count -= 1;
        if account.connections + account.refused > 0 {
            return 0;
        }
        let handshakes = Duration::from_secs(BURST_SECS.into());
        let counts = (limits.handshakes_per_address_per_sec > 0).then_some(self.latest + handshakes);
        let Some(until) =
            counts.max(account.full_at(limits.greatest_burst())).filter(|until| *until > self.latest)
        else {
            self.accounts.remove(&client);
            return 0;
        };
        account.idle_until = Some(until);
        self.idle.insert((until, client));
        self.shed()
    }

    fn shed(&mut self) -> u64 {
        let mut shed = 0;
        while self.idle.len() > IDLE_ADDRESSES {
            self.close_first();
            shed += 1;
        }
        shed
    }

    fn close_first(&mut self) {
        if let Some((_, client)) = self.idle.pop_first() {
            self.accounts.remove(&client);
        }
    }

    /// Closes the accounts that are as good as new.
    pub(super) fn forget(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
        while self.idle.first().is_some_and(|(until, _)| *until <= now) {
            self.close_first();
        }
    }

    /// Clients that are counted.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Holds the counts against those of all peers.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn audit(&self, stays: impl Iterator<Item = Stay>) -> Result<(), String> {
        let mut found = BTreeMap::<_, (usize, usize)>::new();
        for stay in stays {
            let (connections, refused) = found.entry(stay.client).or_default();
            *if stay.is_refused { refused } else { connections } += 1;
        }
        let counted = |account: &Account| (account.connections, account.refused);
        for (client, account) in &self.accounts {
            let (found, counted) = (found.remove(client).unwrap_or_default(), counted(account));
            if found != counted || counted.1 > REFUSALS_AT_ONCE {
                return Err(format!(
                    "{client}: found {found:?} connections and refusals, counted {counted:?}"
                ));
            }
            let is_listed = account.idle_until.is_some_and(|until| self.idle.contains(&(until, *client)));
            if is_listed != (counted == (0, 0)) {
                return Err(format!("{client} is among the idle: {is_listed}, with {counted:?}"));
            }
        }
        if let Some((client, _)) = found.first_key_value() {
            return Err(format!("{client} has connections and no account"));
        }
        let idle = self.accounts.values().filter(|account| account.idle_until.is_some()).count();
        if idle != self.idle.len() || idle > IDLE_ADDRESSES {
            return Err(format!("{idle} accounts are idle, {} listed (law 9)", self.idle.len()));
        }
        Ok(())
    }
}

impl Account {
    fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            connections: 0,
            refused: 0,
            handshakes: TokenBucket::new(burst(limits), now),
            meters: None,
            idle_until: None,
        }
    }

    /// When its meters are as good as new, where they have any.
    fn full_at(&self, burst: Duration) -> Option<Instant> {
        self.meters.and_then(|[messages, bytes]| messages.full_at(burst).max(bytes.full_at(burst)))
    }

    /// What speaks against one more connection. A handshake counts even where there is no place for it.
    fn objection(&mut self, limits: &Limits, now: Instant) -> Option<Refusal> {
        let rate = limits.handshakes_per_address_per_sec;
        let most = limits.max_connections_per_address;
        if rate > 0 && !self.handshakes.take(rate, burst(limits), now) {
            Some(Refusal::AddressRate)
        } else {
            (most > 0 && self.connections >= most).then_some(Refusal::AddressConnections)
        }
    }
}

fn burst(limits: &Limits) -> u32 {
    limits.handshakes_per_address_per_sec.saturating_mul(BURST_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;
    use proptest::prelude::*;

    #[allow(clippy::disallowed_methods)]
    fn start() -> Instant {
        Instant::now()
    }

    fn client(n: u32) -> Network {
        crate::address::Source::from(IpAddr::from((0xCB00_7100 + n).to_be_bytes())).client().unwrap()
    }

    fn limits(connections: usize, rate: u32) -> Limits {
        Limits {
            max_connections_per_address: connections,
            handshakes_per_address_per_sec: rate,
            ..Limits::default()
        }
    }

    fn stay(answer: Answer) -> Stay {
        match answer {
            Answer::Welcome(stay) | Answer::Refuse(stay, _) => stay,
            Answer::Drop(refusal) => panic!("dropped: {refusal:?}"),
        }
    }

    #[test]
    fn so_many_connections_and_then_refusals_and_then_nothing() {
        let (limits, now) = (limits(3, 0), start());
        let mut visitors = Visitors::new(now);
        let mut stays: Vec<_> = (0..3).map(|_| stay(visitors.admit(client(1), &limits, now))).collect();
        assert!(stays.iter().all(|stay| !stay.is_refused));
        for _ in 0..REFUSALS_AT_ONCE {
            let answer = visitors.admit(client(1), &limits, now);
            assert!(matches!(answer, Answer::Refuse(_, Refusal::AddressConnections)), "{answer:?}");
            stays.push(stay(answer));
        }
        let answer = visitors.admit(client(1), &limits, now);
        assert_eq!(answer, Answer::Drop(Refusal::AddressConnections));
        assert!(matches!(visitors.admit(client(2), &limits, now), Answer::Welcome(_)), "nobody else suffers");
        assert_eq!(visitors.leave(stays.remove(0), &limits), 0);
        assert!(matches!(visitors.admit(client(1), &limits, now), Answer::Welcome(_)));
    }

    #[test]
    fn so_many_handshakes_at_once_and_so_many_a_second() {
        let (limits, start) = (limits(0, 20), start());
        let mut visitors = Visitors::new(start);
        let mut welcome = |now| match visitors.admit(client(1), &limits, now) {
            Answer::Welcome(_) => true,
            Answer::Refuse(stay, refusal) => {
                assert_eq!(refusal, Refusal::AddressRate);
                visitors.leave(stay, &limits);
                false
            }
            Answer::Drop(_) => panic!("nobody is being told so"),
        };
        assert_eq!((0..500).filter(|_| welcome(start)).count(), 100);
        let second = start + Duration::from_secs(1);
        assert_eq!((0..500).filter(|_| welcome(second)).count(), 20);
        assert!(!welcome(second + Duration::from_millis(49)) && welcome(second + Duration::from_millis(50)));
    }

    #[test]
    fn nought_is_no_limit() {
        let (limits, now) = (limits(0, 0), start());
        let mut visitors = Visitors::new(now);
        let stays: Vec<_> = (0..1000).map(|_| stay(visitors.admit(client(1), &limits, now))).collect();
        assert!(stays.iter().all(|stay| !stay.is_refused));
        stays.into_iter().for_each(|stay| assert_eq!(visitors.leave(stay, &limits), 0));
        assert_eq!(visitors.len(), 0, "there is nothing to remember");
    }

    #[test]
    fn an_account_is_kept_as_long_as_its_handshakes_count() {
        let (limits, start) = (limits(0, 1), start());
        let mut visitors = Visitors::new(start);
        let stays: Vec<_> = (0..5).map(|_| stay(visitors.admit(client(1), &limits, start))).collect();
        stays.into_iter().for_each(|stay| assert_eq!(visitors.leave(stay, &limits), 0));
        let end = start + Duration::from_secs(5);
        visitors.forget(end - Duration::from_nanos(1));
        assert_eq!(visitors.len(), 1);
        let refused = visitors.admit(client(1), &limits, start + Duration::from_millis(999));
        assert!(matches!(refused, Answer::Refuse(..)), "it is remembered: {refused:?}");
        visitors.forget(end);
        assert_eq!(visitors.len(), 1, "it is here again");
        visitors.leave(stay(refused), &limits);
        visitors.forget(end + Duration::from_secs(5));
        assert_eq!(visitors.len(), 0);
    }

    #[test]
    fn the_number_of_accounts_is_bounded_and_the_oldest_goes_first() {
        let (limits, start) = (limits(0, 1), start());
        let mut visitors = Visitors::new(start);
        let mut shed = 0;
        for n in 0..IDLE_ADDRESSES as u32 + 3 {
            let now = start + Duration::from_micros(n.into());
            let stay = stay(visitors.admit(client(n), &limits, now));
            shed += visitors.leave(stay, &limits);
        }
        assert_eq!((visitors.len(), shed), (IDLE_ADDRESSES, 3));
        assert!(!visitors.accounts.contains_key(&client(2)) && visitors.accounts.contains_key(&client(3)));
        assert_eq!(visitors.audit(std::iter::empty()), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a model that remembers everything: who is forgotten would have been welcome anyway.
        #[test]
        fn what_is_forgotten_did_not_matter(
            rate in 0u32..4,
            most in 0usize..4,
            steps in proptest::collection::vec((0u32..3, any::<bool>(), 0u64..3000), 1..200),
        ) {
            let (limits, start) = (limits(most, rate), start());
            let (mut visitors, mut now) = (Visitors::new(start), start);
            let mut buckets: Vec<_> = (0..3).map(|_| TokenBucket::new(burst(&limits), start)).collect();
            let mut stays: Vec<Stay> = Vec::new();
            for (who, leaves, wait_millis) in steps {
                now += Duration::from_millis(wait_millis);
                visitors.forget(now);
                let who_is = client(who);
                if let (true, Some(at)) = (leaves, stays.iter().position(|stay| stay.client == who_is)) {
                    visitors.leave(stays.swap_remove(at), &limits);
                } else {
                    let of = |is_refused| stays.iter().filter(|s| s.client == who_is && s.is_refused == is_refused).count();
                    let is_late = rate > 0 && !buckets[who as usize].take(rate, burst(&limits), now);
                    let is_full = most > 0 && of(false) >= most;
                    let told = of(true) < REFUSALS_AT_ONCE;
                    let answer = visitors.admit(who_is, &limits, now);
                    let agrees = match &answer {
                        Answer::Welcome(_) => !is_late && !is_full,
                        Answer::Refuse(_, Refusal::AddressRate) => is_late && told,
                        Answer::Refuse(..) => !is_late && is_full && told,
                        Answer::Drop(_) => (is_late || is_full) && !told,
                    };
                    prop_assert!(agrees, "{:?}, late {}, full {}", answer, is_late, is_full);
                    if let Answer::Welcome(stay) | Answer::Refuse(stay, _) = answer {
                        stays.push(stay);
                    }
                }
                prop_assert_eq!(visitors.audit(stays.iter().copied()), Ok(()));
            }
        }
    }
}
