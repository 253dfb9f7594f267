//! Every status and every close code that the relay has, at the real socket: what was done, what the client is told,
//! that the end is orderly, and the counter that it is counted under. 1011 has no cause that a client could make.

use crate::{raw::*, support::*};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

/// The line of the counters, as it stands now.
fn counters(relay: &mut Relay) -> String {
    relay.signal(Signal::USR1);
    relay.line_with("stalls=")
}

/// Asserts that the relay has counted exactly this, of all reasons and of posts, and that the sums match: `open` are there
/// still.
pub(crate) fn assert_counted(relay: &mut Relay, expected: &BTreeMap<String, u64>, open: u64) {
    // What a client has read was counted before; what it has only done, the relay has yet to hear of.
    let mut line = String::new();
    let counted = until_some(|| {
        line = counters(relay);
        let all = line.split(' ').filter_map(|word| word.trim().split_once('='));
        let is_end = |name: &str| name.starts_with("refused.") || name.starts_with("disconnects.");
        let ended = all.filter(|(name, n)| is_end(name) || *name == "posted" && *n != "0");
        let ended: BTreeMap<_, _> = ended.map(|(name, n)| (name.to_owned(), n.parse().unwrap())).collect();
        (&ended == expected).then_some(ended)
    });
    let counted = counted.unwrap_or_else(|| panic!("expected {expected:?}: {line}"));
    let opened = counted.values().sum::<u64>() + open;
    assert!(line.contains(&format!("opened={opened} ")), "{line}");
}

/// Looks for a while.
fn until_some<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = std::time::Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

pub(crate) fn connect(relay: &Relay) -> TcpStream {
    let client = TcpStream::connect(relay.addresses[0]).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// All that the relay says up to the end, which must be an orderly one.
pub(crate) fn answer(client: &mut TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// Asserts that there is one answer, which ends the connection, with these header lines.
pub(crate) fn assert_refused(answer: &str, status: &str, fields: &[&str]) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "expected {status}: {answer}");
    // So there is no second answer behind it.
    let length = format!("Content-Length: {}", body.len());
    for field in fields.iter().chain(&["Connection: close", length.as_str()]) {
        assert!(head.lines().any(|line| line.starts_with(field)), "{field}: {answer}");
    }
}

const GOOD: &str = "GET /codes HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
const HOST: &str = "Host: localhost\r\n";
const KEY: &str = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const TLS: &str = "\u{16}\u{3}\u{1}\u{2}\0\u{1}";

const BAD: &str = "400 Bad Request";
const METHOD: &str = "405 Method Not Allowed";
const OLD: &str = "426 Upgrade Required";
const LARGE: &str = "431 Request Header Fields Too Large";
const LONG: &str = "414 URI Too Long";
const HTTP: &str = "505 HTTP Version Not Supported";

#[test]
fn every_status_of_a_bad_request_is_told_and_counted() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let many = format!("{HOST}{}", "A: b\r\n".repeat(65));
    let large = format!("{HOST}A: {}\r\n", "a".repeat(9 << 10));
    let target = format!("GET /?{} ", "a".repeat(4 << 10));
    let path = format!("GET /{} ", "a".repeat(255));
    #[rustfmt::skip]
    let table: &[(&str, &str, &str, &[&str], &str)] = &[
        ("GET", TLS, BAD, &[], "bad_request"),
        ("GET", "SSH-2.0-OpenSSH_9.2\r\nGET", BAD, &[], "bad_request"),
        (HOST, "", BAD, &[], "bad_request"),
        (HOST, "Host: a\r\nHost: b\r\n", BAD, &[], "bad_request"),
        (HOST, "Host: localhost\r\n folded\r\n", BAD, &[], "bad_request"),
        (HOST, "Host: localhost\r\nA: \0\r\n", BAD, &[], "bad_request"),
        (HOST, "Host: localhost\r\nContent-Length: 5\r\n", BAD, &[], "bad_request"),
        (HOST, "Host: localhost\r\nTransfer-Encoding: chunked\r\n", BAD, &[], "bad_request"),
        (KEY, "", BAD, &[], "bad_request"),
        (KEY, "Sec-WebSocket-Key: AAAA\r\n", BAD, &[], "bad_request"),
        ("\r\n\r\n", "\r\n\r\nGET /second HTTP/1.1\r\nHost: b\r\n\r\n", BAD, &[], "bad_request"),
        ("GET /codes", "GET /a/../b", BAD, &[], "bad_request"),
        ("GET", "POST", METHOD, &["Allow: GET"], "method"),
        ("HTTP/1.1", "HTTP/1.0", HTTP, &[], "http_version"),
        ("GET /codes HTTP/1.1", "PRI * HTTP/2.0", HTTP, &[], "http_version"),
        (UPGRADE, "", OLD, &["Connection: close, Upgrade", "Upgrade: websocket"], "upgrade"),
        ("Connection: Upgrade\r\n", "", OLD, &["Upgrade: websocket"], "upgrade"),
        ("Version: 13", "Version: 8", OLD, &["Sec-WebSocket-Version: 13", "Upgrade: websocket"], "version"),
        (HOST, &many, LARGE, &[], "head_too_large"),
        (HOST, &large, LARGE, &[], "head_too_large"),
        ("GET /codes ", &target, LONG, &[], "target_too_long"),
        ("GET /codes ", &path, LONG, &[], "target_too_long"),
    ];
    assert!(!table.is_empty());
    let mut expected = BTreeMap::new();
    for (from, to, status, fields, label) in table {
        let mut client = connect(&relay);
        client.write_all(GOOD.replacen(from, to, 1).as_bytes()).unwrap();
        assert_refused(&answer(&mut client), status, fields);
        *expected.entry(format!("refused.{label}")).or_default() += 1;
    }
    assert_counted(&mut relay, &expected, 0);
}

