//! How much may be sent: whoever sends more waits or is closed, and nothing of what waits is lost.

use super::*;
use crate::{
    limits::{METERED_READ, OnRate},
    peer::Reading,
};
use core::net::IpAddr;

/// Ten messages a second, and two seconds' worth at once.
fn ten() -> Limits {
    Limits { messages_per_sec: 10, rate_burst: Duration::from_secs(2), ..Limits::default() }
}

fn numbered(first: usize, count: usize) -> Vec<u8> {
    (first..first + count).flat_map(|n| masked(0x82, &(n as u32).to_be_bytes())).collect()
}

/// What a listener got, by number; each must be the next.
fn count_in_order(output: &[u8], got: &mut u32) {
    let output = output.strip_prefix(&PING_FRAME).unwrap_or(output);
    for message in output.chunks(6) {
        assert_eq!(message[..2], [0x82, 4]);
        assert_eq!(message[2..], got.to_be_bytes(), "none is lost, and none comes before another");
        *got += 1;
    }
}

fn at(now: Instant, tenths: u64) -> Instant {
    now + Duration::from_millis(100 * tenths)
}

/// Row 25: a fast sender is paused, nothing of it is lost, it is not taken for dead, and it gets its rate.
#[test]
fn a_fast_sender_waits_and_nothing_of_it_is_lost() {
    let (mut relay, now) = start_with(ten());
    let (sender, listener) = (join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, sender, &numbered(0, 1020));
    let mut got = 0;
    let mut at_second = Vec::new();
    for tenths in 0..=1010 {
        settle(&mut relay, at(now, tenths));
        count_in_order(&heard(&mut relay, listener), &mut got);
        say(&mut relay, listener, &masked(0x8A, b""));
        if tenths % 10 == 0 {
            at_second.push(got);
        }
    }
    assert_eq!(at_second[0], 20, "a burst");
    for (second, got) in at_second.iter().enumerate().take(100) {
        let fair = 20 + 10 * second as u32;
        assert!((fair.saturating_sub(2)..=fair).contains(got), "{got} after {second} s, {fair} is right");
    }
    assert_eq!((got, relay.peers()), (1020, 2), "{}", relay.counters());
    assert!(relay.counters().rested > 500, "{}", relay.counters());
    assert_eq!(relay.counters().disconnects_total(), 0);
}

#[test]
fn bytes_are_metered_too() {
    let rate = Limits { bytes_per_sec: 1000, rate_burst: Duration::from_secs(1), ..Limits::default() };
    let (mut relay, now) = start_with(rate);
    let (sender, listener) = (join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, sender, &masked(0x82, &[7; 100]).repeat(200));
    let mut got = 0;
    for tenths in 0..=100 {
        settle(&mut relay, at(now, tenths));
        got += heard(&mut relay, listener).len() / 102;
        let fair = 10 + tenths as usize;
        assert!((fair - 1..=fair + 1).contains(&got), "{got} of a hundred bytes after {tenths} tenths");
    }
}

/// While one rests, others are as they would be without it.
#[test]
fn who_rests_costs_others_nothing() {
    let (mut relay, now) = start_with(ten());
    let ids = [(); 3].map(|()| join(&mut relay, now));
    say(&mut relay, ids[0], &numbered(0, 500));
    settle(&mut relay, now);
    heard(&mut relay, ids[2]);
    say(&mut relay, ids[1], &masked(0x81, b"me"));
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, ids[2]), b"\x81\x02me");
    assert!(!relay.is_busy(), "who rests is no work");
    let deadline = relay.next_deadline().unwrap();
    assert!(deadline <= now + Duration::from_millis(300), "and is woken in time");
}

#[test]
fn a_pause_brings_the_burst_back_and_a_longer_one_no_more() {
    let (mut relay, now) = start_with(ten());
    let (sender, listener) = (join(&mut relay, now), join(&mut relay, now));
    let mut sent = 0;
    for second in [0, 2, 30] {
        let now = now + Duration::from_secs(second);
        say(&mut relay, listener, &masked(0x8A, b""));
        say(&mut relay, sender, &numbered(sent, 20));
        sent += 20;
        settle(&mut relay, now);
        let mut got = sent as u32 - 20;
        count_in_order(&heard(&mut relay, listener), &mut got);
        assert_eq!(got, sent as u32, "at {second} s");
    }
}

