//! How peers come to their end: refused, closed, cut off, lost; and `bury`, phase 6, the only place that frees a slot
//! (law 1).
//!
//! *Close* lets the peer have all that was accepted before, then the close frame. *Cut off* gives the backlog free at
//! once; only the frame that is partly written is finished, since a frame is never cut (law 5). Every way of ending
//! is counted here, once (law 12).

use super::{Buried, Relay};
use crate::{
    canary::{self, Canary},
    channel::Seat,
    counters::Disconnect,
    event_stream::{self, Form},
    frame,
    handshake::Refusal,
    id::PeerId,
    news::{Ended, Event, Traffic},
    peer::{Closing, Reading, Stage},
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The longest rest of a frame that is copied for a peer that is cut off. Above it the connection is reset.
const REST_MAX: usize = 64 << 10;

/// Longest wait that a refusal advises, in seconds; each gets a random part, so that they do not all come back at
/// once.
const RETRY_AFTER_MAX_SECS: u32 = 10;

/// Longest time after a shutdown over which its peers are told to come back, in seconds.
const RETRY_SPREAD_MAX_SECS: u64 = 60;

impl<L> Relay<L> {
    /// Begins to shut down: handshakes get 503, and so does whoever comes; every open peer is closed with 1012 at a
    /// moment of its own within `drain`, while the others go on.
    pub fn drain(&mut self, now: Instant) {
        self.drain_ends = Some(now + self.limits.drain);
        let ids = self.roster.iter().map(|(id, _)| id).collect::<Vec<_>>();
        for id in ids {
            let share = self.random.part_of(self.limits.drain);
            match self.roster.get_mut(id).map(|peer| &mut peer.stage) {
                Some(Stage::Handshaking { .. } | Stage::Posting(_)) => {
                    self.refuse(id, Refusal::Draining, now)
                }
                Some(Stage::Open(open)) => open.leave_at(now + share),
                _ => {}
            }
            self.arm(id);
        }
    }

    /// A peer's moment in the shutdown has come. It is told to come back when the shutdown is over, and then at a
    /// moment of its own again: the part of a second that rounding adds spreads those with the same number.
    pub(super) fn send_off(&mut self, id: PeerId, now: Instant) {
        let left = self.drain_ends.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        let spread_secs = self.limits.drain.as_secs().clamp(1, RETRY_SPREAD_MAX_SECS) as u32;
        let retry_after_secs = left.as_secs() + u64::from(self.random.up_to(spread_secs));
        let reason = format!("retry-after={retry_after_secs}");
        self.close_for_a_while(id, Disconnect::Shutdown, 1012, &reason, 1000 * retry_after_secs, now);
    }

    /// Answers the request with a refusal, and ends.
    pub(super) fn refuse(&mut self, id: PeerId, refusal: Refusal, now: Instant) {
        self.refuse_on(id, refusal, None, None, now);
    }

    /// The same, where it is known on which channel, and that it is for this page.
    pub(super) fn refuse_on(
        &mut self,
        id: PeerId,
        refusal: Refusal,
        channel: Option<Box<str>>,
        origin: Option<Box<str>>,
        now: Instant,
    ) {
        let retry_after_secs = self.random.up_to(RETRY_AFTER_MAX_SECS);
        let Some(peer) = self.roster.get_mut(id) else { return };
        peer.control.push(&refusal.response(retry_after_secs));
        self.handshaking -= 1;
        self.counters.refuse(refusal.label());
        self.tell(id, now, |_| Event::Refused { reason: refusal.label(), channel, origin });
        self.enter_closing(id, Vec::new(), None, now);
    }

    /// The peer closes: its own code comes back to it (RFC 6455 5.5.1).
    pub(super) fn answer_close(&mut self, id: PeerId, code: Option<u16>, now: Instant) {
        let reply = code.map_or_else(frame::close_without_code, |code| frame::close(code, ""));
        self.part(id, Disconnect::PeerClosed, reply, now);
    }

    /// Closes an open peer, after what is due to it.
    pub(super) fn close(&mut self, id: PeerId, why: Disconnect, code: u16, reason: &str, now: Instant) {
        let last_words = self.last_words(id, code, reason, None);
        self.part(id, why, last_words, now);
    }

    /// The same, and who gets an event stream is told when to come back; others have it in the reason, if at all.
    pub(super) fn close_for_a_while(
        &mut self,
        id: PeerId,
        why: Disconnect,
        code: u16,
        reason: &str,
        retry_millis: u64,
        now: Instant,
    ) {
        let last_words = self.last_words(id, code, reason, Some(retry_millis));
        self.part(id, why, last_words, now);
    }

    /// What an open peer is told at its end, in the form that it reads.
    fn last_words(&self, id: PeerId, code: u16, reason: &str, retry_millis: Option<u64>) -> Vec<u8> {
        match self.roster.get(id).map(|peer| peer.form) {
            Some(Form::Events) => event_stream::close(code, reason, retry_millis),
            _ => frame::close(code, reason),
        }
    }

    fn part(&mut self, id: PeerId, why: Disconnect, last_words: Vec<u8>, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        if let Some(seat) = &mut peer.seat
            && !canary::sings(Canary::HearsAfterClose)
        {
            self.channels.end(seat);
        }
        let story = self.count_end(id, why);
        self.enter_closing(id, last_words, story, now);
    }

    /// Counts the end of an open peer, and begins what the log will be told when it is over.
    fn count_end(&mut self, id: PeerId, why: Disconnect) -> Option<Box<Ended>> {
        self.counters.disconnect(why);
        let peer = self.roster.get(id)?;
        let channel = self.channels.path(peer.seat.as_ref()?.channel).into();
        Some(Box::new(Ended { channel, why, lasted: Duration::ZERO, traffic: Traffic::default() }))
    }

    /// Cuts an open peer off: its backlog is given free at once.
    pub(super) fn cut(&mut self, id: PeerId, why: Disconnect, code: u16, reason: &str, now: Instant) {
        let story = self.count_end(id, why);
        let last_words = self.last_words(id, code, reason, None);
        self.enter_closing(id, last_words, story, now);
        self.give_free(id, now);
    }

    /// Takes a peer's seat away while something of its channel is still due to it. The rest of a partly written
    /// frame is copied if it is small and there is room; else the connection is reset.
    pub(super) fn give_free(&mut self, id: PeerId, now: Instant) {
        let Some(seat) = self.roster.get(id).and_then(|peer| peer.seat.as_ref()) else { return };
        let within_frame = seat.cursor.is_within_frame();
        let rest = self.small_rest(seat);
        self.unseat(id);
        match rest {
            _ if !within_frame => {}
            Some(rest) if self.has_room_for(&rest) => self.copy(id, &rest),
            _ => {
                self.counters.undelivered_closes += 1;
                return self.gone(id, true, now);
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
            peer.copied += rest.len() as u32;
            self.copied += rest.len();
            self.counters.deliveries += 1;
            peer.traffic.messages_out += 1;
            peer.traffic.bytes_out += rest.len() as u64;
        }
    }

    /// Nothing more is accepted from the peer.
    pub(super) fn enter_closing(
        &mut self,
        id: PeerId,
        last_words: Vec<u8>,
        story: Option<Box<Ended>>,
        now: Instant,
    ) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let deadline = now + self.limits.close_timeout;
        let has_reply =
            peer.form == Form::Frames && story.as_ref().is_some_and(|story| story.why.is_orderly());
        let reply = match &peer.stage {
            Stage::Open(open) if has_reply => open.await_reply(self.limits.under(peer.rule)),
            _ => None,
        };
        peer.stage =
            Stage::Closing(Closing { deadline, last_words, finished: false, reply, ended: false, story });
        match peer.reading {
            // On the list for input that does not matter any more: the visit is a read.
            Reading::Unread => peer.edge = true,
            _ => peer.reading = Reading::Idle,
        }
        self.recount_inflight(id);
        self.say_last_words(id);
        self.owe(id);
        if !canary::sings(Canary::DeadlineNotMoved) {
            self.arm(id);
        }
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
            let last_words = std::mem::take(&mut closing.last_words);
            if peer.control.is_empty() || !canary::sings(Canary::CloseFrameLost) {
                peer.control.push(&last_words);
            }
        }
    }

    fn unseat(&mut self, id: PeerId) {
        let Some(seat) = self.roster.get_mut(id).and_then(|peer| peer.seat.take()) else { return };
        let index = seat.index;
        let moved = self.channels.leave(seat);
        if let Some(seat) =
            moved.and_then(|moved| self.roster.get_mut(moved)).and_then(|peer| peer.seat.as_mut())
        {
            seat.index = if canary::sings(Canary::SeatNotRenumbered) { seat.index } else { index };
        }
    }

    /// The connection ended without our doing.
    pub(super) fn lost(&mut self, id: PeerId, why: Disconnect, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let unsaid = peer.has_unsaid(&self.channels);
        match &mut peer.stage {
            Stage::Handshaking { .. } | Stage::Posting(_) => {
                self.handshaking -= 1;
                self.counters.refuse("abandoned");
                self.tell(id, now, |_| Event::Refused { reason: "abandoned", channel: None, origin: None });
            }
            Stage::Open(_) => {
                let story = self.count_end(id, why);
                self.tell_end(id, story, now);
                if canary::sings(Canary::CountedTwice) {
                    self.counters.disconnect(why);
                }
            }
            Stage::Closing(closing) if why == Disconnect::Eof && !closing.finished => {
                // It has ended its side, and may still read what we have to say.
                closing.ended = true;
                closing.reply = None;
                peer.edge = false;
                return self.rouse(id);
            }
            Stage::Closing(_) => self.counters.undelivered_closes += u64::from(unsaid),
            Stage::Gone { .. } => return,
        }
        self.gone(id, false, now);
    }

    /// The peer is to be buried; nothing of it weighs on anybody any more.
    pub(super) fn gone(&mut self, id: PeerId, reset: bool, now: Instant) {
        self.unseat(id);
        let Some(peer) = self.roster.get_mut(id) else { return };
        let story = match std::mem::replace(&mut peer.stage, Stage::Gone { reset }) {
            Stage::Gone { .. } => return,
            Stage::Closing(closing) => closing.story,
            _ => None,
        };
        self.copied -= std::mem::take(&mut peer.copied) as usize;
        self.gone.push(id);
        self.recount_inflight(id);
        self.tell_end(id, story, now);
    }

    /// The peer's life is over: the log hears of it as a whole.
    fn tell_end(&mut self, id: PeerId, story: Option<Box<Ended>>, now: Instant) {
        let (Some(mut story), Some(peer)) = (story, self.roster.get(id)) else { return };
        story.traffic = peer.traffic;
        story.lasted = peer.joined_at.map_or(Duration::ZERO, |joined| now.saturating_duration_since(joined));
        self.tell(id, now, |_| Event::Ended(story));
    }

    /// The relay is stopped without waiting for anybody: whoever is left is counted and reset.
    pub fn abandon(&mut self, now: Instant) {
        let ids = self.roster.iter().map(|(id, _)| id).collect::<Vec<_>>();
        for id in ids {
            match self.roster.get(id).map(|peer| &peer.stage) {
                Some(Stage::Handshaking { .. } | Stage::Posting(_)) => {
                    self.handshaking -= 1;
                    self.counters.refuse(Refusal::Draining.label());
                }
                Some(Stage::Open(_)) => {
                    let story = self.count_end(id, Disconnect::Shutdown);
                    self.tell_end(id, story, now);
                }
                _ => {}
            }
            self.gone(id, true, now);
        }
    }

    /// bury: removes the peers that are done and hands back their links. The one place that frees a slot.
    pub fn bury(&mut self, mut grave: impl FnMut(Buried<L>)) {
        let gone = std::mem::take(&mut self.gone);
        if gone.is_empty() {
            return;
        }
        for id in gone {
            if let Some(peer) = self.roster.remove(id) {
                self.end_stay(peer.stay());
                self.tags.remove(&id);
                self.users.remove(&id);
                let reset = matches!(peer.stage, Stage::Gone { reset: true });
                grave(Buried { id, link: peer.link, reset });
            }
        }
        self.kept = self.kept.min(self.roster.len());
        if self.roster.len() == 0 {
            self.forget();
        }
    }

    /// Nobody is left: what a crowd needed is not kept for nobody.
    fn forget(&mut self) {
        self.due.forget();
        self.wheel.clear();
        self.unread = VecDeque::new();
        self.expired = Vec::new();
        self.scratch = Vec::new();
    }
}
