//! What the seeds have seen, so that the simulation cannot stop testing without anybody noticing.

use std::{collections::BTreeMap, fmt};

use super::{client::End, core, world::World};
use crate::event_stream::Form;

/// What must have happened at least once in an ordinary run, as clients saw it or as the core counted it.
const WANTED: [&str; 80] = [
    "refused 400",
    "refused 403",
    "refused 405",
    "refused 408",
    "refused 411",
    "refused 413",
    "refused 414",
    "refused 426",
    "refused 429",
    "refused 431",
    "refused 503",
    "refused 505",
    "closed 1000",
    "closed 1001 ping-timeout",
    "closed 1002",
    "closed 1005",
    "closed 1007",
    "closed 1008 fragment-flood",
    "closed 1008 idle-message",
    "closed 1008 ping-flood",
    "closed 1008 slow-consumer",
    "closed 1009",
    "closed 1012",
    "closed 1013",
    "disconnected eof",
    "disconnected fragment_flood",
    "disconnected idle_message",
    "disconnected io",
    "disconnected memory",
    "disconnected peer_closed",
    "disconnected ping_flood",
    "disconnected ping_timeout",
    "disconnected protocol",
    "disconnected reset",
    "disconnected shutdown",
    "disconnected size",
    "disconnected slow_consumer",
    "disconnected utf8",
    "messages published",
    "messages delivered",
    "messages skipped",
    "gaps seen",
    "senders held",
    "reads deferred",
    "close deadlines",
    "stale events",
    "clock jumps",
    "reloads",
    "ended with a reset",
    "refused abandoned",
    "refused address_connections",
    "refused address_rate",
    "addresses ignored",
    "clients named",
    "heartbeats",
    "event streams",
    "event streams closed 1008",
    "event streams closed 1012",
    "event streams closed 1013",
    "messages of event streams",
    "answered 202",
    "posted",
    "refused busy",
    "refused body_timeout",
    "refused 401",
    "refused 404",
    "refused 415",
    "refused token_missing",
    "refused token_signature",
    "refused token_expired",
    "refused forbidden",
    "refused max_peers",
    "refused rate",
    "closed 1003",
    "closed 1008 publish-not-allowed",
    "closed 1008 rate",
    "closed 1008 token-expired",
    "rested",
    "let in to publish only",
    "let in to listen only",
];

/// How often each thing happened.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    counts: BTreeMap<String, u64>,
}

impl Coverage {
    fn count(&mut self, what: impl Into<String>, times: u64) {
        *self.counts.entry(what.into()).or_default() += times;
    }

    /// Adds what one world has seen.
    pub(super) fn add(&mut self, world: &World) {
        self.count("turns", world.turns);
        self.count("clients", world.clients.len() as u64);
        self.count("clients named", world.named);
        self.count("messages published", world.book.published());
        self.count("messages delivered", world.book.deliveries);
        self.count("gaps seen", world.book.missed());
        self.count("stale events", world.net.stale_events);
        self.count("clock jumps", world.jumps);
        self.count("reloads", world.reloads);
        core::happenings(&world.core).into_iter().for_each(|(what, times)| self.count(what, times));
        for client in &world.clients {
            let lets_in = client.is_welcome() && client.kind.form() == Form::Frames;
            match (lets_in, client.may.subscribe, client.may.publish) {
                (true, false, true) => self.count("let in to publish only", 1),
                (true, true, false) => self.count("let in to listen only", 1),
                _ => {}
            }
            if client.kind.form() == Form::Events && client.is_welcome() {
                self.count("event streams", 1);
                self.count("messages of event streams", client.messages_read as u64);
                let told = client.told.as_ref();
                told.into_iter().for_each(|told| self.count(format!("event streams closed {}", told.0), 1));
            }
            match &client.end {
                Some(End::Refused(202)) => self.count("answered 202", 1),
                Some(End::Refused(status)) => self.count(format!("refused {status}"), 1),
                Some(End::Closed(1008 | 1001, reason)) => {
                    let code = client.told.as_ref().map_or(0, |told| told.0);
                    self.count(format!("closed {code} {reason}"), 1);
                }
                Some(End::Closed(code, _)) => self.count(format!("closed {code}"), 1),
                Some(End::Reset) => self.count("ended with a reset", 1),
                Some(End::Silence) => self.count("ended without a word", 1),
                Some(End::Left) => self.count("went first", 1),
                None => self.count("never looked", 1),
            }
        }
    }

    pub(super) fn merge(mut self, other: Self) -> Self {
        other.counts.into_iter().for_each(|(what, times)| self.count(what, times));
        self
    }

    /// Everything interesting happened, and nothing that is always a bug.
    pub(super) fn check(&self) {
        let times = |what: &str| self.counts.get(what).copied().unwrap_or(0);
        let missing: Vec<_> = WANTED.into_iter().filter(|what| times(what) == 0).collect();
        assert!(missing.is_empty(), "no seed has seen: {missing:?}");
        assert_eq!(times("disconnected internal"), 0);
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.iter().try_for_each(|(what, times)| writeln!(f, "{times:>10} {what}"))
    }
}
