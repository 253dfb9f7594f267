//! How peers come to their end: refused, closed, cut off, lost; and `bury`, phase 6, the only place that frees a slot
//! (law 1).
//!
//! *Close* lets the peer have all that was accepted before, then the close frame. *Cut off* gives the backlog free at
//! once; only the frame that is partly written is finished, since a frame is never cut (law 5). Every way of ending
//! is counted here, once (law 12).

use super::{Buried, Relay};
use crate::{
    channel::Seat,
    counters::Disconnect,
    frame,
    handshake::Refusal,
    id::PeerId,
    peer::{Closing, Reading, Stage},
};
use std::time::Instant;

/// The longest rest of a frame that is copied for a peer that is cut off. Above it the connection is reset.
const REST_MAX: usize = 64 << 10;

/// Longest wait that a refusal advises, in seconds; each gets a random part, so that they do not all come back at
/// once.
const RETRY_AFTER_MAX_SECS: u32 = 10;

impl<L> Relay<L> {
    /// Begins to shut down: every open peer is closed with 1012, handshakes get 503, and so does whoever comes.
    pub fn drain(&mut self, now: Instant) {
        self.draining = true;
        let ids = self.roster.iter().map(|(id, _)| id).collect::<Vec<_>>();
        for id in ids {
            match self.roster.get(id).map(|peer| &peer.stage) {
                Some(Stage::Handshaking { .. }) => self.refuse(id, Refusal::Draining, now),
                Some(Stage::Open(_)) => self.close(id, Disconnect::Shutdown, 1012, "shutdown", now),
                _ => {}
            }
        }
    }

    /// Answers the request with a refusal, and ends.
    pub(super) fn refuse(&mut self, id: PeerId, refusal: Refusal, now: Instant) {
        let retry_after_secs = self.random.up_to(RETRY_AFTER_MAX_SECS);
        let Some(peer) = self.roster.get_mut(id) else { return };
        peer.control.push(&refusal.response(retry_after_secs));
        self.handshaking -= 1;
        self.counters.refuse(refusal.label());
        log::debug!("peer {id} refused: {}", refusal.label());
        self.enter_closing(id, Vec::new(), now);
    }

    /// The peer closes: its own code comes back to it (RFC 6455 5.5.1).
    pub(super) fn answer_close(&mut self, id: PeerId, code: Option<u16>, now: Instant) {
        let reply = code.map_or_else(frame::close_without_code, |code| frame::close(code, ""));
        self.part(id, Disconnect::PeerClosed, reply, now);
    }

    /// Closes an open peer, after what is due to it.
    pub(super) fn close(&mut self, id: PeerId, why: Disconnect, code: u16, reason: &str, now: Instant) {
        self.part(id, why, frame::close(code, reason), now);
    }

    fn part(&mut self, id: PeerId, why: Disconnect, last_words: Vec<u8>, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        if let Some(seat) = &mut peer.seat {
            seat.cursor.end_at(self.channels.backlog(seat.channel).end());
        }
        self.count_end(id, why);
        self.enter_closing(id, last_words, now);
    }

    fn count_end(&mut self, id: PeerId, why: Disconnect) {
        self.counters.disconnect(why);
        log::debug!("peer {id} ends: {}", why.label());
    }

    /// Cuts an open peer off: its backlog is given free at once.
    pub(super) fn cut(&mut self, id: PeerId, why: Disconnect, code: u16, reason: &str, now: Instant) {
        self.count_end(id, why);
        self.enter_closing(id, frame::close(code, reason), now);
        self.give_free(id);
    }

    /// Takes a peer's seat away while something of its channel is still due to it. The rest of a partly written
    /// frame is copied if it is small and there is room; else the connection is reset.
    pub(super) fn give_free(&mut self, id: PeerId) {
        let Some(seat) = self.roster.get(id).and_then(|peer| peer.seat.as_ref()) else { return };
        let within_frame = seat.cursor.is_within_frame();
        let rest = self.small_rest(seat);
        self.unseat(id);
        match rest {
            _ if !within_frame => {}
            Some(rest) if self.backlog_bytes() + rest.len() <= self.limits.max_backlog => {
                self.copy(id, &rest)
            }
            _ => {
                self.counters.undelivered_closes += 1;
                return self.gone(id, true);
            }
        }
        self.say_last_words(id);
    }

