//! What may stand in the configuration, and what values must be to each other.
//!
//! Owns every range and every relation, each with its reason, as one flat list. All breaches are found, not only the
//! first. Leaves the forms of values to `value.rs`.

use std::{fmt, ops::RangeInclusive, time::Duration};

use super::Config;

/// A value that may not stand: which, what was expected, and what to do.
#[derive(Debug)]
pub struct Breach {
    key: &'static str,
    value: String,
    expected: String,
    advice: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: expected {}. {}", self.key, self.value, self.expected, self.advice)
    }
}

/// Token words hold this many listeners with room to spare, and nobody needs as many.
const MAX_LISTENERS: usize = 64;

/// Above this a socket buffer hides from us for minutes what a peer has not taken.
const MAX_SOCKET_BUFFER: usize = 16 << 20;

/// A gibibyte times a thousand: no machine of today has it, so it is a slip of the pen.
const MAX_SIZE: usize = 1 << 40;

/// One tick of the timers.
const MIN_SPAN: Duration = Duration::from_millis(100);

/// Longer than any of these waits is of use.
const MAX_SPAN: Duration = Duration::from_secs(24 * 60 * 60);

/// Every breach in a configuration.
pub(super) fn breaches(config: &Config) -> Vec<Breach> {
    let mut found = Found::default();
    listeners(config, &mut found);
    numbers(config, &mut found);
    sizes(config, &mut found);
    spans(config, &mut found);
    found.0
}

#[derive(Default)]
struct Found(Vec<Breach>);

impl Found {
    fn unless(
        &mut self,
        holds: bool,
        key: &'static str,
        value: String,
        expected: String,
        advice: &'static str,
    ) {
        if !holds {
            self.0.push(Breach { key, value, expected, advice });
        }
    }

    fn number(&mut self, key: &'static str, value: usize, range: RangeInclusive<usize>) {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.unless(range.contains(&value), key, value.to_string(), expected, "Choose one in this range.");
    }

    fn size(&mut self, key: &'static str, value: usize, range: RangeInclusive<usize>) {
        let expected = format!("a size from {} to {}", bytes(*range.start()), bytes(*range.end()));
        self.unless(range.contains(&value), key, bytes(value), expected, "Choose one in this range.");
    }

    fn span(&mut self, key: &'static str, value: Duration) {
        let expected = format!("a duration from {} to {}", span(MIN_SPAN), span(MAX_SPAN));
        let holds = (MIN_SPAN..=MAX_SPAN).contains(&value);
        self.unless(holds, key, span(value), expected, "Choose one in this range.");
    }

    fn at_least(&mut self, key: &'static str, value: usize, least: usize, named: &str, advice: &'static str) {
        let expected = format!("at least {named}, {}", bytes(least));
        self.unless(value >= least, key, bytes(value), expected, advice);
    }
}

fn listeners(config: &Config, found: &mut Found) {
    let listen = &config.listen;
    let count = format!("{} addresses", listen.len());
    let holds = (1..=MAX_LISTENERS).contains(&listen.len());
    let expected = format!("1 to {MAX_LISTENERS} addresses");
    found.unless(holds, "listen", count, expected, "Leave the key out for 127.0.0.1:9310.");
    for (nth, address) in listen.iter().enumerate().take(MAX_LISTENERS) {
        // Port 0 is a new port each time.
        let holds = address.port() == 0 || !listen[..nth].contains(address);
        let expected = "each address once".to_owned();
        found.unless(holds, "listen", format!("\"{address}\""), expected, "Take the second one out.");
    }
}

fn numbers(config: &Config, found: &mut Found) {
    let limits = &config.limits;
    found.number("max_connections", limits.max_connections, 1..=1_000_000);
    found.number("max_handshakes", limits.max_handshakes, 1..=1_000_000);
    found.number("max_frames", limits.max_frames as usize, 1..=1_000_000);
    found.number("control_frames_per_sec", limits.control_frames_per_sec as usize, 1..=10_000);
}

