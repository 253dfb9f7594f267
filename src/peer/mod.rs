//! One peer: what it is doing, what it is owed, what it has coming.
//!
//! Owns the stages of a peer; `open.rs` has the one that lasts, `post.rs` that of a message that comes by HTTP. Leaves to
//! others: lists, channels, counting, and every decision about slowness.

mod fault;
mod meters;
mod open;
mod post;

pub(crate) use fault::Fault;
pub(crate) use open::{Circumstances, Input, LeftOver, Open, Overdue};
pub(crate) use post::{Posted, Posting};

use crate::{
    address::{Arrival, Caller, Network},
    canary::{self, Canary},
    channel::{Channels, Seat},
    control::Control,
    event_stream::Form,
    handshake::{Handshake, ProxyLine},
    limits::Limits,
    news::{Ended, Traffic},
    rules::RuleId,
    scanner::{FrameLimits, Scanner, Step},
    wheel::{NEVER, Tick},
};
use std::time::Instant;

/// A connection, from accept to burial.
///
/// In this order in memory, so that a delivery touches as few cache lines as it can: with thousands of peers each of them
/// is fetched anew. What a delivery looks at comes first, up to the first fields of an open stage.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Peer<L> {
    /// On the `due` list (law 10).
    pub(crate) due: bool,
    /// The socket takes bytes, as far as anybody knows.
    pub(crate) writable: bool,
    /// A readable edge came that no read has spent.
    pub(crate) edge: bool,
    /// On which list the peer waits to be read (law 10).
    pub(crate) reading: Reading,
    /// Bytes in `control` that were copied out of a backlog: they count against the backlogs' budget.
    pub(crate) copied: u32,
    /// The place in a channel: from the handshake until nothing of the channel is due to the peer any more.
    pub(crate) seat: Option<Seat>,
    pub(crate) control: Control,
    /// How the outside finds the socket.
    pub(crate) link: L,
    pub(crate) traffic: Traffic,
    pub(crate) stage: Stage,
    /// When the peer joined its channel.
    pub(crate) joined_at: Option<Instant>,
    /// The peer's one valid wheel entry.
    pub(crate) armed: Tick,
    /// What the peer takes of the budget for unfinished input.
    pub(crate) inflight: Packed,
    pub(crate) caller: Caller,
    /// The peer is counted under the address of its real caller; refused for that address's limits, or not.
    counted_as_refused: Option<bool>,
    /// What must be remembered of the connection besides.
    pub(crate) remark: Remark,
    /// In which form the peer gets its channel, once it is open.
    pub(crate) form: Form,
    /// It may publish, once it is open.
    pub(crate) may_publish: bool,
    /// What its channel comes under, once that is known.
    pub(crate) rule: RuleId,
}

/// What the stages of a peer must know of its connection, and no two at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remark {
    /// Nothing.
    None,
    /// A line of the PROXY protocol has named nobody: until it is open.
    Unnamed,
    /// It is over in both directions, whatever is still to be read of it: once it is open.
    Broken,
}

/// How a peer is counted under its address: to be given back when its slot is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stay {
    pub(crate) client: Network,
    /// It was refused for that address's limits.
    pub(crate) is_refused: bool,
}

/// Memory of a peer's input that no complete message has come of yet, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inflight {
    /// The unfinished message, as declared.
    pub(crate) message: usize,
    /// Input that was read and not yet decoded.
    pub(crate) left_over: usize,
    /// The same of those who rest: it lies longer.
    pub(crate) resting: usize,
}

/// The same as a peer keeps it: no number of one peer comes near what 31 bits hold, as one message and one read bound them, and
/// what is left over is all of one who rests or all of one who does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    message: u32,
    /// What is left over, and whether it is of one who rests.
    left_over: u32,
}

/// Marks what is left over of one who rests.
const RESTS: u32 = 1 << 31;

impl Inflight {
    fn of_one_who_rests(self) -> Self {
        Self { left_over: 0, resting: self.left_over, ..self }
    }

    pub(crate) fn total(self) -> usize {
        self.message + self.left_over + self.resting
    }

