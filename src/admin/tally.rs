//! What came of the visitors, in numbers: each is counted under exactly one outcome (law 12), and the work of turns.

use serde_json::{Map, Value};
use std::fmt;

/// Why a visitor got no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Refused {
    /// There were enough visitors: dropped.
    Limit,
    /// Not done in time: reset.
    Timeout,
    /// Left before the answer was handed to the kernel.
    Abandoned,
    /// Not a proper request: 400, 505.
    BadRequest,
    /// Too large a head: 431, 414.
    HeadTooLarge,
    /// Neither GET nor HEAD: 405.
    Method,
    /// A `Host` that is a name: 421.
    Host,
    /// Sent by a page of a browser: 403.
    Origin,
    /// No such page: 404.
    NotFound,
}

/// Labels, in the order of the counters.
const LABELS: [&str; 9] = [
    "admin_limit",
    "admin_timeout",
    "admin_abandoned",
    "admin_bad_request",
    "admin_head_too_large",
    "admin_method",
    "admin_host",
    "admin_origin",
    "admin_not_found",
];

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A page was told.
    Answered,
    /// None was.
    Refused(Refused),
}

/// The counters of the desk. All of them only grow. `opened` = answered + refused + those who are there and have not
/// been told all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were accepted, those that were dropped at once included.
    pub opened: u64,
    /// Visitors who were told a page.
    pub answered: u64,
    refused: [u64; LABELS.len()],
    /// Bytes that visitors sent.
    pub read_bytes: u64,
    /// Bytes that their sockets took.
    pub write_bytes: u64,
    /// The most reads of one turn.
    pub most_turn_reads: u64,
    /// The most writes of one turn.
    pub most_turn_writes: u64,
}

impl Tally {
    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered => self.answered += 1,
            Outcome::Refused(why) => self.refuse(why),
        }
    }

    pub(super) fn refuse(&mut self, why: Refused) {
        self.refused[why as usize] += 1;
    }

    pub(super) fn note_reads(&mut self, reads: usize) {
        self.most_turn_reads = self.most_turn_reads.max(reads as u64);
    }

    pub(super) fn note_writes(&mut self, writes: usize) {
        self.most_turn_writes = self.most_turn_writes.max(writes as u64);
    }

    /// Each label with its count.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LABELS.into_iter().zip(self.refused)
    }

    /// Refusals in all.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// As it stands in `/api/status`.
    pub(super) fn to_json(&self) -> Value {
        let refused: Map<_, _> = self.refused().map(|(label, n)| (label.to_owned(), n.into())).collect();
        serde_json::json!({
            "opened": self.opened, "answered": self.answered, "refused": refused,
            "read_bytes": self.read_bytes, "write_bytes": self.write_bytes,
            "most_turn_reads": self.most_turn_reads, "most_turn_writes": self.most_turn_writes,
        })
    }
}

impl fmt::Display for Tally {
    /// One line of `name=value`, the reasons only where they are not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opened, answered, most_turn_reads, most_turn_writes, .. } = self;
        write!(f, "admin_opened={opened} admin_answered={answered}")?;
        for (label, count) in self.refused().filter(|(_, count)| *count > 0) {
            write!(f, " {label}={count}")?;
        }
        write!(
            f,
            " admin_most_turn_reads={most_turn_reads} admin_most_turn_writes={most_turn_writes} \
             admin_read_bytes={} admin_write_bytes={}",
            self.read_bytes, self.write_bytes
        )
    }
}
