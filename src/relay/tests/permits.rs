//! Who may speak and who may listen: rules, tokens, and what becomes of those who do more than they may.

use super::*;
use crate::{
    limits::{Access, Heartbeat, Kinds},
    rules::{Rule, Rules},
    token::{Gate, Keys, crypto::Signer},
};
use serde_json::{Value, json};

const SECRET: &[u8] = b"a secret of the tests, and of nobody else";

/// The time of day at which tests begin.
const TODAY: Duration = Duration::from_secs(1_800_000_000);

fn gate() -> Gate {
    let mut keys = Keys::default();
    keys.add("test", SECRET).unwrap();
    Gate { keys, query: Some("token".into()), ..Gate::default() }
}

fn token(claims: &Value) -> String {
    Signer::secret(SECRET).sign(None, claims).unwrap()
}

/// Limits with these rules.
fn ruled(general: Limits, rules: &[(&str, Limits)]) -> Limits {
    let rule = |(pattern, limits): &(&str, Limits)| Rule {
        pattern: pattern.parse().unwrap(),
        limits: limits.clone(),
    };
    Limits { rules: Rules::new(rules.iter().map(rule).collect()).unwrap(), ..general }
}

/// Anyone listens, a token publishes.
fn feed() -> Limits {
    let general =
        Limits { http_publish: true, event_stream: true, publish: Access::Token, ..Limits::default() };
    ruled(general.clone(), &[("/feed/*", general)])
}

fn guarded(limits: Limits) -> (Relay<Link>, Instant) {
    let (mut relay, now) = start_with(limits);
    relay.guard(gate());
    relay.tell_time(TODAY);
    (relay, now)
}

/// Asks for a WebSocket with more header lines, and takes the status.
fn ask(relay: &mut Relay<Link>, path: &str, more: &str, now: Instant) -> (PeerId, u16, String) {
    let id = open(relay, now).unwrap();
    let request = std::str::from_utf8(REQUEST).unwrap().replacen("/room", path, 1);
    let request = request.replacen("\r\n\r\n", &format!("\r\n{more}\r\n"), 1);
    say(relay, id, request.as_bytes());
    turn(relay, now);
    let answer = String::from_utf8(heard(relay, id)).unwrap();
    (id, answer[9..12].parse().unwrap(), answer)
}

fn bearer(claims: &Value) -> String {
    format!("Authorization: Bearer {}\r\n", token(claims))
}

fn join_with(relay: &mut Relay<Link>, path: &str, claims: &Value, now: Instant) -> PeerId {
    let (id, status, answer) = ask(relay, path, &bearer(claims), now);
    assert_eq!(status, 101, "{answer}");
    id
}

/// The close frame that stands at the end of what the peer got: its code and its reason.
fn closed(relay: &mut Relay<Link>, id: PeerId) -> (u16, String) {
    let output = heard(relay, id);
    let at = output.iter().rposition(|&b| b == 0x88).unwrap_or_else(|| panic!("no close in {output:?}"));
    let (code, reason) = output[at + 2..].split_at(2);
    (u16::from_be_bytes([code[0], code[1]]), String::from_utf8_lossy(reason).into())
}

#[test]
fn anyone_listens_and_who_has_a_token_publishes() {
    let (mut relay, now) = guarded(feed());
    let (listener, status, _) = ask(&mut relay, "/feed/a", "", now);
    assert_eq!(status, 101);
    let speaker = join_with(&mut relay, "/feed/a", &json!({"publish": ["/feed/*"]}), now);
    say(&mut relay, speaker, &masked(0x81, b"hello"));
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, listener), b"\x81\x05hello");
    say(&mut relay, listener, &masked(0x81, b"me too"));
    settle(&mut relay, now);
    assert_eq!(closed(&mut relay, listener), (1008, "publish-not-allowed".into()));
    assert_eq!(heard(&mut relay, speaker), b"", "nothing of it was relayed");
    assert_eq!(relay.counters().disconnected(Disconnect::MayNotPublish), 1);
}

