//! Messages that come by HTTP: what they are answered, who gets them, and what one costs.

use super::*;
use crate::{counters::REFUSED_LABELS, limits::OnSlow};

fn posting() -> Limits {
    Limits { http_publish: true, ..Limits::default() }
}

fn request(path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

const TEXT: &str = "Content-Type: text/plain; charset=utf-8\r\n";

/// Posts, and takes the answer: its status and its body.
fn post(relay: &mut Relay<Link>, request: &[u8], now: Instant) -> (u16, String) {
    let id = open(relay, now).unwrap();
    say(relay, id, request);
    turn(relay, now);
    let answer = answer_of(relay, id);
    leave(relay, id, now);
    answer
}

fn answer_of(relay: &mut Relay<Link>, id: PeerId) -> (u16, String) {
    let said = String::from_utf8(heard(relay, id)).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {said:?}"));
    assert!(head.contains("\r\nConnection: close") || head.starts_with("HTTP/1.1 100"), "{head}");
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// The other end goes.
fn leave(relay: &mut Relay<Link>, id: PeerId, now: Instant) {
    relay.lose(id, now);
    turn(relay, now);
}

/// Law 12, with nobody there who is neither open nor ended.
fn assert_sums(relay: &Relay<Link>, open: u64) {
    let counters = relay.counters();
    let ended = counters.refused_total() + counters.disconnects_total() + counters.posted;
    assert_eq!(counters.opened, ended + open, "{counters}");
}

#[test]
fn a_posted_message_reaches_everybody_on_its_channel_and_says_how_many_they_are() {
    let (mut relay, now) = start_with(posting());
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    let elsewhere = join_at(&mut relay, "/other", now);
    let told = post(&mut relay, &request("/room?query", TEXT, b"hi"), now);
    assert_eq!(told, (202, "{\"peers\":2}\n".to_owned()));
    let told = post(&mut relay, &request("/room", "", b"\xff"), now);
    assert_eq!(told, (202, "{\"peers\":2}\n".to_owned()));
    let both = [0x81, 2, b'h', b'i', 0x82, 1, 0xff];
    assert_eq!((heard(&mut relay, a), heard(&mut relay, b)), (both.to_vec(), both.to_vec()));
    assert_eq!(heard(&mut relay, elsewhere), b"");
    let counters = relay.counters();
    assert_eq!((counters.posted, counters.messages_in, counters.bytes_in), (2, 2, 3));
    assert_sums(&relay, 3);
}

#[test]
fn where_nobody_listens_no_channel_is_made() {
    let (mut relay, now) = start_with(posting());
    for path in ["/a", "/b"] {
        assert_eq!(post(&mut relay, &request(path, "", b"x"), now), (202, "{\"peers\":0}\n".to_owned()));
    }
    assert_eq!((relay.channels(), relay.backlog_bytes(), relay.is_empty()), (0, 0, true));
    assert_eq!(relay.counters().posted, 2);
}

/// Who is closing gets nothing of it, and is not counted.
#[test]
fn only_those_are_counted_to_whom_it_is_due() {
    let (mut relay, now) = start_with(posting());
    let ids = (0..3).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    for id in &ids[..2] {
        relay.link_mut(*id).unwrap().full = true;
    }
    // So that something is due to them, and they keep their seats while they close.
    say(&mut relay, ids[2], &masked(0x82, b"before"));
    turn(&mut relay, now);
    for (nth, id) in ids.iter().enumerate() {
        say(&mut relay, *id, &masked(0x88, &1000_u16.to_be_bytes()));
        turn(&mut relay, now);
        let told = post(&mut relay, &request("/room", "", b"after"), now);
        assert_eq!(told, (202, format!("{{\"peers\":{}}}\n", 2 - nth)));
    }
    ids[..2].iter().for_each(|id| unblock(&mut relay, *id, now));
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, ids[0]), [&b"\x82\x06before"[..], b"\x88\x02\x03\xe8"].concat());
    assert_eq!(
        heard(&mut relay, ids[1]),
        [&b"\x82\x06before\x82\x05after"[..], b"\x88\x02\x03\xe8"].concat()
    );
}

