//! Meters against an exact model in whole numbers, and what any window of time lets through.

use super::*;
use proptest::{collection::vec, prelude::*};

const SEC: u64 = 1_000_000_000;

/// The greatest rate that is asked for: bytes per second.
const FASTEST: u64 = 1 << 40;

#[allow(clippy::disallowed_methods)]
fn start() -> Instant {
    Instant::now() + Duration::from_secs(1 << 20)
}

fn nanos(count: u64) -> Duration {
    Duration::from_nanos(count)
}

/// The same rule without any rounding. Times are in nanoseconds times the rate.
struct Model {
    per_sec: u128,
    burst: i128,
    paid: i128,
}

impl Model {
    fn new(per_sec: u64, burst_ns: u64) -> Self {
        let burst = i128::from(burst_ns) * i128::from(per_sec);
        Self { per_sec: per_sec.into(), burst, paid: -burst }
    }

    fn at(&self, now_ns: u64) -> i128 {
        i128::from(now_ns) * self.per_sec as i128
    }

    fn charge(&mut self, sent: u64, now_ns: u64) {
        self.paid = self.paid.max(self.at(now_ns) - self.burst) + i128::from(sent) * i128::from(SEC);
    }

    fn is_free(&self, now_ns: u64) -> bool {
        self.paid < self.at(now_ns)
    }

    /// Whether it would be free too if each charge had cost as much more as rounding may take.
    fn is_free_in_spite_of(&self, charges: usize, now_ns: u64) -> bool {
        let lost = (charges as u128 * self.per_sec).div_ceil(1 << Part::BITS);
        self.paid + (lost as i128) < self.at(now_ns)
    }
}

fn any_rate() -> impl Strategy<Value = u64> {
    prop_oneof![1u64..20, 1u64..=1_000_000, Just(1_000_000), Just(700_001), 1u64..=FASTEST, Just(FASTEST)]
}

fn any_burst() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..SEC, Just(5 * SEC), Just(3600 * SEC)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_says_what_the_model_says_and_lets_no_more_through_than_rate_and_burst_and_one_item(
        per_sec in any_rate(),
        burst_ns in any_burst(),
        steps in vec((prop_oneof![
            Just(0u64), Just(1), 0u64..3000, 0u64..300_000_000, 0u64..3_000_000_000_000,
        ], prop_oneof![Just(0u64), Just(1), 1u64..200, 1u64..100_000, 1u64 << 20..1 << 25], any::<bool>()), 1..150),
    ) {
        let (start, burst) = (start(), nanos(burst_ns));
        let (mut meter, mut model) = (Meter::new(burst, start), Model::new(per_sec, burst_ns));
        let (mut now_ns, mut passed) = (0, Vec::new());
        for (charges, (step, sent, until_free)) in steps.into_iter().enumerate() {
            now_ns += step;
            if let Some(at) = meter.free_at(start + nanos(now_ns)).filter(|_| until_free) {
                let free_ns = (at - start).as_nanos();
                prop_assert!(free_ns > u128::from(now_ns));
                now_ns = u64::try_from(free_ns).unwrap();
            }
            let now = start + nanos(now_ns);
            let is_free = meter.free_at(now).is_none();
            prop_assert!(!is_free || model.is_free(now_ns));
            prop_assert!(is_free || !model.is_free_in_spite_of(charges, now_ns));
            if is_free {
                meter.charge(sent, per_sec, burst, now);
                model.charge(sent, now_ns);
                passed.push((now_ns, sent));
            }
        }
        for (i, (from, _)) in passed.iter().enumerate() {
            let mut before_the_last = 0;
            for (to, sent) in &passed[i..] {
                let brought = u128::from(to - from + burst_ns) * u128::from(per_sec);
                prop_assert!(before_the_last * u128::from(SEC) <= brought);
                before_the_last += u128::from(*sent);
            }
        }
    }

    #[test]
    fn a_new_one_does_as_well_as_a_full_one(
        per_sec in any_rate(), burst_ns in any_burst(), sent in 0u64..1 << 30, step in 0u64..8000 * SEC,
    ) {
        let (start, burst) = (start(), nanos(burst_ns));
        let now = start + nanos(step);
        let mut meter = Meter::new(burst, start);
        meter.charge(sent, per_sec, burst, start);
        let (mut used, mut fresh) = (meter, Meter::new(burst, now));
        used.charge(1, per_sec, burst, now);
        fresh.charge(1, per_sec, burst, now);
        prop_assert_eq!(used == fresh, meter.is_full(burst, now));
    }

    #[test]
    fn any_numbers_at_all_are_taken(
        steps in vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<i64>()), 1..20),
    ) {
        let start = start();
        let mut meter = Meter::new(Duration::MAX, start);
        for (sent, per_sec, burst, step) in steps {
            let step = Duration::from_secs(step.unsigned_abs()).min(Duration::from_secs(1 << 61));
            let now = start.checked_add(step).unwrap_or(start);
            meter.charge(sent, per_sec, Duration::new(burst, 0), now);
            let _ = (meter.free_at(now), meter.is_full(Duration::new(burst, 0), now));
        }
    }
}

