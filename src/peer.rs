//! One peer: what it is doing, what it is owed, what it has coming.
//!
//! Owns the stages of a peer and the decoding of its input. Promises: input goes through the scanner before the
//! decoder sees it, in steps of one message or control frame, so that nothing decoded waits anywhere but with us.
//! Leaves to others: lists, channels, counting, and every decision about slowness.

use crate::{
    channel::{Channels, Seat},
    control::Control,
    counters::Disconnect,
    frame::Kind,
    handshake::Handshake,
    limits::Limits,
    news::{Ended, Traffic},
    pipe::{DecodeError, Decoder},
    scanner::{Breach, FrameLimits, Scanner, Step},
    token_bucket::TokenBucket,
    wheel::{NEVER, Tick},
};
use std::time::{Duration, Instant};
use tungstenite::Message;

/// A message above this size has made the decoder's buffer grow; it is given back when the message is done. So a
/// decoder that is kept holds no more than twice as much.
const DECODER_KEEP: usize = 1 << 10;

/// The seconds' worth of pings and pongs that may come at once.
const CONTROL_BURST_SECS: u32 = 5;

/// Input that tungstenite never needs to see: a whole pong.
const PONG: u8 = 0x8A;

/// A connection, from accept to burial.
#[derive(Debug)]
pub(crate) struct Peer<L> {
    /// How the outside finds the socket.
    pub(crate) link: L,
    pub(crate) stage: Stage,
    /// The place in a channel: from the handshake until nothing of the channel is due to the peer any more.
    pub(crate) seat: Option<Seat>,
    pub(crate) control: Control,
    /// Bytes in `control` that were copied out of a backlog: they count against the backlogs' budget.
    pub(crate) copied: usize,
    /// On the `due` list (law 10).
    pub(crate) due: bool,
    /// The socket takes bytes, as far as anybody knows.
    pub(crate) writable: bool,
    /// A readable edge came that no read has spent.
    pub(crate) edge: bool,
    /// On which list the peer waits to be read (law 10).
    pub(crate) reading: Reading,
    pub(crate) traffic: Traffic,
    /// When the peer joined its channel.
    pub(crate) joined_at: Option<Instant>,
    /// The peer's one valid wheel entry.
    pub(crate) armed: Tick,
    /// What the peer takes of the budget for unfinished input.
    pub(crate) inflight: Inflight,
}

/// Memory of a peer's input that no complete message has come of yet, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inflight {
    /// The unfinished message, as declared.
    pub(crate) message: usize,
    /// Input that was read and not yet decoded.
    pub(crate) left_over: usize,
}

impl Inflight {
    pub(crate) fn total(self) -> usize {
        self.message + self.left_over
    }
}

/// Where a peer with unread input waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nowhere: there is nothing to read.
    Idle,
    /// On `unread`: it is read in this turn or the next.
    Unread,
    /// With its channel, which has too much on its way already.
    Held,
}

/// What a peer is doing.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly every peer is open nearly all the time")]
pub(crate) enum Stage {
    /// The request head has not come whole.
    Handshaking { head: Handshake, deadline: Instant },
    /// On a channel.
    Open(Open),
    /// Something is still to be said, or the peer's end to be heard.
    Closing(Closing),
    /// To be buried.
    Gone { reset: bool },
}

/// The last stage of a connection.
#[derive(Debug)]
pub(crate) struct Closing {
    /// Then the connection is reset.
    pub(crate) deadline: Instant,
    /// The close frame, until the seat is given up and it moves to the control buffer.
    pub(crate) last_words: Vec<u8>,
    /// The writing side was ended, all being said.
    pub(crate) finished: bool,
    /// Reads ahead to the peer's own close frame, while the end of our side waits for it: the end of a connection
    /// that is in order is clean to both sides only so (RFC 6455 7.1.1).
    pub(crate) reply: Option<Scanner>,
    /// The peer's end was heard.
    pub(crate) ended: bool,
    /// What is to be said of the peer's life when it is over; nothing of one that was refused.
    pub(crate) story: Option<Box<Ended>>,
}

