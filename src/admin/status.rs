//! The body of `/api/status`: the relay's state and counters as one JSON object.
//!
//! Owns the names of the fields, which the README explains. Everything in it is a number, or a word of our own: nothing
//! that a peer sent. Walks over all peers, so it is not made for every question.

use super::{rates, tally::Tally};
use crate::{
    counters::{Disconnect, REFUSED_LABELS},
    relay::Relay,
};
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime};

pub use super::rates::PerSec;

/// What the relay itself does not know.
#[derive(Debug)]
pub struct Circumstances<'c> {
    /// SIGTERM came: no new peers.
    pub draining: bool,
    /// The number of the process.
    pub pid: u32,
    /// When it started.
    pub started_at: SystemTime,
    /// For how long it has run, without the time that it stood still.
    pub uptime: Duration,
    /// Of the last seconds.
    pub rates: PerSec,
    /// Accepts that failed, and the pauses that followed.
    pub accept_troubles: (u64, u64),
    /// Reloads of the configuration that were applied, and that failed.
    pub reloads: (u64, u64),
    /// The desk's own counters.
    pub desk: &'c Tally,
}

/// The body.
pub fn body<L>(relay: &Relay<L>, of: &Circumstances<'_>) -> String {
    let (limits, counters) = (relay.limits(), relay.counters());
    let (lag_bytes, lagging_peers) = relay.lag();
    let (accept_errors, accept_pauses) = of.accept_troubles;
    let (reloads_ok, reloads_failed) = of.reloads;
    let refused = REFUSED_LABELS.iter().map(|label| (*label, counters.refused(label)));
    let disconnects = Disconnect::ALL.iter().map(|why| (why.label(), counters.disconnected(*why)));
    let joined = [("opened", counters.opened), ("joined", counters.joined)];
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": if of.draining { "draining" } else { "running" },
        "pid": of.pid,
        "started_at": humantime::format_rfc3339_seconds(of.started_at.max(SystemTime::UNIX_EPOCH)).to_string(),
        "uptime_secs": of.uptime.as_secs(),
        "peers": relay.peers(),
        "max_connections": limits.max_connections,
        "handshaking": relay.handshaking(),
        "channels": relay.channels(),
        "lag_bytes": lag_bytes,
        "lagging_peers": lagging_peers,
        "peak_lag_bytes": counters.peak_lag,
        "backlog_bytes": relay.backlog_bytes(),
        "max_backlog_bytes": limits.max_backlog,
        "inflight_bytes": relay.inflight_bytes(),
        "max_inflight_bytes": limits.max_inflight_read,
        "rates": rates_of(&of.rates),
        "totals": mapping(joined.into_iter().chain(counters.totals())),
        "refused": mapping(refused),
        "disconnects": mapping(disconnects),
        "accept_errors": accept_errors,
        "accept_pauses": accept_pauses,
        "reloads_ok": reloads_ok,
        "reloads_failed": reloads_failed,
        "admin": of.desk.to_json(),
    });
    format!("{value:#}\n")
}

fn rates_of(rates: &PerSec) -> Value {
    let PerSec { messages_in, deliveries, bytes_in, bytes_out, opened } = *rates;
    let tenths = |rate: f64| (rate * 10.0).round() / 10.0;
    json!({
        "window_secs": rates::WINDOW.as_secs(),
        "messages_in": tenths(messages_in),
        "deliveries": tenths(deliveries),
        "bytes_in": tenths(bytes_in),
        "bytes_out": tenths(bytes_out),
        "opened": tenths(opened),
    })
}

fn mapping(numbers: impl Iterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    numbers.map(|(name, number)| (name.to_owned(), number.into())).collect()
}
