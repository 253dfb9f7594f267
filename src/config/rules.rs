//! What values of the configuration must be to each other, and to the machine.
//!
//! Owns every relation, each with its reason, as one flat list; all that do not hold are told. A relation says nothing
//! about a key whose value was refused already. Ranges of single values are left to `keys.rs`.

use std::{fmt, net::SocketAddr, ops::Range};

use super::{
    RawConfig,
    listen::{Listen, Place},
    mistake::Mistake,
    value::{write_size, write_span},
};

/// Token words hold this many listeners with room to spare, and nobody needs as many.
const MAX_LISTENERS: usize = 64;

/// Descriptors besides connections and listeners: standard streams, poller, signal pipe and service manager, some
/// fifteen; 64 for connections beyond `max_connections` that are being told so; and operators.
const RESERVE: usize = 98;

/// The default `max_connections` was lowered to what the descriptors allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// The default.
    from: usize,
    /// What holds.
    to: usize,
    /// Descriptors that the process may have.
    descriptors: u64,
}

impl fmt::Display for Lowered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, descriptors } = self;
        write!(
            f,
            "max_connections is lowered from its default, {from}, to {to}: this process may have {descriptors} \
             descriptors. Raise the limit (LimitNOFILE, ulimit -Hn), or set max_connections to at most {to}"
        )
    }
}

/// Descriptors for that many connections.
pub(super) fn descriptors_for(connections: usize, listeners: usize) -> u64 {
    connections.saturating_add(listeners).saturating_add(RESERVE) as u64
}

/// Lowers the default `max_connections` to what the descriptors allow; refuses one that was written and does not fit.
pub(super) fn fit(raw: &mut RawConfig, descriptors: Option<u64>) -> Option<Lowered> {
    let descriptors = descriptors?;
    // Too many listeners are told elsewhere.
    let (from, listeners) = (raw.values.limits.max_connections, count_listeners(raw));
    let needed = descriptors_for(from, listeners);
    if needed <= descriptors || raw.refused.contains(&"max_connections") {
        return None;
    }
    let to = usize::try_from(descriptors.saturating_sub(descriptors_for(0, listeners))).unwrap_or(from);
    let short = format!("{needed} descriptors are needed, and this process may have {descriptors}");
    let raise = format!("Raise the limit to {needed} (LimitNOFILE, ulimit -Hn)");
    if to == 0 {
        let least = descriptors_for(1, listeners);
        let message = format!(
            "this process may have {descriptors} descriptors, and {least} are needed for a single connection. Raise \
             the limit (LimitNOFILE, ulimit -Hn)"
        );
        raw.mistakes.push(Mistake::elsewhere(message));
    } else if let Some(place) = raw.places.get("max_connections") {
        let message = format!("max_connections: {short}. {raise}, or lower max_connections to at most {to}");
        raw.mistakes.push(Mistake::at(place.clone(), message));
    } else {
        raw.values.limits.max_connections = to;
        return Some(Lowered { from, to, descriptors });
    }
    None
}

fn count_listeners(raw: &RawConfig) -> usize {
    let listeners = [&raw.values.listen, &raw.values.admin];
    listeners.iter().map(|entries| entries.len().min(MAX_LISTENERS)).sum()
}

/// Finds everything that does not fit together.
pub(super) fn check(raw: &mut RawConfig) {
    let mut found = listeners(raw);
    let broken = relations(raw).into_iter().filter(|relation| !relation.holds);
    found.extend(broken.filter_map(|relation| relation.mistake(raw)));
    raw.mistakes.extend(found);
}

fn listeners(raw: &RawConfig) -> Vec<Mistake> {
    let keys = [("listen", 1, &raw.values.listen), ("admin", 0, &raw.values.admin)];
    let keys = keys.into_iter().filter(|(key, ..)| !raw.refused.contains(key));
    let (mut mistakes, mut earlier) = (Vec::new(), Vec::new());
    for (key, least, entries) in keys {
        if (least..=MAX_LISTENERS).contains(&entries.len()) {
            mistakes.extend(clashes(raw, key, entries, &mut earlier));
        } else {
            let message = format!("expected {least} to {MAX_LISTENERS} addresses, not {}", entries.len());
            mistakes.push(entry_mistake(raw, key, raw.places.get(key).cloned(), &message));
        }
    }
    mistakes
}

/// What clashes with an entry before it, which is one of `earlier` or of the same key.
fn clashes<'r>(
    raw: &RawConfig,
    key: &str,
    entries: &'r [Listen],
    earlier: &mut Vec<&'r Place>,
) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (nth, Listen { place: later, .. }) in entries.iter().enumerate() {
        if let Some(message) = earlier.iter().find_map(|earlier| quarrel(earlier, later)) {
            let place = raw.entry_places.get(key).and_then(|places| places.get(nth)).cloned();
            mistakes.push(entry_mistake(raw, key, place, &message));
        }
        earlier.push(later);
    }
    mistakes
}

