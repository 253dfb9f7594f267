//! Channels that are read in two forms: what event streams get, and that they count as everybody does.

use super::slow::big;
use super::*;
use crate::{
    event_stream::COMMENT,
    frame::Kind,
    limits::OnSlow,
    sim::events::{Event, Reader},
};

const ASK: &str = "GET /room HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";

fn streaming() -> Limits {
    Limits { event_stream: true, ..Limits::default() }
}

fn listen_at(relay: &mut Relay<Link>, path: &str, now: Instant) -> PeerId {
    let id = open(relay, now).unwrap();
    say(relay, id, ASK.replacen("/room", path, 1).as_bytes());
    turn(relay, now);
    let answer = heard(relay, id);
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    assert!(answer.ends_with(COMMENT), "something is said at once");
    id
}

fn listen(relay: &mut Relay<Link>, now: Instant) -> PeerId {
    listen_at(relay, "/room", now)
}

/// What an `EventSource` makes of the bytes.
fn read(bytes: &[u8]) -> Vec<Event> {
    let mut reader = Reader::default();
    reader.feed(bytes);
    assert!(reader.is_at_boundary(), "law 5: {}", String::from_utf8_lossy(bytes));
    std::iter::from_fn(|| reader.next()).collect()
}

fn heard_events(relay: &mut Relay<Link>, id: PeerId) -> Vec<Event> {
    read(&heard(relay, id))
}

fn messages(events: &[Event]) -> Vec<(bool, Vec<u8>)> {
    events.iter().filter_map(|event| event.message().unwrap()).collect()
}

/// The last word of a stream, which must be a close.
fn close_of(events: &[Event]) -> (u16, String) {
    events.last().and_then(Event::close).unwrap_or_else(|| panic!("no close: {events:?}"))
}

fn take_all(relay: &mut Relay<Link>, id: PeerId, now: Instant) {
    relay.link_mut(id).unwrap().room = None;
    unblock(relay, id, now);
    settle(relay, now);
}

#[test]
fn both_forms_get_the_same_messages_in_one_order() {
    let (mut relay, now) = start_with(streaming());
    let (a, b, c) = (join(&mut relay, now), join(&mut relay, now), listen(&mut relay, now));
    let elsewhere = listen_at(&mut relay, "/other", now);
    assert_eq!(relay.channels(), 2, "each path once");
    say(&mut relay, a, &[masked(0x81, b"one\nline"), masked(0x82, b"\x00\xff")].concat());
    say(&mut relay, b, &[masked(0x81, b"a\rb"), masked(0x81, b"")].concat());
    settle(&mut relay, now);
    let wanted = [(true, &b"one\nline"[..]), (false, b"\x00\xff"), (true, b"a\rb"), (true, b"")];
    let wanted = wanted.map(|(text, bytes)| (text, bytes.to_vec()));
    assert_eq!(messages(&heard_events(&mut relay, c)), wanted);
    assert_eq!(heard(&mut relay, b), b"\x81\x08one\nline\x82\x02\x00\xff");
    assert_eq!(heard(&mut relay, a), b"\x81\x03a\rb\x81\x00");
    assert_eq!(heard(&mut relay, elsewhere), b"");
    assert_eq!((relay.counters().messages_in, relay.counters().deliveries), (4, 8));
    assert_eq!(relay.backlog_bytes(), 0, "everybody has everything");
}

#[test]
fn a_form_is_there_for_as_long_as_somebody_reads_it() {
    let (mut relay, now) = start_with(streaming());
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    relay.link_mut(b).unwrap().full = true;
    let slots = |relay: &Relay<Link>| relay.channels.slots_of("/room").count();
    let speak = |relay: &mut Relay<Link>| {
        let before = relay.backlog_bytes();
        say(relay, a, &big(2000));
        settle(relay, now);
        relay.backlog_bytes() - before
    };
    let plain = speak(&mut relay);
    let listeners = [(); 2].map(|()| listen(&mut relay, now));
    listeners.iter().for_each(|id| relay.link_mut(*id).unwrap().full = true);
    let in_both = speak(&mut relay);
    assert!(in_both > plain + 2000, "{in_both} bytes, {plain} without a listener");
    assert_eq!((slots(&relay), relay.channels()), (2, 1));
    listeners.iter().for_each(|id| relay.lose(*id, now));
    turn(&mut relay, now);
    assert_eq!((slots(&relay), relay.channels()), (1, 1));
    let again = speak(&mut relay);
    assert!(again <= plain, "{again} bytes, {plain} before anybody listened");
    // And the other way round: whoever is left keeps the channel.
    let last = listen(&mut relay, now);
    [a, b].iter().for_each(|id| relay.lose(*id, now));
    turn(&mut relay, now);
    assert_eq!((slots(&relay), relay.channels()), (1, 1));
    relay.lose(last, now);
    turn(&mut relay, now);
    assert_eq!((slots(&relay), relay.channels(), relay.backlog_bytes()), (0, 0, 0));
}

