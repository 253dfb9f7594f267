//! The timer wheel: one level, insert and advance; no cancel, but of all at once.
//!
//! Owns entries with a time each, in slots of one tick (100 ms), one round of 1024 ticks (102 s) ahead. Promises that an
//! entry never comes up early and, if the wheel is advanced in time, at most one tick late; that each comes up once; and
//! that a long sleep costs no more than one round. Leaves to the owner: what an entry means, whether it is still the
//! valid one (there is no cancel; the owner remembers the tick that `insert` gave and drops entries that come up with
//! another), and to put it back. A time beyond the rim comes up at the rim, too soon, and the owner puts it back then.

use crate::canary::{self, Canary};
use std::{
    mem,
    time::{Duration, Instant},
};

const SLOTS: u64 = 1024;
const TICK: Duration = Duration::from_nanos(TICK_NANOS as u64);
const TICK_NANOS: u32 = 100_000_000;
const TICKS_PER_SEC: u64 = 1_000_000_000 / TICK_NANOS as u64;
const WORDS: usize = SLOTS as usize / 64;

/// The last tick that the wheel can reach, in fifty billion years: a round before the end of the numbers, so that adding
/// a round cannot wrap and no entry is at `NEVER`.
const LAST: u64 = u64::MAX - SLOTS - 1;

/// A tick of a wheel, counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

/// A tick that never comes, for who has no entry.
pub const NEVER: Tick = Tick(u64::MAX);

/// Entries that wait for their time.
#[derive(Debug)]
pub struct Wheel<T> {
    /// When tick 0 was.
    start: Instant,
    /// The last tick whose entries were handed out. Never goes back; at most `LAST`.
    passed: u64,
    /// Entries by tick modulo `SLOTS`. All have a tick in `passed + 1 ..= passed + SLOTS`, so a slot holds one tick's
    /// entries. An empty slot holds no memory.
    slots: Box<[Vec<T>]>,
    /// One bit for each slot: it is not empty.
    occupied: [u64; WORDS],
    /// Entries in all slots.
    len: usize,
}

impl<T: Copy> Wheel<T> {
    /// An empty wheel that starts at `now`.
    pub fn new(now: Instant) -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { start: now, passed: 0, slots, occupied: [0; WORDS], len: 0 }
    }

    /// Puts in an entry that comes up at the tick given back, which is `tick_of(at)`. One for a time already past comes up
    /// at the tick after the last one handed out: not in this `advance` again, but in the first that reaches a new tick.
    pub fn insert(&mut self, item: T, at: Instant) -> Tick {
        let tick = self.tick_of(at);
        let slot = slot_of(tick.0);
        if slot.is_multiple_of(16) && canary::sings(Canary::LostTimer) {
            return tick;
        }
        self.slots[slot].push(item);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.len += 1;
        tick
    }

    /// Forgets all entries. Ticks go on as before.
    pub fn clear(&mut self) {
        self.slots.fill_with(Vec::new);
        self.occupied = [0; WORDS];
        self.len = 0;
    }

    /// Hands out all entries whose tick has come, by tick and then in the order of insertion, behind what is in `due`.
    pub fn advance(&mut self, now: Instant, due: &mut Vec<(T, Tick)>) {
        let reached = self.ticks_until(now, u32::div_euclid).min(LAST);
        while let Some(tick) = self.first_occupied().filter(|&tick| tick <= reached) {
            self.passed = tick;
            let items = self.empty_slot(slot_of(tick));
            due.extend(items.into_iter().map(|item| (item, Tick(tick))));
        }
        self.passed = self.passed.max(reached);
    }

    /// The tick at which an entry for `at` would come up: rounded up, at most one round ahead, and never one already
    /// handed out.
    pub fn tick_of(&self, at: Instant) -> Tick {
        let tick = self.ticks_until(at, u32::div_ceil);
        Tick(tick.clamp(self.passed + 1, self.passed + SLOTS))
    }

    /// When the first entry comes up: the time of its tick, before which `advance` would find nothing. Nothing if there
    /// is no entry.
    pub fn next(&self) -> Option<Instant> {
        self.first_occupied().map(|tick| self.time_of(tick))
    }

    /// Entries in the wheel.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The earliest tick that has entries: a search through one round of bits, from the first tick not handed out.
    fn first_occupied(&self) -> Option<u64> {
        let first = slot_of(self.passed + 1);
        let behind = !0 << (first % 64);
        // The word it begins in comes twice: first what lies ahead in it, last the end of the round.
        let found = (0..=WORDS).find_map(|step| {
            let word = (first / 64 + step) % WORDS;
            let mask = if step == 0 {
                behind
            } else if step == WORDS {
                !behind
            } else {
                !0
            };
            let bits = self.occupied[word] & mask;
            (bits != 0).then(|| word as u64 * 64 + u64::from(bits.trailing_zeros()))
        })?;
        Some(self.passed + 1 + (found + SLOTS - first as u64) % SLOTS)
    }

    /// Takes the entries of a slot together with its memory.
    fn empty_slot(&mut self, slot: usize) -> Vec<T> {
        let items = mem::take(&mut self.slots[slot]);
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        self.len -= items.len();
        items
    }

    /// Whole seconds are whole ticks, so only the rest needs to be rounded.
    fn ticks_until(&self, at: Instant, divide: fn(u32, u32) -> u32) -> u64 {
        let since_start = at.saturating_duration_since(self.start);
        let rest = u64::from(divide(since_start.subsec_nanos(), TICK_NANOS));
        let ticks = since_start.as_secs().saturating_mul(TICKS_PER_SEC).saturating_add(rest);
        if canary::sings(Canary::NarrowTicks) { ticks & 0xFFFF_FFFF } else { ticks }
    }

    /// The time of a tick. Where the clock ends before the tick, the start: a wake-up too soon does no harm.
    fn time_of(&self, tick: u64) -> Instant {
        let (secs, rest) = (tick / TICKS_PER_SEC, tick % TICKS_PER_SEC);
        let since_start = Duration::from_secs(secs) + TICK * rest as u32;
        self.start.checked_add(since_start).unwrap_or(self.start)
    }
}

fn slot_of(tick: u64) -> usize {
    (tick % SLOTS) as usize
}

#[cfg(any(test, feature = "simulation"))]
pub(crate) mod model;
#[cfg(test)]
mod tests;