    /// Of one peer.
    pub(crate) fn packed(self) -> Packed {
        debug_assert!(self.left_over == 0 || self.resting == 0);
        let mark = if self.resting > 0 { RESTS } else { 0 };
        Packed { message: self.message as u32, left_over: (self.left_over + self.resting) as u32 | mark }
    }
}

impl Packed {
    pub(crate) fn unpacked(self) -> Inflight {
        let (message, lies) = (self.message as usize, (self.left_over & !RESTS) as usize);
        let rests = self.left_over & RESTS != 0;
        let (left_over, resting) = if rests { (0, lies) } else { (lies, 0) };
        Inflight { message, left_over, resting }
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
    /// With the wheel, until what it sent is paid for.
    Resting,
}

/// What a peer is doing.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly every peer is open nearly all the time")]
pub(crate) enum Stage {
    /// The request head has not come whole.
    Handshaking {
        /// The PROXY line, where one is demanded and has not come whole.
        proxy_line: Option<ProxyLine>,
        head: Handshake,
        deadline: Instant,
    },
    /// The head of a POST has come whole, and its body has not.
    Posting(Box<Posting>),
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

impl<L> Peer<L> {
    pub(crate) fn new(link: L, arrival: Arrival, deadline: Instant) -> Self {
        let proxy_line = arrival.proxy_protocol.then(ProxyLine::default);
        Self {
            link,
            stage: Stage::Handshaking { proxy_line, head: Handshake::default(), deadline },
            caller: Caller::direct(arrival.source),
            counted_as_refused: None,
            seat: None,
            control: Control::default(),
            copied: 0,
            remark: Remark::None,
            form: Form::Frames,
            may_publish: false,
            rule: RuleId::default(),
            due: false,
            writable: true,
            edge: false,
            reading: Reading::Idle,
            armed: NEVER,
            inflight: Packed::default(),
            traffic: Traffic::default(),
            joined_at: None,
        }
    }

    /// How the peer is counted under its address, if it is.
    pub(crate) fn stay(&self) -> Option<Stay> {
        Some(Stay { client: self.caller.real.client()?, is_refused: self.counted_as_refused? })
    }

    /// The peer was counted so, under the address of its real caller.
    pub(crate) fn begin_stay(&mut self, stay: Stay) {
        debug_assert!(self.counted_as_refused.is_none(), "counted twice");
        debug_assert_eq!(self.caller.real.client(), Some(stay.client));
        self.counted_as_refused = Some(stay.is_refused);
    }

    /// The peer is to be counted no more.
    pub(crate) fn end_stay(&mut self) -> Option<Stay> {
        let stay = self.stay();
        self.counted_as_refused = None;
        stay
    }

    /// Whether anything is to be written.
    pub(crate) fn has_output(&self, channels: &Channels) -> bool {
        !self.control.is_empty() || self.has_backlog(channels)
    }

    /// Of `taken` bytes that left, takes those of the control buffer. The rest, which it answers with, are of the
    /// backlog: the control buffer goes first, except that a frame that was partly written is finished before it.
    pub(crate) fn settle_control(&mut self, taken: usize) -> usize {
        if self.control.is_empty() {
            return taken;
        }
        let first = self.seat.as_ref().filter(|_| !canary::sings(Canary::ControlInsideFrame));
        let rest = first.map_or(0, |seat| seat.cursor.rest_len());
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
            Stage::Open(open) => self.edge || open.has_left_over(),
            Stage::Gone { .. } => false,
            _ => self.edge,
        }
    }

    /// When the peer must be looked at again at the latest; never again once it is gone.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        match &self.stage {
            Stage::Handshaking { deadline, .. } => Some(*deadline),
            Stage::Posting(posting) => Some(posting.deadline(limits)),
            Stage::Open(open) => Some(open.deadline(limits.under(self.rule), self.reading)),
            Stage::Closing(closing) => Some(closing.deadline),
            Stage::Gone { .. } => None,
        }
    }

    /// What the peer takes of the budget for unfinished input now.
    pub(crate) fn count_inflight(&self) -> Inflight {
        match &self.stage {
            Stage::Posting(posting) => posting.inflight(),
            Stage::Open(open) if self.reading == Reading::Resting => open.inflight().of_one_who_rests(),
            Stage::Open(open) => open.inflight(),
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