#[test]
fn where_the_rule_says_so_the_one_too_many_ends_it() {
    let (mut relay, now) = start_with(Limits { on_rate: OnRate::Disconnect, ..ten() });
    let (sender, listener) = (join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, sender, &numbered(0, 21));
    settle(&mut relay, now);
    let mut got = 0;
    count_in_order(&heard(&mut relay, listener), &mut got);
    assert_eq!(got, 20, "the burst, and not what is too many");
    let output = heard(&mut relay, sender);
    assert_eq!((&output[2..4], &output[4..]), (&1008u16.to_be_bytes()[..], &b"rate"[..]));
    assert_eq!((relay.counters().disconnected(Disconnect::Rate), relay.counters().rested), (1, 0));
}

fn join_from(relay: &mut Relay<Link>, host: u8, now: Instant) -> PeerId {
    let source = Source::from(IpAddr::from([203, 0, 113, host]));
    let id = relay.open(Link::default(), source.into(), now).unwrap();
    say(relay, id, REQUEST);
    turn(relay, now);
    assert!(heard(relay, id).starts_with(b"HTTP/1.1 101 "));
    id
}

fn ten_per_address() -> Limits {
    Limits {
        address_messages_per_sec: 10,
        rate_burst: Duration::from_secs(2),
        max_connections_per_address: 0,
        handshakes_per_address_per_sec: 0,
        http_publish: true,
        ..Limits::default()
    }
}

/// However many connections an address has, and each of them gets its share.
#[test]
fn an_address_shares_its_rate_among_its_peers() {
    let (mut relay, now) = start_with(ten_per_address());
    let crowd = [(); 4].map(|()| join_from(&mut relay, 1, now));
    let other = join_from(&mut relay, 2, now);
    let listener = join(&mut relay, now);
    for id in crowd {
        say(&mut relay, id, &numbered(0, 1000));
    }
    say(&mut relay, other, &numbered(0, 20));
    let sent = |relay: &Relay<Link>, id| relay.roster.get(id).unwrap().traffic.messages_in;
    for tenths in 0..=600 {
        settle(&mut relay, at(now, tenths));
        heard(&mut relay, listener);
        crowd.iter().chain([&other, &listener]).for_each(|id| drop(heard(&mut relay, *id)));
        say(&mut relay, listener, &masked(0x8A, b""));
        say(&mut relay, other, &masked(0x8A, b""));
    }
    assert_eq!(sent(&relay, other), 20, "who comes from elsewhere pays for nobody");
    let each = crowd.map(|id| sent(&relay, id));
    let all: u64 = each.iter().sum();
    assert!((610..=624).contains(&all), "{each:?} of 20 and 600");
    assert!(each.iter().all(|n| *n > 75), "each of four gets some of 620: {each:?}");
}

#[test]
fn what_is_posted_counts_for_the_address_and_too_much_is_refused() {
    let (mut relay, now) = start_with(ten_per_address());
    let source = Source::from(IpAddr::from([203, 0, 113, 9]));
    let mut statuses = Vec::new();
    for _ in 0..25 {
        let id = relay.open(Link::default(), source.into(), now).unwrap();
        say(&mut relay, id, b"POST /room HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        settle(&mut relay, now);
        let answer = heard(&mut relay, id);
        statuses.push(answer[9..12].to_vec());
        relay.lose(id, now);
        settle(&mut relay, now);
    }
    let count = |status: &[u8]| statuses.iter().filter(|one| *one == status).count();
    assert_eq!((count(b"202"), count(b"429"), relay.counters().refused("rate")), (20, 5, 5));
    settle(&mut relay, now + Duration::from_secs(30));
    assert_eq!(relay.visitors.len(), 0, "what is paid for is forgotten");
}

/// Left-over input of those who rest is bounded, however many they are.
#[test]
fn little_is_held_of_those_who_rest() {
    let (mut relay, now) = start_with(ten());
    let crowd = (0..100).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    for id in &crowd {
        say(&mut relay, *id, &numbered(0, 10_000));
    }
    for _ in 0..10 {
        turn(&mut relay, now);
        assert!(relay.inflight_bytes() <= 100 * METERED_READ, "{}", relay.inflight_bytes());
    }
}

/// Its deadlines rest too: half a message at the end of what it may send is not late because we do not read.
#[test]
fn who_rests_is_not_pinged_and_is_not_late() {
    let slow = Limits {
        bytes_per_sec: 2,
        rate_burst: Duration::from_secs(1),
        message_timeout: Duration::from_secs(5),
        ..Limits::default()
    };
    let (mut relay, now) = start_with(slow);
    let sender = join(&mut relay, now);
    let message = masked(0x82, &[7; 100]);
    say(&mut relay, sender, &[&message[..], &message[..50]].concat());
    for tenths in 0..480 {
        settle(&mut relay, at(now, tenths));
        assert_eq!(relay.counters().disconnects_total(), 0, "after {tenths} tenths");
        assert_eq!(heard(&mut relay, sender), b"", "nor is it pinged");
    }
    // What it may send is paid for after fifty seconds: then its half message is heard, and is late five seconds on.
    for tenths in 480..600 {
        settle(&mut relay, at(now, tenths));
        if let Some(link) = relay.link_mut(sender) {
            link.output.clear();
        }
    }
    assert_eq!(relay.counters().disconnected(Disconnect::IdleMessage), 1, "{}", relay.counters());
}

/// A reload that takes the rate away lets everybody go on at once.
#[test]
fn a_reload_wakes_those_who_rest() {
    let (mut relay, now) = start_with(ten());
    let (sender, listener) = (join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, sender, &numbered(0, 100));
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, listener).len(), 6 * 20);
    relay.reconfigure(Limits::default(), now);
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, listener).len(), 6 * 80);
}

