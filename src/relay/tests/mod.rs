//! Small scenes, with a wire of two byte queues per peer. Everything larger is in the simulation.

mod addresses;
mod heartbeat;
mod laws;
mod limits;
mod permits;
mod post;
mod rates;
mod rfc;
mod roll;
mod rooms;
mod share;
mod slow;
mod streams;
mod times;

use super::{REFUSAL_SLOTS, Relay};
use crate::{
    address::Source,
    counters::Disconnect,
    frame::PING_FRAME,
    id::PeerId,
    limits::{Limits, TurnBudget},
    peer::Stage,
    wire::{Heard, Wire},
};
use std::{
    io::{self, IoSlice},
    time::{Duration, Instant},
};

#[derive(Debug, Default)]
struct Link {
    input: Vec<u8>,
    output: Vec<u8>,
    /// The peer has ended its side.
    ended: bool,
    /// The socket takes nothing.
    full: bool,
    /// The socket takes so many bytes more, if there is a limit.
    room: Option<usize>,
    finished: bool,
    /// How long bytes may stand unacknowledged.
    patience: Option<Duration>,
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
            0 if link.ended => Heard::End,
            0 => Heard::WouldBlock,
            _ => Heard::Bytes { bytes: &self.scratch, drained: link.input.is_empty() && !link.ended },
        }
    }

    fn write(&mut self, link: &mut Link, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = if link.full { 0 } else { link.room.unwrap_or(usize::MAX) };
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = link.output.len();
        link.output.extend(slices.iter().flat_map(|slice| slice.iter()).take(room));
        let taken = link.output.len() - before;
        link.room = link.room.map(|room| room - taken);
        Ok(taken)
    }

    fn finish(&mut self, link: &mut Link) {
        link.finished = true;
    }

    fn lose_after(&mut self, link: &mut Link, patience: Duration) {
        link.patience = Some(patience);
    }
}

const REQUEST: &[u8] =
    b"GET /room HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
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
fn start_with(limits: Limits) -> (Relay<Link>, Instant) {
    let now = Instant::now();
    (Relay::new(limits, 1, now), now)
}

fn start() -> (Relay<Link>, Instant) {
    start_with(Limits::default())
}

/// Turns until nothing is left to do.
fn settle(relay: &mut Relay<Link>, now: Instant) {
    for _ in 0..1000 {
        turn(relay, now);
        if !relay.is_busy() {
            return;
        }
    }
    panic!("busy for a thousand turns");
}

/// One says three words, each longer than `hold`, to three who are served one a turn: the second word waits until all of
/// them have been offered the first.
fn say_thrice_and_wait(relay: &mut Relay<Link>, sender: PeerId, word: &[u8], now: Instant) {
    for turns in 1..=3 {
        say(relay, sender, word);
        turn(relay, now);
        assert_eq!(relay.counters().messages_in, 1, "after {turns} turns one of the three is not served");
    }
    settle(relay, now);
    assert_eq!(relay.counters().messages_in, 3);
}

/// A connection over a unix socket, to whom no limit per address holds.
fn open(relay: &mut Relay<Link>, now: Instant) -> Result<PeerId, Link> {
    relay.open(Link::default(), Source::Unix.into(), now)
}

fn join(relay: &mut Relay<Link>, now: Instant) -> PeerId {
    join_at(relay, "/room", now)
}

fn join_at(relay: &mut Relay<Link>, path: &str, now: Instant) -> PeerId {
    let id = open(relay, now).unwrap();
    let request = std::str::from_utf8(REQUEST).unwrap().replacen("/room", path, 1);
    say(relay, id, request.as_bytes());
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
    assert_eq!(heard(&mut relay, a), b"");
    assert_eq!(relay.backlog_bytes(), 0);
    assert!(!relay.is_busy());
}

