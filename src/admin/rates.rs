//! What happened per second, of late, and how long turns took.
//!
//! Owns a dozen samples of a few counters, taken at the beginning of turns and at most once a second: nobody is woken
//! for them. Counters change in turns and nowhere else, so a sample says from which turn to which they stood so; what
//! they were at a time in a gap without turns is known exactly. Promises: a rate is that of the last ten seconds, of up
//! to a second more where turns are dense, and of the time since the start before that; and so are the turns.

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
    /// Turns.
    pub turns: u64,
    /// How long all of them took.
    pub turn_micros: u64,
}

/// How much of each per second; and of turns, how long they took.
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
    /// The longest turn.
    pub longest_turn_micros: u64,
    /// All turns, on the average.
    pub mean_turn_micros: f64,
}

impl Flow {
    /// Those of the relay's counters.
    pub fn of(counters: &Counters) -> Self {
        let Counters {
            messages_in,
            deliveries,
            read_bytes: bytes_in,
            write_bytes: bytes_out,
            opened,
            turns,
            ..
        } = *counters;
        Self {
            messages_in,
            deliveries,
            bytes_in,
            bytes_out,
            opened,
            turns,
            turn_micros: counters.turn_micros.sum(),
        }
    }
}

/// The counters stood so from the turn at `since` to the one at `until`.
#[derive(Clone, Copy, Debug)]
struct Sample {
    since: Instant,
    until: Instant,
    flow: Flow,
    /// The longest turn after the sample before, up to the one at `since`.
    longest_turn_micros: u64,
}

/// The samples.
#[derive(Debug)]
pub struct Rates {
    /// In the order of time. Never empty; at most one begins before the window.
    samples: VecDeque<Sample>,
    /// The turn before this one.
    turn: Instant,
    /// How long all turns before that took.
    turn_micros: u64,
    /// The longest turn since the last sample.
    longest_turn_micros: u64,
}

impl Rates {
    /// Nothing has happened before `now`.
    pub fn new(now: Instant) -> Self {
        let start = Sample { since: now, until: now, flow: Flow::default(), longest_turn_micros: 0 };
        Self { samples: VecDeque::from([start]), turn: now, turn_micros: 0, longest_turn_micros: 0 }
    }

    /// A turn begins.
    pub fn note(&mut self, now: Instant, flow: Flow) {
        let since = std::mem::replace(&mut self.turn, now);
        let before = std::mem::replace(&mut self.turn_micros, flow.turn_micros);
        self.longest_turn_micros = self.longest_turn_micros.max(flow.turn_micros.saturating_sub(before));
        if self.samples.back().is_none_or(|last| now.saturating_duration_since(last.until) >= STEP) {
            let longest_turn_micros = std::mem::take(&mut self.longest_turn_micros);
            self.samples.push_back(Sample { since, until: now, flow, longest_turn_micros });
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
        let grown = |of: fn(&Flow) -> u64| of(&flow).saturating_sub(of(&first.flow)) as f64;
        PerSec {
            messages_in: grown(|flow| flow.messages_in) / span,
            deliveries: grown(|flow| flow.deliveries) / span,
            bytes_in: grown(|flow| flow.bytes_in) / span,
            bytes_out: grown(|flow| flow.bytes_out) / span,
            opened: grown(|flow| flow.opened) / span,
            longest_turn_micros: self.longest_turn(),
            mean_turn_micros: grown(|flow| flow.turn_micros) / grown(|flow| flow.turns).max(1.0),
        }
    }

    /// What the first sample says is of before the window.
    fn longest_turn(&self) -> u64 {
        let sampled = self.samples.iter().skip(1).map(|sample| sample.longest_turn_micros);
        sampled.fold(self.longest_turn_micros, u64::max)
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

    #[test]
    fn a_long_turn_is_remembered_for_ten_seconds_and_the_mean_is_of_as_many() {
        let (mut rates, start) = start();
        let (mut turns, mut turn_micros) = (0, 0);
        // A turn in each tenth of a second: 100 µs, and once, after three seconds, 9000.
        for tenth in 1..=200_u32 {
            let now = start + SECOND / 10 * tenth;
            rates.note(now, Flow { turns, turn_micros, ..Flow::default() });
            let found = rates.per_sec(now, Flow { turns, turn_micros, ..Flow::default() });
            let expected = if (32..=130).contains(&tenth) { 9000 } else { 100 };
            // The long one goes with its sample, which is a second long.
            let is_near_its_end = (130..=142).contains(&tenth);
            let is_right = found.longest_turn_micros == if turns == 0 { 0 } else { expected };
            assert!(is_right || is_near_its_end, "{found:?} at {tenth} tenths");
            let mean = found.mean_turn_micros;
            let is_sane = if found.longest_turn_micros == 9000 {
                (150.0..400.0).contains(&mean)
            } else {
                mean <= 100.0
            };
            assert!(is_sane || is_near_its_end, "{found:?} at {tenth} tenths");
            turns += 1;
            turn_micros += if tenth == 31 { 9000 } else { 100 };
        }
    }

    #[test]
    fn a_long_turn_before_a_long_rest_is_over() {
        let (mut rates, start) = start();
        rates.note(start, Flow::default());
        let after = Flow { turns: 1, turn_micros: 5000, ..Flow::default() };
        for (secs, wanted) in [(9, 5000), (60, 0)] {
            let mut rates = Rates { samples: rates.samples.clone(), ..rates };
            rates.note(start + SECOND * secs, after);
            let found = rates.per_sec(start + SECOND * secs, after).longest_turn_micros;
            assert_eq!(found, wanted, "after {secs} s");
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