/// An open peer's input and times.
#[derive(Debug)]
pub(crate) struct Open {
    scanner: Scanner,
    /// Only while the peer sends: most peers listen.
    decoder: Option<Box<Decoder>>,
    left_over: LeftOver,
    controls: TokenBucket,
    /// Something was heard since the last wheel visit that needed the decoder.
    spoke: bool,
    /// When its turn to be closed comes in a shutdown.
    leave_at: Option<Instant>,
    /// The last sign of life.
    alive_at: Instant,
    next_ping: Instant,
    /// A ping that no sign of life has followed yet.
    pinged_at: Option<Instant>,
    /// When the unfinished message began.
    message_since: Option<Instant>,
    /// Since when the peer is left unread by its channel.
    held_since: Option<Instant>,
    /// Since when the socket has refused every byte.
    pub(crate) stalled_since: Option<Instant>,
    soft: SoftLag,
}

/// How long a peer has refused bytes while its lag was above the soft limit: only the time that its socket refused
/// them counts, and all of it, until the lag is below the limit again.
#[derive(Debug, Default)]
struct SoftLag {
    /// Since when it does so now.
    since: Option<Instant>,
    /// How long it did so before.
    before: Duration,
}

/// Input that was read and not yet decoded.
#[derive(Debug, Default)]
struct LeftOver {
    bytes: Vec<u8>,
    /// How many of `bytes` were decoded since.
    used: usize,
}

/// What one step of decoding brought.
#[derive(Debug)]
pub(crate) enum Input {
    /// A part of something.
    Unfinished,
    Message(Kind, Message),
    Control,
    /// The peer closes, with this code.
    Closed(Option<u16>),
}

/// Why decoding ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Breach(Breach),
    PingFlood,
    /// Scanner and decoder disagree.
    Internal,
}

impl Fault {
    /// Reason, close code and close text.
    pub(crate) fn verdict(self) -> (Disconnect, u16, &'static str) {
        match self {
            Self::Breach(breach) => {
                let why = match breach {
                    Breach::Protocol(_) => Disconnect::Protocol,
                    Breach::Utf8 => Disconnect::Utf8,
                    Breach::TooBig => Disconnect::Size,
                    Breach::FragmentFlood => Disconnect::FragmentFlood,
                };
                (why, breach.code(), breach.token())
            }
            Self::PingFlood => (Disconnect::PingFlood, 1008, "ping-flood"),
            Self::Internal => (Disconnect::Internal, 1011, "internal"),
        }
    }
}

/// What an open peer's wheel visit must know of the rest of the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) reading: Reading,
    /// The socket takes bytes.
    pub(crate) writable: bool,
    /// Control frames have not left yet.
    pub(crate) unsaid: bool,
}

/// What an open peer's wheel visit finds due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    Nothing,
    Ping,
    Pong,
    Message,
    Bytes,
    Leave,
}

impl<L> Peer<L> {
    pub(crate) fn new(link: L, deadline: Instant) -> Self {
        Self {
            link,
            stage: Stage::Handshaking { head: Handshake::default(), deadline },
            seat: None,
            control: Control::default(),
            copied: 0,
            due: false,
            writable: true,
            edge: false,
            reading: Reading::Idle,
            armed: NEVER,
            inflight: Inflight::default(),
            traffic: Traffic::default(),
            joined_at: None,
        }
    }

    /// Whether anything is to be written.
    pub(crate) fn has_output(&self, channels: &Channels) -> bool {
        !self.control.is_empty() || self.has_backlog(channels)
    }

    /// Of `taken` bytes that left, takes those of the control buffer. The rest, which it answers with, are of the
    /// backlog: the control buffer goes first, except that a frame that was partly written is finished before it.
    pub(crate) fn settle_control(&mut self, taken: usize) -> usize {
        let rest =
            self.seat.as_ref().filter(|_| !self.control.is_empty()).map_or(0, |seat| seat.cursor.rest_len());
        let of_control = taken.saturating_sub(rest).min(self.control.pending().len());
        self.control.take(of_control);
        taken - of_control
    }

