//! An open peer: its input, decoded step by step, and its times.
//!
//! Promises: input goes through the scanner before the decoder sees it, in steps of one message or control frame, so
//! that nothing decoded waits anywhere but here; hearing a peer does no work on the wheel. Leaves to others: what a
//! message means, and what becomes of a peer that is late.

use super::{Fault, Inflight, Reading, frame_limits, meters::Meters, scan_for_close};
use crate::{
    canary::{self, Canary},
    control::Control,
    event_stream::Form,
    frame::{Header, Kind},
    limits::{Heartbeat, Limits},
    meter::Room,
    pipe::{DecodeError, Decoder},
    scanner::{Breach, FrameLimits, Scanner, Step},
    token_bucket::TokenBucket,
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

/// An open peer's input and times. Most peers listen, and nearly all of them take what they get: what only others need
/// lies apart, or ten thousand idle peers would pay for it. In this order in memory: what a delivery looks at first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Open {
    /// The last sign of life.
    alive_at: Instant,
    /// Since when the socket has refused every byte.
    pub(crate) stalled_since: Option<Instant>,
    /// Only while there is something to remember.
    soft: Option<Box<SoftLag>>,
    /// Only while the peer sends, or something of its input is unfinished.
    ear: Option<Box<Ear>>,
    controls: TokenBucket,
    next_ping: Instant,
    /// A ping that no sign of life has followed yet.
    pinged_at: Option<Instant>,
    /// When it is closed: as its token has run out, or as its turn comes in a shutdown.
    leave_at: Option<Instant>,
}

/// The input of a peer that sends.
#[derive(Debug, Default)]
struct Ear {
    scanner: Scanner,
    decoder: Option<Box<Decoder>>,
    left_over: LeftOver,
    /// Something was heard since the last wheel visit that needed the decoder.
    spoke: bool,
    /// When the unfinished message began.
    message_since: Option<Instant>,
    /// Since when the peer is left unread, by its channel or for its rate.
    held_since: Option<Instant>,
    /// What it has sent of late, where its rate is limited.
    meters: Option<Box<Meters>>,
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
pub(crate) struct LeftOver {
    pub(crate) bytes: Vec<u8>,
    /// How many of `bytes` were decoded since.
    pub(crate) used: usize,
    /// It was read before the rate held that holds now: it is not charged, and does not wait.
    pub(crate) is_free: bool,
}

/// What one step of decoding brought.
#[derive(Debug)]
pub(crate) enum Input {
    /// A part of something.
    Unfinished,
    Message(Kind, Message),
    /// A message that asks whether anybody is there, and was answered.
    Heartbeat,
    Control,
    /// The peer closes, with this code.
    Closed(Option<u16>),
}

/// What an open peer's wheel visit must know of the rest of the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) form: Form,
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
    /// It has waited for its rate long enough.
    Wait,
}

impl Open {
    pub(crate) fn new(limits: &Limits, first_ping: Duration, ends_at: Option<Instant>, now: Instant) -> Self {
        Self {
            ear: None,
            controls: TokenBucket::new(control_burst(limits), now),
            leave_at: ends_at,
            alive_at: now,
            next_ping: now + first_ping,
            pinged_at: None,
            stalled_since: None,
            soft: None,
        }
    }

