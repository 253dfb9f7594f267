//! Phase 5: each peer on `due` gets one write. The only place that writes to peers (law 2), refusals
//! included; and, since it learns here which sockets refuse bytes, the place where slow peers are found and the
//! budgets for memory are kept.

use super::Relay;
use crate::{
    canary::{self, Canary},
    channel::{ChannelId, Channels},
    counters::Disconnect,
    handshake::Refusal,
    id::PeerId,
    limits::OnSlow,
    news::Event,
    peer::{Peer, Reading, Stage},
    slices::{SLICES_FEW, SLICES_MAX, Slices},
    wire::Wire,
};
use std::{
    io::{self, IoSlice},
    time::{Duration, Instant},
};

impl<L> Relay<L> {
    /// deliver: one write for each peer on the due list, within the budgets of a turn; then the slow are dealt with,
    /// and those who waited are let go on.
    pub fn deliver(&mut self, now: Instant, wire: &mut impl Wire<L>) {
        while let Some(channel) = self.channels.next_stirred() {
            self.stir(channel, now);
        }
        self.serve_due(now, wire);
        self.settle(now);
        self.keep_backlog_budget(now);
        self.keep_input_budget(now);
        self.note_peaks();
    }

    fn note_peaks(&mut self) {
        let (backlog, inflight) = (self.backlog_bytes() as u64, self.inflight.total() as u64);
        self.counters.peak_backlog = self.counters.peak_backlog.max(backlog);
        self.counters.peak_inflight = self.counters.peak_inflight.max(inflight);
    }

    /// A channel has news: those who would take it are due, and those who refuse bytes lag further behind.
    fn stir(&mut self, channel: ChannelId, now: Instant) {
        let mut refusing = std::mem::take(&mut self.scratch);
        let Self { channels, roster, due, random, .. } = self;
        let members = channels.members(channel);
        // Somebody else is first each time.
        let (behind, ahead) = members.split_at(random.next() as usize % members.len().max(1));
        for &id in ahead.iter().chain(behind) {
            let Some(peer) = roster.get_mut(id) else { continue };
            if !peer.writable || canary::sings(Canary::WritableWeighed) {
                refusing.push(id);
            } else {
                Self::put_on(due, id, peer, channels);
            }
        }
        for id in refusing.drain(..) {
            self.weigh(id, now);
        }
        self.scratch = refusing;
    }

    fn serve_due(&mut self, now: Instant, wire: &mut impl Wire<L>) {
        let (mut writes, mut bytes) = (0, 0);
        self.due.begin();
        while writes < self.limits.turn.writes
            && bytes < self.limits.turn.write_bytes
            && let Some(id) = self.due.pop()
        {
            // A former id costs nobody else a write.
            if let Some(taken) = self.serve(id, now, wire) {
                writes += 1;
                bytes += taken;
            }
        }
    }

    /// One write, or the end of writing. Says how many bytes were taken; nothing of a peer that is no more.
    fn serve(&mut self, id: PeerId, now: Instant, wire: &mut impl Wire<L>) -> Option<usize> {
        let peer = self.roster.get_mut(id)?;
        peer.due = false;
        if !peer.is_due(&self.channels) {
            return Some(0);
        }
        if !peer.has_output(&self.channels) {
            self.finish(id, now, wire);
            return Some(0);
        }
        self.counters.writes += 1;
        Some(match peer.write(&self.channels, self.limits.turn.write_per_peer, wire) {
            Ok(taken) => {
                self.counters.write_bytes += taken as u64;
                self.note_written(id, taken, now);
                taken
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counters.refused_writes += 1;
                self.note_refused(id, now);
                0
            }
            Err(error) => {
                self.lost(id, Disconnect::by(&error), now);
                0
            }
        })
    }