/// The order of a request's bytes is all that counts.
#[test]
fn a_post_in_pieces_of_any_length_is_answered_alike() {
    let table = [
        (request("/room", TEXT, "h\u{e9}llo".as_bytes()), 202),
        (request("/room", TEXT, b"hell\xff"), 400),
        (request("/room", "Origin: null\r\n", b"hello"), 403),
        (request("/room", "Expect: 100-continue\r\n", b"hello"), 202),
        (request("/room", "Expect: else\r\n", b"hello"), 417),
        (request("/room", "", b""), 202),
        (request("/ro//om", "", b"hello"), 400),
        (request("/room", "Content-Type: text/plain; charset=latin1\r\n", b"hello"), 415),
    ];
    assert!(!table.is_empty());
    for (bytes, status) in table {
        for piece in 1..=bytes.len() {
            let (mut relay, now) = start_with(posting());
            let listener = join(&mut relay, now);
            let id = open(&mut relay, now).unwrap();
            for part in bytes.chunks(piece) {
                say(&mut relay, id, part);
                turn(&mut relay, now);
            }
            let mut answer = answer_of_all(&mut relay, id);
            assert_eq!(answer.pop(), Some(status), "{} by {piece}", bytes.escape_ascii());
            assert!(answer.is_empty() || answer == [100], "{answer:?}");
            assert_eq!(heard(&mut relay, listener).is_empty(), status != 202);
            assert_eq!((relay.inflight_bytes(), relay.handshaking()), (0, 0));
            assert_sums(&relay, 1);
        }
    }
}

/// The statuses of all answers.
fn answer_of_all(relay: &mut Relay<Link>, id: PeerId) -> Vec<u16> {
    let said = String::from_utf8(heard(relay, id)).unwrap();
    said.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

#[test]
fn who_expects_to_be_told_to_go_on_is_told_once_and_only_if_the_message_would_be_taken() {
    let (mut relay, now) = start_with(Limits { max_message: 1000, ..posting() });
    let table = [("5", "", 100), ("1001", "", 413), ("5", "Origin: null\r\n", 403), ("0", "", 202)];
    assert!(!table.is_empty());
    for (length, fields, status) in table {
        let id = open(&mut relay, now).unwrap();
        let head = format!(
            "POST /room HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n{fields}\r\n"
        );
        say(&mut relay, id, head.as_bytes());
        turn(&mut relay, now);
        assert_eq!(answer_of_all(&mut relay, id), [status], "{head}");
        say(&mut relay, id, b"hello");
        turn(&mut relay, now);
        let rest = answer_of_all(&mut relay, id);
        assert_eq!(rest, if status == 100 { vec![202] } else { vec![] }, "{head}");
        leave(&mut relay, id, now);
    }
    assert_sums(&relay, 0);
}

#[test]
fn more_than_was_announced_is_refused_and_nothing_of_it_relayed() {
    let (mut relay, now) = start_with(posting());
    let listener = join(&mut relay, now);
    let bytes = [request("/room", "", b"hello"), b"!".to_vec()].concat();
    assert_eq!(post(&mut relay, &bytes, now).0, 400);
    assert_eq!(heard(&mut relay, listener), b"");
    assert_eq!((relay.counters().refused("bad_request"), relay.counters().posted), (1, 0));
}

#[test]
fn a_body_that_does_not_come_has_its_own_time_and_counts_as_a_handshake_and_as_input() {
    let limits = posting();
    let (timeout, request_timeout) = (limits.message_timeout, limits.handshake_timeout);
    let (mut relay, now) = start_with(limits);
    let id = open(&mut relay, now).unwrap();
    say(&mut relay, id, b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nhalf");
    turn(&mut relay, now);
    assert_eq!((relay.handshaking(), relay.inflight_bytes()), (1, 5000), "as announced");
    turn(&mut relay, now + request_timeout + Duration::from_secs(1));
    assert_eq!(heard(&mut relay, id), b"", "the request came in time");
    turn(&mut relay, now + timeout - Duration::from_millis(101));
    assert_eq!(relay.counters().refused("body_timeout"), 0);
    let late = now + timeout + Duration::from_millis(100);
    relay.expire(late);
    turn(&mut relay, late);
    assert_eq!(answer_of(&mut relay, id).0, 408);
    assert_eq!((relay.counters().refused("body_timeout"), relay.handshaking()), (1, 0));
    assert_eq!(relay.inflight_bytes(), 0);
}

#[test]
fn where_senders_must_wait_a_post_is_refused_until_there_is_room() {
    let turn_budget = TurnBudget { write_per_peer: 100, ..TurnBudget::default() };
    let (mut relay, now) = start_with(Limits { hold: 1000, turn: turn_budget, ..posting() });
    let listener = join(&mut relay, now);
    settle(&mut relay, now);
    heard(&mut relay, listener);
    let large = request("/room", "", &[b'x'; 2000]);
    assert_eq!(post(&mut relay, &large, now).0, 202);
    let id = open(&mut relay, now).unwrap();
    say(&mut relay, id, &large);
    turn(&mut relay, now);
    let said = String::from_utf8(heard(&mut relay, id)).unwrap();
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\r\nRetry-After: 1\r\n"), "{said}");
    assert_eq!(post(&mut relay, &request("/elsewhere", "", b"x"), now).0, 202, "nobody waits there");
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, listener).len(), 2004);
    assert_eq!(post(&mut relay, &large, now).0, 202, "there is room again");
    assert_eq!((relay.counters().refused("busy"), relay.counters().posted), (1, 3));
}