#[test]
fn who_closes_while_it_rests_goes() {
    let (mut relay, now) = start_with(ten());
    let sender = join(&mut relay, now);
    say(&mut relay, sender, &numbered(0, 1000));
    settle(&mut relay, now);
    assert!(relay.dismiss(sender, "operator", now));
    settle(&mut relay, now);
    assert_eq!(&heard(&mut relay, sender)[4..], b"operator");
    settle(&mut relay, now + Duration::from_secs(10));
    assert!(relay.is_empty());
}

/// Nobody waits for what a peer that is gone had to say, and its slot is free at once.
#[test]
fn who_is_reset_while_it_rests_is_gone() {
    for rests_before in [true, false] {
        let (mut relay, now) = start_with(ten());
        let (sender, listener) = (join(&mut relay, now), join(&mut relay, now));
        say(&mut relay, sender, &numbered(0, 1000));
        if rests_before {
            settle(&mut relay, now);
        }
        relay.broken(sender, now);
        settle(&mut relay, now);
        let mut got = 0;
        count_in_order(&heard(&mut relay, listener), &mut got);
        assert_eq!(got, 20, "what its rate allowed was relayed");
        assert_eq!((relay.peers(), relay.counters().disconnected(Disconnect::Reset)), (1, 1));
    }
}

/// What lies here of those who rest is given up when there is less room for it: nobody may be stopped by it for good.
#[test]
fn a_smaller_budget_ends_those_whose_left_over_input_does_not_fit_in() {
    let (mut relay, now) = start_with(ten());
    let crowd = (0..100).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    crowd.iter().for_each(|id| say(&mut relay, *id, &numbered(0, 1000)));
    settle(&mut relay, now);
    assert!(relay.inflight_bytes() > 200 << 10, "{}", relay.inflight_bytes());
    relay.reconfigure(Limits { max_inflight_read: 200 << 10, max_message: 1 << 10, ..ten() }, now);
    settle(&mut relay, now);
    assert!(relay.inflight_bytes() <= 200 << 10 && relay.peers() > 10, "{}", relay.inflight_bytes());
    let (sender, listener) = (join(&mut relay, now), join_at(&mut relay, "/else", now));
    let other = join_at(&mut relay, "/else", now);
    say(&mut relay, other, &masked(0x81, b"hello"));
    settle(&mut relay, now);
    assert_eq!((heard(&mut relay, listener).len(), relay.link_mut(sender).is_some()), (7, true));
}

/// What was read before there was a rate does not wait for it: it would hold memory for as long as that takes.
#[test]
fn what_was_read_before_a_rate_is_relayed_at_once() {
    let budget = TurnBudget { frames_per_peer: 10, ..TurnBudget::default() };
    let (mut relay, now) = start_with(Limits { turn: budget.clone(), ..Limits::default() });
    let (sender, listener) = (join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, sender, &numbered(0, 5000));
    turn(&mut relay, now);
    relay.reconfigure(Limits { turn: budget, ..ten() }, now);
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, listener).len(), 6 * 5000);
    say(&mut relay, sender, &numbered(5000, 1000));
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, listener).len(), 6 * 20, "what comes later does");
}

