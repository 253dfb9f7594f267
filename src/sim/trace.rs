//! The last events of a world, kept as small values and put into words only when a seed fails.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::id::PeerId;

/// Events that a failure shows.
const KEPT: usize = 60;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Turn(u64, Duration),
    Opened(usize, PeerId),
    TurnedAway(usize),
    Edge(PeerId, super::net::Edge),
    Read(usize, &'static str, usize),
    Wrote(usize, usize, usize),
    Blocked(usize),
    Finished(usize),
    Buried(usize, PeerId, bool),
    Published(usize, usize),
    Client(usize, &'static str),
    Told(usize, u16, String),
}

/// The newest notes; older ones make room.
#[derive(Debug, Default)]
pub(super) struct Trace {
    notes: VecDeque<Note>,
}

impl Trace {
    pub(super) fn note(&mut self, note: Note) {
        // A turn in which nothing happened tells nothing: the next one takes its line.
        if matches!((&note, self.notes.back()), (Note::Turn(..), Some(Note::Turn(..)))) {
            self.notes.pop_back();
        }
        if self.notes.len() == KEPT {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Turn(turn, now) => write!(f, "--- turn {turn} at {now:?}"),
            Note::Opened(client, id) => write!(f, "client {client} opened as {id}"),
            Note::TurnedAway(client) => write!(f, "client {client} turned away"),
            Note::Edge(id, edge) => write!(f, "{id} {edge:?}"),
            Note::Read(client, what, bytes) => write!(f, "client {client} read by relay: {what} {bytes}"),
            Note::Wrote(client, offered, taken) => {
                write!(f, "client {client} offered {offered}, took {taken}")
            }
            Note::Blocked(client) => write!(f, "client {client} refused a write"),
            Note::Finished(client) => write!(f, "client {client} got the end of writing"),
            Note::Buried(client, id, reset) => write!(f, "client {client} buried as {id}, reset {reset}"),
            Note::Published(client, n) => write!(f, "client {client} published its message {n}"),
            Note::Client(client, what) => write!(f, "client {client}: {what}"),
            Note::Told(client, code, reason) => write!(f, "client {client} was told {code} {reason}"),
        }
    }
}
