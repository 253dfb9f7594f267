//! What happened per second, of late.
//!
//! Owns a dozen samples of a few counters, taken at the beginning of turns and at most once a second: nobody is woken
//! for them. Counters change in turns and nowhere else, so a sample says from which turn to which they stood so; what
//! they were at a time in a gap without turns is known exactly. Promises: a rate is that of the last ten seconds, of up
//! to a second more where turns are dense, and of the time since the start before that.

use crate::counters::Counters;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Over how long a rate is taken.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// From one sample to the next at least; and what a rate is divided by at least.
const STEP: Duration = Duration::from_secs(1);

/// The counters that have a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Messages accepted from peers.
    pub messages_in: u64,
    /// Messages handed to receivers.
    pub deliveries: u64,
    /// Bytes that peers sent, as read from their sockets.
    pub bytes_in: u64,
    /// Bytes that their sockets took.
    pub bytes_out: u64,
    /// Connections.
    pub opened: u64,
}

/// How much of each per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerSec {
    /// Messages accepted from peers.
    pub messages_in: f64,
    /// Messages handed to receivers.
    pub deliveries: f64,
    /// Bytes that peers sent.
    pub bytes_in: f64,
    /// Bytes that their sockets took.
    pub bytes_out: f64,
    /// Connections.
    pub opened: f64,
}

impl Flow {
    /// Those of the relay's counters.
    pub fn of(counters: &Counters) -> Self {
        let Counters {
            messages_in, deliveries, read_bytes: bytes_in, write_bytes: bytes_out, opened, ..
        } = *counters;
        Self { messages_in, deliveries, bytes_in, bytes_out, opened }
    }
}

/// The counters stood so from the turn at `since` to the one at `until`.
#[derive(Clone, Copy, Debug)]
struct Sample {
    since: Instant,
    until: Instant,
    flow: Flow,
}

/// The samples.
#[derive(Debug)]
pub struct Rates {
    /// In the order of time. Never empty; at most one begins before the window.
    samples: VecDeque<Sample>,
    /// The turn before this one.
    turn: Instant,
}

impl Rates {
    /// Nothing has happened before `now`.
    pub fn new(now: Instant) -> Self {
        let start = Sample { since: now, until: now, flow: Flow::default() };
        Self { samples: VecDeque::from([start]), turn: now }
    }

    /// A turn begins.
    pub fn note(&mut self, now: Instant, flow: Flow) {
        let since = std::mem::replace(&mut self.turn, now);
        if self.samples.back().is_none_or(|last| now.saturating_duration_since(last.until) >= STEP) {
            self.samples.push_back(Sample { since, until: now, flow });
        }
        let is_past = |sample: &Sample| now.saturating_duration_since(sample.since) >= WINDOW;
        while self.samples.get(1).is_some_and(is_past) {
            self.samples.pop_front();
        }
    }

    /// Per second up to `now`, in the turn that was noted last.
    pub fn per_sec(&self, now: Instant, flow: Flow) -> PerSec {
        let Some(first) = self.samples.front() else { return PerSec::default() };
        let begin =
            now.checked_sub(WINDOW).map_or(first.since, |begin| begin.clamp(first.since, first.until));
        let span = now.saturating_duration_since(begin).max(STEP).as_secs_f64();
        // A rate of many millions may be off by one.
        #[allow(clippy::cast_precision_loss)]
        let rate = |of: fn(&Flow) -> u64| of(&flow).saturating_sub(of(&first.flow)) as f64 / span;
        PerSec {
            messages_in: rate(|flow| flow.messages_in),
            deliveries: rate(|flow| flow.deliveries),
            bytes_in: rate(|flow| flow.bytes_in),
            bytes_out: rate(|flow| flow.bytes_out),
            opened: rate(|flow| flow.opened),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[allow(clippy::disallowed_methods, reason = "a test begins somewhere")]
    fn start() -> (Rates, Instant) {
        let now = Instant::now();
        (Rates::new(now), now)
    }

    fn flow(messages_in: u64) -> Flow {
        Flow { messages_in, ..Flow::default() }
    }

    fn is_near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() < 1e-6
    }

    #[test]
    fn a_steady_flow_has_its_rate_from_the_first_seconds_on() {
        let (mut rates, start) = start();
        for tenth in 1..=1000 {
            let now = start + SECOND / 10 * tenth;
            rates.note(now, flow(u64::from(tenth - 1) * 7));
            let found = rates.per_sec(now, flow(u64::from(tenth) * 7)).messages_in;
            let wanted = if tenth < 10 { f64::from(tenth) * 7.0 } else { 70.0 };
            // The turn at the very beginning of the window may count or not.
            assert!((wanted - 1e-6..=wanted + 0.7 + 1e-6).contains(&found), "{found} at {tenth} tenths");
            assert!(rates.samples.len() <= 12, "{}", rates.samples.len());
        }
    }

    #[test]
    fn what_happened_before_a_long_rest_is_forgotten_and_not_spread_over_it() {
        let (mut rates, start) = start();
        rates.note(start, flow(0));
        // A thousand messages in the turn that begins half a second later, then none.
        rates.note(start + SECOND / 2, flow(0));
        let table = [(4, 1000.0 / 4.0), (10, 100.0), (60, 0.0)];
        assert!(!table.is_empty());
        for (secs, wanted) in table {
            let mut rates = Rates { samples: rates.samples.clone(), ..rates };
            let now = start + SECOND * secs;
            rates.note(now, flow(1000));
            let found = rates.per_sec(now, flow(1000)).messages_in;
            assert!(is_near(found, wanted), "{found} after {secs} s");
            // And what comes now counts in full.
            assert!(is_near(
                rates.per_sec(now, flow(1500)).messages_in,
                wanted + 500.0 / secs.min(10) as f64
            ));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A rate is that of some window of ten to eleven seconds (or of what there was), whatever the turns.
        #[test]
        fn no_rate_is_out_of_its_window(
            turns in proptest::collection::vec((prop_oneof![0u64..50, 0u64..2000, 0u64..100_000], 0u64..1000), 1..200),
        ) {
            let (mut rates, start) = start();
            let (mut now_ms, mut total) = (0u64, 0u64);
            // The count after each turn.
            let mut history = vec![(0u64, 0u64)];
            for (gap, messages) in turns {
                now_ms += gap;
                let now = start + Duration::from_millis(now_ms);
                rates.note(now, flow(total));
                let found = rates.per_sec(now, flow(total)).messages_in;
                let count = |is_past: &dyn Fn(u64) -> bool| {
                    history.iter().rev().find(|(then, _)| is_past(*then)).map_or(0, |(_, count)| *count)
                };
                let ago = |ms: u64| now_ms.saturating_sub(ms);
                let least = total - count(&|then| then <= ago(10_000));
                let most = total - count(&|then| then < ago(12_000));
                let span = |ms: u64| (now_ms.min(ms).max(1000)) as f64 / 1000.0;
                prop_assert!(found >= least as f64 / span(12_000) - 1e-6, "{found}, {least} in 10 s");
                prop_assert!(found <= most as f64 / span(10_000) + 1e-6, "{found}, {most} in 12 s");
                prop_assert!(rates.samples.len() <= 12);
                total += messages;
                history.push((now_ms, total));
            }
        }
    }
}
