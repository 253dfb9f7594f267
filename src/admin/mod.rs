//! The desk: where operators and monitors ask how the relay does, on listeners of its own.
//!
//! Owns the visitors (connections of the admin listeners), their answers, and the counts of both. Keeps the discipline
//! of the relay: the caller goes through `hear`, `expire`, `deliver` and `bury` in every turn, gives the time with each
//! and does the reading and writing through `Wire`; only `deliver` writes (law 2), only `bury` frees a slot. Promises
//! that whatever visitors do costs the relay little: at most 16 of them, one request each, a head of at most 8 KiB, five
//! seconds from accept to the end of the answer, one read and one write of at most 16 KiB for each in a turn, and
//! of what is costly to find out one thing in a turn, and none twice within a second. Leaves to others: sockets, and
//! what the house has to tell and to do (`House`).
//!
//! | file | what |
//! |---|---|
//! | `visitor.rs` | one connection: its stages |
//! | `request.rs` `query.rs` | what was asked, and who may not ask: pages of other sites, names that are rebound |
//! | `answer.rs` `pages.rs` | the table of pages, and of files; status, headers and body of every answer |
//! | `question.rs` | what is costly to find out, and what was found out of late |
//! | `tally.rs` | each visitor's outcome, counted once; the work of a turn |
//! | `rates.rs` | what happened per second, of late |
//! | `chronicle.rs` | what happened to peers, of late: the body of `/api/log` |
//! | `status.rs` `api.rs` `metrics.rs` | the bodies of `/api/status`; of `/api/channels` and `/api/peers`; of `/metrics` |
//! | `client.rs` `overview.rs` | the other end: `wsrelayd status` |

mod answer;
pub mod api;
mod chronicle;
pub mod client;
pub mod metrics;
mod overview;
mod pages;
mod query;
mod question;
mod rates;
mod request;
pub mod status;
mod tally;
#[cfg(test)]
mod tests;
mod visitor;

pub use chronicle::{Chronicle, Entry};
pub use question::{Exposition, Question, Search};
pub use rates::{Flow, PerSec, Rates};
pub use tally::Tally;

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    id::PeerId,
    relay::Buried,
    roster::Roster,
    wire::{Heard, Wire},
};
use answer::{Answer, Page};
use question::Findings;
use request::{Asked, NOBODY};
use tally::Refused;
use visitor::{Stage, Visitor};

/// Answers that are kept or on their way, at most.
pub const MOST_ANSWERS: u64 = (MAX_VISITORS + question::KEPT) as u64;
/// Rows of one answer, at most.
pub const MOST_ROWS: u64 = query::MOST_PEERS as u64;

/// Visitors at a time. Beyond it a connection is dropped.
pub const MAX_VISITORS: usize = 16;
/// From accept to the end of the connection. Then it is cut.
const PATIENCE: Duration = Duration::from_secs(5);
/// What one read or write moves at most.
const MAX_BYTES: usize = 16 << 10;

/// What the desk may tell of, and have done.
pub trait House {
    /// Whether it is about to close: no new peers.
    fn is_draining(&self) -> bool;
    /// The answer to a question: the body, of the question's media type.
    fn find_out(&self, question: &Question, desk: &Tally) -> String;
    /// Sends a peer away, with a word for it. Says whether it was there.
    fn dismiss(&mut self, id: PeerId, reason: &str) -> bool;
}

/// Where a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Over TCP, where a browser may be sent by a foreign page.
    Tcp,
    /// Over a unix socket, which no browser reaches: no matter what `Host` says.
    Unix,
}

/// All visitors. `L` is the link by which the outside finds a visitor's socket. A visitor's name is a `PeerId` of the
/// desk's own numbering: no peer has to do with it.
#[derive(Debug)]
pub struct Desk<L> {
    roster: Roster<Visitor<L>>,
    tally: Tally,
    findings: Findings,
}

impl<L> Default for Desk<L> {
    fn default() -> Self {
        Self { roster: Roster::new(), tally: Tally::default(), findings: Findings::default() }
    }
}

impl<L> Desk<L> {
    /// hear: a connection was accepted; its socket is taken for writable and not for readable.
    ///
    /// # Errors
    /// The link, when there are enough visitors: to be dropped (it has been counted).
    pub fn open(&mut self, link: L, entrance: Entrance, now: Instant) -> Result<PeerId, L> {
        self.tally.opened += 1;
        if self.roster.len() >= MAX_VISITORS {
            self.tally.refuse(Refused::Limit);
            return Err(link);
        }
        Ok(self.roster.insert(Visitor::new(link, entrance, now + PATIENCE)))
    }

    /// hear: a readable edge came (bytes, the end, or an error to be read).
    pub fn readable(&mut self, id: PeerId) {
        self.roster.get_mut(id).into_iter().for_each(|visitor| visitor.edge = true);
    }

    /// hear: a writable edge came. Stale and spurious ones do no harm.
    pub fn writable(&mut self, id: PeerId) {
        self.roster.get_mut(id).into_iter().for_each(|visitor| visitor.writable = true);
    }

    /// hear: the outside has lost the connection (its registration failed, say).
    pub fn lose(&mut self, id: PeerId) {
        if let Some(visitor) = self.roster.get_mut(id) {
            visitor.leave(Refused::Abandoned, true, &mut self.tally);
        }
    }

    /// The link of a visitor who is still there.
    pub fn link_mut(&mut self, id: PeerId) -> Option<&mut L> {
        self.roster.get_mut(id).map(|visitor| &mut visitor.link)
    }

