//! What the log is told of peers' lives: data, so that the core writes no line and knows no address.
//!
//! Everything here is caused by peers, so it is rationed where it is made: what is too much is counted, and the next
//! piece says how much that was.

use crate::{
    address::{Evidence, RealIpHeader},
    counters::Disconnect,
    id::PeerId,
};
use std::time::Duration;

/// One thing that happened to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whom it happened to. The peer can still be found until `bury`.
    pub id: PeerId,
    /// What it was.
    pub event: Event,
    /// Pieces of news that were too many since the last one.
    pub suppressed: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer joined a channel.
    Opened {
        /// The path, as received.
        channel: Box<str>,
    },
    /// The request was refused, or the peer left during its handshake.
    Refused {
        /// The label of the counter.
        reason: &'static str,
        /// The path, as received, where it had come so far.
        channel: Option<Box<str>>,
        /// The page that sent it, where that is why, as received.
        origin: Option<Box<str>>,
    },
    /// The peer came through a proxy that is trusted and named no client. Told once.
    ClientMissing {
        /// What shows that there is a proxy.
        evidence: Evidence,
        /// Where the client should have been named.
        believed: RealIpHeader,
    },
    /// The peer was slow and missed messages.
    Skipped {
        /// The path, as received.
        channel: Box<str>,
        /// How many it missed.
        messages: u64,
    },
    /// The connection of an open peer has ended.
    Ended(Box<Ended>),
}

/// A peer's life, looked back on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The path, as received.
    pub channel: Box<str>,
    /// Why it ended.
    pub why: Disconnect,
    /// From joining to the end of the connection.
    pub lasted: Duration,
    /// What it said and was told.
    pub traffic: Traffic,
}

/// What one peer said and was told. Bytes in are payload; bytes out are what its socket took of its channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages accepted from the peer.
    pub messages_in: u64,
    /// Their payload.
    pub bytes_in: u64,
    /// Messages handed to its socket.
    pub messages_out: u64,
    /// Bytes of its channel that its socket took, headers included.
    pub bytes_out: u64,
}