/// P6: nobody waits for more than a turn because of what another channel has to get.
#[test]
fn a_crowded_channel_does_not_keep_another_waiting() {
    let turn_budget = TurnBudget { writes: 10, ..TurnBudget::default() };
    let (mut relay, now) = start_with(Limits { turn: turn_budget, ..Limits::default() });
    let speaker = join(&mut relay, now);
    let crowd = (0..100).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    let pair = [(); 2].map(|()| join_at(&mut relay, "/pair", now));
    say(&mut relay, speaker, &masked(0x81, b"all"));
    for n in 0..5 {
        turn(&mut relay, now);
        let [from, to] = [pair[n % 2], pair[(n + 1) % 2]];
        say(&mut relay, from, &masked(0x81, b"you"));
        turn(&mut relay, now);
        assert_eq!(heard(&mut relay, to), [0x81, 3, b'y', b'o', b'u'], "message {n} of the pair");
    }
    assert!(
        crowd.iter().any(|id| relay.link_mut(*id).unwrap().output.is_empty()),
        "the crowd was not served yet"
    );
    settle(&mut relay, now);
    assert!(crowd.iter().all(|id| heard(&mut relay, *id) == [0x81, 3, b'a', b'l', b'l']));
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
    assert_eq!(relay.channels(), 0);
    let later = now + Limits::default().close_timeout * 2;
    turn(&mut relay, later);
    assert!(relay.is_empty(), "the close deadline came");
    assert_eq!(relay.counters().close_timeouts, 1);
}

/// The peer's socket takes bytes again.
fn unblock(relay: &mut Relay<Link>, id: PeerId, now: Instant) {
    relay.link_mut(id).unwrap().full = false;
    relay.writable(id, now);
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

fn decoder_of(relay: &Relay<Link>, id: PeerId) -> bool {
    match &relay.roster.get(id).unwrap().stage {
        Stage::Open(open) => open.has_decoder(),
        _ => false,
    }
}

fn ear_of(relay: &Relay<Link>, id: PeerId) -> bool {
    match &relay.roster.get(id).unwrap().stage {
        Stage::Open(open) => open.has_ear(),
        _ => false,
    }
}

#[test]
fn a_full_socket_and_a_full_control_buffer_do_not_lose_the_close_frame() {
    let (mut relay, now) = start();
    let a = join(&mut relay, now);
    relay.link_mut(a).unwrap().full = true;
    let pings = masked(0x89, &[b'p'; 125]).repeat(40);
    say(&mut relay, a, &[pings, masked(0x83, b"")].concat());
    turn(&mut relay, now);
    assert_eq!(relay.counters().disconnected(Disconnect::Protocol), 1);
    unblock(&mut relay, a, now);
    turn(&mut relay, now);
    let output = heard(&mut relay, a);
    assert_eq!(output[..2], [0x8A, 125], "the pongs first");
    let close = &output[127 * 40..];
    assert_eq!(close[..1], [0x88]);
    assert_eq!(close[2..4], 1002u16.to_be_bytes());
}

#[test]
fn a_close_reply_waits_for_the_socket_and_the_peer_is_not_gone_before() {
    let (mut relay, now) = start();
    let a = join(&mut relay, now);
    relay.link_mut(a).unwrap().full = true;
    say(&mut relay, a, &masked(0x88, &1001u16.to_be_bytes()));
    turn(&mut relay, now);
    assert!(!relay.is_empty() && !relay.link_mut(a).unwrap().finished);
    unblock(&mut relay, a, now);
    turn(&mut relay, now);
    turn(&mut relay, now);
    assert_eq!(heard(&mut relay, a), [0x88, 2, 0x03, 0xE9]);
    assert!(relay.link_mut(a).unwrap().finished);
}

#[test]
fn what_was_accepted_before_a_breach_still_arrives_before_the_close_frame() {
    let (mut relay, now) = start();
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, b, &masked(0x82, b"last"));
    say(&mut relay, a, &masked(0xC1, b"reserved bit"));
    turn(&mut relay, now);
    turn(&mut relay, now);
    let output = heard(&mut relay, a);
    assert_eq!(output[..6], [0x82, 4, b'l', b'a', b's', b't']);
    assert_eq!(output[6..10], [0x88, output[7], 0x03, 0xEA]);
    say(&mut relay, b, &masked(0x82, b"later"));
    turn(&mut relay, now);
    assert_eq!(heard(&mut relay, a), b"", "a closing peer has a fixed end");
}

