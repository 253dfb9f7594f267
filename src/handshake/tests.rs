//! The table of statuses, mutations of a good request, and the same verdict in every chunking.

mod post;

use super::*;
use proptest::prelude::*;

/// The request of RFC 6455 1.3.
const GOOD: &str = "GET /chat?a=b HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    \r\n";

const LINE: &str = "GET /chat?a=b HTTP/1.1\r\n";
const HOST: &str = "Host: server.example.com\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const KEY_LINE: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

/// What to replace in the good request, with what, and the status then.
#[rustfmt::skip]
const MUTATIONS: &[(&str, &str, u16)] = &[
    // Still good.
    ("", "", 101),
    (HOST, "HOST:server.example.com\r\n", 101),
    (HOST, "Host: [::1]:9310 \t\r\n", 101),
    (HOST, "Host: server.example.com\r\nX-Byte: \u{e9}\r\nCookie: a=b; c=d\r\n", 101),
    (HOST, "Host: server.example.com\r\nContent-Length: 0\r\n", 101),
    (UPGRADE, "Upgrade: h2c, WebSocket\r\n", 101),
    (UPGRADE, "upgrade: h2c\r\nUPGRADE: ,websocket,\r\n", 101),
    (CONNECTION, "Connection: keep-alive, Upgrade\r\n", 101),
    (CONNECTION, "Connection: keep-alive\r\nConnection:\tuPGRADE\r\n", 101),
    (VERSION, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", 101),
    // Cannot be parsed.
    (LINE, "\r\n", 400),
    (LINE, "\u{16}\u{3}\u{1}", 400),
    (LINE, "GET\r\n", 400),
    (LINE, "GET /chat\tHTTP/1.1\r\n", 400),
    (LINE, "GET  /chat HTTP/1.1\r\n", 400),
    (LINE, "GET  HTTP/1.1\r\n", 400),
    (LINE, "GET /chat HTTP/1.1 \r\n", 400),
    (LINE, "GET /chat http/1.1\r\n", 400),
    (LINE, "GET /chat HTTP/1.10\r\n", 400),
    (LINE, "G(T /chat HTTP/1.1\r\n", 400),
    (LINE, "GET /chat HTTP/1.1\n", 400),
    (LINE, "GET /chat HTTP/1.1\r", 400),
    (HOST, "Host : server.example.com\r\n", 400),
    (HOST, "Host: server.example.com\r\n folded\r\n", 400),
    (HOST, "Host: server.example.com\r\n\tfolded\r\n", 400),
    (HOST, "Host: server.example.com\r\nno colon\r\n", 400),
    (HOST, "Host: server.example.com\r\n: no name\r\n", 400),
    (HOST, "Host: server.example.com\r\nA: \0\r\n", 400),
    (HOST, "Host: server.example.com\r\nA: \u{7f}\r\n", 400),
    (HOST, "Host: server.example.com\r\nA: \u{1b}[2J\r\n", 400),
    (HOST, "Host: server.example.com\r\nA: b\rc\r\n", 400),
    (HOST, "Host: server.example.com\r\nA: b\nc: d\r\n", 400),
    // Version, before the method; but what cannot be parsed comes first.
    (LINE, "GET /chat HTTP/1.0\r\n", 505),
    (LINE, "GET /chat HTTP/0.9\r\n", 505),
    (LINE, "GET /chat\r\n", 505),
    (LINE, "GET /chat HTTP/1.2\r\n", 505),
    (LINE, "POST /chat HTTP/2.0\r\n", 505),
    (LINE, "GET /chat HTTP/2.0\r\nno colon\r\n", 400),
    // Method, before everything that a header says.
    (LINE, "POST /chat HTTP/1.1\r\nContent-Length: 4\r\n", 405),
    (LINE, "CONNECT server.example.com:80 HTTP/1.1\r\n", 405),
    (LINE, "OPTIONS * HTTP/1.1\r\n", 405),
    (LINE, "get /chat HTTP/1.1\r\n", 405),
    (LINE, "HEAD /chat HTTP/1.1\r\n", 405),
    // Host and body, before the upgrade.
    (HOST, "", 400),
    (HOST, "Host:\r\n", 400),
    (HOST, "Host: a\r\nHost: a\r\n", 400),
    (HOST, "Host: a, b\r\n", 400),
    (HOST, "Host: a/b\r\n", 400),
    (HOST, "Host: u@a\r\n", 400),
    (UPGRADE, "Content-Length: 5\r\n", 400),
    (UPGRADE, "Content-Length: -0\r\n", 400),
    (UPGRADE, "Content-Length:\r\n", 400),
    (UPGRADE, "Content-Length: 0, 0\r\n", 400),
    (UPGRADE, "Content-Length: 0\r\nContent-Length: 0\r\n", 400),
    (UPGRADE, "Transfer-Encoding: chunked\r\n", 400),
    (UPGRADE, "transfer-encoding:\r\n", 400),
    // Upgrade, before the version.
    (UPGRADE, "", 426),
    (UPGRADE, "Upgrade: websocket/13\r\n", 426),
    (UPGRADE, "Upgrade: web socket\r\n", 426),
    (CONNECTION, "", 426),
    (CONNECTION, "Connection: keep-alive\r\n", 426),
    (CONNECTION, "Connection: Upgraded\r\n", 426),
    // Version, before the key.
    (VERSION, "", 426),
    (VERSION, "Sec-WebSocket-Version: 8\r\n", 426),
    (VERSION, "Sec-WebSocket-Version: 13, 8\r\n", 426),
    (VERSION, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n", 426),
    // Key, before the path.
    (KEY_LINE, "", 400),
    (KEY_LINE, "Sec-WebSocket-Key:\r\n", 400),
    (VERSION, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400),
    (VERSION, "Sec-WebSocket-Version: 13\r\nsec-websocket-key:\r\n", 400),
    (KEY_LINE, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", 400),
    (KEY_LINE, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=\r\n", 400),
    (KEY_LINE, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=!\r\n", 400),
    (KEY_LINE, "Sec-WebSocket-Key: \u{e9}GhlIHNhbXBsZSBub25jZQ==\r\n", 400),
    ("GET /chat?a=b HTTP/1.1\r\n", "GET http://server.example.com/chat HTTP/1.1\r\n", 400),
    ("GET /chat?a=b HTTP/1.1\r\n", "GET * HTTP/1.1\r\n", 400),
    // Subprotocols.
    (VERSION, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol:\r\n", 400),
    (VERSION, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a b, c\r\n", 400),
    (VERSION, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: \u{e9}\r\n", 400),
    (VERSION, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: c, a b\r\n", 101),
];

fn mutate((from, to, _): &(&str, &str, u16)) -> Vec<u8> {
    assert!(GOOD.contains(from), "nothing to replace: {from:?}");
    GOOD.replacen(from, to, 1).into_bytes()
}

fn status(verdict: &Verdict<'_>) -> u16 {
    match verdict {
        Verdict::More => 0,
        Verdict::Accept { .. } => 101,
        Verdict::Listen { .. } => 200,
        Verdict::Post(_) => 202,
        Verdict::Refuse(refusal) => refusal.status(),
    }
}

/// Bytes by somebody next door, where the defaults hold, to a peer whose name is 12.3.
fn receive<'b>(handshake: &mut Handshake, bytes: &'b [u8]) -> Heard<'b> {
    let limits = Limits::default();
    handshake.receive(bytes, &Offer::bare(&limits, PeerId { slot: 12, serial: 3 }, Some(Source::Unix)))
}

fn ask<'b>(handshake: &mut Handshake, bytes: &'b [u8]) -> Verdict<'b> {
    receive(handshake, bytes).verdict
}

/// The first verdict on `pieces`, which come one by one.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict<'a> {
    let mut handshake = Handshake::default();
    let mut verdicts = pieces.into_iter().map(|piece| ask(&mut handshake, piece));
    verdicts.find(|verdict| *verdict != Verdict::More).unwrap_or(Verdict::More)
}

fn whole(bytes: &[u8]) -> Verdict<'_> {
    feed([bytes])
}

/// The first head in `bytes`, without what follows it.
fn head_of(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
    &bytes[..end.map_or(bytes.len(), |end| end + 4)]
}

fn accepted(request: &str) -> (String, String) {
    match whole(request.as_bytes()) {
        Verdict::Accept { response, path, .. } => (String::from_utf8(response).unwrap(), path.into_owned()),
        other => panic!("{other:?} for {request:?}"),
    }
}

#[test]
fn the_example_of_the_rfc_is_answered_as_the_rfc_says() {
    let (response, path) = accepted(GOOD);
    assert_eq!(path, "/chat");
    assert_eq!(
        response,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-wsrelayd-peer: 12.3\r\n\r\n"
    );
}

/// Answers reckoned by another implementation: base64 of the SHA-1 of the key and the RFC's own string.
#[test]
fn each_key_has_its_own_answer() {
    let table = [
        ("AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
        ("/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g="),
        ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
    ];
    assert!(!table.is_empty());
    for (key, expected) in table {
        let (response, _) = accepted(&GOOD.replacen("dGhlIHNhbXBsZSBub25jZQ==", key, 1));
        let answers = response.lines().filter_map(|line| line.strip_prefix("sec-websocket-accept: "));
        assert_eq!(answers.collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn each_mutation_has_its_status() {
    assert!(MUTATIONS.len() >= 70);
    for mutation in MUTATIONS {
        let request = mutate(mutation);
        let verdict = whole(&request);
        assert_eq!(status(&verdict), mutation.2, "{mutation:?}: {verdict:?}");
    }
}

#[test]
fn every_split_and_single_bytes_give_the_same_verdict() {
    let mut splits = 0;
    for mutation in MUTATIONS {
        let request = mutate(mutation);
        let verdict = whole(&request);
        assert_eq!(feed(request.chunks(1)), verdict, "{mutation:?}, byte by byte");
        for at in 0..=request.len() {
            let (front, back) = request.split_at(at);
            // A head can end before the request does, when the mutation cuts it short.
            if head_of(&request).len() == request.len() {
                assert_eq!(feed([front, back]), verdict, "{mutation:?}, split at {at}");
                splits += 1;
            }
        }
    }
    assert!(splits > 10_000);
}

#[test]
fn a_request_that_is_not_complete_gets_no_verdict() {
    for end in 0..GOOD.len() {
        assert_eq!(whole(&GOOD.as_bytes()[..end]), Verdict::More, "up to {end}");
    }
}

#[test]
fn each_refusal_has_its_status_label_and_exact_response() {
    #[rustfmt::skip]
    let table: &[(Refusal, u16, &str, &str, &str)] = &[
        (BadRequest("x"), 400, "bad_request", "Bad Request", "Connection: close\r\n"),
        (Refusal::Method(Methods::Get), 405, "method", "Method Not Allowed", "Connection: close\r\nAllow: GET\r\n"),
        (Refusal::Method(Methods::GetAndPost), 405, "method", "Method Not Allowed",
            "Connection: close\r\nAllow: GET, POST\r\n"),
        (Refusal::HttpVersion, 505, "http_version", "HTTP Version Not Supported", "Connection: close\r\n"),
        (Refusal::Upgrade, 426, "upgrade", "Upgrade Required",
            "Connection: close, Upgrade\r\nUpgrade: websocket\r\n"),
        (Refusal::Version, 426, "version", "Upgrade Required",
            "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
        (Refusal::HeadTooLarge, 431, "head_too_large", "Request Header Fields Too Large", "Connection: close\r\n"),
        (Refusal::TargetTooLong, 414, "target_too_long", "URI Too Long", "Connection: close\r\n"),
        (Refusal::Timeout, 408, "handshake_timeout", "Request Timeout", "Connection: close\r\n"),
        (Refusal::AddressConnections, 429, "address_connections", "Too Many Requests",
            "Connection: close\r\nRetry-After: 7\r\n"),
        (Refusal::AddressRate, 429, "address_rate", "Too Many Requests", "Connection: close\r\nRetry-After: 7\r\n"),
        (Refusal::MaxConnections, 503, "max_connections", "Service Unavailable",
            "Connection: close\r\nRetry-After: 7\r\n"),
        (Refusal::MaxHandshakes, 503, "max_handshakes", "Service Unavailable",
            "Connection: close\r\nRetry-After: 7\r\n"),
        (Refusal::Draining, 503, "draining", "Service Unavailable", "Connection: close\r\nRetry-After: 7\r\n"),
        (Refusal::Origin, 403, "origin", "Forbidden", "Connection: close\r\n"),
        (Refusal::LengthRequired, 411, "length_required", "Length Required", "Connection: close\r\n"),
        (Refusal::BodyTooLarge, 413, "body_too_large", "Content Too Large", "Connection: close\r\n"),
        (Refusal::MediaType, 415, "media_type", "Unsupported Media Type", "Connection: close\r\n"),
        (Refusal::Expectation, 417, "expectation", "Expectation Failed", "Connection: close\r\n"),
        (Refusal::BodyTimeout, 408, "body_timeout", "Request Timeout", "Connection: close\r\n"),
        (Refusal::Busy, 503, "busy", "Service Unavailable", "Connection: close\r\nRetry-After: 1\r\n"),
    ];
    assert_eq!(table.len(), 21);
    for &(refusal, status, label, reason, fields) in table {
        assert_eq!((refusal.status(), refusal.label()), (status, label));
        let response = String::from_utf8(refusal.response(7)).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let length = body.len();
        assert_eq!(
            format!("{head}\r\n"),
            format!(
                "HTTP/1.1 {status} {reason}\r\n{fields}Content-Type: text/plain\r\nContent-Length: {length}\r\n"
            )
        );
        assert!(body.ends_with(".\n") && body.matches('\n').count() == 1 && body.is_ascii(), "{body:?}");
    }
}

#[test]
fn sizes_have_limits_and_the_limits_are_exact() {
    let fill = |len| "a".repeat(len);
    let more = |n| "A: b\r\n".repeat(n);
    let with_fields = |fields: String| GOOD.replacen(HOST, &format!("{HOST}{fields}"), 1);
    let with_query = |len| GOOD.replacen("a=b", &fill(len), 1);
    let with_path = |len: usize| GOOD.replacen("/chat", &format!("/{}", fill(len - 1)), 1);
    let head_of_len = |len: usize| with_fields(format!("A: {}\r\n", fill(len - GOOD.len() - 5)));
    let line_of_len = |len: usize| with_query(len - "GET /chat? HTTP/1.1".len());
    let table = [
        (head_of_len(8192), 101),
        (head_of_len(8193), 431),
        (with_fields(more(59)), 101),
        (with_fields(more(60)), 431),
        (line_of_len(4096), 101),
        (line_of_len(4097), 414),
        (with_path(255), 101),
        (with_path(256), 414),
        // Refused without waiting for an end.
        (fill(4097), 414),
        (format!("{LINE}A: {}", fill(8192)), 431),
        (format!("{LINE}{}A", more(64)), 431),
    ];
    assert_eq!(table.len(), 11);
    for (request, expected) in table {
        let verdict = whole(request.as_bytes());
        assert_eq!(status(&verdict), expected, "{:.60}... of {}", request, request.len());
        assert_eq!(feed(request.as_bytes().chunks(1)), verdict);
    }
    assert_eq!(status(&whole(fill(4096).as_bytes())), 0);
    assert_eq!(status(&whole(format!("{LINE}{}", more(64)).as_bytes())), 0);
}

#[test]
fn what_can_never_become_a_request_is_refused_at_once() {
    let table: [(&[u8], u16); 9] = [
        (b"\x16", 400),
        (b"\0", 400),
        (b" ", 400),
        (b"\n", 400),
        (b"\r", 400),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
        (b"GET / HTTP/1.1\r\n ", 400),
        (b"GET /\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 505),
    ];
    assert!(!table.is_empty());
    for (bytes, expected) in table {
        assert_eq!(status(&whole(bytes)), expected, "{bytes:?}");
        assert_eq!(status(&feed(bytes.chunks(1))), expected, "{bytes:?}, byte by byte");
    }
}

#[test]
fn a_proxy_line_that_nobody_expects_is_answered_with_the_setting_that_is_missing() {
    for line in ["PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n", "PROXY UNKNOWN\r\n"] {
        let Verdict::Refuse(refusal) = whole(line.as_bytes()) else { panic!("{line}") };
        let response = String::from_utf8(refusal.response(1)).unwrap();
        assert!(
            response.starts_with("HTTP/1.1 400 ") && response.contains("proxy_protocol = true"),
            "{response}"
        );
    }
    assert_eq!(status(&whole(GOOD.replacen("GET", "PROXY", 1).as_bytes())), 405, "a method like others");
}

#[test]
fn a_smuggled_second_request_is_never_answered() {
    let second = GOOD.replace("/chat", "/admin");
    // The first request is changed, and gets one status alone and one with the second in the same read.
    let table = [
        (VERSION, "Sec-WebSocket-Version: 8\r\n", 426, 400),
        (LINE, "POST /chat HTTP/1.1\r\n", 405, 405),
        (UPGRADE, "Upgrade: websocket\r\nContent-Length: 4\r\n", 400, 400),
        (UPGRADE, "Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n", 400, 400),
        (UPGRADE, "", 426, 400),
        (LINE, "GET /chat HTTP/1.0\r\n", 505, 505),
        ("", "", 101, 400),
    ];
    assert!(!table.is_empty());
    for (from, to, alone, together) in table {
        let first = GOOD.replacen(from, to, 1);
        assert_eq!(status(&whole(format!("{first}{second}").as_bytes())), together, "{to:?}");
        let mut handshake = Handshake::default();
        assert_eq!(status(&ask(&mut handshake, first.as_bytes())), alone, "{to:?}");
        assert_eq!(ask(&mut handshake, second.as_bytes()), Verdict::Refuse(AFTER_HEAD));
        assert_eq!(ask(&mut handshake, b"x"), Verdict::Refuse(AFTER_HEAD));
    }
    assert_eq!(whole(format!("{GOOD}\u{1}").as_bytes()), Verdict::Refuse(AFTER_HEAD));
}

#[test]
fn the_first_subprotocol_is_chosen_and_no_extension() {
    let table = [
        ("Sec-WebSocket-Protocol: chat, superchat\r\n", Some("chat")),
        ("Sec-WebSocket-Protocol: ,\tv1.json\r\nSec-WebSocket-Protocol: chat\r\n", Some("v1.json")),
        ("sec-websocket-protocol: GraphQL-WS\r\n", Some("GraphQL-WS")),
        ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", None),
        // Nothing of it is ever accepted, so it is not even read.
        ("Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: ;=\",,;; b=\r\n", None),
        ("", None),
    ];
    assert!(!table.is_empty());
    for (field, expected) in table {
        let (response, _) = accepted(&GOOD.replacen(HOST, &format!("{HOST}{field}"), 1));
        let answer = response.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(answer, expected, "{field:?}");
        let protocols = response.matches("sec-websocket-protocol").count();
        assert_eq!(protocols, usize::from(expected.is_some()), "{response}");
        assert!(!response.contains("extensions"), "{response}");
    }
}

#[test]
fn work_is_linear_when_a_head_comes_byte_by_byte() {
    // A parse or a search from the front at each byte would look at 34 million bytes a head, 3 GB in all.
    let endless = format!("{LINE}A: {}", "a".repeat(64 << 10));
    #[allow(clippy::disallowed_methods)]
    let begin = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(feed(endless.as_bytes().chunks(1)), Verdict::Refuse(Refusal::HeadTooLarge));
        let mut handshake = Handshake::default();
        assert!(
            endless.as_bytes().chunks(1).filter(|b| ask(&mut handshake, b) != Verdict::More).count() > 50_000
        );
    }
    assert!(begin.elapsed().as_secs() < 5, "took {:?}", begin.elapsed());
}

#[test]
fn a_handshake_is_small() {
    assert!(size_of::<Handshake>() <= 32);
}

/// A 101 without the line that says who one is, which is ours alone.
fn bare(response: Vec<u8>) -> Vec<u8> {
    let response = String::from_utf8(response).unwrap();
    assert_eq!(response.matches("x-wsrelayd-peer: 12.3\r\n").count(), 1, "{response}");
    response.replace("x-wsrelayd-peer: 12.3\r\n", "").into_bytes()
}

/// What tungstenite would answer to this key and this subprotocol.
fn tungstenites(key: &str, protocol: Option<&str>) -> Option<Vec<u8>> {
    use tungstenite::{
        handshake::server::{create_response, write_response},
        http::{Request, header},
    };
    let request = Request::builder()
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, key)
        .body(());
    let mut response = create_response(&request.unwrap()).ok()?;
    if let Some(protocol) = protocol {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.parse().unwrap());
    }
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).unwrap();
    Some(bytes)
}

fn with_key(key: &str) -> String {
    GOOD.replacen("dGhlIHNhbXBsZSBub25jZQ==", key, 1)
}

/// Its decoder takes what a second base64 text follows, pads and all, and that is no base64.
#[test]
fn pads_stand_only_at_the_end_of_a_key() {
    for key in ["AA==AAAAAAAAAAAAAAAAAAAA", "AAA=AAAAAAAAAAAAAAAAAAA="] {
        assert!(tungstenites(key, None).is_some(), "{key}: a reason less for this test");
        assert_eq!(whole(with_key(key).as_bytes()), Verdict::Refuse(BadRequest(KEY)), "{key}");
    }
}

#[test]
fn each_last_digit_of_a_key_is_taken_or_refused_as_by_tungstenite() {
    let mut taken = 0;
    for last in '!'..='~' {
        let key = format!("dGhlIHNhbXBsZSBub25jZ{last}==");
        let theirs = tungstenites(&key, None);
        taken += usize::from(theirs.is_some());
        match whole(with_key(&key).as_bytes()) {
            Verdict::Accept { response, .. } => assert_eq!(Some(bare(response)), theirs, "{key}"),
            other => assert_eq!((other, theirs), (Verdict::Refuse(BadRequest(KEY)), None), "{key}"),
        }
    }
    assert_eq!(taken, 4);
}

#[test]
fn a_head_in_one_piece_takes_no_memory_and_its_path_is_not_copied() {
    let mut handshake = Handshake::default();
    let Verdict::Accept { path, .. } = ask(&mut handshake, GOOD.as_bytes()) else { panic!("refused") };
    assert!(
        matches!(path, Cow::Borrowed("/chat")) && GOOD.as_bytes().as_ptr_range().contains(&path.as_ptr())
    );
    let mut handshake = Handshake::default();
    assert_eq!((ask(&mut handshake, b"GET"), handshake.held()), (Verdict::More, 3));
}

/// Each chunking gives the verdict of the whole, except that bytes behind the head are only refused together with it
/// when they come with it.
fn agrees(bytes: &[u8], chunk: usize) {
    let (in_one, in_pieces) = (whole(bytes), feed(bytes.chunks(chunk)));
    if in_pieces != in_one {
        assert_eq!(in_one, Verdict::Refuse(AFTER_HEAD));
        assert_eq!(in_pieces, whole(head_of(bytes)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A request that a browser or a program may send, good or not, however it is cut: the same verdict, and the same 101.
    #[test]
    fn cuts_change_neither_the_verdict_nor_the_101_nor_whom_it_is_for(
        mutation in proptest::sample::select(MUTATIONS),
        more in proptest::collection::vec(("[A-Za-z-]{1,22}", "[\t -~]{0,70}"), 0..12),
        client in prop_oneof![Just(""), Just("X-Forwarded-For: 203.0.113.7\r\n")],
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let more: String = more.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = GOOD.replacen(HOST, &format!("{HOST}{client}{more}"), 1);
        prop_assume!(request.contains(mutation.0));
        let request = request.replacen(mutation.0, mutation.1, 1).into_bytes();
        prop_assume!(head_of(&request).len() == request.len());
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(request.len() + 1)).collect();
        cuts.extend([0, request.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &request[cut[0]..cut[1]]);
        let (one, other) = (hear_all([&request[..]]), hear_all(pieces));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one, hear_all(request.chunks(1)));
    }

    #[test]
    fn each_accepted_request_gets_the_101_that_tungstenite_writes(
        digits in "[A-Za-z0-9+/]{21}[AQgw]",
        protocol in proptest::option::of("[A-Za-z0-9.!#~-]{1,40}"),
    ) {
        let key = format!("{digits}==");
        let field = protocol.iter().map(|protocol| format!("Sec-WebSocket-Protocol: {protocol}, other\r\n"));
        let request = with_key(&key).replacen(HOST, &format!("{HOST}{}", field.collect::<String>()), 1);
        let (response, path) = accepted(&request);
        prop_assert_eq!(path, "/chat");
        prop_assert_eq!(Some(bare(response.into_bytes())), tungstenites(&key, protocol.as_deref()));
    }

    #[test]
    fn a_key_is_taken_or_refused_as_by_tungstenite(
        key in prop_oneof!["[AQgwBZaz09+/_. -]{20,22}={0,3}", "[A-Za-z0-9+/]{22,24}", "[A-Za-z0-9+/]{21}[!-~]=="],
    ) {
        prop_assume!(!key.trim_end_matches('=').contains('=') && key.trim() == key);
        let request = with_key(&key);
        prop_assert_eq!(status(&whole(request.as_bytes())) == 101, tungstenites(&key, None).is_some(), "{}", key);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), chunk in 1usize..20) {
        agrees(&bytes, chunk);
    }

    #[test]
    fn random_heads_never_panic(text in "[A-Z]{0,3} /[ -~]{0,30} HTTP/1.1\r\n([A-Za-z-]{1,9}:[ -~]{0,9}\r\n){0,5}\r\n",
        chunk in 1usize..20) {
        agrees(text.as_bytes(), chunk);
    }

    #[test]
    fn broken_good_requests_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..4, edit()), 1..4),
        chunk in 1usize..40,
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (at, cut, new) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, new);
        }
        agrees(&bytes, chunk);
    }
}

/// The first verdict on the pieces, and for whom the request is found to be made.
fn hear_all<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> (Verdict<'b>, Claim) {
    let mut handshake = Handshake::default();
    let mut heard = pieces.into_iter().map(|piece| receive(&mut handshake, piece));
    let decided = heard.find(|heard| heard.verdict != Verdict::More);
    decided.map_or((Verdict::More, Claim::Nothing), |heard| (heard.verdict, heard.claim))
}

fn edit() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..4),
        Just(b"\r\n".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b",".to_vec()),
        Just(KEY_LINE.as_bytes().to_vec()),
    ]
}
