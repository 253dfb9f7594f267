//! What the configuration must be to the machine, and its listeners to each other.
//!
//! Owns both, and tells all that does not hold, what `relations.rs` finds included. Nothing is said about a key whose value
//! was refused already. Ranges of single values are left to `keys.rs`.

use std::{fmt, net::SocketAddr, ops::Range};

use super::{
    RawConfig,
    listen::{Listen, Place},
    mistake::Mistake,
    relations,
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
    if needed <= descriptors || raw.written.refuses("max_connections") {
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
    } else if let Some(place) = raw.written.place(&["max_connections"]) {
        let message = format!("max_connections: {short}. {raise}, or lower max_connections to at most {to}");
        raw.mistakes.push(Mistake::at(place, message));
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
    for mistake in relations::broken(raw) {
        // What several rules inherit is one mistake.
        if !found.contains(&mistake) {
            found.push(mistake);
        }
    }
    raw.mistakes.extend(found);
}

fn listeners(raw: &RawConfig) -> Vec<Mistake> {
    let keys = [("listen", 1, &raw.values.listen), ("admin", 0, &raw.values.admin)];
    let keys = keys.into_iter().filter(|(key, ..)| !raw.written.refuses(key));
    let (mut mistakes, mut earlier) = (Vec::new(), Vec::new());
    for (key, least, entries) in keys {
        if (least..=MAX_LISTENERS).contains(&entries.len()) {
            mistakes.extend(clashes(raw, key, entries, &mut earlier));
        } else {
            let message = format!("expected {least} to {MAX_LISTENERS} addresses, not {}", entries.len());
            mistakes.push(entry_mistake(raw, key, raw.written.place(&[key]), &message));
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
