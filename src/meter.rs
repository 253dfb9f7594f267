//! Meters: how much of a rate is used up. Cost first, wait after: what was sent is never lost, only what follows comes later.
//!
//! Owns the moment up to which what was sent is paid for. Rate and burst are arguments, as they are of the configuration.
//! Leaves to others: what becomes of whoever is over its rate.

use std::time::{Duration, Instant};

/// What was sent of one kind, messages or bytes, in the time that the rate gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meter {
    /// The moment at which all of it is paid for.
    paid: Instant,
}

impl Meter {
    /// One with a whole burst to spend.
    pub(crate) fn new(burst: Duration, now: Instant) -> Self {
        Self { paid: now.checked_sub(burst).unwrap_or(now) }
    }

    /// So much was sent: it costs the time in which the rate brings as much. A burst's worth is free after a pause.
    pub(crate) fn charge(&mut self, sent: u64, per_sec: u64, burst: Duration, now: Instant) {
        if per_sec == 0 {
            return;
        }
        let nanos = u128::from(sent) * 1_000_000_000 / u128::from(per_sec);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let from = now.checked_sub(burst).map_or(self.paid, |least| self.paid.max(least));
        self.paid = from.checked_add(cost).unwrap_or(self.paid);
    }

    /// When anything more may be sent, if that is not at once.
    pub(crate) fn free_at(&self, now: Instant) -> Option<Instant> {
        (self.paid >= now).then_some(self.paid)
    }

    /// When a new one will do as well.
    pub(crate) fn full_at(&self, burst: Duration) -> Option<Instant> {
        self.paid.checked_add(burst)
    }

    /// Whether a new one would do as well.
    pub(crate) fn is_full(&self, burst: Duration, now: Instant) -> bool {
        now.checked_sub(burst).is_some_and(|least| self.paid <= least)
    }
}
