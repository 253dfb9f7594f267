//! First steps: two peers and a wire of two byte queues each. Everything beyond is in the simulation.

use super::Relay;
use crate::{
    id::PeerId,
    limits::Limits,
    wire::{Heard, Wire},
};
use std::{
    io::{self, IoSlice},
    time::Instant,
};

#[derive(Debug, Default)]
struct Link {
    input: Vec<u8>,
    output: Vec<u8>,
    finished: bool,
}

#[derive(Default)]
struct Ends {
    scratch: Vec<u8>,
}

impl Wire<Link> for Ends {
    fn read<'w>(&'w mut self, link: &mut Link, max: usize) -> Heard<'w> {
        let len = link.input.len().min(max);
        self.scratch = link.input.drain(..len).collect();
        match len {
            0 => Heard::WouldBlock,
            _ => Heard::Bytes { bytes: &self.scratch, drained: link.input.is_empty() },
        }
    }

    fn write(&mut self, link: &mut Link, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let before = link.output.len();
        slices.iter().for_each(|slice| link.output.extend_from_slice(slice));
        Ok(link.output.len() - before)
    }

    fn finish(&mut self, link: &mut Link) {
        link.finished = true;
    }
}

const REQUEST: &[u8] = b"GET /room HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn say(relay: &mut Relay<Link>, id: PeerId, bytes: &[u8]) {
    relay.link_mut(id).unwrap().input.extend_from_slice(bytes);
    relay.readable(id);
}

fn turn(relay: &mut Relay<Link>, now: Instant) {
    let mut ends = Ends::default();
    relay.hear(now, &mut ends);
    relay.expire(now);
    relay.deliver(now, &mut ends);
    relay.bury(drop);
    relay.audit().unwrap();
}

fn heard(relay: &mut Relay<Link>, id: PeerId) -> Vec<u8> {
    std::mem::take(&mut relay.link_mut(id).unwrap().output)
}

#[allow(clippy::disallowed_methods, reason = "a test begins somewhere")]
fn start() -> (Relay<Link>, Instant) {
    let now = Instant::now();
    (Relay::new(Limits::default(), 1, now), now)
}

fn join(relay: &mut Relay<Link>, now: Instant) -> PeerId {
    let id = relay.open(Link::default(), now).unwrap();
    say(relay, id, REQUEST);
    turn(relay, now);
    assert!(heard(relay, id).starts_with(b"HTTP/1.1 101 "));
    id
}

#[test]
fn a_message_reaches_the_others_and_not_its_sender() {
    let (mut relay, now) = start();
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, a, &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    turn(&mut relay, now);
    assert_eq!(heard(&mut relay, b), [0x81, 2, b'h', b'i']);
    assert_eq!(heard(&mut relay, a), []);
    assert_eq!(relay.backlog_bytes(), 0);
    assert!(!relay.is_busy());
}

#[test]
fn a_close_is_answered_with_its_code_and_the_channel_goes_with_its_last_peer() {
    let (mut relay, now) = start();
    let a = join(&mut relay, now);
    say(&mut relay, a, &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]);
    turn(&mut relay, now);
    turn(&mut relay, now);
    assert_eq!(heard(&mut relay, a), [0x88, 2, 0x03, 0xE8]);
    assert!(relay.link_mut(a).unwrap().finished);
    assert_eq!(relay.channel_count(), 0);
    let later = now + Limits::default().close_timeout * 2;
    turn(&mut relay, later);
    assert!(relay.is_empty(), "the close deadline came");
    assert_eq!(relay.counters().close_timeouts, 1);
}