    /// hear: one read of each visitor who is owed one; who has asked gets an answer to be delivered.
    pub fn hear(&mut self, now: Instant, wire: &mut impl Wire<L>, house: &mut impl House) {
        let owed = self.ids(Visitor::is_owed_a_read);
        self.tally.note_reads(owed.len());
        owed.into_iter().for_each(|id| self.read(id, wire));
        self.answer_all(now, house);
    }

    fn read(&mut self, id: PeerId, wire: &mut impl Wire<L>) {
        let Some(visitor) = self.roster.get_mut(id) else { return };
        match wire.read(&mut visitor.link, MAX_BYTES) {
            Heard::Bytes { bytes, drained } => {
                visitor.edge = !drained;
                self.tally.read_bytes += bytes.len() as u64;
                visitor.hear(bytes);
            }
            Heard::WouldBlock => visitor.edge = false,
            Heard::End => visitor.leave(Refused::Abandoned, false, &mut self.tally),
            Heard::Failed(_) => visitor.leave(Refused::Abandoned, true, &mut self.tally),
        }
    }

    /// Who came first is answered first, for not all may get an answer in this turn.
    fn answer_all(&mut self, now: Instant, house: &mut impl House) {
        let waiting = self
            .roster
            .iter()
            .filter_map(|(id, visitor)| visitor.asked().map(|asked| (visitor.deadline, id, asked.clone())));
        let mut waiting = waiting.collect::<Vec<_>>();
        waiting.sort_by_key(|(deadline, id, _)| (*deadline, *id));
        for (_, id, asked) in waiting {
            if let Some(answer) = self.answer(&asked, now, house)
                && let Some(visitor) = self.roster.get_mut(id)
            {
                visitor.tell(answer);
            }
        }
    }

    /// Nothing, if the answer has to wait.
    fn answer(&mut self, asked: &Asked, now: Instant, house: &mut impl House) -> Option<Answer> {
        let answer = match &asked.page {
            Err(denial) => Answer::refusal(*denial),
            Ok(Page::Alive) => Answer::text(200, "ok\n"),
            Ok(Page::Ready) => Answer::readiness(house.is_draining()),
            Ok(Page::File { file, is_known }) => Answer::file(file, *is_known),
            Ok(Page::Costly(question)) => {
                Answer::found(question, self.findings.answer(question, now, house, &self.tally)?)
            }
            Ok(Page::Dismissal { id, reason }) if house.dismiss(*id, reason) => Answer::dismissed(*id),
            Ok(Page::Dismissal { .. }) => Answer::refusal(NOBODY),
        };
        Some(Answer { without_body: asked.head_only || answer.without_body, ..answer })
    }

    /// expire: whose time is over is cut.
    pub fn expire(&mut self, now: Instant) {
        self.findings.forget(now);
        for id in self.ids(|visitor| visitor.deadline <= now) {
            if let Some(visitor) = self.roster.get_mut(id) {
                // Who was told all and does not hang up is left to the kernel, with what it has yet to send.
                let reset = !matches!(visitor.stage, Stage::Leaving { .. });
                visitor.leave(Refused::Timeout, reset, &mut self.tally);
            }
        }
    }

    /// deliver: one write for each visitor who has an answer coming. The only place that writes (law 2).
    pub fn deliver(&mut self, wire: &mut impl Wire<L>) {
        let due = self.ids(Visitor::is_due);
        self.tally.note_writes(due.len());
        for id in due {
            if let Some(visitor) = self.roster.get_mut(id) {
                match visitor.write(MAX_BYTES, wire) {
                    Ok(taken) => self.tally.write_bytes += taken as u64,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => visitor.writable = false,
                    Err(_) => visitor.leave(Refused::Abandoned, true, &mut self.tally),
                }
                visitor.settle(wire, &mut self.tally);
            }
        }
    }

    /// bury: removes the visitors who are done and hands back their links. The one place that frees a slot.
    pub fn bury(&mut self, mut grave: impl FnMut(Buried<L>)) {
        for id in self.ids(|visitor| matches!(visitor.stage, Stage::Gone { .. })) {
            if let Some(visitor) = self.roster.remove(id) {
                let reset = matches!(visitor.stage, Stage::Gone { reset: true });
                grave(Buried { id, link: visitor.link, reset });
            }
        }
    }

    /// The house closes without waiting for anybody: who was not told all is cut at the next `bury`.
    pub fn abandon(&mut self) {
        for id in self.ids(|_| true) {
            if let Some(visitor) = self.roster.get_mut(id) {
                let reset = !matches!(visitor.stage, Stage::Leaving { .. });
                visitor.leave(Refused::Abandoned, reset, &mut self.tally);
            }
        }
    }

    /// Whether the next turn has work of its own, so that the wait must not block.
    pub fn is_busy(&self) -> bool {
        self.roster.iter().any(|(_, visitor)| visitor.is_owed_a_read() || visitor.is_due())
    }

    /// When `expire` is wanted next at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let patience = self.roster.iter().map(|(_, visitor)| visitor.deadline).min();
        let is_awaited = self.roster.iter().any(|(_, visitor)| visitor.asked().is_some());
        let opening = self.findings.opens_at().filter(|_| is_awaited);
        patience.into_iter().chain(opening).min()
    }

    /// Visitors who are there.
    pub fn visitors(&self) -> usize {
        self.roster.len()
    }

    /// What came of all visitors so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn ids(&self, is_meant: impl Fn(&Visitor<L>) -> bool) -> Vec<PeerId> {
        self.roster.iter().filter(|(_, visitor)| is_meant(visitor)).map(|(id, _)| id).collect()
    }
}