#[test]
fn an_announcement_reaches_both_forms_and_makes_no_channel() {
    let (mut relay, now) = start_with(streaming());
    assert_eq!((relay.channels.announce("/room", Kind::Text, b"nobody"), relay.channels()), (0, 0));
    let c = listen(&mut relay, now);
    assert_eq!(relay.channels.announce("/room", Kind::Text, b"one"), 1);
    let a = join(&mut relay, now);
    assert_eq!(relay.channels.announce("/room", Kind::Binary, b"two"), 2);
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, a), b"\x82\x03two");
    let wanted = [(true, b"one".to_vec()), (false, b"two".to_vec())];
    assert_eq!(messages(&heard_events(&mut relay, c)), wanted);
}

#[test]
fn senders_wait_for_the_form_that_lacks_more() {
    let turn_budget = TurnBudget { writes: 1, ..TurnBudget::default() };
    let limits = Limits { hold: 100, turn: turn_budget, ..streaming() };
    let (mut relay, now) = start_with(limits);
    let sender = join(&mut relay, now);
    let listeners = [(); 3].map(|()| listen(&mut relay, now));
    let word = masked(0x82, &[7; 120]);
    say_thrice_and_wait(&mut relay, sender, &word, now);
    for id in listeners {
        assert_eq!(messages(&heard_events(&mut relay, id)), vec![(false, vec![7; 120]); 3]);
    }
}

#[test]
fn who_waits_for_listeners_that_are_gone_goes_on() {
    let turn_budget = TurnBudget { writes: 1, ..TurnBudget::default() };
    let limits = Limits { hold: 100, turn: turn_budget, ..streaming() };
    let (mut relay, now) = start_with(limits);
    let sender = join(&mut relay, now);
    let listeners = [(); 3].map(|()| listen(&mut relay, now));
    (0..2).for_each(|_| {
        say(&mut relay, sender, &masked(0x82, &[7; 120]));
        turn(&mut relay, now);
    });
    assert_eq!((relay.counters().messages_in, relay.counters().held), (1, 1));
    listeners.iter().for_each(|id| relay.lose(*id, now));
    settle(&mut relay, now);
    assert_eq!(relay.counters().messages_in, 2);
}

#[test]
fn what_lags_is_judged_as_any_peer_is() {
    let stalled = streaming().stall_timeout + Duration::from_secs(1);
    let small = Limits { max_lag: 10_000, soft_lag: 10_000, max_message: 4000, ..streaming() };
    let tight = Limits { max_backlog: 20_000, max_message: 4000, ..streaming() };
    let table = [
        (streaming(), 1, stalled, (1008, "slow-consumer"), Disconnect::SlowConsumer),
        (small, 10, Duration::ZERO, (1008, "slow-consumer"), Disconnect::SlowConsumer),
        (tight, 10, Duration::ZERO, (1013, "memory"), Disconnect::Memory),
    ];
    assert!(!table.is_empty());
    for (limits, times, after, (code, reason), why) in table {
        let (mut relay, now) = start_with(limits);
        let (a, c) = (join(&mut relay, now), listen(&mut relay, now));
        relay.link_mut(c).unwrap().room = Some(30);
        (0..times).for_each(|_| {
            say(&mut relay, a, &big(3000));
            settle(&mut relay, now);
        });
        let then = now + after;
        say(&mut relay, a, &masked(0x8A, b""));
        turn(&mut relay, then);
        assert_eq!((relay.counters().disconnected(why), relay.channels()), (1, 1), "{reason}");
        take_all(&mut relay, c, then);
        assert!(relay.link_mut(c).unwrap().finished, "nothing is waited for");
        let events = heard_events(&mut relay, c);
        assert_eq!(messages(&events), [(false, vec![b'x'; 3000])], "the one that was begun is whole");
        assert_eq!(close_of(&events), (code, reason.to_owned()));
    }
}

