//! Phase 3: those who are owed a read are read, within the budgets of a turn; what they say is decoded and published.
//!
//! Reading a peer changes that peer, its channel's backlog, the account of its address, and the counters; nothing else
//! (law 4). Who must wait is not read, and nothing of it is lost: TCP holds its sender back.

use super::Relay;
use crate::{
    canary::{self, Canary},
    counters::Disconnect,
    event_stream::{self, Form},
    frame::Kind,
    handshake::Pass,
    id::PeerId,
    limits::{Limits, OnRate, TurnBudget},
    news::Event,
    peer::{Fault, Input, LeftOver, Open, Peer, Reading, Stage},
    wire::{Heard, Wire},
};
use std::time::{Duration, Instant};
use tungstenite::Message;

/// A signature that is looked at is as much work as so many reads: 60 µs by the dearest of the algorithms.
const READS_PER_SIGNATURE: usize = 12;

/// Over how long after their end those are spread whose tokens run out at the same moment.
const TOKEN_SPREAD: Duration = Duration::from_secs(5);

/// What reading has cost in this turn.
#[derive(Debug, Default)]
struct Spent {
    reads: usize,
    bytes: usize,
    frames: usize,
}

impl Spent {
    fn is_over(&self, budget: &TurnBudget) -> bool {
        self.reads >= budget.reads || self.bytes >= budget.read_bytes || self.frames >= budget.frames
    }
}

impl<L> Relay<L> {
    /// hear: reads and decodes those who are owed a read, the longest waiting first.
    pub fn hear(&mut self, now: Instant, wire: &mut impl Wire<L>) {
        let mut spent = Spent::default();
        for _ in 0..self.unread.len() {
            // Over the budget for input, somebody is closed at the end of this turn; nobody adds to it before.
            if spent.is_over(&self.limits.turn) || self.inflight.total() > self.limits.max_inflight_read {
                return;
            }
            let Some(id) = self.unread.pop_front() else { return };
            let before = self.channels.encoded();
            self.visit(id, now, wire, &mut spent);
            // To write a message in another form is more work than to read it.
            spent.bytes += self.channels.encoded().saturating_sub(before);
        }
    }