#[test]
fn only_a_peer_that_sends_has_a_decoder_and_not_for_ever() {
    let (mut relay, now) = start();
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    assert!(!decoder_of(&relay, a));
    say(&mut relay, b, &masked(0x8A, b"pong"));
    say(&mut relay, a, &masked(0x81, b"hello"));
    turn(&mut relay, now);
    assert!(decoder_of(&relay, a) && !decoder_of(&relay, b), "a pong needs none");
    assert!(ear_of(&relay, a) && !ear_of(&relay, b), "a pong leaves nothing behind");
    let mut then = now;
    for _ in 0..600 {
        then += Duration::from_millis(100);
        for id in [a, b] {
            if heard(&mut relay, id).ends_with(&PING_FRAME) {
                say(&mut relay, id, &masked(0x8A, b""));
            }
        }
        turn(&mut relay, then);
    }
    assert!(!decoder_of(&relay, a) && !ear_of(&relay, a), "given back at a wheel visit");
    say(&mut relay, a, b"\x8A\x84");
    turn(&mut relay, then);
    assert!(ear_of(&relay, a), "something is unfinished");
    assert_eq!(relay.peers(), 2);
}

#[test]
fn a_large_message_leaves_no_grown_buffer_behind() {
    let (mut relay, now) = start();
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    let payload = vec![b'x'; 60_000];
    say(&mut relay, a, &[&[0x82, 0xFE, 0xEA, 0x60, 0, 0, 0, 0], &payload[..30_000]].concat());
    turn(&mut relay, now);
    assert!(decoder_of(&relay, a));
    assert_eq!(relay.inflight_bytes(), 60_000, "counted as declared");
    say(&mut relay, a, &payload[30_000..]);
    turn(&mut relay, now);
    assert!(!decoder_of(&relay, a));
    assert_eq!(relay.inflight_bytes(), 0);
    assert_eq!(heard(&mut relay, b).len(), 60_004);
}

#[test]
fn first_pings_are_spread_over_the_second_half_of_the_interval() {
    let (mut relay, now) = start();
    let ids = (0..100).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    let mut pinged = Vec::new();
    for tenths in 1..=251 {
        turn(&mut relay, now + Duration::from_millis(100) * tenths);
        let sent = relay.counters().pings;
        pinged.push(sent);
        for id in &ids {
            if !heard(&mut relay, *id).is_empty() {
                say(&mut relay, *id, &masked(0x8A, b""));
            }
        }
    }
    assert_eq!(pinged.last(), Some(&100), "everybody once in an interval");
    let (none, half) = (pinged[123], pinged[187]);
    assert_eq!(none, 0);
    assert!((30..70).contains(&half), "{half} of 100 in three quarters");
}

#[test]
fn the_surplus_is_told_so_until_even_the_slots_for_that_are_used_up() {
    let (mut relay, now) = start_with(Limits { max_connections: 2, ..Limits::default() });
    let ids = (0..2 + REFUSAL_SLOTS).map(|_| open(&mut relay, now).unwrap()).collect::<Vec<_>>();
    assert!(open(&mut relay, now).is_err());
    turn(&mut relay, now);
    let told = ids.iter().filter(|id| heard(&mut relay, **id).starts_with(b"HTTP/1.1 503 ")).count();
    assert_eq!(told, REFUSAL_SLOTS);
    assert_eq!(relay.counters().refused("max_connections"), REFUSAL_SLOTS as u64 + 1);
}

#[test]
fn a_peer_has_one_live_wheel_entry_whatever_deadlines_came_nearer() {
    let (mut relay, now) = start();
    let ids = (0..10).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    let mut then = now;
    for step in 1..=3000 {
        then += Duration::from_millis(100);
        for (n, id) in ids.iter().enumerate() {
            if !heard(&mut relay, *id).is_empty() {
                say(&mut relay, *id, &masked(0x8A, b""));
            }
            // For a minute, a message that takes some turns: its deadline is nearer than the next ping at times.
            if step < 600 && step % 20 == n + 1 {
                say(&mut relay, *id, &masked(0x01, b"half"));
            } else if step < 600 && step % 20 == n + 6 {
                say(&mut relay, *id, &masked(0x80, b"whole"));
            }
        }
        turn(&mut relay, then);
    }
    assert_eq!((relay.peers(), relay.wheel.len()), (10, 10));
}

