//! Who a peer is: whose word is believed, and what the limits per address make of it.

use super::*;
use crate::address::{Arrival, Evidence, Proxies, RealIpHeader, Trusted};
use crate::news::Event;
use core::net::IpAddr;

const STRANGER: &str = "203.0.113.7";
const PROXY: &str = "198.51.100.1";

fn source(text: &str) -> Source {
    if text == "unix:" { Source::Unix } else { text.parse::<IpAddr>().unwrap().into() }
}

/// Believes X-Forwarded-For of 198.51.100.1, and of this machine.
fn relay_with(limits: Limits) -> (Relay<Link>, Instant) {
    let (mut relay, now) = start_with(limits);
    let mut trusted = Trusted::default();
    assert_eq!(trusted.add(PROXY), Ok(()));
    relay.believe(Proxies { trusted, header: RealIpHeader::XForwardedFor });
    (relay, now)
}

fn limits(max_connections_per_address: usize, handshakes_per_address_per_sec: u32) -> Limits {
    Limits { max_connections_per_address, handshakes_per_address_per_sec, ..Limits::default() }
}

/// A connection from `from`, behind a PROXY line if there is one, with this X-Forwarded-For unless it is empty.
fn arrive(relay: &mut Relay<Link>, from: &str, line: &str, field: &str, now: Instant) -> PeerId {
    let arrival = Arrival { source: source(from), proxy_protocol: !line.is_empty() };
    let id = relay.open(Link::default(), arrival, now).unwrap();
    let request = request(field);
    say(relay, id, &[line.as_bytes(), &request].concat());
    id
}

fn request(field: &str) -> Vec<u8> {
    let request = std::str::from_utf8(REQUEST).unwrap();
    let field = if field.is_empty() { String::new() } else { format!("\r\nX-Forwarded-For: {field}") };
    request.replacen("\r\n\r\n", &format!("{field}\r\n\r\n"), 1).into_bytes()
}

/// The status that a peer was answered with; 0: none. It reads, and goes.
fn status(relay: &mut Relay<Link>, id: PeerId, now: Instant) -> u16 {
    turn(relay, now);
    let Some(link) = relay.link_mut(id) else { return 0 };
    let answer = String::from_utf8_lossy(&std::mem::take(&mut link.output)).into_owned();
    answer.strip_prefix("HTTP/1.1 ").map_or(0, |rest| rest[..3].parse().unwrap())
}

#[test]
fn a_client_is_who_a_trusted_proxy_says_and_nobody_else_is_believed() {
    let line = "PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n";
    let trusted_line = "PROXY TCP4 198.51.100.1 192.0.2.1 1 2\r\n";
    // From, PROXY line, X-Forwarded-For, who it is, and how many claims were ignored and could not be read.
    let table = [
        (STRANGER, "", "", STRANGER, [0, 0]),
        (STRANGER, "", "192.0.2.9", STRANGER, [1, 0]),
        (STRANGER, line, "", STRANGER, [1, 0]),
        ("192.0.2.66", line, "10.0.0.1", "192.0.2.66", [2, 0]),
        ("192.0.2.66", "PROXY UNKNOWN\r\n", "", "192.0.2.66", [0, 0]),
        (PROXY, "", "", PROXY, [0, 0]),
        (PROXY, "", STRANGER, STRANGER, [0, 0]),
        (PROXY, "", "1.1.1.1, 203.0.113.7, 127.0.0.1", STRANGER, [0, 0]),
        (PROXY, "", "203.0.113.7, unknown", PROXY, [0, 1]),
        ("unix:", "", STRANGER, STRANGER, [0, 0]),
        ("unix:", "", "", "unix:", [0, 0]),
        ("::1", "", STRANGER, STRANGER, [0, 0]),
        ("unix:", line, "", STRANGER, [0, 0]),
        ("127.0.0.1", line, "", STRANGER, [0, 0]),
        // What the line says is a stranger's, so the stranger's header counts for nothing.
        ("127.0.0.1", line, "192.0.2.9", STRANGER, [1, 0]),
        ("127.0.0.1", trusted_line, "192.0.2.9", "192.0.2.9", [0, 0]),
        // A proxy that knows nobody writes no header: this one is the client's own.
        ("127.0.0.1", "PROXY UNKNOWN\r\n", "192.0.2.9", "127.0.0.1", [1, 0]),
    ];
    assert!(!table.is_empty());
    for (from, line, field, real, [ignored, unreadable]) in table {
        let (mut relay, now) = relay_with(Limits::default());
        let id = arrive(&mut relay, from, line, field, now);
        assert_eq!(status(&mut relay, id, now), 101, "{from} {line:?} {field:?}");
        let caller = relay.address_of(id).unwrap();
        assert_eq!((caller.real, caller.via), (source(real), source(from)), "{line:?} {field:?}");
        let counters = relay.counters();
        let counted = [counters.ignored_addresses, counters.unreadable_addresses];
        assert_eq!(counted, [ignored, unreadable], "{from} {line:?} {field:?}");
    }
}