#[test]
fn a_path_without_a_rule_is_not_there_and_one_with_a_rule_for_nobody_is_forbidden() {
    let nobody = Limits { subscribe: Access::Nobody, publish: Access::Nobody, ..Limits::default() };
    let (mut relay, now) = guarded(ruled(Limits::default(), &[("/a", Limits::default()), ("/b", nobody)]));
    for (path, wanted, label) in [("/a", 101, ""), ("/b", 403, "forbidden"), ("/c", 404, "channel")] {
        assert_eq!(ask(&mut relay, path, "", now).1, wanted, "{path}");
        assert!(label.is_empty() || relay.counters().refused(label) == 1, "{label}");
    }
}

#[test]
fn a_token_is_good_for_its_own_paths_only() {
    let (mut relay, now) = guarded(feed());
    let elsewhere = bearer(&json!({"publish": ["/other"], "subscribe": ["/feed/*"]}));
    let (id, status, _) = ask(&mut relay, "/feed/a", &elsewhere, now);
    assert_eq!(status, 101, "it may listen, as anyone may");
    say(&mut relay, id, &masked(0x81, b""));
    settle(&mut relay, now);
    assert_eq!(closed(&mut relay, id), (1008, "publish-not-allowed".into()), "even nothing is a message");
}

#[test]
fn where_a_token_counts_a_bad_one_is_refused_though_anyone_may_listen() {
    let (mut relay, now) = guarded(feed());
    let secs = TODAY.as_secs();
    let table = [
        ("Authorization: Bearer x.y.z\r\n".to_owned(), "token_malformed"),
        (bearer(&json!({"exp": secs})), "token_expired"),
        (bearer(&json!({"nbf": secs + 1})), "token_not_yet"),
        (format!("{}x\r\n", bearer(&json!({})).trim_end()), "token_signature"),
        (bearer(&json!({"publish": "/feed/*"})), "token_malformed"),
        (bearer(&json!({"publish": ["feed"]})), "token_malformed"),
    ];
    assert!(!table.is_empty());
    for (line, label) in table {
        let before = relay.counters().refused(label);
        let (_, status, answer) = ask(&mut relay, "/feed/a", &line, now);
        assert_eq!((status, relay.counters().refused(label)), (401, before + 1), "{line}");
        assert!(answer.contains("\r\nWWW-Authenticate: Bearer realm=\"wsrelayd\", error=\"invalid_token\""));
    }
    for query in ["token=a&token=b", "token=a&x=&token=a"] {
        assert_eq!(ask(&mut relay, &format!("/feed/a?{query}"), "", now).1, 400, "{query}");
    }
    let two = format!("{0}Sec-WebSocket-Protocol: bearer.{1}\r\n", bearer(&json!({})), token(&json!({})));
    assert_eq!(ask(&mut relay, "/feed/a", &two, now).1, 400);
}

#[test]
fn a_token_may_come_in_three_places_and_stands_in_no_answer() {
    let token_only = Limits { subscribe: Access::Token, publish: Access::Token, ..Limits::default() };
    let (mut relay, now) = guarded(token_only);
    let good = token(&json!({"subscribe": ["/**"]}));
    let table = [
        ("/room".to_owned(), format!("Authorization: bEARER {good}\r\n"), None),
        ("/room".to_owned(), format!("Sec-WebSocket-Protocol: bearer.{good}, chat\r\n"), Some("chat")),
        ("/room".to_owned(), format!("Sec-WebSocket-Protocol: chat, bearer.{good}\r\n"), Some("chat")),
        ("/room".to_owned(), format!("Sec-WebSocket-Protocol: Bearer.{good}\r\n"), None),
        (format!("/room?a=b&token={good}"), String::new(), None),
    ];
    assert!(!table.is_empty());
    for (path, lines, protocol) in table {
        let (_, status, answer) = ask(&mut relay, &path, &lines, now);
        assert_eq!(status, 101, "{lines}");
        assert!(!answer.contains("bearer") && !answer.contains(&good), "{answer}");
        let line = answer.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(line, protocol);
    }
    let (_, status, answer) = ask(&mut relay, "/room", "", now);
    assert_eq!((status, relay.counters().refused("token_missing")), (401, 1));
    assert!(answer.contains("\r\nWWW-Authenticate: Bearer realm=\"wsrelayd\"\r\n"), "{answer}");
    relay.guard(Gate { query: None, ..gate() });
    assert_eq!(ask(&mut relay, &format!("/room?token={good}"), "", now).1, 401, "it is switched off");
}