fn sizes(config: &Config, found: &mut Found) {
    let limits = &config.limits;
    found.size("send_buffer", config.send_buffer, 4 << 10..=MAX_SOCKET_BUFFER);
    found.size("receive_buffer", config.receive_buffer, 4 << 10..=MAX_SOCKET_BUFFER);
    found.size("max_message", limits.max_message, 1..=16 << 20);
    found.size("max_inflight_read", limits.max_inflight_read, 0..=MAX_SIZE);
    found.size("max_backlog", limits.max_backlog, 0..=MAX_SIZE);
    found.size("max_lag", limits.max_lag, 0..=MAX_SIZE);
    found.size("soft_lag", limits.soft_lag, 1..=MAX_SIZE);
    found.size("hold", limits.hold, 1 << 10..=MAX_SIZE);

    let two_messages = limits.max_message.saturating_mul(2);
    let advice = "Raise max_lag or lower max_message: a peer may not be slow after one message.";
    found.at_least("max_lag", limits.max_lag, two_messages, "2 x max_message", advice);

    let two_lags = limits.max_lag.saturating_mul(2);
    let advice = "Raise max_backlog or lower max_lag: one slow peer may not use up the memory of all.";
    found.at_least("max_backlog", limits.max_backlog, two_lags, "2 x max_lag", advice);

    let advice = "Raise max_backlog or lower hold: senders must wait before a receiver is closed for memory.";
    found.at_least("max_backlog", limits.max_backlog, limits.hold.saturating_mul(2), "2 x hold", advice);

    let advice = "Raise max_lag or lower hold: what senders may have on its way makes nobody slow.";
    found.at_least("max_lag", limits.max_lag, limits.hold.saturating_mul(2), "2 x hold", advice);

    let advice = "Raise max_lag or lower soft_lag: above max_lag, soft_lag would never be reached.";
    found.at_least("max_lag", limits.max_lag, limits.soft_lag, "soft_lag", advice);

    // A message in fragments takes three times its payload; half of the budget, and one read more, may be input that
    // was read and not yet decoded.
    let one_sender = limits.max_message.saturating_mul(3).saturating_add(limits.turn.read_per_peer * 2);
    let advice = "Raise max_inflight_read or lower max_message: the largest message must fit in.";
    found.at_least(
        "max_inflight_read",
        limits.max_inflight_read,
        one_sender,
        "3 x max_message + 128 KiB",
        advice,
    );
}

fn spans(config: &Config, found: &mut Found) {
    let limits = &config.limits;
    found.span("soft_lag_time", limits.soft_lag_time);
    found.span("stall_timeout", limits.stall_timeout);
    found.span("ping_interval", limits.ping_interval);
    found.span("pong_timeout", limits.pong_timeout);
    found.span("handshake_timeout", limits.handshake_timeout);
    found.span("close_timeout", limits.close_timeout);
    found.span("message_timeout", limits.message_timeout);
    found.span("drain", limits.drain);

    let expected = format!("less than ping_interval, {}", span(limits.ping_interval));
    let advice = "Lower pong_timeout or raise ping_interval: a ping must be answered before the next one.";
    let holds = limits.pong_timeout < limits.ping_interval;
    found.unless(holds, "pong_timeout", span(limits.pong_timeout), expected, advice);
}

/// A size as it would be written in the file.
fn bytes(size: usize) -> String {
    let (count, unit) = match size {
        0 => (0, "B"),
        _ if size.is_multiple_of(1 << 30) => (size >> 30, "GiB"),
        _ if size.is_multiple_of(1 << 20) => (size >> 20, "MiB"),
        _ if size.is_multiple_of(1 << 10) => (size >> 10, "KiB"),
        _ => (size, "B"),
    };
    format!("\"{count} {unit}\"")
}

/// A duration as it would be written in the file.
fn span(duration: Duration) -> String {
    format!("\"{}\"", humantime::format_duration(duration))
}