#[test]
fn what_many_peers_announce_and_do_not_send_costs_those_their_connection_and_nobody_else() {
    /// A frame of 64 KiB, the payload of which does not come.
    const ANNOUNCED: [u8; 14] = [0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let (mut relay, now) = start_with(Limits { max_inflight_read: 512 << 10, ..Limits::default() });
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    let hoarders = (0..20).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    for (n, id) in hoarders.iter().enumerate() {
        say(&mut relay, *id, &ANNOUNCED);
        turn(&mut relay, now + Duration::from_millis(n as u64));
        say(&mut relay, a, &masked(0x82, &[n as u8]));
        turn(&mut relay, now + Duration::from_millis(n as u64));
        assert_eq!(heard(&mut relay, b), [0x82, 1, n as u8], "no wait for anybody else");
    }
    assert_eq!(relay.counters().disconnected(Disconnect::Memory), 12, "eight fit");
    let closed = heard(&mut relay, hoarders[0]);
    assert!(closed.ends_with(b"memory"), "the first to begin goes first: {closed:?}");
    assert!(!heard(&mut relay, hoarders[19]).ends_with(b"memory"));
}

#[test]
fn left_over_input_is_decoded_before_more_is_read() {
    let (mut relay, now) = start_with(Limits { max_inflight_read: 400 << 10, ..Limits::default() });
    let ids = (0..30).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    ids.iter().for_each(|id| say(&mut relay, *id, &masked(0x82, b"").repeat(10_000)));
    for _ in 0..10_000 {
        turn(&mut relay, now);
        assert!(relay.inflight_bytes() <= 400 << 10);
        if !relay.is_busy() {
            break;
        }
    }
    assert_eq!(relay.counters().messages_in, 300_000);
    assert_eq!(relay.counters().disconnects_total(), 0);
    assert!(relay.counters().deferred > 0);
}

#[test]
fn frames_without_messages_spend_a_turn_too() {
    let (mut relay, now) = start();
    let ids = (0..64).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    let fragments = [masked(0x02, b""), masked(0x00, b"").repeat(4094), masked(0x80, b"")].concat();
    ids.iter().for_each(|id| say(&mut relay, *id, &fragments.repeat(2)));
    relay.hear(now, &mut Ends::default());
    let read = relay.counters().read_bytes as usize - ids.len() * REQUEST.len();
    let most = (relay.limits.turn.frames + relay.limits.turn.read_per_peer / 6) * 6 * 64 / 10;
    assert!(read < most, "{read} bytes of empty fragments in one turn");
    settle(&mut relay, now);
    assert_eq!(relay.counters().messages_in, 128);
}

#[test]
fn a_close_frame_that_never_left_is_counted() {
    let (mut relay, now) = start();
    let a = join(&mut relay, now);
    relay.link_mut(a).unwrap().full = true;
    say(&mut relay, a, &masked(0x83, b""));
    turn(&mut relay, now);
    turn(&mut relay, now + Duration::from_secs(6));
    assert!(relay.is_empty());
    assert_eq!((relay.counters().close_timeouts, relay.counters().undelivered_closes), (1, 1));
}

#[test]
fn a_peer_that_is_cut_off_amid_its_left_over_input_stands_on_the_right_lists() {
    let (mut relay, now) = start();
    let a = join(&mut relay, now);
    say(&mut relay, a, &masked(0x82, b"").repeat(3000));
    let mut ends = Ends::default();
    relay.hear(now, &mut ends);
    relay.cut(a, Disconnect::SlowConsumer, 1008, "slow-consumer", now);
    relay.deliver(now, &mut ends);
    relay.bury(drop);
    relay.audit().unwrap();
}

#[test]
fn an_orderly_end_waits_for_the_peers_close_frame_and_a_breach_does_not() {
    let (mut relay, now) = start();
    let (a, b, c) = (join(&mut relay, now), join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, b, &masked(0x83, b"a breach"));
    relay.close(a, Disconnect::Shutdown, 1012, "retry-after=1", now);
    relay.close(c, Disconnect::Shutdown, 1012, "retry-after=1", now);
    settle(&mut relay, now);
    let finished = |relay: &mut Relay<Link>, id| relay.link_mut(id).unwrap().finished;
    assert!(!finished(&mut relay, a) && finished(&mut relay, b));
    say(
        &mut relay,
        a,
        &[masked(0x81, b"not relayed any more"), masked(0x88, &1012u16.to_be_bytes())].concat(),
    );
    settle(&mut relay, now);
    assert!(finished(&mut relay, a) && !finished(&mut relay, c));
    turn(&mut relay, now + Duration::from_secs(6));
    assert!(relay.is_empty(), "who does not answer has a deadline");
    assert_eq!((relay.counters().close_timeouts, relay.counters().undelivered_closes), (3, 0));
}