#[test]
fn where_no_token_counts_none_is_looked_at() {
    let (mut relay, now) = guarded(Limits::default());
    let (_, status, answer) = ask(
        &mut relay,
        "/room",
        "Authorization: Bearer x\r\nSec-WebSocket-Protocol: bearer.y, chat\r\n",
        now,
    );
    assert_eq!((status, relay.counters().token_signatures), (101, 0));
    assert!(answer.contains("sec-websocket-protocol: chat\r\n"), "{answer}");
}

/// The reverse of a feed: anyone may say something, and only who has a token hears it.
#[test]
fn who_may_only_publish_gets_nothing_and_holds_nobody_up() {
    let inbox = Limits { subscribe: Access::Token, hold: 40, ..Limits::default() };
    let (mut relay, now) = guarded(inbox);
    let (mute, status, _) = ask(&mut relay, "/inbox", "", now);
    let reader = join_with(&mut relay, "/inbox", &json!({"subscribe": ["/inbox"]}), now);
    assert_eq!(status, 101);
    for round in 0..50 {
        say(&mut relay, mute, &masked(0x81, b"a letter of some length, longer than what is held back"));
        say(&mut relay, reader, &masked(0x81, b"an answer that nobody hears"));
        // What is pinged is due, and must not count as one that lacks what was said.
        say(&mut relay, mute, &masked(0x89, b""));
        settle(&mut relay, now + Duration::from_millis(100 * round));
        assert!(heard(&mut relay, mute).starts_with(b"\x8a\x00"), "but its pong, and later a ping");
        assert_eq!(heard(&mut relay, reader)[..4], [0x81, 54, b'a', b' ']);
        assert_eq!((relay.backlog_bytes(), relay.counters().messages_in), (0, 2 * round + 2));
    }
    let (rows, _) = relay.roll(None, None, 10, now);
    let rights = |id| rows.iter().find(|row| row.id == id).map(|row| (row.subscribes, row.publishes));
    assert_eq!((rights(mute), rights(reader)), (Some((false, true)), Some((true, true))));
    relay.link_mut(reader).unwrap().full = true;
    relay.link_mut(mute).unwrap().full = true;
    say(&mut relay, mute, &masked(0x81, b"later").repeat(3));
    settle(&mut relay, now);
    assert_eq!(relay.lag(), (21, 1), "it lacks nothing");
    unblock(&mut relay, reader, now);
    unblock(&mut relay, mute, now);
    settle(&mut relay, now);
    assert_eq!((heard(&mut relay, mute), heard(&mut relay, reader).len()), (vec![], 21));
    relay.lose(mute, now);
    relay.lose(reader, now);
    settle(&mut relay, now);
    assert_eq!((relay.channels(), relay.is_empty()), (0, true));
}

