//! Slow peers: who counts as one, and what becomes of it.

use super::*;
use crate::limits::OnSlow;

/// A frame of `len` bytes, for which the smallest header does not do.
pub(super) fn big(len: usize) -> Vec<u8> {
    let wide = (len as u64).to_be_bytes();
    let (form, length) = if len > 0xFFFF { (0xFF, &wide[..]) } else { (0xFE, &wide[6..]) };
    [&[0x82, form][..], length, &[0; 4], &vec![b'x'; len]].concat()
}

pub(super) fn send(relay: &mut Relay<Link>, id: PeerId, frames: &[u8], now: Instant) {
    say(relay, id, frames);
    settle(relay, now);
}

/// A sender, and a receiver whose socket takes `room` bytes more.
pub(super) fn pair(limits: Limits, room: usize) -> (Relay<Link>, PeerId, PeerId, Instant) {
    let (mut relay, now) = start_with(limits);
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    relay.link_mut(b).unwrap().room = Some(room);
    (relay, a, b, now)
}

pub(super) fn gone_as_slow(relay: &Relay<Link>) -> u64 {
    relay.counters().disconnected(Disconnect::SlowConsumer)
}

fn skipping(max_message: usize) -> Limits {
    Limits { on_slow: OnSlow::Skip, max_message, ..Limits::default() }
}

#[test]
fn a_peer_that_skips_later_may_publish_more_than_it_lacks() {
    let (mut relay, a, b, now) = pair(skipping(256 << 10), 100);
    (0..6).for_each(|_| send(&mut relay, a, &big(200 << 10), now));
    send(&mut relay, b, &big(250 << 10), now);
    let link = relay.link_mut(b).unwrap();
    link.room = None;
    relay.writable(b, now);
    settle(&mut relay, now);
    assert_eq!(relay.counters().skipped_messages, 4, "the first is finished, the newest is had");
    assert_eq!(heard(&mut relay, b).len(), 2 * ((200 << 10) + 10));
}

/// What an operator is told: of peers whose socket refuses bytes, what the worst lacks, and how many lack any.
#[test]
fn the_lag_is_that_of_the_peer_furthest_behind_and_ends_when_it_reads() {
    let (mut relay, a, b, now) = pair(Limits::default(), 0);
    let c = join(&mut relay, now);
    assert_eq!(relay.lag(), (0, 0));
    send(&mut relay, a, &masked(0x82, &[7; 100]), now);
    assert_eq!(relay.lag(), (102, 1), "the reader lacks nothing");
    relay.link_mut(c).unwrap().full = true;
    send(&mut relay, a, &masked(0x82, &[7; 50]), now);
    assert_eq!(relay.lag(), (154, 2));
    send(&mut relay, b, &masked(0x82, &[7; 10]), now);
    assert_eq!(relay.lag(), (154, 2), "its own message is none that it lacks");
    for id in [b, c] {
        let link = relay.link_mut(id).unwrap();
        (link.full, link.room) = (false, None);
        relay.writable(id, now);
    }
    settle(&mut relay, now);
    assert_eq!(relay.lag(), (0, 0));
}

#[test]
fn a_peer_that_never_finishes_its_frame_is_not_waited_for_for_ever() {
    let (mut relay, a, b, now) = pair(skipping(256 << 10), 100);
    for n in 0..40 {
        let then = now + Duration::from_secs(n);
        send(&mut relay, a, &big(200 << 10), then);
        if relay.link_mut(b).is_some() {
            send(&mut relay, b, &masked(0x8A, b""), then);
        }
        assert!(relay.backlog_bytes() <= 3 * relay.limits.max_lag);
    }
    assert_eq!(gone_as_slow(&relay), 1);
}

#[test]
fn a_second_verdict_finds_room_for_the_rest_and_leaves_no_skip_pending() {
    let limits = Limits { max_lag: 128 << 10, soft_lag: 100 << 10, ..skipping(64 << 10) };
    let (mut relay, a, b, now) = pair(limits, 100);
    send(&mut relay, a, &big(64 << 10), now);
    (relay.limits.max_backlog, relay.share_for_rests) = (100 << 10, 50 << 10);
    relay.skip(b, now);
    assert!(relay.is_skipping(b), "no room for the rest");
    (relay.limits.max_backlog, relay.share_for_rests) = (100 << 20, 50 << 20);
    send(&mut relay, a, &masked(0x82, b"newest"), now);
    relay.skip(b, now);
    assert!(!relay.is_skipping(b));
    send(&mut relay, b, &big(64 << 10), now);
    relay.link_mut(b).unwrap().room = None;
    relay.writable(b, now);
    settle(&mut relay, now);
    assert!(heard(&mut relay, b).ends_with(b"newest"));
}