#[test]
fn over_the_budget_for_input_the_message_begun_first_is_given_up_posted_or_not() {
    let (mut relay, now) = start_with(Limits { max_inflight_read: 512 << 10, ..posting() });
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    let mut posters = Vec::new();
    for n in 0..20 {
        let id = open(&mut relay, now).unwrap();
        say(&mut relay, id, b"POST /room HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n");
        turn(&mut relay, now + Duration::from_millis(n));
        say(&mut relay, a, &masked(0x82, &[n as u8]));
        turn(&mut relay, now + Duration::from_millis(n));
        assert_eq!(heard(&mut relay, b), [0x82, 1, n as u8], "no wait for anybody else");
        posters.push(id);
    }
    assert_eq!((relay.counters().refused("busy"), relay.inflight_bytes()), (12, 8 << 16));
    assert_eq!(answer_of(&mut relay, posters[0]).0, 503, "the first to begin goes first");
    assert_eq!(heard(&mut relay, posters[19]), b"");
    assert_eq!(relay.counters().disconnects_total(), 0);
}

/// Each way in which a poster's connection ends is counted once.
#[test]
fn whoever_is_there_half_posted_ends_under_one_reason() {
    let half = b"POST /room HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe";
    type End = fn(&mut Relay<Link>, PeerId, Instant);
    let ends: [(&str, End); 3] = [
        ("abandoned", |relay, id, now| relay.lose(id, now)),
        ("draining", |relay, _, now| relay.drain(now)),
        ("draining", |relay, _, now| relay.abandon(now)),
    ];
    assert!(!ends.is_empty());
    for (label, end) in ends {
        assert!(REFUSED_LABELS.contains(&label));
        let (mut relay, now) = start_with(posting());
        let id = open(&mut relay, now).unwrap();
        say(&mut relay, id, half);
        turn(&mut relay, now);
        end(&mut relay, id, now);
        turn(&mut relay, now);
        assert_eq!((relay.counters().refused(label), relay.counters().refused_total()), (1, 1), "{label}");
        assert_eq!((relay.handshaking(), relay.inflight_bytes()), (0, 0), "{label}");
    }
}

