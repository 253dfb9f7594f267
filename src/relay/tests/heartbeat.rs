//! Heartbeats of those who cannot send pings: answered by the relay itself, at once, and nobody else's business.

use super::*;
use crate::limits::Heartbeat;

fn beating() -> Limits {
    Limits {
        heartbeat: Some(Heartbeat { request: "ping".into(), reply: "pong!".into() }),
        ..Limits::default()
    }
}

#[test]
fn a_heartbeat_is_answered_in_its_own_kind_and_not_relayed() {
    let (mut relay, now) = start_with(beating());
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    let table = [
        (masked(0x81, b"ping"), b"\x81\x05pong!"),
        (masked(0x82, b"ping"), b"\x82\x05pong!"),
        ([masked(0x01, b"pi"), masked(0x00, b""), masked(0x80, b"ng")].concat(), b"\x81\x05pong!"),
    ];
    assert!(!table.is_empty());
    let count = table.len() as u64;
    for (said, answer) in table {
        say(&mut relay, a, &said);
        settle(&mut relay, now);
        assert_eq!((heard(&mut relay, a), heard(&mut relay, b)), (answer.to_vec(), vec![]), "{said:?}");
    }
    let counters = relay.counters();
    assert_eq!((counters.heartbeats, counters.messages_in, counters.deliveries), (count, 0, 0));
}

#[test]
fn what_is_nearly_a_heartbeat_is_a_message() {
    let nearly = ["", "pin", "ping ", "Ping", "pong!"].map(|text| (beating(), text));
    let off = [(Limits::default(), "ping")];
    for (limits, text) in nearly.into_iter().chain(off) {
        let (mut relay, now) = start_with(limits);
        let (a, b) = (join(&mut relay, now), join(&mut relay, now));
        say(&mut relay, a, &masked(0x81, text.as_bytes()));
        settle(&mut relay, now);
        assert_eq!(heard(&mut relay, b), [&[0x81, text.len() as u8], text.as_bytes()].concat(), "{text:?}");
        assert_eq!((heard(&mut relay, a), relay.counters().heartbeats), (vec![], 0), "{text:?}");
    }
}

/// Whoever lags is told at once that the relay is there; but no frame is cut for it (law 5).
#[test]
fn the_answer_goes_ahead_of_the_backlog() {
    let (mut relay, now) = start_with(beating());
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    relay.link_mut(b).unwrap().room = Some(3);
    say(&mut relay, a, &[masked(0x82, b"first"), masked(0x82, b"second")].concat());
    settle(&mut relay, now);
    say(&mut relay, b, &masked(0x81, b"ping"));
    settle(&mut relay, now);
    relay.link_mut(b).unwrap().room = None;
    relay.writable(b, now);
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, b), b"\x82\x05first\x81\x05pong!\x82\x06second");
}

#[test]
fn heartbeats_and_pings_are_paid_for_together() {
    let limits = Limits { control_frames_per_sec: 2, ..beating() };
    let (mut relay, now) = start_with(limits);
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    let beat = masked(0x81, b"ping");
    say(&mut relay, a, &[beat.repeat(5), masked(0x89, b"").repeat(5)].concat());
    settle(&mut relay, now);
    assert_eq!((relay.counters().heartbeats, relay.counters().disconnects_total()), (5, 0));
    let later = now + Duration::from_millis(500);
    say(&mut relay, a, &beat.repeat(2));
    settle(&mut relay, later);
    assert_eq!(relay.counters().heartbeats, 6, "one was earned");
    assert_eq!(relay.counters().disconnected(Disconnect::PingFlood), 1);
    assert!(heard(&mut relay, a).ends_with(b"\x03\xf0ping-flood"));
    assert_eq!(heard(&mut relay, b), b"");
}

#[test]
fn who_does_not_read_its_answers_gets_no_more_of_them() {
    let reply = "x".repeat(64).into_boxed_str();
    let heartbeat = Some(Heartbeat { request: "ping".into(), reply });
    let limits = Limits { control_frames_per_sec: 1000, heartbeat, ..Limits::default() };
    let (mut relay, now) = start_with(limits);
    let a = join(&mut relay, now);
    relay.link_mut(a).unwrap().full = true;
    say(&mut relay, a, &masked(0x81, b"ping").repeat(1000));
    settle(&mut relay, now);
    assert_eq!(relay.counters().disconnected(Disconnect::PingFlood), 1);
    assert!(relay.counters().heartbeats < 200);
}

#[test]
fn a_reload_switches_it_on_and_off_for_those_who_are_there() {
    let (mut relay, now) = start();
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    for (limits, at_a, at_b) in
        [(beating(), &b"\x81\x05pong!"[..], &b""[..]), (Limits::default(), &b""[..], &b"\x81\x04ping"[..])]
    {
        relay.reconfigure(limits, now);
        say(&mut relay, a, &masked(0x81, b"ping"));
        settle(&mut relay, now);
        assert_eq!((&heard(&mut relay, a)[..], &heard(&mut relay, b)[..]), (at_a, at_b));
    }
}