#[test]
fn under_skip_a_listener_goes_on_with_the_newest_message() {
    let limits =
        Limits { on_slow: OnSlow::Skip, max_lag: 10_000, soft_lag: 10_000, max_message: 4000, ..streaming() };
    let (mut relay, now) = start_with(limits);
    let (a, c) = (join(&mut relay, now), listen(&mut relay, now));
    relay.link_mut(c).unwrap().room = Some(30);
    for n in 0..9 {
        say(&mut relay, a, &big(3000 + n));
        settle(&mut relay, now);
    }
    take_all(&mut relay, c, now);
    let got = messages(&heard_events(&mut relay, c));
    let lens = got.iter().map(|(_, payload)| payload.len()).collect::<Vec<_>>();
    assert!(lens.first() == Some(&3000) && lens.last() == Some(&3008) && lens.is_sorted(), "{lens:?}");
    assert_eq!(relay.counters().skipped_messages + lens.len() as u64, 9);
    assert_eq!(relay.counters().disconnects_total(), 0);
}

/// No pong is waited for: whoever takes its comments may be silent for as long as it likes.
#[test]
fn comments_keep_a_silent_listener_alive() {
    let limits = streaming();
    let interval = limits.ping_interval;
    let (mut relay, now) = start_with(limits);
    let (a, c) = (join(&mut relay, now), listen(&mut relay, now));
    let mut at = Vec::new();
    for tenths in 1..=6000 {
        let then = now + Duration::from_millis(100) * tenths;
        if !heard(&mut relay, a).is_empty() {
            say(&mut relay, a, &masked(0x8A, b""));
        }
        turn(&mut relay, then);
        let said = heard(&mut relay, c);
        assert!(said.is_empty() || said == COMMENT, "{said:?}");
        at.extend((!said.is_empty()).then_some(then));
    }
    assert_eq!(relay.peers(), 2);
    assert!(at[0] - now > interval / 2 && at[0] - now <= interval + Duration::from_millis(200));
    let slack = Duration::from_millis(200);
    assert!(at.windows(2).all(|two| two[1] - two[0] >= interval && two[1] - two[0] <= interval + slack));
    assert!(at.len() >= 22, "{} comments in ten minutes", at.len());
}

#[test]
fn the_kernel_is_told_how_long_a_listener_may_be_away() {
    let slow = Limits { stall_timeout: Duration::from_secs(50), ..streaming() };
    for (limits, wanted) in [(streaming(), 35), (slow, 50)] {
        let (mut relay, now) = start_with(limits);
        let (a, c) = (join(&mut relay, now), listen(&mut relay, now));
        assert_eq!(relay.link_mut(c).unwrap().patience, Some(Duration::from_secs(wanted)));
        assert_eq!(relay.link_mut(a).unwrap().patience, None, "who is pinged needs none");
    }
}

/// Not even where nobody is cut off for being slow is a socket that takes nothing for good kept for good.
#[test]
fn a_listener_whose_socket_takes_nothing_is_gone_in_time() {
    let limits = Limits { on_slow: OnSlow::Skip, ..streaming() };
    let most = limits.ping_interval + limits.pong_timeout;
    let (mut relay, now) = start_with(limits);
    let (a, c) = (join(&mut relay, now), listen(&mut relay, now));
    relay.link_mut(c).unwrap().full = true;
    say(&mut relay, a, &masked(0x82, b"x"));
    settle(&mut relay, now);
    let mut then = now;
    while relay.counters().disconnected(Disconnect::PingTimeout) == 0 {
        then += Duration::from_millis(100);
        assert!(then - now <= most + Duration::from_millis(300), "still there");
        if !heard(&mut relay, a).is_empty() {
            say(&mut relay, a, &masked(0x8A, b""));
        }
        turn(&mut relay, then);
    }
    // Another one takes something before its time is over, and then nothing again.
    let d = listen(&mut relay, then);
    let begun = then;
    let mut taken = 0;
    while then - begun < most * 4 {
        then += Duration::from_millis(100);
        relay.link_mut(d).unwrap().full = true;
        if (then - begun).as_millis() % 5000 == 0 {
            unblock(&mut relay, d, then);
        }
        say(&mut relay, a, &[masked(0x8A, b""), masked(0x82, b"x")].concat());
        turn(&mut relay, then);
        taken += heard(&mut relay, d).len();
    }
    assert_eq!(relay.counters().disconnected(Disconnect::PingTimeout), 1);
    assert!(taken > 0);
}