    /// All is said: ends the writing side, and waits for the peer's end so that what it has not read yet is not
    /// lost to a reset (it is, when a socket with unread input is closed).
    fn finish(&mut self, id: PeerId, now: Instant, wire: &mut impl Wire<L>) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let Stage::Closing(closing) = &mut peer.stage else { return };
        closing.finished = true;
        wire.finish(&mut peer.link);
        if closing.ended {
            self.gone(id, false, now);
        }
    }

    fn note_written(&mut self, id: PeerId, taken: usize, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let in_backlog = peer.settle_control(taken);
        if peer.copied > 0 && peer.control.is_empty() {
            self.copied -= std::mem::take(&mut peer.copied) as usize;
        }
        let soft_lag = self.limits.under(peer.rule).soft_lag;
        let mut skips = false;
        if let Some(seat) = &mut peer.seat
            && in_backlog > 0
        {
            let messages = self.channels.advance(seat, in_backlog);
            peer.traffic.messages_out += messages;
            peer.traffic.bytes_out += in_backlog as u64;
            self.counters.deliveries += messages;
            skips = seat.cursor.is_skipping();
        }
        if let Stage::Open(open) = &mut peer.stage
            && taken > 0
            && open.has_refused()
        {
            open.stalled_since = None;
            if peer.seat.as_ref().is_none_or(|seat| !self.channels.lags_above(seat, soft_lag)) {
                open.forgive_lag();
            }
        }
        if skips {
            self.finish_skip(id, now);
        }
        if !canary::sings(Canary::ForgottenOnDue) {
            self.go_on(id);
        }
    }

    /// What a write has left to do: the rest, or, for who closes, the last words.
    fn go_on(&mut self, id: PeerId) {
        match self.roster.get(id) {
            Some(peer) if !matches!(peer.stage, Stage::Open(_)) => self.say_last_words(id),
            Some(peer) if peer.has_output(&self.channels) => self.rouse(id),
            _ => {}
        }
    }

    /// The socket refuses bytes: what the peer lacks counts against it from now on.
    fn note_refused(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        peer.writable = false;
        if let Stage::Open(open) = &mut peer.stage {
            open.stalled_since.get_or_insert(now);
            self.weigh(id, now);
        }
    }

    /// Holds the lag of a peer whose socket refuses bytes against the limits.
    pub(super) fn weigh(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let (Stage::Open(open), Some(seat)) = (&mut peer.stage, &peer.seat) else { return };
        let lag = self.channels.backlog(seat.channel).lag(&seat.cursor);
        let limits = self.limits.under(peer.rule);
        self.counters.note_lag(lag);
        open.note_lag(lag > limits.soft_lag as u64, now);
        // A peer that must finish its frame before it can skip gets as much again.
        let limit = limits.max_lag.saturating_mul(1 + usize::from(seat.cursor.is_skipping()));
        if lag > limit as u64 {
            self.slow(id, now);
        }
        self.arm(id);
    }

    /// The peer has been too slow.
    pub(super) fn slow(&mut self, id: PeerId, now: Instant) {
        let on_slow = self.roster.get(id).map(|peer| self.limits.under(peer.rule).on_slow);
        match on_slow.unwrap_or_default() {
            OnSlow::Skip if !self.is_skipping(id) => self.skip(id, now),
            _ => self.cut(id, Disconnect::SlowConsumer, 1008, "slow-consumer", now),
        }
    }

    /// Whether the peer was slow before and has not even finished the frame that it must finish before it can skip.
    pub(super) fn is_skipping(&self, id: PeerId) -> bool {
        let seat = self.roster.get(id).and_then(|peer| peer.seat.as_ref());
        seat.is_some_and(|seat| seat.cursor.is_skipping())
    }

    /// Moves a slow peer on to the newest message, once the frame that is partly written is taken care of: a small
    /// rest is copied, so that the backlog is free at once.
    pub(super) fn skip(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        if let Stage::Open(open) = &mut peer.stage {
            open.forgive_lag();
            // Whoever takes nothing for good is found by the next ping.
            open.stalled_since = Some(now);
        }
        let Some(seat) = &peer.seat else { return };
        if seat.cursor.is_within_frame() {
            match self
                .roster
                .get(id)
                .and_then(|peer| peer.seat.as_ref())
                .and_then(|seat| self.small_rest(seat))
            {
                Some(rest) if self.has_room_for(&rest) => {
                    self.copy(id, &rest);
                    self.pass_rest(id);
                }
                _ => return self.skip_later(id),
            }
        }
        self.skip_now(id, now);
    }

    fn pass_rest(&mut self, id: PeerId) {
        if let Some(seat) = self.roster.get_mut(id).and_then(|peer| peer.seat.as_mut()) {
            self.channels.pass_rest(seat);
        }
    }

    fn skip_later(&mut self, id: PeerId) {
        if let Some(seat) = self.roster.get_mut(id).and_then(|peer| peer.seat.as_mut()) {
            seat.cursor.skip_after_frame();
        }
    }

    fn skip_now(&mut self, id: PeerId, now: Instant) {
        let Some(seat) = self.roster.get_mut(id).and_then(|peer| peer.seat.as_mut()) else { return };
        let (skipped, channel) = (self.channels.skip(seat), seat.channel);
        if skipped == 0 {
            return;
        }
        self.counters.skipped_messages += skipped;
        let skipped =
            |relay: &Self| Event::Skipped { channel: relay.channels.path(channel).into(), messages: skipped };
        self.tell(id, now, skipped);
    }

    /// A peer that had to finish its frame before it could skip has finished it.
    fn finish_skip(&mut self, id: PeerId, now: Instant) {
        let Some(seat) = self.roster.get_mut(id).and_then(|peer| peer.seat.as_mut()) else { return };
        if seat.cursor.is_skipping() && !seat.cursor.is_within_frame() {
            seat.cursor.go_on();
            self.skip_now(id, now);
        }
    }

    /// Over the backlogs' budget, those whose sockets refuse bytes are cut off, the furthest back first. A peer whose
    /// socket takes bytes is not among them: it is due, and its senders wait (`is_barred`). Nor is one that stands
    /// before nothing that is not due to such a peer anyway: its end would free nothing.
    fn keep_backlog_budget(&mut self, now: Instant) {
        if !self.is_backlog_full() {
            return;
        }
        let pinned = |peer: &Peer<L>| {
            let seat = peer.seat.as_ref().filter(|_| !peer.writable)?;
            self.channels.pins(seat).then(|| self.channels.backlog(seat.channel).pinned(&seat.cursor))
        };
        let mut back =
            self.roster.iter().filter_map(|(id, peer)| Some((pinned(peer)?, id))).collect::<Vec<_>>();
        back.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in back {
            if !self.is_backlog_full() {
                return;
            }
            match self.roster.get(id).map(|peer| &peer.stage) {
                Some(Stage::Open(_)) => self.cut(id, Disconnect::Memory, 1013, "memory", now),
                _ => self.give_free(id, now),
            }
        }
    }

    /// Whether the backlogs have spent all the rest of their budget.
    pub(super) fn is_backlog_full(&self) -> bool {
        self.channels.allocated() > self.limits.max_backlog - self.share_for_rests
    }

    /// Whether there is room for one more rest of a frame.
    pub(super) fn has_room_for(&self, rest: &[u8]) -> bool {
        self.copied + rest.len() <= self.share_for_rests
    }

    /// Over the budget for unfinished input, those whose messages were begun first are closed: whoever means to finish
    /// does so soon, and whoever holds memory for its own sake has held it longest.
    fn keep_input_budget(&mut self, now: Instant) {
        if self.inflight.total() <= self.limits.max_inflight_read {
            return;
        }
        // Of those who rest nothing was begun. They come last, unless what lies here of them is more than their half.
        let is_theirs = self.inflight.resting > self.limits.max_inflight_read / 2;
        let rested = if is_theirs { Duration::MAX } else { Duration::ZERO };
        let since = |peer: &Peer<L>| match &peer.stage {
            Stage::Posting(posting) => Some(now.saturating_duration_since(posting.since())),
            Stage::Open(_) if peer.reading == Reading::Resting => Some(rested),
            Stage::Open(open) => {
                open.unfinished_for(now).or_else(|| open.has_left_over().then_some(Duration::ZERO))
            }
            _ => None,
        };
        let mut begun =
            self.roster.iter().filter_map(|(id, peer)| Some((since(peer)?, id))).collect::<Vec<_>>();
        begun.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in begun {
            if self.inflight.total() <= self.limits.max_inflight_read {
                return;
            }
            match self.roster.get(id).map(|peer| &peer.stage) {
                Some(Stage::Posting(_)) => self.refuse(id, Refusal::Busy, now),
                _ => self.close(id, Disconnect::Memory, 1013, "memory", now),
            }
        }
    }

    /// Finds out what has not been offered to everybody yet, and lets those senders go on whose channel has little.
    fn settle(&mut self, now: Instant) {
        self.channels.raise_offered();
        for id in self.due.iter() {
            if let Some(seat) = self.roster.get(*id).and_then(|peer| peer.seat.as_ref())
                && !seat.cursor.is_deaf()
            {
                self.channels.lower_offered(seat.channel, seat.cursor.pos());
            }
        }
        let mut released = std::mem::take(&mut self.scratch);
        self.channels.settle(self.limits.hold as u64, |id| released.push(id));
        for id in released.drain(..) {
            self.release(id, now);
        }
        self.scratch = released;
    }

    /// A sender that was held back is read again, before those who were read meanwhile.
    fn release(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.roster.get_mut(id).filter(|peer| peer.reading == Reading::Held) else { return };
        if canary::sings(Canary::HeldForEver) {
            return;
        }
        peer.reading = Reading::Unread;
        self.unread.push_front(id);
        if let Stage::Open(open) = &mut peer.stage {
            open.note_released(now);
        }
        self.arm(id);
    }
}

