//! The wheel against the same said naively: a sorted map from tick to entries, and time as a number.
//!
//! Told by a tape what happens, when the clock began, and how it moves: its very ends are among the times.

use super::*;
use crate::sim::rng::Rng;
use std::collections::BTreeMap;

#[derive(Default)]
struct Model {
    passed: u64,
    entries: BTreeMap<u64, Vec<u32>>,
}

impl Model {
    /// `at` is in nanoseconds since the start.
    fn insert(&mut self, item: u32, at: u128) -> Tick {
        let mut tick = self.passed + 1;
        while u128::from(tick) * TICK.as_nanos() < at && tick < self.passed + SLOTS {
            tick += 1;
        }
        self.entries.entry(tick).or_default().push(item);
        Tick(tick)
    }

    fn advance(&mut self, now: u128) -> Vec<(u32, Tick)> {
        // Fifty billion years, where ticks end.
        let reached = (now / TICK.as_nanos()).min(LAST.into()) as u64;
        self.passed = self.passed.max(reached);
        let later = self.entries.split_off(&(self.passed + 1));
        let due = mem::replace(&mut self.entries, later);
        due.into_iter()
            .flat_map(|(tick, items)| items.into_iter().map(move |item| (item, Tick(tick))))
            .collect()
    }

    fn len(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// Nanoseconds from the start to the first entry's tick.
    fn next(&self) -> Option<u128> {
        self.entries.first_key_value().map(|(tick, _)| u128::from(*tick) * TICK.as_nanos())
    }
}

/// The first and the last moment that the clock can say, found from some other.
pub(super) fn ends_of_clock(from: Instant) -> (Instant, Instant) {
    let seconds = || (0..64).rev().map(|bit| Duration::from_secs(1 << bit));
    let first = seconds().fold(from, |at, step| at.checked_sub(step).unwrap_or(at));
    let last = seconds().fold(from, |at, step| at.checked_add(step).unwrap_or(at));
    (first, last)
}

/// Does what the tape says, to a wheel and to its model, and checks both after every step. `any` is any moment.
pub(crate) fn play(tape: &[u8], any: Instant) {
    let mut rng = Rng::on_tape(tape);
    let (first, last) = ends_of_clock(any);
    let near_last = last.checked_sub(Duration::from_secs(150)).unwrap_or(last);
    let start = rng.pick(&[any, first, near_last, last]);
    let (mut wheel, mut model, mut now) = (Wheel::new(start), Model::default(), start);
    let since_start = |at: Instant| at.saturating_duration_since(start).as_nanos();
    for item in 0.. {
        if rng.is_spent() {
            break;
        }
        if rng.below(7) < 4 {
            let at = moved(now, offset(&mut rng), rng.chance(250), (first, last));
            assert_eq!(wheel.insert(item, at), model.insert(item, since_start(at)), "item {item}");
        } else {
            now = moved(now, offset(&mut rng), rng.chance(100), (first, last));
            let mut due = Vec::new();
            wheel.advance(now, &mut due);
            assert_eq!(due, model.advance(since_start(now)));
        }
        check(&wheel, &model, start);
        if item % 16 == 0 {
            check_memory(&wheel);
        }
    }
    check_memory(&wheel);
}

/// A walk over all slots.
fn check_memory(wheel: &Wheel<u32>) {
    assert!(wheel.slots.iter().all(|slot| !slot.is_empty() || slot.capacity() == 0));
}

fn check(wheel: &Wheel<u32>, model: &Model, start: Instant) {
    assert_eq!((wheel.len(), wheel.is_empty()), (model.len(), model.entries.is_empty()));
    let told = wheel.next().map(|at| at.saturating_duration_since(start).as_nanos());
    let is_beyond = |next: u128| start.checked_add(whole(next)).is_none();
    // Where the clock ends before the tick, the wheel says the start: too soon, which does no harm.
    assert_eq!(told, model.next().map(|next| if is_beyond(next) { 0 } else { next }));
}

fn whole(nanos: u128) -> Duration {
    let (secs, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    Duration::new(u64::try_from(secs).unwrap_or(u64::MAX), rest as u32)
}

/// Mostly within reach of the wheel and around its rim; now and then for ages.
fn offset(rng: &mut Rng) -> Duration {
    match rng.below(6) {
        0 => Duration::from_millis(rng.below(500) as u64),
        1 => TICK * rng.below(64) as u32,
        2 => Duration::from_millis(rng.below(110_000) as u64),
        3 => Duration::from_millis(101_000 + rng.below(3_000) as u64),
        4 => Duration::from_nanos(rng.below(1 << 38) as u64),
        _ => Duration::from_secs(1 << rng.below(64)),
    }
}

fn moved(from: Instant, by: Duration, back: bool, (first, last): (Instant, Instant)) -> Instant {
    if back { from.checked_sub(by).unwrap_or(first) } else { from.checked_add(by).unwrap_or(last) }
}