/// An address that is over its rate cannot rest the deadline of a message away, nor the memory that it declares.
#[test]
fn a_message_that_is_begun_is_late_although_its_address_is_over_its_rate() {
    let limits = Limits { message_timeout: Duration::from_secs(3), ..ten_per_address() };
    let (mut relay, now) = start_with(limits);
    let (stuck, busy) = (join_from(&mut relay, 1, now), join_from(&mut relay, 1, now));
    say(&mut relay, stuck, &[0x82, 0xFE, 0x40, 0x00, 0, 0, 0, 0, 7]);
    say(&mut relay, busy, &numbered(0, 1000));
    for tenths in 0..60 {
        settle(&mut relay, at(now, tenths));
    }
    assert_eq!(relay.counters().disconnected(Disconnect::IdleMessage), 1, "{}", relay.counters());
}

/// What it may send in any case it may send in one turn: a rate is no reason to write twice to everybody.
#[test]
fn a_burst_that_is_allowed_comes_in_one_turn() {
    let fast = Limits { messages_per_sec: 1000, rate_burst: Duration::from_secs(1), ..Limits::default() };
    let (mut relay, now) = start_with(fast);
    let (sender, listener) = (join(&mut relay, now), join(&mut relay, now));
    settle(&mut relay, now);
    let writes = relay.counters().writes;
    say(&mut relay, sender, &masked(0x82, &[7; 64]).repeat(80));
    turn(&mut relay, now);
    assert_eq!((heard(&mut relay, listener).len(), relay.counters().writes - writes), (80 * 66, 1));
}

fn of_size(size: usize) -> Vec<u8> {
    if size < 126 {
        return masked(0x82, &vec![7; size]);
    }
    let length = u16::try_from(size).unwrap().to_be_bytes();
    [&[0x82, 0xFE][..], &length, &[0; 4], &vec![7; size]].concat()
}

/// However large the messages are, however they come in pieces, and with whomever the rate is shared.
#[test]
fn little_is_left_over_of_those_who_rest_at_any_rate_and_of_any_message() {
    let table = [
        (0, 50_000, 60_000),
        (0, 1000, 60_000),
        (50, 0, 10),
        (1000, 30_000, 100),
        (5000, 0, 0),
        (1, 1, 65_535),
    ];
    assert!(!table.is_empty());
    for (messages, bytes, size) in table {
        for is_shared in [false, true] {
            let most = most_left_over(messages, bytes, size, is_shared);
            let of = format!("{size} bytes at {messages} and {bytes} per second, shared: {is_shared}");
            assert!(most <= METERED_READ, "{most} bytes were left over: {of}");
            assert!(most > 0, "all is within the rate: {of}");
        }
    }
}

/// What is left over at most of one who rests, of four who send far more than they may.
fn most_left_over(messages: u32, bytes: usize, size: usize, is_shared: bool) -> usize {
    let rate_burst = Duration::from_secs(1);
    let own = Limits { messages_per_sec: messages, bytes_per_sec: bytes, rate_burst, ..Limits::default() };
    let shared = Limits {
        messages_per_sec: 0,
        bytes_per_sec: 0,
        address_messages_per_sec: messages,
        address_bytes_per_sec: bytes,
        ..own.clone()
    };
    let (mut relay, now) = start_with(if is_shared { shared } else { own });
    let ids = [1; 4].map(|host| join_from(&mut relay, host, now));
    let input = of_size(size).repeat(1 + 400_000 / (size + 6));
    let mut most = 0;
    for (nth, piece) in input.chunks(37_000).enumerate() {
        ids.iter().for_each(|id| say(&mut relay, *id, piece));
        for tenths in 0..5 {
            settle(&mut relay, at(now, 5 * nth as u64 + tenths));
            ids.iter().for_each(|id| drop(heard(&mut relay, *id)));
            let resting = ids.iter().filter_map(|id| relay.roster.get(*id));
            let resting = resting.filter(|peer| peer.reading == Reading::Resting);
            most = resting.map(|peer| peer.inflight.unpacked().resting).fold(most, usize::max);
        }
    }
    most
}