#[test]
fn what_a_listener_says_is_thrown_away_and_its_end_is_its_way_to_leave() {
    let (mut relay, now) = start_with(streaming());
    let (a, c) = (join(&mut relay, now), listen(&mut relay, now));
    say(&mut relay, c, &[masked(0x81, b"hello"), masked(0x89, b"x"), vec![0xFF; 100_000]].concat());
    settle(&mut relay, now);
    let counters = relay.counters();
    assert_eq!((counters.messages_in, counters.frames, counters.disconnects_total()), (0, 0, 0));
    assert_eq!((relay.inflight_bytes(), relay.link_mut(c).unwrap().input.len()), (0, 0));
    assert_eq!(heard(&mut relay, a), b"");
    relay.link_mut(c).unwrap().ended = true;
    relay.readable(c);
    turn(&mut relay, now);
    assert_eq!((relay.counters().disconnected(Disconnect::Eof), relay.peers()), (1, 1));
}

#[test]
fn at_shutdown_a_listener_is_told_when_to_come_back() {
    let (mut relay, now) = start_with(streaming());
    let (a, c) = (join(&mut relay, now), listen(&mut relay, now));
    relay.link_mut(c).unwrap().room = Some(4);
    say(&mut relay, a, &masked(0x81, b"last"));
    settle(&mut relay, now);
    relay.drain(now);
    let then = now + relay.limits.drain;
    turn(&mut relay, then);
    take_all(&mut relay, c, then);
    let link = relay.link_mut(c).unwrap();
    assert!(link.finished, "no reply is waited for");
    link.ended = true;
    let events = heard_events(&mut relay, c);
    assert_eq!(messages(&events), [(true, b"last".to_vec())], "what was accepted before comes first");
    let (code, reason) = close_of(&events);
    let secs: u64 = reason.strip_prefix("retry-after=").and_then(|secs| secs.parse().ok()).expect("a hint");
    assert_eq!((code, events.last().unwrap().retry_millis), (1012, Some(1000 * secs)));
    relay.readable(c);
    turn(&mut relay, then);
    assert!(relay.link_mut(c).is_none());
    assert_eq!(relay.counters().disconnected(Disconnect::Shutdown), 2);
}

/// Law 9: what one turn brings in both forms stays within the budget, with limits that only just fit together.
#[test]
fn both_forms_of_what_comes_in_one_turn_stay_within_the_budget() {
    let message = 60 << 10;
    let mut limits = Limits { max_message: message, ..streaming() };
    limits.max_lag = 2 * limits.longest_form();
    limits.max_backlog = 2 * limits.max_lag;
    (limits.soft_lag, limits.hold) = (limits.max_lag, limits.max_lag / 2);
    let max_backlog = limits.max_backlog;
    let (mut relay, now) = start_with(limits);
    let senders = [0, 1, 2, 3, 4, 5].map(|n| {
        let path = format!("/room{n}");
        join_at(&mut relay, &path, now);
        listen_at(&mut relay, &path, now);
        join_at(&mut relay, &path, now)
    });
    senders.into_iter().for_each(|sender| say(&mut relay, sender, &big(message)));
    let mut ends = Ends::default();
    relay.hear(now, &mut ends);
    assert!(relay.backlog_bytes() <= max_backlog, "{} of {max_backlog}", relay.backlog_bytes());
    assert!(relay.backlog_bytes() > max_backlog / 2 && relay.counters().deferred > 0, "not all were read");
    settle(&mut relay, now);
    assert_eq!(
        (relay.counters().deliveries, relay.counters().disconnects_total()),
        (12, 0),
        "nothing is lost"
    );
}

#[test]
fn a_listener_that_is_sent_away_stays_away_for_a_while() {
    let (mut relay, now) = start_with(streaming());
    let c = listen(&mut relay, now);
    settle(&mut relay, now);
    assert!(relay.dismiss(c, "too loud", now));
    settle(&mut relay, now);
    let events = heard_events(&mut relay, c);
    assert_eq!(close_of(&events), (1008, "too loud".into()));
    let retry = events.last().unwrap().retry_millis.expect("a time to come back");
    assert!((30_001..=60_000).contains(&retry), "{retry}");
}

#[test]
fn without_the_switch_nobody_listens_so() {
    let (mut relay, now) = start();
    let id = open(&mut relay, now).unwrap();
    say(&mut relay, id, ASK.as_bytes());
    turn(&mut relay, now);
    assert!(heard(&mut relay, id).starts_with(b"HTTP/1.1 426 "));
    assert_eq!(relay.counters().refused("upgrade"), 1);
}
