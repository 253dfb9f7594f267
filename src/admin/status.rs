//! The body of `/api/status`: the relay's state and counters as one JSON object.
//!
//! Owns the names of the fields, which the README explains. Everything in it is a number, or a word of the house: nothing
//! that a peer sent. Walks over all peers, so it is not made for every question.

use super::{rates, tally::Tally};
use crate::{
    counters::{Disconnect, REFUSED_LABELS},
    limits::{Heartbeat, Limits},
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
    /// Lines of the log that nobody will see.
    pub log_dropped: u64,
    /// Where peers are heard.
    pub listen: &'c [String],
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
        "relay": relay_of(limits, of.listen),
        "peers": relay.peers(),
        "max_connections": limits.max_connections,
        "handshaking": relay.handshaking(),
        "channels": relay.channels(),
        "lag_bytes": lag_bytes,
        "lagging_peers": lagging_peers,
        // What came in this turn is weighed at its end.
        "peak_lag_bytes": counters.peak_lag.max(lag_bytes),
        "backlog_bytes": relay.backlog_bytes(),
        "max_backlog_bytes": limits.max_backlog,
        "inflight_bytes": relay.inflight_bytes(),
        "max_inflight_bytes": limits.max_inflight_read,
        "rates": rates_of(&of.rates),
        "totals": mapping(joined.into_iter().chain(counters.totals()).chain([("log_dropped", of.log_dropped)])),
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

/// How it is set up, for a page that wants to connect.
fn relay_of(limits: &Limits, listen: &[String]) -> Value {
    let heartbeat = limits.heartbeat.as_ref();
    json!({
        "listen": listen,
        "echo": limits.echo,
        "http_publish": limits.http_publish,
        "event_stream": limits.event_stream,
        "heartbeat": heartbeat.map(|Heartbeat { request, reply }| json!({ "request": request, "reply": reply })),
        "max_message": limits.max_message,
        "ping_interval_secs": limits.ping_interval.as_secs_f64(),
    })
}

fn rates_of(rates: &PerSec) -> Value {
    let PerSec {
        messages_in,
        deliveries,
        bytes_in,
        bytes_out,
        opened,
        longest_turn_micros,
        mean_turn_micros,
    } = *rates;
    let tenths = |rate: f64| (rate * 10.0).round() / 10.0;
    json!({
        "window_secs": rates::WINDOW.as_secs(),
        "messages_in": tenths(messages_in),
        "deliveries": tenths(deliveries),
        "bytes_in": tenths(bytes_in),
        "bytes_out": tenths(bytes_out),
        "opened": tenths(opened),
        "longest_turn_micros": longest_turn_micros,
        "mean_turn_micros": tenths(mean_turn_micros),
    })
}

fn mapping(numbers: impl Iterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    numbers.map(|(name, number)| (name.to_owned(), number.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test begins somewhere")]
    fn told(draining: bool) -> Value {
        let heartbeat = Some(Heartbeat { request: "ping".into(), reply: "\"pong\"".into() });
        let limits = Limits { heartbeat, echo: true, ..Limits::default() };
        let relay = Relay::<()>::new(limits, 1, std::time::Instant::now());
        let circumstances = Circumstances {
            draining,
            pid: 7,
            started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            uptime: Duration::from_millis(3999),
            rates: PerSec {
                deliveries: 0.26,
                longest_turn_micros: 9,
                mean_turn_micros: 2.04,
                ..PerSec::default()
            },
            accept_troubles: (1, 2),
            reloads: (3, 4),
            log_dropped: 5,
            listen: &["127.0.0.1:9310".to_owned(), "unix:/a".to_owned()],
            desk: &Tally::default(),
        };
        serde_json::from_str(&body(&relay, &circumstances)).unwrap()
    }

    #[test]
    fn what_the_relay_does_not_know_is_told_too() {
        let value = told(false);
        let table = [
            ("/state", json!("running")),
            ("/pid", json!(7)),
            ("/started_at", json!("2023-11-14T22:13:20Z")),
            ("/uptime_secs", json!(3)),
            ("/rates/deliveries", json!(0.3)),
            ("/rates/longest_turn_micros", json!(9)),
            ("/rates/mean_turn_micros", json!(2.0)),
            ("/totals/log_dropped", json!(5)),
            ("/totals/posted", json!(0)),
            ("/relay/listen", json!(["127.0.0.1:9310", "unix:/a"])),
            ("/relay/echo", json!(true)),
            ("/relay/http_publish", json!(false)),
            ("/relay/event_stream", json!(false)),
            ("/relay/heartbeat", json!({ "request": "ping", "reply": "\"pong\"" })),
            ("/relay/max_message", json!(65536)),
            ("/relay/ping_interval_secs", json!(25.0)),
            ("/accept_errors", json!(1)),
            ("/accept_pauses", json!(2)),
            ("/reloads_ok", json!(3)),
            ("/reloads_failed", json!(4)),
            ("/max_backlog_bytes", json!(256 << 20)),
            ("/refused/abandoned", json!(0)),
            ("/disconnects/slow_consumer", json!(0)),
        ];
        assert!(!table.is_empty());
        for (path, wanted) in table {
            assert_eq!(value.pointer(path), Some(&wanted), "{path}");
        }
        assert_eq!(told(true)["state"], "draining");
    }

    #[test]
    fn the_readme_explains_every_field() {
        let readme = include_str!("../../README.md");
        let (_, section) = readme.split_once("Fields of `/api/status`").unwrap();
        let value = told(false);
        let names = |path: &str| value.pointer(path).unwrap().as_object().unwrap().keys().collect::<Vec<_>>();
        let fields = [names(""), names("/rates"), names("/relay"), names("/admin/refused")].concat();
        assert!(fields.len() > 30, "{fields:?}");
        fields
            .iter()
            .for_each(|name| assert!(section.contains(&format!("`{name}`")), "{name} is not explained"));
    }
}