/// Its own address counted while it was a stranger; the client's does from now on, and the proxy's no more.
#[test]
fn who_becomes_a_trusted_proxy_between_connection_and_request_is_counted_once() {
    let (mut relay, now) = start_with(limits(2, 0));
    let arrival = Arrival { source: source(PROXY), proxy_protocol: false };
    let early = relay.open(Link::default(), arrival, now).unwrap();
    turn(&mut relay, now);
    let mut trusted = Trusted::default();
    assert_eq!(trusted.add(PROXY), Ok(()));
    relay.believe(Proxies { trusted, header: RealIpHeader::XForwardedFor });
    say(&mut relay, early, &request(STRANGER));
    assert_eq!(status(&mut relay, early, now), 101);
    assert_eq!(relay.audit(), Ok(()));
    assert_eq!(relay.address_of(early).unwrap().real, source(STRANGER));
    // A stranger again, it has both its connections.
    relay.believe(Proxies::default());
    let again = [(); 3].map(|()| arrive(&mut relay, PROXY, "", "", now));
    assert_eq!(again.map(|id| status(&mut relay, id, now)), [101, 101, 429]);
    assert_eq!(relay.audit(), Ok(()));
}

#[test]
fn a_line_and_a_request_may_be_cut_anywhere() {
    let line = "PROXY TCP6 2001:db8::7 ::1 1 2\r\n";
    let whole = [line.as_bytes(), &request("")].concat();
    for at in 0..=whole.len() {
        let (mut relay, now) = relay_with(Limits::default());
        let arrival = Arrival { source: source("127.0.0.1"), proxy_protocol: true };
        let id = relay.open(Link::default(), arrival, now).unwrap();
        for piece in [&whole[..at], &whole[at..]] {
            say(&mut relay, id, piece);
            turn(&mut relay, now);
        }
        assert!(heard(&mut relay, id).starts_with(b"HTTP/1.1 101 "), "cut at {at}");
        assert_eq!(relay.address_of(id).unwrap().real, source("2001:db8::7"));
    }
}

#[test]
fn a_listener_that_demands_the_line_demands_it_of_everybody_and_in_time() {
    for from in [STRANGER, "127.0.0.1", "unix:"] {
        let (mut relay, now) = relay_with(Limits::default());
        let arrival = Arrival { source: source(from), proxy_protocol: true };
        let [asks, waits] = [(); 2].map(|()| relay.open(Link::default(), arrival, now).unwrap());
        say(&mut relay, asks, REQUEST);
        say(&mut relay, waits, b"PROXY TCP4 ");
        turn(&mut relay, now);
        let answer = String::from_utf8(heard(&mut relay, asks)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("PROXY protocol"), "{answer}");
        let late = now + Limits::default().handshake_timeout + Duration::from_millis(200);
        assert_eq!(status(&mut relay, waits, late), 408);
    }
}