    /// A copy of the rest of the peer's partly written frame, unless it is large.
    pub(super) fn small_rest(&self, seat: &Seat) -> Option<Vec<u8>> {
        let rest = self.channels.backlog(seat.channel).rest(&seat.cursor);
        (rest.len() <= REST_MAX).then(|| rest.to_vec())
    }

    /// Puts the rest of a frame before everything else that the peer is to get.
    pub(super) fn copy(&mut self, id: PeerId, rest: &[u8]) {
        if let Some(peer) = self.roster.get_mut(id) {
            peer.control.put_first(rest);
            peer.copied += rest.len();
            self.copied += rest.len();
            self.counters.deliveries += 1;
        }
    }

    /// Nothing more is accepted from the peer.
    fn enter_closing(&mut self, id: PeerId, last_words: Vec<u8>, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let deadline = now + self.limits.close_timeout;
        peer.stage = Stage::Closing(Closing { deadline, last_words, finished: false, ended: false });
        match peer.reading {
            // On the list for input that does not matter any more: the visit is a read.
            Reading::Unread => peer.edge = true,
            _ => peer.reading = Reading::Idle,
        }
        self.recount_inflight(id);
        self.say_last_words(id);
        self.owe(id);
        self.arm(id);
    }

    /// When nothing of the channel is due to a closing peer any more, its seat is free and the close frame follows.
    pub(super) fn say_last_words(&mut self, id: PeerId) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        if matches!(peer.stage, Stage::Closing(_)) && !peer.has_backlog(&self.channels) {
            self.unseat(id);
            self.push_last_words(id);
        }
        self.rouse(id);
    }

    fn push_last_words(&mut self, id: PeerId) {
        if let Some(peer) = self.roster.get_mut(id)
            && let Stage::Closing(closing) = &mut peer.stage
        {
            peer.control.push(&std::mem::take(&mut closing.last_words));
        }
    }

    fn unseat(&mut self, id: PeerId) {
        let Some(seat) = self.roster.get_mut(id).and_then(|peer| peer.seat.take()) else { return };
        let index = seat.index;
        let moved = self.channels.leave(seat);
        if let Some(seat) =
            moved.and_then(|moved| self.roster.get_mut(moved)).and_then(|peer| peer.seat.as_mut())
        {
            seat.index = index;
        }
    }

    /// The connection ended without our doing.
    pub(super) fn lost(&mut self, id: PeerId, why: Disconnect) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        match &mut peer.stage {
            Stage::Handshaking { .. } => {
                self.handshaking -= 1;
                self.counters.refuse("abandoned");
                log::debug!("peer {id} left during its handshake");
            }
            Stage::Open(_) => self.count_end(id, why),
            Stage::Closing(closing) if why == Disconnect::Eof && !closing.finished => {
                // It has ended its side, and may still read what we have to say.
                closing.ended = true;
                peer.edge = false;
                return;
            }
            Stage::Closing(closing) => {
                self.counters.undelivered_closes += u64::from(!closing.finished);
            }
            Stage::Gone { .. } => return,
        }
        self.gone(id, false);
    }

    /// The peer is to be buried; nothing of it weighs on anybody any more.
    pub(super) fn gone(&mut self, id: PeerId, reset: bool) {
        self.unseat(id);
        let Some(peer) = self.roster.get_mut(id) else { return };
        if matches!(peer.stage, Stage::Gone { .. }) {
            return;
        }
        peer.stage = Stage::Gone { reset };
        self.copied -= std::mem::take(&mut peer.copied);
        self.gone.push(id);
        self.recount_inflight(id);
    }

    /// bury: removes the peers that are done and hands back their links. The one place that frees a slot.
    pub fn bury(&mut self, mut grave: impl FnMut(Buried<L>)) {
        for id in std::mem::take(&mut self.gone) {
            if let Some(peer) = self.roster.remove(id) {
                let reset = matches!(peer.stage, Stage::Gone { reset: true });
                grave(Buried { id, link: peer.link, reset });
            }
        }
    }
}