pub(crate) fn counted<const N: usize>(reasons: [(&str, u64); N]) -> BTreeMap<String, u64> {
    reasons.into_iter().map(|(name, times)| (name.to_owned(), times)).collect()
}

/// The seconds of a `Retry-After`, spread over ten.
fn assert_unavailable(answer: &str) {
    assert_refused(answer, "503 Service Unavailable", &["Retry-After: "]);
    let line = answer.lines().find_map(|line| line.strip_prefix("Retry-After: ")).unwrap();
    assert!((1..=10).contains(&line.parse::<u32>().unwrap()), "{answer}");
}

#[test]
fn the_surplus_and_the_late_are_told_so_and_counted() {
    let file = File::new("few", "max_connections = 2\nmax_handshakes = 1\nhandshake_timeout = \"3s\"\n");
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let mut silent = connect(&relay);
    assert_unavailable(&answer(&mut connect(&relay)));
    assert_refused(&answer(&mut silent), "408 Request Timeout", &[]);
    drop(silent);
    let mut two = [relay.client(), relay.client()];
    assert_unavailable(&answer(&mut connect(&relay)));
    let [one, other] = &mut two;
    relay.relays(one, other, "untouched");
    drop(two);
    let mut ends = counted([("disconnects.eof", 2), ("refused.handshake_timeout", 1)]);
    ends.extend(counted([("refused.max_connections", 1), ("refused.max_handshakes", 1)]));
    assert_counted(&mut relay, &ends, 0);
    connect(&relay).write_all(b"GET /gone").unwrap();
    ends.extend(counted([("refused.abandoned", 1)]));
    assert_counted(&mut relay, &ends, 0);
}

#[test]
fn a_handshake_under_way_at_a_shutdown_is_told_so_and_counted() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let mut asking = connect(&relay);
    asking.write_all(b"GET /slow HTTP/1.1\r\n").unwrap();
    until("it was accepted", || counters(&mut relay).contains("opened=1 ").then_some(()));
    relay.signal(Signal::TERM);
    assert_unavailable(&answer(&mut asking));
    drop(asking);
    let line = relay.line_with("stopped: ");
    assert!(line.contains("opened=1 joined=0 refused.draining=1 "), "{line}");
    assert_eq!(relay.wait().code(), Some(0));
}

/// A frame that is not masked.
fn bare(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8][..], payload].concat()
}