#[test]
fn so_many_connections_of_one_address_and_an_end_makes_room() {
    // From and X-Forwarded-For, both ways in which a client becomes known.
    for (from, line, field) in
        [(STRANGER, "", ""), (PROXY, "", STRANGER), ("unix:", "PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n", "")]
    {
        let (mut relay, now) = relay_with(limits(3, 0));
        let mut ids: Vec<_> = (0..4).map(|_| arrive(&mut relay, from, line, field, now)).collect();
        turn(&mut relay, now);
        let last = ids.pop().unwrap();
        let answer = String::from_utf8(heard(&mut relay, last)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\r\nRetry-After: "), "{answer}");
        for id in &ids {
            assert!(heard(&mut relay, *id).starts_with(b"HTTP/1.1 101 "), "{from} {field}");
        }
        let other = arrive(&mut relay, PROXY, "", "203.0.113.8", now);
        assert_eq!(status(&mut relay, other, now), 101, "nobody else suffers");
        relay.lose(ids[0], now);
        turn(&mut relay, now);
        let next = arrive(&mut relay, from, line, field, now);
        assert_eq!(status(&mut relay, next, now), 101, "there is room again");
        let counters = relay.counters();
        assert_eq!((counters.refused("address_connections"), counters.refused_total()), (1, 1));
    }
}

#[test]
fn so_many_handshakes_of_one_address_whatever_becomes_of_them() {
    let (mut relay, now) = relay_with(limits(0, 2));
    for n in 0..10 {
        let id = arrive(&mut relay, PROXY, "", "2001:db8:1:2::7", now);
        assert_eq!(status(&mut relay, id, now), 101, "{n}");
        relay.lose(id, now);
        turn(&mut relay, now);
    }
    // Another address of the same client, and a request that is bad besides.
    let id = relay.open(Link::default(), source(PROXY).into(), now).unwrap();
    let bad =
        String::from_utf8(request("2001:db8:1:2:3:4:5:6")).unwrap().replace("Version: 13", "Version: 8");
    say(&mut relay, id, bad.as_bytes());
    assert_eq!(status(&mut relay, id, now), 429);
    let stranger = relay.open(Link::default(), source("2001:db8:1:2::9").into(), now).unwrap();
    assert_eq!(status(&mut relay, stranger, now), 429, "before it has said anything");
    let other = arrive(&mut relay, PROXY, "", "2001:db8:1:3::7", now);
    assert_eq!(status(&mut relay, other, now), 101);
    let later = now + Duration::from_millis(500);
    let again = arrive(&mut relay, PROXY, "", "2001:db8:1:2::7", later);
    assert_eq!(status(&mut relay, again, later), 101);
    assert_eq!(relay.counters().refused("address_rate"), 2);
}

#[test]
fn this_machine_unix_sockets_and_proxies_share_no_limit() {
    let line = "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n";
    let table = [
        ("127.0.0.1", "", ""),
        ("127.3.2.1", "", ""),
        ("::1", "", ""),
        ("unix:", "", ""),
        (PROXY, "", ""),
        (PROXY, "", "unknown"),
        (PROXY, "", "127.0.0.1"),
        ("unix:", "", "198.51.100.1"),
        ("unix:", line, ""),
        ("unix:", "PROXY UNKNOWN\r\n", ""),
    ];
    assert!(!table.is_empty());
    for (from, line, field) in table {
        let (mut relay, now) = relay_with(limits(1, 1));
        let ids: Vec<_> = (0..20).map(|_| arrive(&mut relay, from, line, field, now)).collect();
        turn(&mut relay, now);
        let good = ids.iter().filter(|id| heard(&mut relay, **id).starts_with(b"HTTP/1.1 101 ")).count();
        assert_eq!(good, 20, "{from} {line:?} {field:?}");
    }
}

/// What one address can take by being refused is bounded, or it would take the places of all.
#[test]
fn an_address_that_floods_takes_no_more_than_a_few_slots() {
    for (from, field) in [(STRANGER, ""), (PROXY, STRANGER)] {
        let (mut relay, now) = relay_with(Limits { max_connections: 50, ..limits(2, 0) });
        for _ in 0..500 {
            let id = arrive(&mut relay, from, "", field, now);
            // It does not read, and does not go.
            if let Some(link) = relay.link_mut(id) {
                link.full = true;
            }
            turn(&mut relay, now);
        }
        assert_eq!(relay.peers(), 10, "two, and eight that are being told so");
        let counters = relay.counters();
        assert_eq!((counters.refused("address_connections"), counters.opened), (498, 500));
        let other = arrive(&mut relay, PROXY, "", "203.0.113.8", now);
        assert_eq!(status(&mut relay, other, now), 101);
    }
}

#[test]
fn a_proxy_that_names_nobody_is_told_of_once() {
    let (mut relay, now) = relay_with(Limits::default());
    let told = |relay: &mut Relay<Link>| {
        let news = relay.take_news().into_iter().map(|news| news.event);
        news.filter(|event| matches!(event, Event::ClientMissing { .. })).collect::<Vec<_>>()
    };
    arrive(&mut relay, "unix:", "", STRANGER, now);
    turn(&mut relay, now);
    assert_eq!(told(&mut relay), []);
    let arrive_silently = |relay: &mut Relay<Link>| {
        let id = relay.open(Link::default(), Source::Unix.into(), now).unwrap();
        let request = String::from_utf8(request("")).unwrap().replace("Host: localhost", "Host: h");
        say(relay, id, request.as_bytes());
        turn(relay, now);
    };
    let id = open(&mut relay, now).unwrap();
    say(&mut relay, id, b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n");
    turn(&mut relay, now);
    assert_eq!(told(&mut relay), [], "nor of what is no handshake");
    (0..3).for_each(|_| arrive_silently(&mut relay));
    let expected = Event::ClientMissing { evidence: Evidence::Host, believed: RealIpHeader::XForwardedFor };
    assert_eq!(told(&mut relay), [expected]);
    relay.believe(Proxies::default());
    arrive_silently(&mut relay);
    assert_eq!(told(&mut relay).len(), 1, "once for each configuration");
}