    /// Goes on under other limits. What is left of the time to the next ping shrinks or grows with the interval, so that
    /// those who are pinged one after the other still are.
    pub(crate) fn adapt(&mut self, before: &Limits, limits: &Limits, now: Instant) {
        if let Some(ear) = &mut self.ear {
            ear.decoder.iter_mut().for_each(|decoder| decoder.allow(limits.max_message));
            // A debt is time at another rate.
            ear.meters.iter_mut().for_each(|meters| meters.renew(limits.rate_burst, now));
            ear.left_over.is_free = !ear.left_over.is_empty();
        }
        let left = self.next_ping.saturating_duration_since(now).as_nanos();
        let left = left * limits.ping_interval.as_nanos() / before.ping_interval.as_nanos().max(1);
        self.next_ping = now + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX));
    }

    /// Decodes one step of `bytes`, which are not empty. Says how many were used, what they brought, and in how many
    /// frames; answers to pings are in `control`.
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        control: &mut Control,
        limits: &Limits,
        may_publish: bool,
        now: Instant,
    ) -> Result<(usize, Input, usize), Fault> {
        let frames = input_limits(limits, may_publish);
        let decoded = match &mut self.ear {
            Some(ear) => ear.decode(bytes, &mut self.controls, control, limits, frames, now),
            None => {
                // What leaves nothing behind, as a whole pong does, needs no memory of its own.
                let mut ear = Ear::default();
                let decoded = ear.decode(bytes, &mut self.controls, control, limits, frames, now);
                self.ear = (!ear.is_idle()).then(|| Box::new(ear));
                decoded
            }
        };
        match &decoded {
            Err(Fault::Breach(Breach::TooBig)) if !may_publish => Err(Fault::MayNotPublish),
            Ok((_, Input::Message(..), _)) if !may_publish => Err(Fault::MayNotPublish),
            Ok((_, Input::Message(kind, _), _)) if !limits.kinds.take(*kind) => {
                Err(Fault::Kind(limits.kinds))
            }
            _ => decoded,
        }
    }

    /// A scanner to hear the peer's close frame with, unless that stands in the left-over input.
    pub(crate) fn await_reply(&self, limits: &Limits) -> Option<Scanner> {
        match &self.ear {
            None => Some(Scanner::default()),
            Some(ear) => scan_for_close(ear.scanner.clone(), ear.left_over.rest(), limits),
        }
    }

    /// What the peer takes of the budget for unfinished input.
    pub(super) fn inflight(&self) -> Inflight {
        let ear = self.ear.as_ref();
        ear.map_or_else(Inflight::default, |ear| Inflight {
            message: ear.scanner.footprint(),
            left_over: ear.left_over.bytes.capacity(),
            resting: 0,
        })
    }

    /// Whether input that was read before is still to be decoded.
    pub(crate) fn has_left_over(&self) -> bool {
        self.ear.as_ref().is_some_and(|ear| !ear.left_over.is_empty())
    }

    /// Whether it was read under another rate.
    pub(crate) fn is_left_over_free(&self) -> bool {
        self.ear.as_ref().is_some_and(|ear| ear.left_over.is_free)
    }

    /// Takes the left-over input, to be given back by `leave_over`.
    pub(crate) fn take_left_over(&mut self) -> LeftOver {
        self.ear.as_mut().map(|ear| std::mem::take(&mut ear.left_over)).unwrap_or_default()
    }

    /// Keeps what was not decoded for the next turn.
    pub(crate) fn leave_over(&mut self, left_over: LeftOver) {
        if !left_over.is_empty() {
            self.ear.get_or_insert_default().left_over = left_over;
        }
    }

    /// All that was read is decoded, or left over: gives back what nothing needs that may still come.
    pub(crate) fn relax(&mut self) {
        self.ear.take_if(|ear| ear.is_idle());
    }

    /// The relay shuts down, and the peer goes at this time, or when its token runs out.
    pub(crate) fn leave_at(&mut self, then: Instant) {
        self.leave_at = Some(self.leave_at.map_or(then, |before| before.min(then)));
    }

    /// One message of so many bytes was sent.
    pub(crate) fn charge(&mut self, len: usize, limits: &Limits, now: Instant) {
        let meters = &mut self.ear.get_or_insert_default().meters;
        meters.get_or_insert_with(|| Meters::new(limits.rate_burst, now)).charge(len, limits, now);
    }

    /// How much may be sent at once.
    pub(crate) fn room(&self, limits: &Limits, now: Instant) -> Room {
        let fresh = || Meters::new(limits.rate_burst, now).room(limits, now);
        self.meters().map_or_else(fresh, |meters| meters.room(limits, now))
    }

    /// When more may be sent, if that is not at once.
    pub(crate) fn free_at(&self, now: Instant) -> Option<Instant> {
        self.meters()?.free_at(now)
    }

    /// Until when the peer is left unread for its rate, if it is.
    pub(crate) fn rests_until(&self) -> Option<Instant> {
        self.meters()?.rests_until
    }

    fn meters(&self) -> Option<&Meters> {
        self.ear.as_ref()?.meters.as_deref()
    }

    /// Whether a message has begun and not ended.
    pub(crate) fn is_amid_message(&self) -> bool {
        self.ear.as_ref().is_some_and(|ear| ear.message_since.is_some())
    }

    /// For how long the unfinished message has been under way, while it was read.
    pub(crate) fn unfinished_for(&self, now: Instant) -> Option<Duration> {
        let ear = self.ear.as_ref()?;
        let until = ear.held_since.unwrap_or(now);
        ear.message_since.map(|since| until.saturating_duration_since(since))
    }

    /// The socket refuses bytes, and the lag is above the soft limit, or not.
    pub(crate) fn note_lag(&mut self, is_soft: bool, now: Instant) {
        if is_soft {
            self.soft.get_or_insert_default().since.get_or_insert(now);
        } else {
            self.soft = None;
        }
    }

    /// The socket takes bytes again.
    pub(crate) fn note_writable(&mut self, now: Instant) {
        if let Some(soft) = &mut self.soft
            && let Some(since) = soft.since.take()
        {
            soft.before += now.saturating_duration_since(since);
        }
    }

    /// Whether the socket has refused bytes since the peer was last known to keep up.
    pub(crate) fn has_refused(&self) -> bool {
        self.stalled_since.is_some() || self.soft.is_some()
    }

    /// The lag is below the soft limit.
    pub(crate) fn forgive_lag(&mut self) {
        self.soft = None;
    }

    /// The last sign of life.
    pub(crate) fn alive_at(&self) -> Instant {
        self.alive_at
    }

    /// A sign of life: a byte was heard, or the socket takes bytes again after it had refused.
    pub(crate) fn note_life(&mut self, now: Instant) {
        self.alive_at = now;
    }

    pub(crate) fn note_held(&mut self, now: Instant) {
        self.ear.get_or_insert_default().held_since.get_or_insert(now);
    }

    /// The peer is read again: the time that it was not does not count against its message.
    pub(crate) fn note_released(&mut self, now: Instant) {
        if let Some(ear) = &mut self.ear
            && let Some(held_since) = ear.held_since.take()
        {
            let held = now.saturating_duration_since(held_since);
            ear.message_since = ear.message_since.map(|since| since + held);
        }
        if let Some(meters) = self.ear.as_mut().and_then(|ear| ear.meters.as_mut()) {
            meters.rests_until = None;
        }
    }

    /// The peer is left unread until then, for its rate.
    pub(crate) fn rest_until(&mut self, then: Instant, limits: &Limits, now: Instant) {
        self.note_held(now);
        // Over the rate of its address alone it has none of its own.
        let meters = &mut self.ear.get_or_insert_default().meters;
        meters.get_or_insert_with(|| Meters::new(limits.rate_burst, now)).rests_until = Some(then);
    }

    fn pong_deadline(&self, limits: &Limits) -> Instant {
        self.pinged_at.map_or(self.next_ping, |pinged| pinged + limits.pong_timeout)
    }

    fn message_deadline(&self, limits: &Limits, reading: Reading) -> Option<Instant> {
        let since = self.ear.as_ref().and_then(|ear| ear.message_since);
        // Nobody rests amid a message.
        since.filter(|_| reading != Reading::Held).map(|since| since + limits.message_timeout)
    }

    fn bytes_deadline(&self, limits: &Limits) -> Option<Instant> {
        let stall = self.stalled_since.map(|since| since + limits.stall_timeout);
        let soft = self.soft.as_ref().and_then(|soft| {
            let left = limits.soft_lag_time.saturating_sub(soft.before);
            soft.since.map(|since| since + left)
        });
        stall.into_iter().chain(soft).min()
    }

    pub(super) fn deadline(&self, limits: &Limits, reading: Reading) -> Instant {
        let rest = self.rests_until().filter(|_| reading == Reading::Resting);
        let others =
            [self.leave_at, rest, self.message_deadline(limits, reading), self.bytes_deadline(limits)];
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
        if at.reading == Reading::Resting && self.rests_until().is_none_or(|until| until <= now) {
            return Overdue::Wait;
        }
        self.overdue_ping(limits, at, now)
    }

    fn overdue_ping(&mut self, limits: &Limits, at: Circumstances, now: Instant) -> Overdue {
        if at.form == Form::Events && at.writable {
            return self.overdue_comment(limits, now);
        }
        let is_silent = at.reading == Reading::Resting && canary::sings(Canary::RestIsSilence);
        if at.reading != Reading::Idle && !is_silent || at.writable && at.unsaid {
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
        if matches!(at.reading, Reading::Held | Reading::Resting) && !is_silent {
            // Its pongs would pile up unread; and who is held is being sent to.
            self.next_ping = now + limits.ping_interval;
            return Overdue::Nothing;
        }
        self.pinged_at = Some(now);
        Overdue::Ping
    }

    /// Who gets an event stream answers nothing. As long as its socket takes bytes its system is there, or else the
    /// kernel finds out; when it does not, that it does again is the answer to a comment that could not be said.
    fn overdue_comment(&mut self, limits: &Limits, now: Instant) -> Overdue {
        self.pinged_at = None;
        if now < self.next_ping {
            return Overdue::Nothing;
        }
        self.next_ping = now + limits.ping_interval;
        Overdue::Ping
    }

    /// Gives the decoder back if the peer has fallen silent between messages.
    pub(crate) fn rest(&mut self, burst: Duration, now: Instant) {
        let Some(ear) = &mut self.ear else { return };
        ear.meters.take_if(|meters| meters.is_spare(burst, now));
        if !std::mem::take(&mut ear.spoke) && ear.scanner.is_between_messages() {
            ear.decoder = None;
        }
        self.relax();
    }
}