    /// Whether something that is to be said has not been handed to the socket.
    pub(crate) fn has_unsaid(&self, channels: &Channels) -> bool {
        let waiting = matches!(&self.stage, Stage::Closing(closing) if !closing.last_words.is_empty());
        waiting || self.has_output(channels)
    }

    /// Whether anything of the channel is due to the peer.
    pub(crate) fn has_backlog(&self, channels: &Channels) -> bool {
        self.seat.as_ref().is_some_and(|seat| channels.backlog(seat.channel).has_more(&seat.cursor))
    }

    /// Whether the peer belongs on the `due` list: it has output that its socket would take, or all is said and
    /// its writing side is still to be ended.
    pub(crate) fn is_due(&self, channels: &Channels) -> bool {
        match &self.stage {
            Stage::Gone { .. } => false,
            Stage::Closing(closing) if !self.has_output(channels) => {
                !closing.finished && closing.reply.is_none()
            }
            _ => self.writable && self.has_output(channels),
        }
    }

    /// Whether the peer is owed a read, so that it must stand on one of the reading lists.
    pub(crate) fn is_owed_a_read(&self) -> bool {
        match &self.stage {
            Stage::Open(open) => self.edge || !open.left_over.is_empty(),
            Stage::Gone { .. } => false,
            _ => self.edge,
        }
    }

    /// When the peer must be looked at again at the latest; never again once it is gone.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        match &self.stage {
            Stage::Handshaking { deadline, .. } => Some(*deadline),
            Stage::Open(open) => Some(open.deadline(limits, self.reading)),
            Stage::Closing(closing) => Some(closing.deadline),
            Stage::Gone { .. } => None,
        }
    }

    /// What the peer takes of the budget for unfinished input now.
    pub(crate) fn count_inflight(&self) -> Inflight {
        match &self.stage {
            Stage::Open(open) => {
                Inflight { message: open.scanner.footprint(), left_over: open.left_over.bytes.capacity() }
            }
            _ => Inflight::default(),
        }
    }
}

impl Closing {
    /// Hears what a closing peer still says: nothing of it matters but a close frame.
    pub(crate) fn hear(&mut self, bytes: &[u8], limits: &Limits) {
        self.reply = self.reply.take().and_then(|scanner| scan_for_close(scanner, bytes, limits));
    }
}

/// The scanner behind `bytes`, unless they hold a close frame or a breach: then there is nothing more to wait for.
fn scan_for_close(mut scanner: Scanner, mut bytes: &[u8], limits: &Limits) -> Option<Scanner> {
    while !bytes.is_empty() {
        match scanner.scan(bytes, frame_limits(limits)) {
            Ok((_, Step::Close(_))) | Err(_) => return None,
            Ok((used, _)) => bytes = &bytes[used..],
        }
    }
    Some(scanner)
}

fn frame_limits(limits: &Limits) -> FrameLimits {
    FrameLimits { max_message: limits.max_message, max_frames: limits.max_frames }
}

impl Open {
    pub(crate) fn new(limits: &Limits, first_ping: Duration, now: Instant) -> Self {
        Self {
            scanner: Scanner::default(),
            decoder: None,
            left_over: LeftOver::default(),
            controls: TokenBucket::new(control_burst(limits), now),
            spoke: false,
            leave_at: None,
            alive_at: now,
            next_ping: now + first_ping,
            pinged_at: None,
            message_since: None,
            held_since: None,
            stalled_since: None,
            soft: SoftLag::default(),
        }
    }