#[test]
fn every_close_code_for_a_breach_is_told_and_counted() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let (open, go_on) = (masked(0x01, b"a"), masked(0x00, b""));
    #[rustfmt::skip]
    let table: &[(Vec<u8>, u16, &str, &str)] = &[
        (masked(0xC1, b""), 1002, "protocol: reserved bit", "protocol"),
        (masked(0xA1, b""), 1002, "protocol: reserved bit", "protocol"),
        (masked(0x91, b""), 1002, "protocol: reserved bit", "protocol"),
        (masked(0x83, b""), 1002, "protocol: reserved opcode", "protocol"),
        (masked(0x8F, b""), 1002, "protocol: reserved opcode", "protocol"),
        (bare(0x81, b"a"), 1002, "protocol: not masked", "protocol"),
        (masked(0x09, b""), 1002, "protocol: fragmented control frame", "protocol"),
        (masked(0x89, &[0; 126]), 1002, "protocol: control frame too long", "protocol"),
        (masked(0x80, b""), 1002, "protocol: nothing to continue", "protocol"),
        ([&open[..], &open].concat(), 1002, "protocol: message within a message", "protocol"),
        (masked(0x88, b"\x03"), 1002, "protocol: close code cut short", "protocol"),
        (masked(0x88, &1005u16.to_be_bytes()), 1002, "protocol: close code not allowed", "protocol"),
        (declared(1 << 63), 1002, "protocol: length above 63 bits", "protocol"),
        (declared(u64::MAX), 1002, "protocol: length above 63 bits", "protocol"),
        (declared(0xFFFF), 1002, "protocol: length not minimal", "protocol"),
        (declared((1 << 32) + 5), 1009, "too-big", "size"),
        (declared((64 << 10) + 1), 1009, "too-big", "size"),
        (masked(0x81, b"\xFF"), 1007, "invalid-utf8", "utf8"),
        (masked(0x01, b"ok so far \xC3("), 1007, "invalid-utf8", "utf8"),
        (masked(0x88, b"\x03\xE8\xFF"), 1007, "invalid-utf8", "utf8"),
        ([&open[..], &go_on.repeat(4096)].concat(), 1008, "fragment-flood", "fragment_flood"),
        (masked(0x89, b"").repeat(60), 1008, "ping-flood", "ping_flood"),
        (masked(0x8A, b"").repeat(60), 1008, "ping-flood", "ping_flood"),
    ];
    assert!(!table.is_empty());
    let mut expected = BTreeMap::new();
    for (stream, code, reason, label) in table {
        let mut client = relay.client();
        client.write_all(stream).unwrap();
        assert_eq!(
            last_frame(&mut client),
            close_frame(*code, reason),
            "{:02x?}",
            &stream[..stream.len().min(20)]
        );
        *expected.entry(format!("disconnects.{label}")).or_default() += 1;
    }
    assert_counted(&mut relay, &expected, 0);
}

#[test]
fn a_close_comes_back_with_its_code_or_without_one_and_other_ends_are_told_apart() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let codes = [1000, 1001, 1014, 3000, 4999];
    for code in codes {
        let mut client = relay.client();
        client.write_all(&masked(0x88, &[&u16::to_be_bytes(code)[..], b"bye"].concat())).unwrap();
        assert_eq!(frame(&mut client).unwrap(), close_frame(code, ""));
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "nothing after the close frame");
    }
    let mut client = relay.client();
    client.write_all(&masked(0x88, b"")).unwrap();
    assert_eq!(frame(&mut client).unwrap(), (0x88, Vec::new()));
    assert_eq!(client.read(&mut [0]).unwrap(), 0);

    let mut client = relay.client();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "nothing is written to it");
    let client = relay.client();
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let ends = [("disconnects.peer_closed", 6), ("disconnects.eof", 1), ("disconnects.reset", 1)];
    assert_counted(&mut relay, &counted(ends), 0);
}

#[test]
fn who_is_late_is_told_so_and_counted() {
    let text = "ping_interval = \"2s\"\npong_timeout = \"500ms\"\nmessage_timeout = \"500ms\"\n";
    let file = File::new("late", text);
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let mut mute = relay.client();
    assert_eq!(frame(&mut mute).unwrap(), (0x89, Vec::new()));
    assert_eq!(last_frame(&mut mute), close_frame(1001, "ping-timeout"));
    let mut dawdler = relay.client();
    dawdler.write_all(&masked(0x01, b"half a mess")).unwrap();
    assert_eq!(last_frame(&mut dawdler), close_frame(1008, "idle-message"));
    let ends = [("disconnects.ping_timeout", 1), ("disconnects.idle_message", 1)];
    assert_counted(&mut relay, &counted(ends), 0);
}

#[test]
fn who_hoards_is_told_so_and_counted() {
    // The least that the configuration accepts: room for five messages of 64 KiB.
    let file = File::new("hoard", "max_inflight_read = \"320 KiB\"\n");
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let mut first = relay.client();
    first.write_all(&declared(64 << 10)).unwrap();
    until("it was read", || counters(&mut relay).contains("inflight=65536 ").then_some(()));
    let mut others = (0..5).map(|_| relay.client()).collect::<Vec<_>>();
    others.iter_mut().for_each(|client| client.write_all(&declared(64 << 10)).unwrap());
    assert_eq!(frame(&mut first).unwrap(), close_frame(1013, "memory"));
    assert_counted(&mut relay, &counted([("disconnects.memory", 1)]), 5);
}