#[test]
fn an_event_stream_needs_the_right_to_listen_and_a_post_that_to_publish() {
    let (mut relay, now) = guarded(feed());
    let listen = "GET /feed/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n";
    let post = |more: &str| format!("POST /feed/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n{more}\r\nhi");
    let good = bearer(&json!({"publish": ["/feed/a"]}));
    let other = bearer(&json!({"publish": ["/feed/b"]}));
    let table = [
        (listen.to_owned(), "200"),
        (post(""), "401"),
        (post(&good), "202"),
        (post(&other), "403"),
        (post("").replace("/feed/a", "/else"), "404"),
    ];
    assert!(!table.is_empty());
    for (request, status) in table {
        let id = open(&mut relay, now).unwrap();
        say(&mut relay, id, request.as_bytes());
        settle(&mut relay, now);
        let answer = String::from_utf8(heard(&mut relay, id)).unwrap();
        assert_eq!(&answer[9..12], status, "{request}");
    }
    let mut closed_feed = feed();
    closed_feed.rules = ruled(
        Limits::default(),
        &[("/feed/*", Limits { subscribe: Access::Token, event_stream: true, ..Limits::default() })],
    )
    .rules;
    relay.reconfigure(closed_feed, now);
    let id = open(&mut relay, now).unwrap();
    say(&mut relay, id, listen.as_bytes());
    settle(&mut relay, now);
    assert!(heard(&mut relay, id).starts_with(b"HTTP/1.1 401 "));
}

#[test]
fn when_a_token_runs_out_its_bearer_is_closed_and_nobody_else() {
    let (mut relay, now) = guarded(feed());
    let claims = json!({"exp": TODAY.as_secs() + 60, "publish": ["/feed/*"], "sub": "mary"});
    let guests = [(); 20].map(|()| join_with(&mut relay, "/feed/a", &claims, now));
    let (anyone, ..) = ask(&mut relay, "/feed/a", "", now);
    assert_eq!((relay.user_of(guests[0]), relay.user_of(anyone)), (Some("mary"), None));
    let mut left_at = Vec::new();
    for tenths in 0..720 {
        let now = now + Duration::from_millis(100 * tenths);
        settle(&mut relay, now);
        let ended = relay.counters().disconnected(Disconnect::TokenExpired);
        left_at.resize(ended as usize, tenths);
        let pong = masked(0x8A, b"");
        for id in guests.iter().chain([&anyone]) {
            if relay.link_mut(*id).is_some() {
                say(&mut relay, *id, &pong);
            }
        }
    }
    assert_eq!(left_at.len(), guests.len());
    assert!(left_at[0] >= 600 && left_at[19] <= 652, "{left_at:?}");
    assert!(left_at[19] - left_at[0] >= 10, "they are spread: {left_at:?}");
    assert_eq!(relay.peers(), 1, "{}", relay.counters());
}

#[test]
fn a_shutdown_comes_before_the_end_of_a_token_and_after_it() {
    let (mut relay, now) = guarded(feed());
    let secs = TODAY.as_secs();
    let long = join_with(&mut relay, "/feed/a", &json!({"exp": secs + 3600}), now);
    let short = join_with(&mut relay, "/feed/a", &json!({"exp": secs + 1}), now);
    relay.drain(now + Duration::from_secs(10));
    settle(&mut relay, now + Duration::from_secs(20));
    assert_eq!(closed(&mut relay, long).0, 1012);
    assert_eq!(closed(&mut relay, short).0, 1012, "the relay goes: nothing else matters any more");
}

#[test]
fn a_listener_may_ask_whether_anybody_is_there_and_say_nothing_else() {
    let heartbeat = Some(Heartbeat { request: "ping".into(), reply: "pong!".into() });
    let quiet = Limits { publish: Access::Nobody, heartbeat, ..Limits::default() };
    for (said, is_fine) in [("ping", true), ("pong", false), ("", false), ("ping!", false)] {
        let (mut relay, now) = guarded(quiet.clone());
        let (id, ..) = ask(&mut relay, "/room", "", now);
        say(&mut relay, id, &masked(0x81, said.as_bytes()));
        settle(&mut relay, now);
        match is_fine {
            true => assert_eq!(heard(&mut relay, id), b"\x81\x05pong!"),
            false => assert_eq!(closed(&mut relay, id), (1008, "publish-not-allowed".into()), "{said:?}"),
        }
    }
}