/// How many items, each of so much, pass in a time if they are sent as soon as it is free.
fn count(per_sec: u64, sent: u64, burst: Duration, time: Duration) -> u64 {
    let start = start();
    let (mut meter, mut now, mut passed) = (Meter::new(burst, start), start, 0);
    while now <= start + time {
        passed += u64::from(meter.free_at(now).is_none());
        match meter.free_at(now) {
            Some(at) => now = at,
            None => meter.charge(sent, per_sec, burst, now),
        }
    }
    passed
}

#[test]
fn a_burst_and_then_exactly_the_rate_pass() {
    let table = [
        (1, 1, 5 * SEC, 0),
        (1, 1, 5 * SEC, 10 * SEC),
        (10, 1, SEC, 100 * SEC),
        (3, 7, SEC, 700 * SEC),
        (700_001, 1, SEC / 7, SEC),
        (1_000_000, 1, SEC / 10, SEC / 10),
        (1_000_000, 1, 10, SEC / 10),
        (1 << 30, 10, 1000, SEC / 1000),
        (FASTEST, 1, 10, 1000),
        (FASTEST, 1500, SEC / 10_000, SEC / 10_000),
    ];
    assert!(!table.is_empty());
    for (per_sec, sent, burst, time) in table {
        let brought = u128::from(burst + time) * u128::from(per_sec);
        let passed = brought.div_ceil(u128::from(sent) * u128::from(SEC));
        assert_eq!(
            u128::from(count(per_sec, sent, nanos(burst), nanos(time))),
            passed,
            "{per_sec}, {sent} at once"
        );
    }
}

#[test]
fn each_charge_costs_its_time_and_at_most_a_part_more() {
    let table = [(1, 7), (1, 700_001), (1, FASTEST), (1, FASTEST - 1), (1500, FASTEST - 1), (64 << 10, 3)];
    assert!(!table.is_empty());
    for (sent, per_sec) in table {
        let start = start();
        let mut meter = Meter::new(Duration::ZERO, start);
        for _ in 0..10_000 {
            meter.charge(sent, per_sec, Duration::ZERO, start);
        }
        let parts = ((meter.paid - start).as_nanos() << Part::BITS) + u128::from(meter.part);
        let exact = ((u128::from(sent) * 10_000 * u128::from(SEC)) << Part::BITS) / u128::from(per_sec);
        assert!((exact..=exact + 10_000).contains(&parts), "{sent} at {per_sec}: {parts}, not {exact}");
    }
}

#[test]
fn whoever_waits_until_it_is_free_is_free_then_and_not_before() {
    let start = start();
    let mut meter = Meter::new(Duration::ZERO, start);
    meter.charge(1, 3, Duration::ZERO, start);
    let at = meter.free_at(start).unwrap();
    assert_eq!(at, start + nanos(333_333_334));
    assert!(meter.free_at(at - NANO).is_some());
    assert_eq!(meter.free_at(at), None);
}

