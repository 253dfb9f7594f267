//! What values of the configuration must be to each other, in general and under each rule.
//!
//! Owns every relation, each with its reason, as flat lists; all that do not hold are told, those of a rule where it says
//! something else than in general. A relation says nothing about a key whose value was refused already.

use std::{ops::Range, time::Duration};

use super::{
    Config, RawConfig,
    mistake::Mistake,
    value::{write_size, write_span},
    written::Written,
};
use crate::limits::{Access, Limits, METERED_READ};

/// Nobody who sends at its rate is left unread for longer: who waits so long seems dead.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What a peer that rests has sent and nobody has decoded, twice: half of the budget is where others begin to wait.
const PER_RESTING_PEER: usize = 2 * METERED_READ;

/// Values as they hold somewhere: in general, or under a rule.
struct View<'r> {
    values: &'r Config,
    written: &'r Written,
    /// Of a rule: what is written in general, and where the rule stands.
    above: Option<(&'r Written, Range<usize>)>,
}

impl View<'_> {
    /// Of two tables the nearer one has the word.
    fn refuses(&self, key: &str) -> bool {
        let refused_above = |(above, _): &(&Written, _)| !self.written.has(key) && above.refuses(key);
        self.written.refuses(key) || self.above.as_ref().is_some_and(refused_above)
    }

    fn has(&self, key: &str) -> bool {
        self.written.has(key) || self.above.as_ref().is_some_and(|(above, _)| above.has(key))
    }

    /// Where the first of these stands, the nearer table first; else where the rule does.
    fn place(&self, keys: &[&str]) -> Option<Range<usize>> {
        let above = || self.above.as_ref().map(|(above, rule)| above.place(keys).unwrap_or(rule.clone()));
        self.written.place(keys).or_else(above)
    }

    /// Whether anything but what holds in general comes of these.
    fn says_any(&self, keys: &[&str]) -> bool {
        self.above.is_none() || keys.iter().any(|key| self.written.has(key))
    }
}

/// What one value must be to another.
struct Relation {
    holds: bool,
    /// The key that is named, and the others that it depends on.
    keys: &'static [&'static str],
    /// The value of the first, as it would be written.
    value: String,
    expected: String,
    advice: &'static str,
}

impl Relation {
    /// Stands at the first of the keys that the file has: at least one, as the defaults break no rule.
    fn mistake(self, view: &View<'_>) -> Option<Mistake> {
        let Self { keys, value, expected, advice, .. } = self;
        if keys.iter().any(|key| view.refuses(key)) {
            return None;
        }
        let by_default = if view.has(keys[0]) { "" } else { ", its default" };
        let message = format!("{}: expected {expected}, not {value}{by_default}. {advice}", keys[0]);
        Some(match view.place(keys) {
            Some(place) => Mistake::at(place, message),
            None => Mistake::of_file(message),
        })
    }
}

/// Every relation that does not hold, anywhere.
pub(super) fn broken(raw: &RawConfig) -> Vec<Mistake> {
    let general = View { values: &raw.values, written: &raw.written, above: None };
    let rules: Vec<_> = raw
        .rules
        .iter()
        .map(|rule| {
            let above = Some((&raw.written, rule.place.clone()));
            View { values: &rule.values, written: &rule.written, above }
        })
        .collect();
    let mut broken: Vec<_> =
        whole(&general, &rules).into_iter().filter_map(|one| tell(one, &general)).collect();
    for view in rules.iter().chain([&general]) {
        let own = everywhere(&view.values.limits).into_iter().filter(|one| view.says_any(one.keys));
        broken.extend(own.filter_map(|one| tell(one, view)));
    }
    // Where there are rules, nobody comes in under the general settings.
    let open = if rules.is_empty() { std::slice::from_ref(&general) } else { &rules };
    for view in open {
        broken.extend(where_anybody_comes_in(view.values).into_iter().filter_map(|one| tell(one, view)));
    }
    broken
}

fn tell(relation: Relation, view: &View<'_>) -> Option<Mistake> {
    if relation.holds { None } else { relation.mistake(view) }
}

fn at_least(
    keys: &'static [&'static str],
    value: usize,
    least: usize,
    named: &str,
    advice: &'static str,
) -> Relation {
    let expected = format!("at least {named}, {}", write_size(least));
    Relation { holds: value >= least, keys, value: write_size(value), expected, advice }
}

/// What holds in general and under each rule.
fn everywhere(limits: &Limits) -> Vec<Relation> {
    let mut relations = lags(limits);
    relations.extend([
        at_least(
            &["max_inflight_read", "max_message"],
            limits.max_inflight_read,
            // A message in fragments takes three times its payload; half of the budget, and one read more, may be input
            // that was read and not yet decoded.
            limits.max_message.saturating_mul(3).saturating_add(limits.turn.read_per_peer * 2),
            "3 x max_message + 128 KiB",
            "Raise max_inflight_read or lower max_message: the largest message must fit in",
        ),
        paid_in_time(&["bytes_per_sec", "max_message"], limits.bytes_per_sec, limits),
        paid_in_time(&["address_bytes_per_sec", "max_message"], limits.address_bytes_per_sec, limits),
        pong_before_ping(limits),
    ]);
    relations
}