/// A listener cannot make us hold what it may not say.
#[test]
fn what_a_listener_may_not_say_is_refused_by_its_header() {
    let (mut relay, now) = guarded(Limits { publish: Access::Nobody, ..Limits::default() });
    let (id, ..) = ask(&mut relay, "/room", "", now);
    say(&mut relay, id, &[0x82, 0xFE, 0x40, 0x00]);
    settle(&mut relay, now);
    assert_eq!(closed(&mut relay, id), (1008, "publish-not-allowed".into()));
}

#[test]
fn a_channel_takes_the_kinds_that_it_takes() {
    let table = [
        (Kinds::Text, 0x81, None),
        (Kinds::Text, 0x82, Some("text-only")),
        (Kinds::Binary, 0x82, None),
        (Kinds::Binary, 0x81, Some("binary-only")),
        (Kinds::Both, 0x81, None),
        (Kinds::Both, 0x82, None),
    ];
    for (kinds, first, reason) in table {
        let (mut relay, now) = start_with(Limits { kinds, http_publish: true, ..Limits::default() });
        let (a, b) = (join(&mut relay, now), join(&mut relay, now));
        say(&mut relay, a, &masked(first, b"x"));
        settle(&mut relay, now);
        assert_eq!(heard(&mut relay, b).len(), if reason.is_none() { 3 } else { 0 });
        if let Some(reason) = reason {
            assert_eq!(closed(&mut relay, a), (1003, reason.into()));
        }
        let id = open(&mut relay, now).unwrap();
        let kind = if first == 0x81 { "Content-Type: text/plain\r\n" } else { "" };
        let post = format!("POST /room HTTP/1.1\r\nHost: a\r\n{kind}Content-Length: 1\r\n\r\nx");
        say(&mut relay, id, post.as_bytes());
        settle(&mut relay, now);
        let status = if reason.is_none() { b"202" } else { b"415" };
        assert_eq!(&heard(&mut relay, id)[9..12], status, "{kinds:?}");
    }
}

#[test]
fn a_channel_is_full_with_so_many_and_others_are_not() {
    let few = Limits { max_peers: 2, ..Limits::default() };
    let (mut relay, now) = start_with(ruled(Limits::default(), &[("/few", few), ("/**", Limits::default())]));
    let ids = [(); 2].map(|()| join_at(&mut relay, "/few", now));
    let (_, status, answer) = ask(&mut relay, "/few", "", now);
    assert_eq!((status, relay.counters().refused("max_peers")), (503, 1));
    assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    let many = [(); 5].map(|()| join_at(&mut relay, "/many", now));
    assert_eq!(many.len(), 5);
    relay.lose(ids[0], now);
    settle(&mut relay, now);
    assert_eq!(ask(&mut relay, "/few", "", now).1, 101);
}

#[test]
fn subprotocols_are_chosen_from_the_list_of_the_rule() {
    let list: Vec<Box<str>> = vec!["v2.chat".into(), "v1.chat".into()];
    let some = Limits { subprotocols: list.clone(), ..Limits::default() };
    let demanding = Limits { subprotocols: list, subprotocol_required: true, ..Limits::default() };
    let any = Limits::default();
    let table = [
        (&any, "", 101, None),
        (&any, "x, y", 101, Some("x")),
        (&some, "", 101, None),
        (&some, "x, v1.chat, v2.chat", 101, Some("v1.chat")),
        (&some, "V1.chat", 101, None),
        (&some, "x", 101, None),
        (&demanding, "x, v2.chat", 101, Some("v2.chat")),
        (&demanding, "x", 400, None),
        (&demanding, "", 400, None),
        (&demanding, "bearer.v2.chat", 400, None),
    ];
    for (limits, offered, wanted, chosen) in table {
        let (mut relay, now) = start_with(limits.clone());
        let line = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let line = if offered.is_empty() { "" } else { &line };
        let (_, status, answer) = ask(&mut relay, "/room", line, now);
        assert_eq!(status, wanted, "{offered}");
        let found = answer.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(found, chosen, "{offered}");
        assert_eq!(relay.counters().refused("subprotocol"), u64::from(wanted == 400));
    }
}