#[test]
fn so_many_are_posted_in_a_turn_as_frames_may_be_decoded() {
    let turn_budget = TurnBudget { frames: 10, ..TurnBudget::default() };
    let (mut relay, now) = start_with(Limits { turn: turn_budget, ..posting() });
    join(&mut relay, now);
    let ids = (0..100).map(|_| open(&mut relay, now).unwrap()).collect::<Vec<_>>();
    ids.iter().for_each(|id| say(&mut relay, *id, &request("/room", "", b"x")));
    for turns in 1..=10 {
        turn(&mut relay, now);
        assert_eq!(relay.counters().posted, turns * 10);
    }
    assert_eq!(relay.counters().frames, 100);
}

/// Work per post: one read, one write of its answer, and one write for each receiver and turn, not for each message.
#[test]
fn a_hundred_posts_in_a_turn_are_one_write_for_each_receiver() {
    let (mut relay, now) = start_with(posting());
    let receivers = (0..50).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    let ids = (0..100).map(|_| open(&mut relay, now).unwrap()).collect::<Vec<_>>();
    ids.iter().for_each(|id| say(&mut relay, *id, &request("/room", TEXT, b"x")));
    let before = (relay.counters().reads, relay.counters().writes);
    turn(&mut relay, now);
    let counters = relay.counters();
    assert_eq!((counters.reads - before.0, counters.writes - before.1), (100, 150));
    assert_eq!((counters.posted, counters.deliveries), (100, 5000));
    assert!(receivers.iter().all(|id| heard(&mut relay, *id) == b"\x81\x01x".repeat(100)));
}

#[test]
fn what_is_posted_makes_slow_peers_slow_as_any_message_does() {
    let limits = Limits { max_lag: 128 << 10, soft_lag: 128 << 10, hold: 64 << 10, ..posting() };
    for on_slow in [OnSlow::Disconnect, OnSlow::Skip] {
        let (mut relay, now) = start_with(Limits { on_slow, ..limits.clone() });
        let (deaf, well) = (join(&mut relay, now), join(&mut relay, now));
        relay.link_mut(deaf).unwrap().full = true;
        for _ in 0..5 {
            let posted = post(&mut relay, &request("/room", "", &[b'x'; 60_000]), now);
            assert_eq!(posted.0, 202);
            settle(&mut relay, now);
        }
        assert_eq!(heard(&mut relay, well).len(), 5 * 60_004);
        let gone = relay.counters().disconnected(Disconnect::SlowConsumer) > 0;
        let skipped = relay.counters().skipped_messages > 0;
        assert_eq!((gone, skipped), (on_slow == OnSlow::Disconnect, on_slow == OnSlow::Skip));
    }
}

#[test]
fn a_tag_is_kept_as_long_as_its_peer_is_there() {
    let (mut relay, now) = start();
    let id = join_at(&mut relay, "/room?wsrelayd-tag=2a", now);
    let other = join(&mut relay, now);
    assert_eq!((relay.tags.get(&id), relay.tags.get(&other)), (Some(&42), None));
    relay.lose(id, now);
    turn(&mut relay, now);
    assert!(relay.tags.is_empty());
}

/// Laws 2 and 4: until *deliver* a post is nothing to those who are to get it, and nobody is written to.
#[test]
fn hearing_a_post_changes_no_peer_and_writes_nothing() {
    let (mut relay, now) = start_with(posting());
    let listener = join(&mut relay, now);
    let id = open(&mut relay, now).unwrap();
    let of_listener = |relay: &Relay<Link>| format!("{:?}", relay.roster.get(listener).unwrap());
    let before = of_listener(&relay);
    say(&mut relay, id, &request("/room", "Expect: 100-continue\r\n", b"hello"));
    let mut ends = Ends::default();
    relay.hear(now, &mut ends);
    assert_eq!((of_listener(&relay), relay.counters().posted, relay.counters().writes), (before, 1, 1));
    assert_eq!(relay.link_mut(id).unwrap().output, b"");
    relay.deliver(now, &mut ends);
    assert_eq!((heard(&mut relay, listener), relay.counters().writes), (b"\x82\x05hello".to_vec(), 3));
}
