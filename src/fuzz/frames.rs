//! Target: what a client sends after the handshake. Promises, of the scanner and the decoder, what `agree.rs` says; and
//! of the relay with one who sends and one who listens: whatever the pieces and the budgets of a turn, the listener gets
//! each message as one frame and nothing else, the sender its pongs and then the close frame that its stream has earned,
//! each turn does something, and no more input is kept than the limits say.

use super::agree::{self, End, Outcome};
use crate::{
    address::Source,
    frame::{self, Header, Kind},
    limits::Limits,
    relay::Relay,
    scanner::FrameLimits,
    sim::rng::Rng,
    wire::{Heard, Wire},
};
use std::{
    io::{self, IoSlice},
    time::{Duration, Instant},
};
use tungstenite::Message;

/// More would be more of the same; and the pongs to so much stay below what makes a ping flood.
const STREAM_MOST: usize = 6 << 10;

/// An audit costs more than a turn, and what one finds does not mend itself.
const AUDIT_EVERY: usize = 5;

const HEAD: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Takes six bytes for limits and pieces, the rest for the stream.
pub fn frames(data: &[u8]) {
    let Some((setting, stream)) = data.split_at_checked(6) else { return };
    let stream = &stream[..stream.len().min(STREAM_MOST)];
    let mut rng = Rng::on_tape(setting);
    let mut limits = Limits {
        max_message: rng.pick(&[10_000, 1, 40, 125, 126, 64 << 10]),
        max_frames: rng.pick(&[100, 1, 2, 5]),
        control_frames_per_sec: 1_000_000,
        ..Limits::default()
    };
    limits.turn.frames_per_peer = rng.pick(&[1024, 1, 3]);
    limits.turn.read_per_peer = rng.pick(&[64 << 10, 1, 50]);
    let lengths = [1 + rng.below(256), 1 + rng.below(256)];
    let of_frames = FrameLimits { max_message: limits.max_message, max_frames: limits.max_frames };
    let (_, outcome) = agree::check(stream, of_frames, &lengths);
    relay_it(stream, &limits, &lengths, &outcome);
}

/// What one end of the wire has to say, and has heard.
#[derive(Debug, Default)]
struct Ear {
    says: Vec<u8>,
    said: usize,
    heard: Vec<u8>,
    finished: bool,
}

/// Everybody takes all that is written, and says a piece at a time.
struct Line {
    /// Time stands still.
    now: Instant,
    lengths: [usize; 2],
    reads: usize,
    piece: Vec<u8>,
}

impl Wire<Ear> for Line {
    fn read<'w>(&'w mut self, ear: &mut Ear, max: usize) -> Heard<'w> {
        let left = &ear.says[ear.said..];
        let len = left.len().min(max).min(self.lengths[self.reads % 2]);
        if len == 0 {
            return Heard::WouldBlock;
        }
        self.reads += 1;
        self.piece = left[..len].to_vec();
        ear.said += len;
        Heard::Bytes { bytes: &self.piece, drained: ear.said == ear.says.len() }
    }

    fn write(&mut self, ear: &mut Ear, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!ear.finished, "a write after the end");
        slices.iter().for_each(|slice| ear.heard.extend_from_slice(slice));
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn finish(&mut self, ear: &mut Ear) {
        ear.finished = true;
    }

    fn lose_after(&mut self, _: &mut Ear, _: Duration) {
        panic!("both speak WebSocket");
    }
}

fn relay_it(stream: &[u8], limits: &Limits, lengths: &[usize; 2], outcome: &Outcome) {
    let now = super::some_moment();
    let mut relay = Relay::new(limits.clone(), 1, now);
    let mut line = Line { now, lengths: *lengths, reads: 0, piece: Vec::new() };
    let [sender, listener] = [(); 2].map(|()| {
        let id = relay.open(Ear::default(), Source::Unix.into(), now).expect("room for two");
        said_by(&mut relay, id).says.extend_from_slice(HEAD);
        relay.readable(id);
        turns(&mut relay, &mut line, HEAD.len(), limits);
        let welcome = std::mem::take(&mut said_by(&mut relay, id).heard);
        assert!(welcome.starts_with(b"HTTP/1.1 101 ") && welcome.ends_with(b"\r\n\r\n"));
        id
    });
    said_by(&mut relay, sender).says.extend_from_slice(stream);
    relay.readable(sender);
    turns(&mut relay, &mut line, stream.len(), limits);
    assert_eq!(said_by(&mut relay, sender).said, HEAD.len() + stream.len(), "all is read");
    assert_eq!(said_by(&mut relay, listener).heard, published(&outcome.messages), "what the listener gets");
    assert_eq!(said_by(&mut relay, sender).heard, answered(outcome), "what the sender gets");
    assert_eq!((relay.backlog_bytes(), relay.is_busy()), (0, false));
}

fn said_by(relay: &mut Relay<Ear>, id: crate::id::PeerId) -> &mut Ear {
    relay.link_mut(id).expect("nobody is buried")
}

/// Turns until the relay has nothing to do: no more than there are bytes to read, and some.
fn turns(relay: &mut Relay<Ear>, line: &mut Line, bytes: usize, limits: &Limits) {
    let now = line.now;
    for turn in 0..2 * bytes + 10 {
        if !relay.is_busy() {
            return;
        }
        relay.hear(now, line);
        relay.expire(now);
        relay.deliver(now, line);
        relay.bury(|_| {});
        if turn % AUDIT_EVERY == 0 {
            relay.audit().unwrap_or_else(|fault| panic!("{fault}"));
        }
        let most = 3 * (limits.max_message + 125) + limits.turn.read_per_peer.min(256);
        assert!(relay.inflight_bytes() <= most, "{} of {most}", relay.inflight_bytes());
    }
    assert!(!relay.is_busy(), "turns in which nothing happens");
}

fn published(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        let kind = match message {
            Message::Text(_) => Kind::Text,
            Message::Binary(_) => Kind::Binary,
            _ => continue,
        };
        let payload = message.clone().into_data();
        bytes.extend_from_slice(Header::new(kind, payload.len()).as_bytes());
        bytes.extend_from_slice(&payload);
    }
    bytes
}

fn answered(outcome: &Outcome) -> Vec<u8> {
    let last = match outcome.end {
        End::Closed => {
            outcome.close_code.map_or_else(frame::close_without_code, |code| frame::close(code, ""))
        }
        End::Refused(code, breach) => frame::close(code, breach.map_or("", |breach| breach.token())),
        End::Open => Vec::new(),
    };
    [&outcome.output[..], &last].concat()
}