    /// Decodes one step of `bytes`, which are not empty. Says how many were used, what they brought, and in how many
    /// frames; answers to pings are in `control`.
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        control: &mut Control,
        limits: &Limits,
        now: Instant,
    ) -> Result<(usize, Input, usize), Fault> {
        let begun = self.scanner.frames_begun();
        let whole_frame = self.scanner.is_between_frames();
        let (used, step) = self.scanner.scan(bytes, frame_limits(limits)).map_err(Fault::Breach)?;
        self.message_since = match self.scanner.is_between_messages() {
            true => None,
            false => self.message_since.or(Some(now)),
        };
        if matches!(step, Step::Ping | Step::Pong) {
            let (per_sec, burst) = (limits.control_frames_per_sec, control_burst(limits));
            if !self.controls.take(per_sec, burst, now) || control.is_full() {
                return Err(Fault::PingFlood);
            }
        }
        if step == Step::Pong && whole_frame && bytes[0] == PONG {
            return Ok((used, Input::Control, 1));
        }
        let message = self.feed(&bytes[..used], control, limits)?;
        // One that began earlier is work too.
        let frames = (self.scanner.frames_begun().wrapping_sub(begun) as usize).max(1);
        Ok((used, self.judge(step, message)?, frames))
    }

    fn feed(
        &mut self,
        bytes: &[u8],
        control: &mut Control,
        limits: &Limits,
    ) -> Result<Option<Message>, Fault> {
        self.spoke = true;
        let decoder = self.decoder.get_or_insert_with(|| Box::new(Decoder::new(limits.max_message)));
        decoder.decode(bytes, control.buffer()).map_err(|error| match error {
            DecodeError::Breach(breach) => Fault::Breach(breach),
            DecodeError::Spent | DecodeError::Fault => Fault::Internal,
        })
    }

    /// Holds the decoder's word against the scanner's.
    fn judge(&mut self, step: Step, message: Option<Message>) -> Result<Input, Fault> {
        Ok(match (step, message) {
            (Step::More, None) => Input::Unfinished,
            (Step::Message, Some(message @ (Message::Text(_) | Message::Binary(_)))) => {
                if message.len() > DECODER_KEEP {
                    self.decoder = None;
                }
                let kind = if message.is_text() { Kind::Text } else { Kind::Binary };
                Input::Message(kind, message)
            }
            (Step::Ping, Some(Message::Ping(_))) | (Step::Pong, Some(Message::Pong(_))) => Input::Control,
            (Step::Close(code), Some(Message::Close(_))) => Input::Closed(code),
            _ => return Err(Fault::Internal),
        })
    }

    /// A scanner to hear the peer's close frame with, unless that stands in the left-over input.
    pub(crate) fn await_reply(&self, limits: &Limits) -> Option<Scanner> {
        scan_for_close(self.scanner.clone(), &self.left_over.bytes[self.left_over.used..], limits)
    }

    /// Whether input that was read before is still to be decoded.
    pub(crate) fn has_left_over(&self) -> bool {
        !self.left_over.is_empty()
    }

    /// Takes the left-over input, to be given back by `leave_over`.
    pub(crate) fn take_left_over(&mut self) -> (Vec<u8>, usize) {
        let LeftOver { bytes, used } = std::mem::take(&mut self.left_over);
        (bytes, used)
    }

    /// Keeps what was not decoded of `bytes` for the next turn.
    pub(crate) fn leave_over(&mut self, bytes: Vec<u8>, used: usize) {
        if used < bytes.len() {
            self.left_over = LeftOver { bytes, used };
        }
    }

    /// The relay shuts down, and the peer goes at this time.
    pub(crate) fn leave_at(&mut self, then: Instant) {
        self.leave_at = Some(then);
    }

    /// For how long the unfinished message has been under way, while it was read.
    pub(crate) fn unfinished_for(&self, now: Instant) -> Option<Duration> {
        let until = self.held_since.unwrap_or(now);
        self.message_since.map(|since| until.saturating_duration_since(since))
    }

    /// The socket refuses bytes, and the lag is above the soft limit, or not.
    pub(crate) fn note_lag(&mut self, is_soft: bool, now: Instant) {
        if is_soft {
            self.soft.since.get_or_insert(now);
        } else {
            self.soft = SoftLag::default();
        }
    }

    /// The socket takes bytes again.
    pub(crate) fn note_writable(&mut self, now: Instant) {
        if let Some(since) = self.soft.since.take() {
            self.soft.before += now.saturating_duration_since(since);
        }
    }

    /// The lag is below the soft limit.
    pub(crate) fn forgive_lag(&mut self) {
        self.soft = SoftLag::default();
    }

    /// A sign of life: a byte was heard, or the socket takes bytes again after it had refused.
    pub(crate) fn note_life(&mut self, now: Instant) {
        self.alive_at = now;
    }

    pub(crate) fn note_held(&mut self, now: Instant) {
        self.held_since.get_or_insert(now);
    }

    /// The peer is read again: the time that it was not does not count against its message.
    pub(crate) fn note_released(&mut self, now: Instant) {
        if let Some(held_since) = self.held_since.take() {
            let held = now.saturating_duration_since(held_since);
            self.message_since = self.message_since.map(|since| since + held);
        }
    }

    fn pong_deadline(&self, limits: &Limits) -> Instant {
        self.pinged_at.map_or(self.next_ping, |pinged| pinged + limits.pong_timeout)
    }

    fn message_deadline(&self, limits: &Limits, reading: Reading) -> Option<Instant> {
        self.message_since.filter(|_| reading != Reading::Held).map(|since| since + limits.message_timeout)
    }

    fn bytes_deadline(&self, limits: &Limits) -> Option<Instant> {
        let stall = self.stalled_since.map(|since| since + limits.stall_timeout);
        let soft_left = limits.soft_lag_time.saturating_sub(self.soft.before);
        let soft = self.soft.since.map(|since| since + soft_left);
        stall.into_iter().chain(soft).min()
    }

    fn deadline(&self, limits: &Limits, reading: Reading) -> Instant {
        let others = [self.leave_at, self.message_deadline(limits, reading), self.bytes_deadline(limits)];
        others.into_iter().flatten().fold(self.pong_deadline(limits), Instant::min)
    }

    /// What is due at a wheel visit: the worst first. Lag counts only while the socket refuses bytes: a peer that
    /// takes them again is offered some first, and asked once more.
    pub(crate) fn overdue(&mut self, limits: &Limits, at: Circumstances, now: Instant) -> Overdue {
        if self.leave_at.is_some_and(|then| then <= now) {
            return Overdue::Leave;
        }
        if self.bytes_deadline(limits).is_some_and(|deadline| deadline <= now && !at.writable) {
            return Overdue::Bytes;
        }
        if self.message_deadline(limits, at.reading).is_some_and(|deadline| deadline <= now) {
            return Overdue::Message;
        }
        self.overdue_ping(limits, at, now)
    }

    fn overdue_ping(&mut self, limits: &Limits, at: Circumstances, now: Instant) -> Overdue {
        if at.reading != Reading::Idle || at.writable && at.unsaid {
            // Its answer may stand in what we have not read yet, or the ping behind bytes that it is taking.
            self.alive_at = now;
        }
        if let Some(pinged_at) = self.pinged_at {
            if self.alive_at < pinged_at {
                return if now >= pinged_at + limits.pong_timeout { Overdue::Pong } else { Overdue::Nothing };
            }
            self.pinged_at = None;
            self.next_ping = pinged_at + limits.ping_interval;
        }
        if now < self.next_ping {
            return Overdue::Nothing;
        }
        if at.reading == Reading::Held {
            // Its pongs would pile up unread; and who is held is being sent to.
            self.next_ping = now + limits.ping_interval;
            return Overdue::Nothing;
        }
        self.pinged_at = Some(now);
        Overdue::Ping
    }

    /// Gives the decoder back if the peer has fallen silent between messages.
    pub(crate) fn rest(&mut self) {
        if !std::mem::take(&mut self.spoke) && self.scanner.is_between_messages() {
            self.decoder = None;
        }
    }
}

#[cfg(test)]
impl Open {
    pub(crate) fn has_decoder(&self) -> bool {
        self.decoder.is_some()
    }
}

impl LeftOver {
    fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }
}

fn control_burst(limits: &Limits) -> u32 {
    limits.control_frames_per_sec.saturating_mul(CONTROL_BURST_SECS).max(1)
}