// With a decoder they are what a peer takes beside its slot (`config/memory.rs`).
const _: () = assert!(size_of::<Ear>() + size_of::<SoftLag>() <= 256);

impl Ear {
    /// Whether a new one would do as well: nothing is unfinished, and the peer has not been sending of late.
    fn is_idle(&self) -> bool {
        self.decoder.is_none()
            && self.held_since.is_none()
            && self.meters.is_none()
            && self.left_over.is_empty()
            && self.scanner.is_between_messages()
            && !self.spoke
    }

    fn decode(
        &mut self,
        bytes: &[u8],
        controls: &mut TokenBucket,
        control: &mut Control,
        limits: &Limits,
        frames: FrameLimits,
        now: Instant,
    ) -> Result<(usize, Input, usize), Fault> {
        let begun = self.scanner.frames_begun();
        let whole_frame = self.scanner.is_between_frames();
        let (used, step) = self.scanner.scan(bytes, frames).map_err(Fault::Breach)?;
        self.message_since = match self.scanner.is_between_messages() {
            true => None,
            false => self.message_since.or(Some(now)),
        };
        if matches!(step, Step::Ping | Step::Pong) {
            charge(controls, control, limits, now)?;
        }
        if step == Step::Pong && whole_frame && bytes[0] == PONG {
            return Ok((used, Input::Control, 1));
        }
        let message = self.feed(&bytes[..used], control, limits)?;
        // One that began earlier is work too.
        let frames = (self.scanner.frames_begun().wrapping_sub(begun) as usize).max(1);
        let mut input = self.judge(step, message)?;
        if let Some(heartbeat) = &limits.heartbeat
            && let Input::Message(kind, message) = &input
            && asks(message, &heartbeat.request)
        {
            answer(heartbeat, *kind, controls, control, limits, now)?;
            if !canary::sings(Canary::HeartbeatRelayed) {
                input = Input::Heartbeat;
            }
        }
        Ok((used, input, frames))
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
}

#[cfg(test)]
impl Open {
    pub(crate) fn has_decoder(&self) -> bool {
        self.ear.as_ref().is_some_and(|ear| ear.decoder.is_some())
    }

