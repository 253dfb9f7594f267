//! How much a peer, and all peers of its address together, may send: metered message by message, once it is here.
//!
//! Whoever is over its rate is not read until what it sent is paid for: TCP holds it back, and nothing is lost. Meanwhile it
//! is not pinged, and its deadlines rest. Or it is closed, if its rule says so.

use super::Relay;
use crate::{
    counters::Disconnect,
    id::PeerId,
    limits::OnRate,
    peer::{Peer, Reading, Remark, Stage},
};
use std::time::{Duration, Instant};

/// Over how long those are spread who wait for the rate of one address: whoever is first takes all there is.
const WAKE_SPREAD: Duration = Duration::from_millis(200);

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

    /// Whether the peer must wait before anything more of it is decoded.
    pub(super) fn is_over_rate(&self, id: PeerId, now: Instant) -> bool {
        let Some(peer) = self.roster.get(id) else { return false };
        let limits = self.limits.under(peer.rule);
        limits.meters() && limits.on_rate == OnRate::Wait && self.free_at(id, now).is_some()
    }

    /// The peer has sent one message of so many bytes.
    pub(super) fn charge(&mut self, id: PeerId, len: usize, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let limits = self.limits.under(peer.rule);
        let stay = peer.stay().filter(|_| limits.meters_addresses());
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
        peer.reading = Reading::Unread;
        self.unread.push_back(id);
        if let Stage::Open(open) = &mut peer.stage {
            open.note_released(now);
        }
        self.arm(id);
    }
}
