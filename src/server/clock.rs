//! The program's time: the monotonic clock, less the time that the process stood still; and the processor time that a
//! turn takes.
//!
//! A process that was stopped for ninety seconds has heard nobody meanwhile, through no fault of theirs: without this
//! it would find every ping unanswered and every deadline missed when it goes on. So the time that no turn can have
//! taken is left out, and all deadlines, which are only instants of this clock, move on by themselves.

use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// A turn and its wait may take so much longer than was meant before the process counts as having stood still. Far
/// above what a turn or a busy machine adds, far below any deadline.
const GRACE: Duration = Duration::from_secs(1);

/// What counts of such a time all the same, so that time goes on even where every turn takes that long. Below any
/// deadline.
const STEP: Duration = Duration::from_millis(100);

/// Gives the time of each turn.
#[derive(Debug)]
pub(super) struct Clock {
    /// The time of the last turn, of this clock.
    last: Instant,
    /// What was left out so far.
    left_out: Duration,
    /// Processor time of the thread at the end of the last turn.
    cpu: Duration,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { last: read(), left_out: Duration::ZERO, cpu: read_cpu() }
    }

    /// The time of the last turn.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// The time of the turn that begins now, after a wait that was to take `waited` at most; and the time that the
    /// process stood still before it.
    pub(super) fn turn(&mut self, waited: Duration) -> (Instant, Duration) {
        self.turn_at(read(), waited)
    }

    fn turn_at(&mut self, read: Instant, waited: Duration) -> (Instant, Duration) {
        let now = read.checked_sub(self.left_out).unwrap_or(self.last);
        let passed = now.saturating_duration_since(self.last);
        // Nearly all of it: nobody knows when in the wait it began, and deadlines must not strike at once.
        let stood = if passed > waited + GRACE { passed - STEP } else { Duration::ZERO };
        self.left_out += stood;
        // Time that goes back, which it never should, stands still here.
        self.last = self.last.max(now - stood);
        (self.last, stood)
    }

    /// How long the turn has taken so far.
    pub(super) fn elapsed(&self) -> Duration {
        read()
            .checked_sub(self.left_out)
            .map_or(Duration::ZERO, |now| now.saturating_duration_since(self.last))
    }

    /// Processor time since the last call, or since this clock was made: asked at the end of a turn, that of the turn
    /// and the wait before it.
    pub(super) fn cpu(&mut self) -> Duration {
        let before = std::mem::replace(&mut self.cpu, read_cpu());
        self.cpu.saturating_sub(before)
    }
}

/// The one place that reads the clock (law 3).
#[allow(clippy::disallowed_methods, reason = "this is that place")]
fn read() -> Instant {
    Instant::now()
}

/// The time of the calendar: to be told, never to be reckoned with here.
#[allow(clippy::disallowed_methods, reason = "no deadline and no order comes of it")]
pub(super) fn calendar() -> SystemTime {
    SystemTime::now()
}

/// The time of the calendar since 1970, for tokens that are good for a time.
pub fn unix() -> Duration {
    calendar().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Processor time of this thread so far, of which nothing passes while it waits.
fn read_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_what_no_turn_can_have_taken_is_left_out() {
        let mut clock = Clock::new();
        let start = clock.last();
        // real time and the wait that was meant, in seconds; the clock's time and the stand-still, in milliseconds
        let rows = [
            (1, 0, 1000, 0),
            (31, 30, 31_000, 0),
            (32, 1, 32_000, 0),
            (122, 30, 32_100, 89_900),
            (123, 1, 33_100, 0),
        ];
        for (real, waited, time, stood) in rows {
            let turn = clock.turn_at(start + SECOND * real, SECOND * waited);
            let expected = (start + Duration::from_millis(time), Duration::from_millis(stood));
            assert_eq!(turn, expected, "at {real} s");
        }
    }

    #[test]
    fn it_goes_on_where_every_turn_is_slow() {
        let mut clock = Clock::new();
        let start = clock.last();
        for n in 1..=100 {
            clock.turn_at(start + SECOND * 2 * n, Duration::ZERO);
        }
        assert_eq!(clock.last(), start + STEP * 100);
    }

    #[test]
    fn processor_time_passes_in_work_and_not_in_waits() {
        let mut clock = Clock::new();
        let until = read() + SECOND * 60;
        let (mut worked, mut sum) = (Duration::ZERO, 0_u64);
        while worked < Duration::from_millis(20) && read() < until {
            sum = (0..10_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
            worked += clock.cpu();
        }
        assert!(worked >= Duration::from_millis(20), "{worked:?}");
        std::thread::sleep(Duration::from_millis(200));
        let waited = clock.cpu();
        assert!(waited < Duration::from_millis(100), "{waited:?}");
    }

    #[test]
    fn it_never_goes_back() {
        let mut clock = Clock::new();
        let start = clock.last();
        clock.turn_at(start + SECOND, SECOND);
        assert_eq!(clock.turn_at(start, SECOND), (start + SECOND, Duration::ZERO));
    }
}
