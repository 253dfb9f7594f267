//! How much a peer, and all peers of its address together, may send: metered message by message, once it is here.
//!
//! Whoever is over its rate is not read until what it sent is paid for: TCP holds it back, and nothing is lost. Meanwhile it
//! is not pinged, and its deadlines rest. Or it is closed, if its rule says so.

use super::Relay;
use crate::{
    canary::{self, Canary},
    counters::Disconnect,
    id::PeerId,
    limits::{METERED_READ, OnRate},
    peer::{Peer, Reading, Remark, Stage},
};
use std::time::{Duration, Instant};

/// Over how long those are spread who wait for the rate of one address: whoever is first takes all there is.
const WAKE_SPREAD: Duration = Duration::from_millis(200);

/// Bytes of the smallest message that a client can send: header and mask.
const LEAST_FRAME: u64 = 6;

impl<L> Relay<L> {
    /// What becomes of the peer over its rate.
    pub(super) fn on_rate(&self, id: PeerId) -> OnRate {
        self.roster.get(id).map_or(OnRate::Wait, |peer| self.limits.under(peer.rule).on_rate)
    }

    /// When the peer may go on sending, if that is not at once.
    pub(super) fn free_at(&self, id: PeerId, now: Instant) -> Option<Instant> {
        let peer = self.roster.get(id)?;
        let Stage::Open(open) = &peer.stage else { return None };
        open.free_at(now).max(self.address_free_at(peer, now))
    }

    /// When the peer's address may go on sending, if that is not at once.
    pub(super) fn address_free_at(&self, peer: &Peer<L>, now: Instant) -> Option<Instant> {
        let is_metered = self.limits.under(peer.rule).meters_addresses();
        let stay = peer.stay().filter(|_| is_metered)?;
        self.visitors.free_at(stay.client, now)
    }

    /// How many bytes of a peer may be read at once: at a limited rate as many as it may send in any case, so that a turn brings
    /// all of a burst; or else a few, of which the rest lies with us until it may go on.
    pub(super) fn readable_bytes(&self, id: PeerId, now: Instant) -> usize {
        let most = self.limits.turn.read_per_peer;
        let Some(peer) = self.roster.get(id) else { return most };
        let limits = self.limits.under(peer.rule);
        let Stage::Open(open) = &peer.stage else { return most };
        if !limits.meters() {
            return most;
        }
        let mut room = open.room(limits, now);
        if let Some(stay) = peer.stay().filter(|_| limits.meters_addresses()) {
            room = room.least(self.visitors.room(stay.client, limits, now));
            // What is not decoded in this turn may find that others have used that room up.
            room.messages = room.messages.min(self.limits.turn.frames_per_peer as u64);
        }
        let of_bytes = room.bytes.saturating_sub(peer.inflight.unpacked().message as u64);
        let of_messages = room.messages.saturating_sub(1).saturating_mul(LEAST_FRAME);
        let allowed = usize::try_from(of_bytes.min(of_messages)).unwrap_or(usize::MAX);
        most.min(allowed.max(METERED_READ))
    }

    /// Whether the peer must wait before anything more of it is decoded.
    pub(super) fn is_over_rate(&self, id: PeerId, now: Instant) -> bool {
        let Some(peer) = self.roster.get(id) else { return false };
        let limits = self.limits.under(peer.rule);
        limits.meters() && limits.on_rate == OnRate::Wait && self.free_at(id, now).is_some()
    }

    /// Whether the peer may be made to wait for its rate here. What was begun may be ended: a message's deadline cannot be
    /// rested away. And what was read before there was a rate is decoded, or it would lie here for as long as it takes.
    pub(super) fn may_rest(&self, id: PeerId) -> bool {
        let stage = self.roster.get(id).map(|peer| &peer.stage);
        matches!(stage, Some(Stage::Open(open)) if !open.is_amid_message() && !open.is_left_over_free())
    }

    /// The peer has sent one message of so many bytes.
    pub(super) fn charge(&mut self, id: PeerId, len: usize, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let limits = self.limits.under(peer.rule);
        let stay =
            peer.stay().filter(|_| limits.meters_addresses() && !canary::sings(Canary::AddressNotCharged));
        if let Stage::Open(open) = &mut peer.stage {
            open.charge(len, limits, now);
        }
        if let Some(stay) = stay {
            self.visitors.charge(stay.client, len, limits, now);
        }
    }

    /// The peer waits, unread, until what it sent is paid for.
    pub(super) fn rest(&mut self, id: PeerId, now: Instant) {
        let Some(until) = self.free_at(id, now).map(|until| self.spread(id, until, now)) else { return };
        let Some(peer) = self.roster.get_mut(id) else { return };
        if peer.remark == Remark::Broken {
            return self.lost(id, Disconnect::Reset, now);
        }
        let Stage::Open(open) = &mut peer.stage else { return };
        open.rest_until(until, self.limits.under(peer.rule), now);
        peer.reading = Reading::Resting;
        self.counters.rested += 1;
        self.recount_inflight(id);
        self.arm(id);
    }

    fn spread(&mut self, id: PeerId, until: Instant, now: Instant) -> Instant {
        let waits_for_others =
            self.roster.get(id).is_some_and(|peer| self.address_free_at(peer, now).is_some());
        if waits_for_others { until + self.random.part_of(WAKE_SPREAD) } else { until }
    }

    /// A peer that rested is read again.
    pub(super) fn wake(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.roster.get_mut(id).filter(|peer| peer.reading == Reading::Resting) else {
            return;
        };
        if canary::sings(Canary::NeverWoken) {
            return;
        }
        peer.reading = Reading::Unread;
        self.unread.push_back(id);
        if let Stage::Open(open) = &mut peer.stage {
            open.note_released(now);
        }
        self.recount_inflight(id);
        self.arm(id);
    }
}