impl<L> Peer<L> {
    /// Offers the rest of a partly written frame, then control frames, then the backlog, with one write. Says how
    /// many bytes were taken.
    fn write(&mut self, channels: &Channels, budget: usize, wire: &mut impl Wire<L>) -> io::Result<usize> {
        if self.seat.as_ref().is_some_and(|seat| seat.cursor.has_own()) {
            self.write_from(&mut [IoSlice::new(&[]); SLICES_MAX], channels, budget, wire)
        } else {
            self.write_from(&mut [IoSlice::new(&[]); SLICES_FEW], channels, budget, wire)
        }
    }

    fn write_from<'c>(
        &'c mut self,
        places: &mut [IoSlice<'c>],
        channels: &'c Channels,
        budget: usize,
        wire: &mut impl Wire<L>,
    ) -> io::Result<usize> {
        let mut slices = Slices::new(places, budget);
        let Some(seat) = &self.seat else {
            slices.push(self.control.pending());
            return wire.write(&mut self.link, slices.as_slices());
        };
        let backlog = channels.backlog(seat.channel);
        if self.control.is_empty() {
            backlog.gather(&seat.cursor, &mut slices);
            return wire.write(&mut self.link, slices.as_slices());
        }
        let unfinished = seat.cursor.is_within_frame() && !canary::sings(Canary::ControlInsideFrame);
        // After the control frames the backlog goes on with the next write.
        let whole = !unfinished || backlog.gather_rest(&seat.cursor, &mut slices);
        if whole && slices.push(self.control.pending()) && !unfinished {
            backlog.gather(&seat.cursor, &mut slices);
        }
        wire.write(&mut self.link, slices.as_slices())
    }
}