/// Each channel lives under its own rule: echo, size, heartbeat, slowness.
#[test]
fn what_a_rule_says_holds_on_its_channels_and_nowhere_else() {
    let small = Limits { echo: true, max_message: 10, max_lag: 40, soft_lag: 40, ..Limits::default() };
    let rules = ruled(Limits::default(), &[("/small/*", small), ("/**", Limits::default())]);
    let (mut relay, now) = start_with(rules);
    for (path, is_small) in [("/small/a", true), ("/large", false)] {
        let (a, b) = (join_at(&mut relay, path, now), join_at(&mut relay, path, now));
        say(&mut relay, a, &masked(0x81, b"ten bytes!"));
        settle(&mut relay, now);
        assert_eq!(
            (heard(&mut relay, a).len(), heard(&mut relay, b).len()),
            (if is_small { 12 } else { 0 }, 12)
        );
        relay.link_mut(b).unwrap().full = true;
        say(&mut relay, a, &masked(0x81, b"ten bytes!").repeat(4));
        settle(&mut relay, now);
        let slow = relay.counters().disconnected(Disconnect::SlowConsumer);
        assert_eq!(slow, 1, "{path}: only where the rule says so");
        heard(&mut relay, a);
        say(&mut relay, a, &masked(0x81, b"eleven byte"));
        settle(&mut relay, now);
        assert_eq!(relay.counters().disconnected(Disconnect::Size), 1, "{path}");
    }
}

/// Limits hold at once; what was granted stays granted.
#[test]
fn a_reload_brings_the_limits_of_the_rule_and_leaves_the_rights() {
    let (mut relay, now) = guarded(feed());
    let speaker = join_with(&mut relay, "/feed/a", &json!({"publish": ["/feed/*"]}), now);
    let (listener, ..) = ask(&mut relay, "/feed/a", "", now);
    let tight = Limits { max_message: 3, publish: Access::Nobody, ..Limits::default() };
    relay.reconfigure(ruled(Limits::default(), &[("/**", Limits::default()), ("/feed/a", tight)]), now);
    say(&mut relay, speaker, &masked(0x81, b"abc"));
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, listener), b"\x81\x03abc");
    say(&mut relay, speaker, &masked(0x81, b"abcd"));
    settle(&mut relay, now);
    assert_eq!(closed(&mut relay, speaker).0, 1009);
    relay.reconfigure(ruled(Limits::default(), &[("/other", Limits::default())]), now);
    settle(&mut relay, now);
    assert_eq!(relay.peers(), 2, "a channel without a rule goes on, and takes nobody in");
    assert_eq!(ask(&mut relay, "/feed/a", "", now).1, 404);
}

/// What was refused by its header is not waited out: what follows begins nowhere that we know.
#[test]
fn whatever_follows_what_a_listener_may_not_say_is_thrown_away() {
    let long = [&[0x82, 0xFE, 0x40, 0x00][..], &[7; 300], &masked(0x88, b"")].concat();
    let beginnings: [&[u8]; 5] = [
        &[0x82, 0xFE, 0x40],
        // Refused by the last byte of its length.
        &[0x82, 0xFE, 0, 0x80],
        &[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0],
        &[0x82, 0x85],
        &masked(0x81, b"hello"),
    ];
    assert!(!beginnings.is_empty());
    for said in beginnings.into_iter().chain([&long[..5]]) {
        let (mut relay, now) = guarded(Limits { publish: Access::Nobody, ..Limits::default() });
        let (id, ..) = ask(&mut relay, "/room", "", now);
        say(&mut relay, id, said);
        settle(&mut relay, now);
        for rest in [&[0][..], &long, &masked(0x88, b"")] {
            say(&mut relay, id, rest);
            settle(&mut relay, now);
        }
        assert_eq!(closed(&mut relay, id), (1008, "publish-not-allowed".into()), "{said:?}");
        assert!(relay.link_mut(id).unwrap().finished, "nothing more is waited for: {said:?}");
    }
}
