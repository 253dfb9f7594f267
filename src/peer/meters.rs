//! What one peer has sent of late, where its rate is limited, and whether it waits for that.
//!
//! Owns the two meters of a peer. Leaves to others: when it is asked, and what becomes of whoever is over its rate.

use std::time::{Duration, Instant};

use crate::{
    limits::Limits,
    meter::{Meter, Room},
};

/// What a peer has sent of late.
#[derive(Debug)]
pub(super) struct Meters {
    messages: Meter,
    bytes: Meter,
    /// Until then it is left unread.
    pub(super) rests_until: Option<Instant>,
}

impl Meters {
    /// Those of one who has sent nothing.
    pub(super) fn new(burst: Duration, now: Instant) -> Box<Self> {
        Box::new(Self { messages: Meter::new(burst, now), bytes: Meter::new(burst, now), rests_until: None })
    }

    /// What was sent is forgotten.
    pub(super) fn renew(&mut self, burst: Duration, now: Instant) {
        *self = Self { rests_until: self.rests_until, ..*Self::new(burst, now) };
    }

    /// One message of so many bytes was sent.
    pub(super) fn charge(&mut self, len: usize, limits: &Limits, now: Instant) {
        let burst = limits.rate_burst;
        self.messages.charge(1, limits.messages_per_sec.into(), burst, now);
        self.bytes.charge(len as u64, limits.bytes_per_sec as u64, burst, now);
    }

    /// When more may be sent, if that is not at once.
    pub(super) fn free_at(&self, now: Instant) -> Option<Instant> {
        self.messages.free_at(now).max(self.bytes.free_at(now))
    }

    /// How much may be sent at once.
    pub(super) fn room(&self, limits: &Limits, now: Instant) -> Room {
        let burst = limits.rate_burst;
        Room {
            messages: self.messages.room(limits.messages_per_sec.into(), burst, now),
            bytes: self.bytes.room(limits.bytes_per_sec as u64, burst, now),
        }
    }

    /// Whether new ones would do as well.
    pub(super) fn is_spare(&self, burst: Duration, now: Instant) -> bool {
        self.rests_until.is_none() && self.messages.is_full(burst, now) && self.bytes.is_full(burst, now)
    }
}