    pub(crate) fn has_ear(&self) -> bool {
        self.ear.is_some()
    }
}

impl LeftOver {
    fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }
}

/// What a peer may send: one that may only listen no more than it takes to ask whether anybody is there.
fn input_limits(limits: &Limits, may_publish: bool) -> FrameLimits {
    let frames = frame_limits(limits);
    if may_publish {
        return frames;
    }
    let max_message = limits.heartbeat.as_ref().map_or(0, |heartbeat| heartbeat.request.len());
    FrameLimits { max_message, ..frames }
}

/// Whether a message holds this and nothing else.
fn asks(message: &Message, request: &str) -> bool {
    match message {
        Message::Text(text) => text.as_str() == request,
        Message::Binary(bytes) => bytes[..] == *request.as_bytes(),
        _ => false,
    }
}

/// Answers a heartbeat.
#[inline(never)] // or pings would be charged by a call
fn answer(
    heartbeat: &Heartbeat,
    kind: Kind,
    controls: &mut TokenBucket,
    control: &mut Control,
    limits: &Limits,
    now: Instant,
) -> Result<(), Fault> {
    charge(controls, control, limits, now)?;
    control.push(Header::new(kind, heartbeat.reply.len()).as_bytes());
    control.push(heartbeat.reply.as_bytes());
    Ok(())
}

/// Pays for something that is answered, or will be.
#[inline(always)] // once for each ping
fn charge(controls: &mut TokenBucket, control: &Control, limits: &Limits, now: Instant) -> Result<(), Fault> {
    let (per_sec, burst) = (limits.control_frames_per_sec, control_burst(limits));
    let is_paid = controls.take(per_sec, burst, now) && !control.is_full();
    is_paid.then_some(()).ok_or(Fault::PingFlood)
}

fn control_burst(limits: &Limits) -> u32 {
    limits.control_frames_per_sec.saturating_mul(CONTROL_BURST_SECS).max(1)
}
