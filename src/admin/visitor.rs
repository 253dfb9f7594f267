//! One visitor: a connection of an admin listener, from accept to burial.
//!
//! Owns the stages. Promises: one request is heard and at most one answer is told; what comes behind the request is
//! read and thrown away, so that no reset takes the answer from who has not read it yet; each visitor's outcome is
//! counted once. Leaves to others: what is answered, and when the time is over.

use super::{
    Entrance,
    answer::{Answer, Body},
    request::{self, Asked},
    tally::{Outcome, Refused, Tally},
};
use crate::{handshake::head::Head, wire::Wire};
use std::{
    io::{self, IoSlice},
    time::Instant,
};

/// Bytes behind the request that are read and thrown away. Above it the connection is reset.
const MAX_DISCARD: usize = 64 << 10;

/// A connection to the desk.
#[derive(Debug)]
pub(super) struct Visitor<L> {
    pub(super) link: L,
    pub(super) stage: Stage,
    pub(super) deadline: Instant,
    /// A readable edge came that no read has spent.
    pub(super) edge: bool,
    /// The socket takes bytes, as far as anybody knows.
    pub(super) writable: bool,
    entrance: Entrance,
}

/// What a visitor is doing.
#[derive(Debug)]
pub(super) enum Stage {
    /// The request head has not come whole.
    Asking(Head),
    /// What was asked is not answered yet.
    Waiting(Asked),
    /// The answer has not left whole.
    Told { head: String, body: Body, sent: usize, outcome: Outcome },
    /// Our side is ended; the visitor's end is still to be heard.
    Leaving { discarded: usize },
    /// To be buried.
    Gone { reset: bool },
}

impl<L> Visitor<L> {
    pub(super) fn new(link: L, entrance: Entrance, deadline: Instant) -> Self {
        let stage = Stage::Asking(Head::default());
        Self { link, stage, deadline, edge: false, writable: true, entrance }
    }

    /// Not while an answer is under way: who sends without reading it waits.
    pub(super) fn is_owed_a_read(&self) -> bool {
        self.edge && matches!(self.stage, Stage::Asking(_) | Stage::Leaving { .. })
    }

    pub(super) fn is_due(&self) -> bool {
        self.writable && matches!(self.stage, Stage::Told { .. })
    }

    /// What was asked, if it is not answered yet.
    pub(super) fn asked(&self) -> Option<&Asked> {
        match &self.stage {
            Stage::Waiting(asked) => Some(asked),
            _ => None,
        }
    }

    /// Takes what was read.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        match &mut self.stage {
            Stage::Asking(head) => {
                if let Some(asked) = request::receive(head, bytes, self.entrance) {
                    self.stage = Stage::Waiting(asked);
                }
            }
            Stage::Leaving { discarded } => {
                *discarded += bytes.len();
                if *discarded > MAX_DISCARD {
                    self.stage = Stage::Gone { reset: true };
                }
            }
            _ => {}
        }
    }

    /// The answer is to be delivered.
    pub(super) fn tell(&mut self, answer: Answer) {
        let (head, outcome) = (answer.head(), answer.outcome);
        let body = if answer.without_body { Body::File(b"") } else { answer.body };
        self.stage = Stage::Told { head, body, sent: 0, outcome };
    }

    /// One write of at most `max` bytes.
    pub(super) fn write(&mut self, max: usize, wire: &mut impl Wire<L>) -> io::Result<usize> {
        let Stage::Told { head, body, sent, .. } = &mut self.stage else { return Ok(0) };
        let (head, body) = (head.as_bytes(), body.bytes());
        let first = part(head, *sent, max);
        let second = part(body, sent.saturating_sub(head.len()), max - first.len());
        let taken = match (first.is_empty(), second.is_empty()) {
            (false, false) => wire.write(&mut self.link, &[IoSlice::new(first), IoSlice::new(second)])?,
            (false, true) => wire.write(&mut self.link, &[IoSlice::new(first)])?,
            (true, false) => wire.write(&mut self.link, &[IoSlice::new(second)])?,
            (true, true) => 0,
        };
        *sent += taken;
        Ok(taken)
    }

    /// Ends our side once the answer has left whole.
    pub(super) fn settle(&mut self, wire: &mut impl Wire<L>, tally: &mut Tally) {
        if let Stage::Told { head, body, sent, outcome } = &self.stage
            && *sent == head.len() + body.bytes().len()
        {
            tally.count(*outcome);
            wire.finish(&mut self.link);
            self.stage = Stage::Leaving { discarded: 0 };
        }
    }

    /// The connection is over. `why` counts where there is no outcome yet.
    pub(super) fn leave(&mut self, why: Refused, reset: bool, tally: &mut Tally) {
        if matches!(self.stage, Stage::Asking(_) | Stage::Waiting(_) | Stage::Told { .. }) {
            tally.refuse(why);
        }
        if !matches!(self.stage, Stage::Gone { .. }) {
            self.stage = Stage::Gone { reset };
        }
    }
}

/// At most `max` bytes from `at` on.
fn part(bytes: &[u8], at: usize, max: usize) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    &rest[..rest.len().min(max)]
}