#[test]
fn a_pause_brings_a_burst_back_and_no_more() {
    let (start, burst) = (start(), Duration::from_secs(5));
    let mut meter = Meter::new(burst, start);
    meter.charge(100, 1, burst, start);
    assert!(!meter.is_full(burst, start + Duration::from_secs(99)));
    assert!(meter.is_full(burst, start + Duration::from_secs(100)));
    let later = start + Duration::from_secs(1000);
    meter.charge(4, 1, burst, later);
    assert_eq!(meter.free_at(later), None);
    meter.charge(1, 1, burst, later);
    assert!(meter.free_at(later).is_some());
}

#[test]
fn a_part_of_a_nanosecond_short_of_full_is_not_full() {
    let (start, burst) = (start(), Duration::from_secs(1));
    let mut meter = Meter::new(burst, start);
    meter.charge(1, 3, burst, start);
    assert!(!meter.is_full(burst, start + nanos(333_333_333)));
    assert!(meter.is_full(burst, start + nanos(333_333_334)));
}

#[test]
fn a_smaller_burst_counts_at_once_and_so_does_a_rate_of_any() {
    let start = start();
    let mut meter = Meter::new(Duration::from_secs(100), start);
    meter.charge(u64::MAX, 0, Duration::from_secs(100), start);
    assert!(meter.is_full(Duration::from_secs(100), start));
    meter.charge(1, 1, Duration::from_secs(1), start);
    assert!(meter.free_at(start).is_some());
}

#[test]
fn a_clock_that_stands_or_goes_back_lets_the_burst_through_and_no_more() {
    let (start, burst) = (start() + Duration::from_secs(1000), Duration::from_secs(5));
    let mut meter = Meter::new(burst, start);
    let is_passed = |step: &u64| {
        let now = start - Duration::from_secs(step % 10);
        let is_free = meter.free_at(now).is_none();
        meter.charge(u64::from(is_free), 1, burst, now);
        is_free
    };
    assert_eq!((0..1000).filter(is_passed).count(), 5);
}

#[test]
fn at_the_end_of_the_time_line_the_burst_passes_and_then_nothing() {
    let mut last = start();
    for step in (0..63).rev().map(|bit| Duration::from_secs(1 << bit)) {
        last = last.checked_add(step).unwrap_or(last);
    }
    last = last.checked_add(nanos(SEC - 1)).unwrap_or(last);
    let burst = Duration::from_secs(5);
    let mut meter = Meter::new(burst, last);
    meter.charge(4, 1, burst, last);
    assert_eq!(meter.free_at(last), None);
    meter.charge(u64::MAX, 1, burst, last);
    assert!(meter.free_at(last).is_some());
    assert!(!meter.is_full(burst, last));
}

#[test]
fn nobody_owes_more_than_thirty_years() {
    let start = start();
    let mut meter = Meter::new(Duration::ZERO, start);
    for _ in 0..3 {
        meter.charge(u64::MAX, 1, Duration::ZERO, start);
        assert_eq!(meter.free_at(start), Some(start + MOST_DEBT + NANO));
    }
}

#[test]
fn a_meter_is_small() {
    assert!(size_of::<Meter>() <= 24);
}

proptest! {
    /// What there is room for can be sent, one by one, and nobody waits before the last of it.
    #[test]
    fn what_there_is_room_for_needs_no_wait(
        per_sec in any_rate(), burst in any_burst(), sent in 0u64..1000, pause in 0u64..10 * SEC,
    ) {
        let (burst, start) = (nanos(burst), start());
        let mut meter = Meter::new(burst, start);
        meter.charge(sent, per_sec, burst, start);
        let now = start + nanos(pause);
        let room = meter.room(per_sec, burst, now);
        prop_assert!(u128::from(room) <= burst.as_nanos() * u128::from(per_sec) / NANOS_PER_SEC);
        for nth in 1..room.min(500) {
            meter.charge(1, per_sec, burst, now);
            prop_assert_eq!(meter.free_at(now), None, "after {} of {}", nth, room);
        }
        if room > 500 {
            meter.charge(room - 500, per_sec, burst, now);
            prop_assert_eq!(meter.free_at(now), None, "after all but one of {}", room);
        }
    }
}