    fn visit(&mut self, id: PeerId, now: Instant, wire: &mut impl Wire<L>, spent: &mut Spent) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        peer.reading = Reading::Idle;
        match &peer.stage {
            Stage::Handshaking { .. } | Stage::Posting(_) => self.hear_request(id, now, wire, spent),
            Stage::Open(_) if peer.form == Form::Events => self.hear_listener(id, now, wire, spent),
            Stage::Open(_) => self.hear_open(id, now, wire, spent),
            Stage::Closing(_) => self.hear_leaving(id, now, wire, spent),
            Stage::Gone { .. } => {}
        }
        if !canary::sings(Canary::ForgottenOnUnread) {
            self.owe(id);
        }
    }

    /// One read. Everything but bytes is dealt with here.
    fn read<'w>(
        &mut self,
        id: PeerId,
        now: Instant,
        wire: &'w mut impl Wire<L>,
        spent: &mut Spent,
    ) -> Option<&'w [u8]> {
        let max = self.readable_bytes(id, now);
        let peer = self.roster.get_mut(id)?;
        let heard = wire.read(&mut peer.link, max);
        spent.reads += 1;
        self.counters.reads += 1;
        match heard {
            Heard::Bytes { bytes, drained } => {
                peer.edge = !drained && !canary::sings(Canary::EdgeSpentEarly);
                spent.bytes += bytes.len();
                self.counters.read_bytes += bytes.len() as u64;
                return Some(bytes);
            }
            Heard::WouldBlock => peer.edge = false,
            Heard::End => self.lost(id, Disconnect::Eof, now),
            Heard::Failed(error) => self.lost(id, Disconnect::by(&error), now),
        }
        None
    }

    fn hear_request(&mut self, id: PeerId, now: Instant, wire: &mut impl Wire<L>, spent: &mut Spent) {
        let Some(bytes) = self.read(id, now, wire, spent) else { return };
        let (before, signatures) = (self.counters.posted, self.counters.token_signatures);
        match self.roster.get(id).map(|peer| &peer.stage) {
            Some(Stage::Posting(_)) => self.hear_body(id, bytes, now),
            _ => self.hear_newcomer(id, bytes, now),
        }
        // A message that is posted is as much work as a frame.
        let messages = self.counters.posted - before;
        spent.frames += messages as usize;
        spent.reads += (self.counters.token_signatures - signatures) as usize * READS_PER_SIGNATURE;
        self.counters.frames += messages;
        self.watch_listener(id, wire);
    }

    /// A newcomer that only listens would not be missed if it vanished without a word.
    fn watch_listener(&mut self, id: PeerId, wire: &mut impl Wire<L>) {
        if let Some(peer) = self.roster.get_mut(id)
            && let Limits { ping_interval, pong_timeout, stall_timeout, .. } = *self.limits.under(peer.rule)
            && peer.form == Form::Events
            && matches!(peer.stage, Stage::Open(_))
        {
            // Whoever is only slow is the relay's to judge.
            wire.lose_after(&mut peer.link, (ping_interval + pong_timeout).max(stall_timeout));
        }
    }

    /// The peer takes its seat; it gets what is published from now on.
    pub(super) fn join(
        &mut self,
        id: PeerId,
        path: &str,
        form: Form,
        response: Vec<u8>,
        pass: Pass,
        now: Instant,
    ) {
        // Spread, so that a herd that came at once is not pinged in step.
        let half = self.limits.ping_interval / 2;
        let first_ping = half + self.random.part_of(half);
        let ends_at = self.end_of(&pass, now);
        let Some(peer) = self.roster.get_mut(id) else { return };
        peer.rule = pass.rule;
        peer.may_publish = pass.publish;
        peer.stage = Stage::Open(Open::new(self.limits.under(pass.rule), first_ping, ends_at, now));
        // The first that the peer is told: its buffer holds nothing, and takes the 101 without a copy.
        debug_assert!(peer.control.is_empty());
        peer.control.begin(response);
        if form == Form::Events {
            peer.control.push(event_stream::COMMENT);
        }
        peer.form = form;
        peer.seat = Some(self.channels.join(path, form, pass.subscribe, id));
        if let Some(user) = pass.user {
            self.users.insert(id, user);
        }
        peer.joined_at = Some(now);
        self.handshaking -= 1;
        self.counters.joined += 1;
        self.tell(id, now, |_| Event::Opened { channel: path.into() });
        self.rouse(id);
        self.arm(id);
    }

    /// When the peer's token runs out, and a little later, so that those who came by one mint do not all go at once.
    fn end_of(&mut self, pass: &Pass, now: Instant) -> Option<Instant> {
        let ends = pass.ends.filter(|_| !canary::sings(Canary::TokenEndForgotten));
        let left = ends?.saturating_sub(self.unix);
        now.checked_add(left + self.random.part_of(TOKEN_SPREAD))
    }

    /// Heard and forgotten: only the peer's close frame and its end matter any more.
    fn hear_leaving(&mut self, id: PeerId, now: Instant, wire: &mut impl Wire<L>, spent: &mut Spent) {
        let Some(bytes) = self.read(id, now, wire, spent) else { return };
        if let Some(Peer { stage: Stage::Closing(closing), rule, .. }) = self.roster.get_mut(id) {
            closing.hear(bytes, self.limits.under(*rule));
            self.rouse(id);
        }
    }

    /// Who gets an event stream has nothing to say: that it says anything is a sign of life, and its end matters.
    fn hear_listener(&mut self, id: PeerId, now: Instant, wire: &mut impl Wire<L>, spent: &mut Spent) {
        if self.read(id, now, wire, spent).is_some() {
            self.note_life(id, now);
        }
    }

    fn hear_open(&mut self, id: PeerId, now: Instant, wire: &mut impl Wire<L>, spent: &mut Spent) {
        if self.is_barred(id, now) {
            return;
        }
        let Some(peer) = self.roster.get_mut(id) else { return };
        let Stage::Open(open) = &mut peer.stage else { return };
        if open.has_left_over() {
            let mut left_over = open.take_left_over();
            let LeftOver { bytes, used, is_free } = &left_over;
            left_over.used += self.decode(id, &bytes[*used..], *is_free, now, spent);
            self.leave_over(id, left_over);
        } else {
            let Some(bytes) = self.read(id, now, wire, spent) else { return };
            self.note_life(id, now);
            let used = self.decode(id, bytes, false, now, spent);
            self.leave_over(id, LeftOver { bytes: bytes[used..].to_vec(), ..LeftOver::default() });
        }
        self.recount_inflight(id);
        self.relax(id);
    }

    /// Of all that was read only the beginning of a message brings a deadline nearer.
    fn relax(&mut self, id: PeerId) {
        let Some(Stage::Open(open)) = self.roster.get_mut(id).map(|peer| &mut peer.stage) else { return };
        open.relax();
        if open.is_amid_message() {
            self.arm(id);
        }
    }

    fn note_life(&mut self, id: PeerId, now: Instant) {
        if let Some(Stage::Open(open)) = self.roster.get_mut(id).map(|peer| &mut peer.stage) {
            open.note_life(now);
        }
    }

    /// Keeps what was not decoded for the next turn, unless the peer has closed meanwhile.
    fn leave_over(&mut self, id: PeerId, left_over: LeftOver) {
        if let Some(Stage::Open(open)) = self.roster.get_mut(id).map(|peer| &mut peer.stage) {
            open.leave_over(left_over);
        }
    }

    /// Whether an open peer must wait although it is owed a read; if its channel keeps it waiting, it waits there.
    fn is_barred(&mut self, id: PeerId, now: Instant) -> bool {
        if self.may_rest(id) && self.is_over_rate(id, now) {
            self.rest(id, now);
            return true;
        }
        let full = self.is_backlog_full();
        let crowded = self.inflight.left_over > self.limits.max_inflight_read / 2;
        let hold = self.limits.hold as u64;
        let Some(peer) = self.roster.get_mut(id) else { return false };
        let (Stage::Open(open), Some(seat)) = (&mut peer.stage, &peer.seat) else { return false };
        if self.channels.unoffered(seat.channel) > hold && !canary::sings(Canary::NoHold) {
            open.note_held(now);
            peer.reading = Reading::Held;
            self.channels.hold(seat.channel, id);
            self.counters.held += 1;
            return true;
        }
        // Both pass by themselves: over the backlogs' budget somebody is due or is evicted in this turn, and left-over
        // input is decoded before anything is read, but for the little of those who rest.
        let waits = full || crowded && !open.has_left_over();
        self.counters.deferred += u64::from(waits);
        waits
    }

    /// Decodes `bytes` and publishes what they hold, within the budget of one peer. Says how many were used.
    /// What is `free` is not charged for.
    fn decode(&mut self, id: PeerId, bytes: &[u8], is_free: bool, now: Instant, spent: &mut Spent) -> usize {
        let (mut used, mut frames) = (0, 0);
        while used < bytes.len() && frames < self.limits.turn.frames_per_peer {
            let Some(peer) = self.roster.get_mut(id) else { break };
            let Stage::Open(open) = &mut peer.stage else { break };
            let limits = self.limits.under(peer.rule);
            let may_publish = peer.may_publish || canary::sings(Canary::RightsNotAsked);
            match open.decode(&bytes[used..], &mut peer.control, limits, may_publish, now) {
                Ok((step, input, begun)) => {
                    used += step;
                    frames += begun;
                    let is_metered = limits.meters() && !is_free;
                    let is_message = matches!(input, Input::Message(..));
                    self.take_in(id, input, is_metered, now);
                    if is_metered && is_message && self.is_over_rate(id, now) {
                        break;
                    }
                }
                Err(fault) => self.close_for(id, fault, now),
            }
        }
        spent.frames += frames;
        self.counters.frames += frames as u64;
        self.rouse(id);
        used
    }

    fn take_in(&mut self, id: PeerId, input: Input, is_metered: bool, now: Instant) {
        match input {
            Input::Unfinished | Input::Control => {}
            Input::Heartbeat => self.counters.heartbeats += 1,
            Input::Message(kind, message) => self.take_message(id, kind, message, is_metered, now),
            Input::Closed(code) => self.answer_close(id, code, now),
        }
    }

    /// A message is relayed, unless it is the one that is too many.
    fn take_message(&mut self, id: PeerId, kind: Kind, message: Message, is_metered: bool, now: Instant) {
        if is_metered {
            if self.free_at(id, now).is_some() && self.on_rate(id) == OnRate::Disconnect {
                return self.close(id, Disconnect::Rate, 1008, "rate", now);
            }
            self.charge(id, message.len(), now);
        }
        self.publish(id, kind, message);
    }

    fn publish(&mut self, id: PeerId, kind: Kind, message: Message) {
        // Not kept: a small message cut from a read buffer would pin the whole buffer.
        let payload = message.into_data();
        let Some(peer) = self.roster.get_mut(id) else { return };
        let Some(seat) = &mut peer.seat else { return };
        peer.traffic.messages_in += 1;
        peer.traffic.bytes_in += payload.len() as u64;
        let sent = if canary::sings(Canary::TypeForgotten) { Kind::Binary } else { kind };
        self.channels.publish(seat, self.limits.under(peer.rule).echo, sent, &payload);
        self.counters.messages_in += 1;
        self.counters.bytes_in += payload.len() as u64;
        #[cfg(any(test, feature = "simulation"))]
        self.published.push(super::Published {
            channel: self.channels.path(seat.channel).into(),
            sender: id,
            text: kind == Kind::Text,
            payload: payload.to_vec(),
        });
    }

    fn close_for(&mut self, id: PeerId, fault: Fault, now: Instant) {
        let (why, code, token) = fault.verdict();
        self.close(id, why, code, token, now);
    }
}
