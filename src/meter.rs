//! Meters: how much of a rate is used up. Cost first, wait after: what was sent is never lost, only what follows comes later.
//!
//! Owns the moment up to which what was sent is paid for. Promises that in any time no more is let through than the rate
//! brings in that time, the burst, and the one item that goes beyond; and that rounding, always up, takes less than a
//! quarter of a billionth of a nanosecond from whoever sends with each charge. Rate and burst are arguments, as they are of
//! the configuration. Leaves to others: what becomes of whoever is over its rate.

use std::time::{Duration, Instant};

/// What was sent of one kind, messages or bytes, in the time that the rate gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meter {
    /// The moment at which all of it is paid for, less a part of a nanosecond.
    paid: Instant,
    /// That part. A byte at a terabyte per second costs a thousandth of a nanosecond: whole ones would let it pass for nothing.
    part: Part,
}

/// What may be sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Room {
    /// What both allow.
    pub(crate) fn least(self, other: Self) -> Self {
        Self { messages: self.messages.min(other.messages), bytes: self.bytes.min(other.bytes) }
    }
}

/// Parts of a nanosecond, of which 2^32 are one.
type Part = u32;

/// Nobody owes more than this, thirty years: the time line must not end before what was sent is paid for.
const MOST_DEBT: Duration = Duration::from_secs(1_000_000_000);

const NANOS_PER_SEC: u128 = 1_000_000_000;

const NANO: Duration = Duration::from_nanos(1);

impl Meter {
    /// One with a whole burst to spend; with none where the time line does not go back so far.
    pub(crate) fn new(burst: Duration, now: Instant) -> Self {
        Self { paid: now.checked_sub(burst).unwrap_or(now), part: 0 }
    }

    /// So much was sent: it costs the time in which the rate brings as much. A burst's worth is free after a pause. A rate of
    /// 0 is any.
    pub(crate) fn charge(&mut self, sent: u64, per_sec: u64, burst: Duration, now: Instant) {
        if per_sec == 0 {
            return;
        }
        if let Some(least) = now.checked_sub(burst).filter(|&least| least > self.paid) {
            *self = Self { paid: least, part: 0 };
        }
        let (cost, cost_part) = cost(sent, per_sec);
        let (part, carries) = self.part.overflowing_add(cost_part);
        let cost = cost + if carries { NANO } else { Duration::ZERO };
        let most = now.checked_add(MOST_DEBT).unwrap_or(now);
        let paid = self.paid.checked_add(cost).filter(|&paid| paid < most);
        *self = paid.map_or(Self { paid: most, part: 0 }, |paid| Self { paid, part });
    }

    /// When anything more may be sent, if that is not at once: as soon as all is paid for, and time has gone on.
    pub(crate) fn free_at(&self, now: Instant) -> Option<Instant> {
        (self.paid >= now).then(|| self.paid.checked_add(NANO).unwrap_or(self.paid))
    }

    /// How much may be sent at once, and all but the last of it without having to wait. At a rate of 0: anything.
    pub(crate) fn room(&self, per_sec: u64, burst: Duration, now: Instant) -> u64 {
        if per_sec == 0 {
            return u64::MAX;
        }
        let unused = now.saturating_duration_since(self.paid).min(burst);
        u64::try_from(unused.as_nanos() * u128::from(per_sec) / NANOS_PER_SEC).unwrap_or(u64::MAX)
    }

    /// When a new one will do as well.
    pub(crate) fn full_at(&self, burst: Duration) -> Option<Instant> {
        self.paid.checked_add(burst)
    }

    /// Whether a new one would do as well.
    pub(crate) fn is_full(&self, burst: Duration, now: Instant) -> bool {
        now.checked_sub(burst).is_some_and(|least| self.paid < least || self.paid == least && self.part == 0)
    }
}

/// The time in which the rate brings so much, rounded up.
fn cost(sent: u64, per_sec: u64) -> (Duration, Part) {
    let parts = ((u128::from(sent) * NANOS_PER_SEC) << Part::BITS).div_ceil(per_sec.into());
    let nanos = u64::try_from(parts >> Part::BITS).unwrap_or(u64::MAX);
    (Duration::from_nanos(nanos), parts as Part)
}

#[cfg(test)]
mod tests;