fn lags(limits: &Limits) -> Vec<Relation> {
    vec![
        at_least(
            &["max_lag", "max_message", "event_stream"],
            limits.max_lag,
            limits.longest_form().saturating_mul(2),
            if limits.event_stream {
                "4 x max_message + 2 KiB (an event is twice as long)"
            } else {
                "2 x max_message"
            },
            "Raise max_lag or lower max_message: a peer may not be slow after one message",
        ),
        at_least(
            &["max_backlog", "max_lag"],
            limits.max_backlog,
            limits.max_lag.saturating_mul(2),
            "2 x max_lag",
            "Raise max_backlog or lower max_lag: one slow peer may not use up the memory of all",
        ),
        at_least(
            &["max_backlog", "hold"],
            limits.max_backlog,
            limits.hold.saturating_mul(2),
            "2 x hold",
            "Raise max_backlog or lower hold: senders must wait before a receiver is closed for memory",
        ),
        at_least(
            &["max_lag", "hold"],
            limits.max_lag,
            limits.hold.saturating_mul(2),
            "2 x hold",
            "Raise max_lag or lower hold: what senders may have on its way makes nobody slow",
        ),
        at_least(
            &["max_lag", "soft_lag"],
            limits.max_lag,
            limits.soft_lag,
            "soft_lag",
            "Raise max_lag or lower soft_lag: above max_lag, soft_lag would never be reached",
        ),
    ]
}

fn pong_before_ping(limits: &Limits) -> Relation {
    let (pong, ping) = (limits.pong_timeout, limits.ping_interval);
    Relation {
        holds: pong < ping,
        keys: &["pong_timeout", "ping_interval"],
        value: write_span(pong),
        expected: format!("less than ping_interval, {}", write_span(ping)),
        advice: "Lower pong_timeout or raise ping_interval: a ping must be answered before the next one",
    }
}

/// A rate brings the largest message in a time for which a peer may be left unread.
fn paid_in_time(keys: &'static [&'static str], rate: usize, limits: &Limits) -> Relation {
    let least = limits.max_message.div_ceil(LONGEST_REST.as_secs() as usize);
    let expected = format!("0 for any rate, or at least max_message in a minute, {}", write_size(least));
    Relation {
        holds: rate == 0 || rate >= least,
        keys,
        value: write_size(rate),
        expected,
        advice: "Raise it or lower max_message: who has sent one message may not be left unread for longer",
    }
}

/// What is asked of the whole.
fn whole(general: &View<'_>, rules: &[View<'_>]) -> [Relation; 2] {
    let Config { limits, gate, trusted_proxies, .. } = general.values;
    let has_rates = rules.iter().chain([general]).any(|view| view.values.limits.meters());
    let needed = limits.max_connections.saturating_mul(PER_RESTING_PEER);
    let room = at_least(
        &["max_inflight_read", "max_connections"],
        limits.max_inflight_read,
        if has_rates { needed } else { 0 },
        "8 KiB x max_connections where there are rates",
        "Raise max_inflight_read or lower max_connections: who is over its rate keeps up to 4 KiB that it has sent",
    );
    let believed = Relation {
        holds: gate.identity_header.is_none() || !trusted_proxies.entries().is_empty(),
        keys: &["identity_header", "trusted_proxies"],
        value: super::text::write_name(gate.identity_header.as_deref()),
        expected: "false while trusted_proxies is empty".to_owned(),
        advice: "Name the proxy that sets the header in trusted_proxies: from others it is not believed",
    };
    [room, believed]
}

/// What is asked where somebody can come in.
fn where_anybody_comes_in(values: &Config) -> [Relation; 3] {
    let limits = &values.limits;
    let has_keys = !values.token_keys.is_empty();
    let required = Relation {
        holds: !limits.subprotocol_required || !limits.subprotocols.is_empty(),
        keys: &["subprotocol_required", "subprotocols"],
        value: "true".to_owned(),
        expected: "false while subprotocols is empty".to_owned(),
        advice: "Say in subprotocols which are taken: nobody could offer one of none",
    };
    [
        judged(&["subscribe", "token_keys"], limits.subscribe, has_keys),
        judged(&["publish", "token_keys"], limits.publish, has_keys),
        required,
    ]
}

fn judged(keys: &'static [&'static str], access: Access, has_keys: bool) -> Relation {
    Relation {
        holds: access != Access::Token || has_keys,
        keys,
        value: super::value::write_word(access),
        expected: "\"anyone\" or \"nobody\" while there are no token_keys".to_owned(),
        advice: "Say in token_keys, above the first [[channel]], with which keys tokens are signed",
    }
}