#[test]
fn one_gulp_now_and_then_does_not_evade_the_soft_limit() {
    let (mut relay, a, b, now) = pair(Limits::default(), 0);
    (0..15).for_each(|_| send(&mut relay, a, &big(64 << 10), now));
    for n in 1..=1200u32 {
        let then = now + Duration::from_millis(100) * n;
        if n % 90 == 0 && relay.link_mut(b).is_some() {
            relay.link_mut(b).unwrap().room = Some(64 << 10);
            relay.writable(b, then);
            turn(&mut relay, then);
            say(&mut relay, a, &big(64 << 10));
        }
        for id in [a, b].into_iter().filter(|_| n % 50 == 0) {
            if relay.link_mut(id).is_some() {
                say(&mut relay, id, &masked(0x8A, b""));
            }
        }
        turn(&mut relay, then);
    }
    assert_eq!(gone_as_slow(&relay), 1);
}

#[test]
fn a_peer_that_takes_what_it_is_offered_is_not_slow_however_much_it_lacks() {
    let turn_budget = crate::limits::TurnBudget { write_per_peer: 1000, ..Default::default() };
    let limits =
        Limits { soft_lag: 1, max_lag: 128 << 10, hold: 1 << 20, turn: turn_budget, ..Limits::default() };
    let (mut relay, a, b, now) = pair(limits, usize::MAX);
    // Refuses once, at a small lag, and never again.
    relay.link_mut(b).unwrap().full = true;
    send(&mut relay, a, &masked(0x82, &[0; 100]), now);
    unblock(&mut relay, b, now);
    for n in 1..=1200u32 {
        let then = now + Duration::from_millis(20) * n;
        say(&mut relay, a, &masked(0x82, &[0; 125]).repeat(8));
        if n % 50 == 0 {
            [a, b].into_iter().for_each(|id| say(&mut relay, id, &masked(0x8A, b"")));
        }
        turn(&mut relay, then);
    }
    assert_eq!(gone_as_slow(&relay), 0);
    settle(&mut relay, now + Duration::from_secs(24));
    assert_eq!(relay.counters().deliveries, 1 + 1200 * 8);
}

/// Law 8: those who lack the same frames are cut off together, and each is told, although the first cut frees nothing.
#[test]
fn all_who_are_evicted_from_one_channel_are_told_so() {
    let limits = Limits { max_backlog: 2 << 20, max_lag: 4 << 20, soft_lag: 4 << 20, ..Limits::default() };
    let (mut relay, now) = start_with(limits);
    let sender = join(&mut relay, now);
    let stuck = (0..10).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    // Each has begun to get the first frame when it takes nothing more.
    stuck.iter().for_each(|id| relay.link_mut(*id).unwrap().room = Some(100));
    (0..120).for_each(|_| send(&mut relay, sender, &big(20 << 10), now));
    let memory = relay.counters().disconnected(Disconnect::Memory);
    assert_eq!((memory, relay.counters().undelivered_closes), (10, 0));
    assert!(relay.backlog_bytes() <= 2 << 20);
    for id in stuck {
        relay.link_mut(id).unwrap().room = None;
        relay.writable(id, now);
        settle(&mut relay, now);
        let got = heard(&mut relay, id);
        assert_eq!(got.len(), 4 + (20 << 10) + 4 + "memory".len(), "the begun frame, and the close frame");
        assert!(got.ends_with(b"\x88\x08\x03\xf5memory"));
    }
}

#[test]
fn a_lag_that_was_made_good_is_forgiven() {
    let quiet = Duration::from_secs(3600);
    let limits = Limits { soft_lag: 1000, ping_interval: quiet, stall_timeout: quiet, ..Limits::default() };
    let (mut relay, a, b, now) = pair(limits, 0);
    let at = |secs| now + Duration::from_secs(secs);
    // Of ten seconds that are allowed, six; then it has everything; then six again, and at last eleven.
    for (begin, end, gone) in [(0, 6, 0), (7, 13, 0), (14, 25, 1)] {
        send(&mut relay, a, &big(5000), at(begin));
        turn(&mut relay, at(end));
        assert_eq!(gone_as_slow(&relay), gone, "{begin} to {end} s");
        relay.link_mut(b).unwrap().room = None;
        relay.writable(b, at(end));
        settle(&mut relay, at(end));
        relay.link_mut(b).unwrap().room = Some(0);
    }
}

#[test]
fn only_the_time_that_a_socket_refused_bytes_counts_against_a_lag() {
    let quiet = Duration::from_secs(3600);
    let limits = Limits { soft_lag: 1000, ping_interval: quiet, stall_timeout: quiet, ..Limits::default() };
    let (mut relay, a, b, now) = pair(limits, 0);
    relay.limits.turn.write_per_peer = 10;
    let at = |secs| now + Duration::from_secs(secs);
    send(&mut relay, a, &big(5000), now);
    // After five seconds it takes what it is offered, for fifteen; then it refuses again.
    relay.link_mut(b).unwrap().room = Some(10);
    relay.writable(b, at(5));
    for (secs, gone) in [(5, 0), (20, 0), (23, 0), (26, 1)] {
        turn(&mut relay, at(secs));
        assert_eq!(gone_as_slow(&relay), gone, "after {secs} s");
    }
}