/// Why two listeners cannot both be, if they cannot.
fn quarrel(earlier: &Place, later: &Place) -> Option<String> {
    match (earlier, later) {
        (Place::Tcp(earlier), Place::Tcp(later)) => quarrel_of_addresses(*earlier, *later),
        _ if earlier == later => Some(twice(later)),
        _ => None,
    }
}

fn twice(place: &Place) -> String {
    format!("expected each address once, not \"{place}\" again. Take the second one out")
}

fn quarrel_of_addresses(earlier: SocketAddr, later: SocketAddr) -> Option<String> {
    // Port 0 is a new port each time; IPv6 listeners take no IPv4.
    let apart = earlier.port() != later.port() || earlier.port() == 0 || earlier.is_ipv4() != later.is_ipv4();
    if apart {
        None
    } else if earlier == later {
        Some(twice(&Place::Tcp(later)))
    } else if earlier.ip().is_unspecified() || later.ip().is_unspecified() {
        let (all, one) = if earlier.ip().is_unspecified() { (earlier, later) } else { (later, earlier) };
        Some(format!("\"{all}\" is every address of the machine, \"{one}\" too. Take one of them out"))
    } else {
        None
    }
}

fn entry_mistake(raw: &RawConfig, key: &str, place: Option<Range<usize>>, message: &str) -> Mistake {
    match place {
        Some(place) => Mistake::at(place, format!("{key}: {message}")),
        None if raw.elsewhere.contains(&key) => Mistake::elsewhere(format!("--{key}: {message}")),
        None => Mistake::of_file(format!("{key}: {message}")),
    }
}

/// What one value must be to another.
struct Relation {
    holds: bool,
    /// The key that is named, and the other one.
    keys: [&'static str; 2],
    /// The value of the first, as it would be written.
    value: String,
    expected: String,
    advice: &'static str,
}

impl Relation {
    /// Stands at the first of the two keys that the file has: at least one, as the defaults break no rule.
    fn mistake(self, raw: &RawConfig) -> Option<Mistake> {
        let Self { keys, value, expected, advice, .. } = self;
        if keys.iter().any(|key| raw.refused.contains(key)) {
            return None;
        }
        let by_default = if raw.places.contains_key(keys[0]) { "" } else { ", its default" };
        let message = format!("{}: expected {expected}, not {value}{by_default}. {advice}", keys[0]);
        let place = keys.iter().find_map(|key| raw.places.get(key));
        Some(match place {
            Some(place) => Mistake::at(place.clone(), message),
            None => Mistake::of_file(message),
        })
    }
}

fn at_least(
    keys: [&'static str; 2],
    value: usize,
    least: usize,
    named: &str,
    advice: &'static str,
) -> Relation {
    let expected = format!("at least {named}, {}", write_size(least));
    Relation { holds: value >= least, keys, value: write_size(value), expected, advice }
}

fn relations(raw: &RawConfig) -> [Relation; 7] {
    let limits = &raw.values.limits;
    // A message in fragments takes three times its payload; half of the budget, and one read more, may be input that
    // was read and not yet decoded.
    let one_sender = limits.max_message.saturating_mul(3).saturating_add(limits.turn.read_per_peer * 2);
    [
        at_least(
            ["max_lag", "max_message"],
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
            ["max_backlog", "max_lag"],
            limits.max_backlog,
            limits.max_lag.saturating_mul(2),
            "2 x max_lag",
            "Raise max_backlog or lower max_lag: one slow peer may not use up the memory of all",
        ),
        at_least(
            ["max_backlog", "hold"],
            limits.max_backlog,
            limits.hold.saturating_mul(2),
            "2 x hold",
            "Raise max_backlog or lower hold: senders must wait before a receiver is closed for memory",
        ),
        at_least(
            ["max_lag", "hold"],
            limits.max_lag,
            limits.hold.saturating_mul(2),
            "2 x hold",
            "Raise max_lag or lower hold: what senders may have on its way makes nobody slow",
        ),
        at_least(
            ["max_lag", "soft_lag"],
            limits.max_lag,
            limits.soft_lag,
            "soft_lag",
            "Raise max_lag or lower soft_lag: above max_lag, soft_lag would never be reached",
        ),
        at_least(
            ["max_inflight_read", "max_message"],
            limits.max_inflight_read,
            one_sender,
            "3 x max_message + 128 KiB",
            "Raise max_inflight_read or lower max_message: the largest message must fit in",
        ),
        pong_before_ping(raw),
    ]
}

fn pong_before_ping(raw: &RawConfig) -> Relation {
    let (pong, ping) = (raw.values.limits.pong_timeout, raw.values.limits.ping_interval);
    Relation {
        holds: pong < ping,
        keys: ["pong_timeout", "ping_interval"],
        value: write_span(pong),
        expected: format!("less than ping_interval, {}", write_span(ping)),
        advice: "Lower pong_timeout or raise ping_interval: a ping must be answered before the next one",
    }
}
