//! The relay and its peers, with ends in memory: prepared bytes go in, and what comes out is counted or recorded.
//!
//! Owns the turn as the server goes through it, and the time, which stands still until somebody moves it. Promises that
//! an end that only counts costs next to nothing, so that what is measured is the relay.

use std::{
    hint::black_box,
    io::{self, IoSlice},
    time::{Duration, Instant},
};

use wsrelayd::{
    address::{Arrival, Source},
    id::PeerId,
    limits::Limits,
    relay::Relay,
    wire::{Heard, Wire},
};

use crate::Checked;

const SEED: u64 = 9310;

/// What the next read of a peer brings.
#[derive(Clone, Copy, Debug, Default)]
pub enum Next {
    #[default]
    Nothing,
    /// The bytes under this number.
    Input(usize),
    End,
}

/// A peer's other end.
#[derive(Debug, Default)]
pub struct Link {
    pub next: Next,
    /// Which of the peers it is.
    number: usize,
    /// Takes no byte.
    pub is_deaf: bool,
}

/// Everybody's other end.
#[derive(Debug, Default)]
pub struct Memory {
    /// What peers send.
    inputs: Vec<Vec<u8>>,
    /// Bytes that all peers took.
    pub taken: u64,
    /// Who took something, while that is wanted.
    pub takers: Option<Vec<usize>>,
    /// What each peer took, while that is wanted.
    records: Option<Vec<Vec<u8>>>,
}

impl Wire<Link> for Memory {
    fn read<'w>(&'w mut self, link: &mut Link, _max: usize) -> Heard<'w> {
        match std::mem::take(&mut link.next) {
            Next::Nothing => Heard::WouldBlock,
            Next::Input(number) => Heard::Bytes { bytes: &self.inputs[number], drained: true },
            Next::End => Heard::End,
        }
    }

    fn write(&mut self, link: &mut Link, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if link.is_deaf {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = black_box(slices).iter().map(|slice| slice.len()).sum();
        self.taken += len as u64;
        if let Some(records) = &mut self.records {
            slices.iter().for_each(|slice| records[link.number].extend_from_slice(slice));
        }
        if let Some(takers) = &mut self.takers {
            takers.push(link.number);
        }
        Ok(len)
    }

    fn finish(&mut self, _link: &mut Link) {}

    fn lose_after(&mut self, _link: &mut Link, _patience: Duration) {}
}

/// A relay with its peers.
#[derive(Debug)]
pub struct Field {
    pub relay: Relay<Link>,
    pub memory: Memory,
    pub now: Instant,
    peers: Vec<PeerId>,
    /// How many turns were gone through.
    pub turns: u64,
}

impl Field {
    #[allow(clippy::disallowed_methods, reason = "there is no first moment but the clock's")]
    pub fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let relay = Relay::new(limits, SEED, now);
        Self { relay, memory: Memory::default(), now, peers: Vec::new(), turns: 0 }
    }

    /// A relay with `peers` peers on each of `channels` channels, neighbours on different ones.
    ///
    /// # Errors
    /// Not all of them joined.
    pub fn with_peers(channels: usize, peers: usize) -> Result<Self, String> {
        Self::with_peers_under(&Limits::default(), channels, peers)
    }

    /// The same, under these limits as far as they are not about the number of peers.
    ///
    /// # Errors
    /// Not all of them joined.
    pub fn with_peers_under(limits: &Limits, channels: usize, peers: usize) -> Result<Self, String> {
        let count = channels * peers;
        let mut field = Self::new(Limits { max_handshakes: count, max_connections: count, ..limits.clone() });
        let requests: Vec<_> =
            (0..channels).map(|channel| field.add_input(request(&format!("/core/{channel}")))).collect();
        for nth in 0..count {
            field.connect(Source::Unix);
            field.give(nth, Next::Input(requests[nth % channels]));
        }
        field.settle();
        match field.relay.counters().joined {
            joined if joined == count as u64 => Ok(field),
            joined => Err(format!("{joined} of {count} peers joined")),
        }
    }

    /// The number under which these bytes can be given.
    pub fn add_input(&mut self, bytes: Vec<u8>) -> usize {
        self.memory.inputs.push(bytes);
        self.memory.inputs.len() - 1
    }

    pub fn connect(&mut self, source: Source) {
        let link = Link { number: self.peers.len(), ..Link::default() };
        if let Ok(id) = self.relay.open(link, Arrival::from(source), self.now) {
            self.peers.push(id);
        }
    }

    /// There is something to be read of a peer.
    pub fn give(&mut self, nth: usize, next: Next) {
        let id = self.peers[nth];
        if let Some(link) = self.relay.link_mut(id) {
            link.next = next;
            self.relay.readable(id);
        }
    }

    pub fn deafen(&mut self, nth: usize) {
        if let Some(link) = self.relay.link_mut(self.peers[nth]) {
            link.is_deaf = true;
        }
    }

    /// A deaf peer takes bytes again, and its socket says so.
    pub fn undeafen(&mut self, nth: usize) {
        let id = self.peers[nth];
        if let Some(link) = self.relay.link_mut(id) {
            link.is_deaf = false;
            self.relay.writable(id, self.now);
        }
    }

    /// Nobody is left, and the next one to come is the first again.
    pub fn forget_peers(&mut self) {
        self.peers.clear();
    }

    pub fn turn(&mut self) {
        self.relay.hear(self.now, &mut self.memory);
        self.relay.expire(self.now);
        self.relay.deliver(self.now, &mut self.memory);
        black_box(self.relay.take_news());
        self.relay.bury(|buried| _ = black_box(buried));
        self.turns += 1;
    }

    /// Goes on until nobody waits for anything.
    pub fn settle(&mut self) {
        while self.relay.is_busy() {
            self.turn();
        }
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// From now on each byte that a peer takes is kept.
    pub fn record(&mut self) {
        self.memory.records = Some(vec![Vec::new(); self.peers.len()]);
    }

    /// Ends the record, and holds it against what each peer had to get.
    pub fn check_record(&mut self, wanted: impl Fn(usize) -> Vec<u8>) -> Checked {
        let records = self.memory.records.take().unwrap_or_default();
        if records.is_empty() {
            return Err("nothing was recorded".into());
        }
        match records.iter().enumerate().find(|(nth, got)| **got != wanted(*nth)) {
            Some((nth, got)) => {
                Err(format!("peer {nth} got {} bytes that are not the right ones", got.len()))
            }
            None => Ok(()),
        }
    }
}

/// A handshake for `path`.
pub fn request(path: &str) -> Vec<u8> {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    head.into_bytes()
}

/// Holds what was counted against what had to be.
pub fn compare(what: &str, got: u64, wanted: u64) -> Checked {
    if got == wanted { Ok(()) } else { Err(format!("{got} {what}, {wanted} is right")) }
}
