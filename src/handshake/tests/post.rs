//! What else may be asked for than a WebSocket: messages by POST, event streams, and a name to be found by.

use super::{super::*, status};
use crate::frame::Kind;
use crate::rules::RuleId;
use proptest::prelude::*;
use std::sync::LazyLock;

/// `curl -H 'Content-Type: text/plain' -d hello`, without the body.
const POST: &str = "POST /room?a=b HTTP/1.1\r\n\
    Host: 127.0.0.1:9310\r\n\
    User-Agent: curl/8.9.1\r\n\
    Accept: */*\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 5\r\n\
    \r\n";

/// What a browser's EventSource asks.
const LISTEN: &str = "GET /room HTTP/1.1\r\n\
    Host: 127.0.0.1:9310\r\n\
    Connection: keep-alive\r\n\
    Accept: text/event-stream\r\n\
    Cache-Control: no-cache\r\n\
    \r\n";

const LINE: &str = "POST /room?a=b HTTP/1.1\r\n";
const HOST: &str = "Host: 127.0.0.1:9310\r\n";
const TYPE: &str = "Content-Type: text/plain\r\n";
const LENGTH: &str = "Content-Length: 5\r\n";
const ACCEPT: &str = "Accept: text/event-stream\r\n";

/// Everything is offered, and a message has a hundred bytes at most.
fn all() -> Offer<'static> {
    static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
        http_publish: true,
        event_stream: true,
        max_message: 100,
        ..Limits::default()
    });
    Offer::bare(&LIMITS, PeerId { slot: 7, serial: 0 }, None)
}

/// The first verdict on pieces that come one by one.
fn feed<'b>(pieces: impl IntoIterator<Item = &'b [u8]>, offer: &Offer<'_>) -> Verdict<'b> {
    let mut handshake = Handshake::default();
    let mut heard = pieces.into_iter().map(|piece| handshake.receive(piece, offer).verdict);
    heard.find(|verdict| *verdict != Verdict::More).unwrap_or(Verdict::More)
}

fn whole<'b>(request: &'b str, offer: &Offer<'_>) -> Verdict<'b> {
    feed([request.as_bytes()], offer)
}

/// What to replace in the good request, with what, and the label of the refusal then; none where it is still good.
#[rustfmt::skip]
const POSTS: &[(&str, &str, &str)] = &[
    ("", "", ""),
    (LENGTH, "content-LENGTH: \t0005 \r\n", ""),
    (LENGTH, "Content-Length: 100\r\n", ""),
    (LENGTH, "Content-Length: 0\r\n", ""),
    (TYPE, "", ""),
    (TYPE, "Expect: 100-Continue\r\n", ""),
    (TYPE, "Content-Type:\r\n", ""),
    (TYPE, "Content-Type: TEXT/html; Charset=\"UTF-8\"; x=y\r\n", ""),
    (TYPE, "Content-Type: text/plain;charset=us-ascii\r\n", ""),
    (TYPE, "Content-Type: application/json; charset=latin1\r\n", ""),
    // An upgrade may be ignored (RFC 9110 7.8), and a POST is none.
    (TYPE, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", ""),
    // What HTTP demands of every request, before all that follows.
    (LINE, "POST /room HTTP/1.0\r\n", "http_version"),
    (LINE, "PUT /room HTTP/1.1\r\n", "method"),
    (LINE, "HEAD /room HTTP/1.1\r\n", "method"),
    (LINE, "post /room HTTP/1.1\r\n", "method"),
    (HOST, "", "bad_request"),
    (HOST, "Host: a\r\nHost: a\r\nOrigin: null\r\n", "bad_request"),
    (HOST, "Host: a\r\n folded\r\n", "bad_request"),
    // Two ends of one body, before the Origin.
    (LENGTH, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nOrigin: null\r\n", "bad_request"),
    (LENGTH, "Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "bad_request"),
    // The path, before the page.
    (LINE, "POST /a/../b HTTP/1.1\r\n", "bad_request"),
    (LINE, "POST * HTTP/1.1\r\nOrigin: null\r\n", "bad_request"),
    (LINE, "POST http://127.0.0.1/room HTTP/1.1\r\n", "bad_request"),
    // The page, before the length.
    (HOST, "Host: a\r\nOrigin: http://a\r\n", ""),
    (HOST, "Host: a\r\nOrigin: http://b\r\n", "origin"),
    (HOST, "Host: a\r\norigin: null\r\n", "origin"),
    (HOST, "Host: a\r\nOrigin:\r\n", "origin"),
    (HOST, "Host: a\r\nOrigin: http://a\r\nOrigin: http://a\r\n", "origin"),
    (LENGTH, "Origin: null\r\n", "origin"),
    // The length, before the expectation.
    (LENGTH, "", "length_required"),
    (LENGTH, "Expect: nothing\r\n", "length_required"),
    (LENGTH, "Transfer-Encoding: chunked\r\n", "length_required"),
    (LENGTH, "Content-Length:\r\n", "bad_request"),
    (LENGTH, "Content-Length: -5\r\n", "bad_request"),
    (LENGTH, "Content-Length: +5\r\n", "bad_request"),
    (LENGTH, "Content-Length: 5 5\r\n", "bad_request"),
    (LENGTH, "Content-Length: 5, 5\r\n", "bad_request"),
    (LENGTH, "Content-Length: 0x5\r\n", "bad_request"),
    (LENGTH, "Content-Length: 5\r\nContent-Length: 5\r\n", "bad_request"),
    (LENGTH, "Content-Length: 5\r\nContent-Length: 6\r\nExpect: nothing\r\n", "bad_request"),
    // The expectation, before the size.
    (LENGTH, "Content-Length: 101\r\nExpect: 200-ok\r\n", "expectation"),
    (TYPE, "Expect:\r\n", "expectation"),
    (TYPE, "Expect: 100-continue\r\nExpect: 100-continue\r\n", "expectation"),
    (TYPE, "Expect: 100-continue, 100-continue\r\n", "expectation"),
    // The size, before the type.
    (LENGTH, "Content-Length: 101\r\n", "body_too_large"),
    (TYPE, "Content-Type: text/plain; charset=latin1\r\n", "media_type"),
    (TYPE, "Content-Type: text/plain; charset=\r\n", "media_type"),
    (TYPE, "Content-Type: text/plain; charset=utf-8; charset=utf-16\r\n", "media_type"),
    (TYPE, "Content-Type: text/plain\r\nContent-Type: text/plain\r\n", "bad_request"),
    (LENGTH, "Content-Length: 18446744073709551616\r\n", "body_too_large"),
    (LENGTH, "Content-Length: 99999999999999999999999999999999\r\n", "body_too_large"),
    (LENGTH, "Content-Length: 101\r\nX: text/plain; charset=latin1\r\n", "body_too_large"),
];

fn post_of((from, to, _): &(&str, &str, &str)) -> String {
    assert!(POST.contains(from), "nothing to replace: {from:?}");
    POST.replacen(from, to, 1)
}

fn label(verdict: &Verdict<'_>) -> &'static str {
    match verdict {
        Verdict::Refuse(refusal) => refusal.label(),
        Verdict::Post(_) => "",
        _ => "something else",
    }
}

#[test]
fn each_post_is_announced_or_refused_for_its_first_fault() {
    assert!(POSTS.len() > 40);
    for row in POSTS {
        let request = post_of(row);
        let verdict = whole(&request, &all());
        assert_eq!(label(&verdict), row.2, "{row:?}: {verdict:?}");
    }
}

#[test]
fn where_it_is_not_offered_a_post_is_a_method_like_others() {
    let limits = Limits::default();
    let offer = Offer::bare(&limits, PeerId { slot: 0, serial: 0 }, None);
    for row in POSTS {
        let request = post_of(row);
        let found = whole(&request, &offer);
        let is_first = matches!(row.2, "http_version") || row.1.contains("folded");
        assert!(is_first || found == Verdict::Refuse(Refusal::Method(Methods::Get)), "{row:?}: {found:?}");
    }
    assert_eq!(whole(LISTEN, &offer), Verdict::Refuse(Refusal::Upgrade));
}

#[test]
fn what_a_post_announces_is_what_it_says() {
    let table = [
        ("", "", Kind::Text, 5, false),
        (TYPE, "", Kind::Binary, 5, false),
        (TYPE, "Content-Type: application/x-www-form-urlencoded\r\n", Kind::Binary, 5, false),
        (TYPE, "Content-Type: text\r\n", Kind::Binary, 5, false),
        (TYPE, "Content-Type: xtext/plain\r\n", Kind::Binary, 5, false),
        (TYPE, "Content-Type: TEXT/plain ; charset=utf-8\r\nExpect: 100-continue\r\n", Kind::Text, 5, true),
        (LENGTH, "Content-Length: 099\r\n", Kind::Text, 99, false),
    ];
    assert!(!table.is_empty());
    for (from, to, kind, length, expects_continue) in table {
        let request = format!("{}hello", POST.replacen(from, to, 1));
        let (path, body, rule, allowed_origin) = ("/room".into(), &b"hello"[..], RuleId::default(), None);
        let post = Post { path, length, expects_continue, body, kind, allowed_origin, rule };
        assert_eq!(whole(&request, &all()), Verdict::Post(post), "{to:?}");
    }
}

#[test]
fn whatever_follows_the_head_of_a_post_is_handed_on_wherever_it_is_cut() {
    let request = format!("{POST}hello, and more");
    for at in POST.len()..=request.len() {
        let (front, back) = request.as_bytes().split_at(at);
        let mut handshake = Handshake::default();
        let verdict = handshake.receive(front, &all()).verdict;
        let Verdict::Post(post) = verdict else { panic!("{verdict:?}") };
        assert_eq!((post.body, post.length), (&front[POST.len()..], 5));
        assert_eq!([post.body, back].concat(), b"hello, and more");
        assert_eq!(handshake.held(), 0);
    }
}

#[test]
fn a_method_that_is_not_known_is_told_which_are() {
    let request = POST.replace("POST", "PATCH");
    assert_eq!(whole(&request, &all()), Verdict::Refuse(Refusal::Method(Methods::GetAndPost)));
}

#[test]
fn an_event_stream_is_asked_for_by_name_and_without_an_upgrade() {
    let table = [
        ("", "", 200),
        (ACCEPT, "accept: text/html, TEXT/Event-Stream;q=0.5\r\n", 200),
        (ACCEPT, "Accept: text/html\r\nAccept: text/event-stream\r\n", 200),
        (ACCEPT, "", 426),
        (ACCEPT, "Accept: */*\r\n", 426),
        (ACCEPT, "Accept: text/*\r\n", 426),
        (ACCEPT, "Accept: text/event-streams\r\n", 426),
        (ACCEPT, "Accept: x/y;text/event-stream\r\n", 426),
        (HOST, "Host: a\r\nUpgrade: websocket\r\n", 426),
        (HOST, "", 400),
        (HOST, "Host: a\r\nContent-Length: 1\r\n", 400),
        ("GET /room", "GET //room", 400),
        ("GET /room", "HEAD /room", 405),
        ("HTTP/1.1", "HTTP/1.0", 505),
        ("\r\n\r\n", "\r\n\r\nmore", 400),
    ];
    assert!(!table.is_empty());
    for (from, to, wanted) in table {
        let request = LISTEN.replacen(from, to, 1);
        assert_eq!(status(&whole(&request, &all())), wanted, "{to:?}");
    }
    let request = LISTEN.replacen("/room", "/room?wsrelayd-tag=1f", 1);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
                X-Accel-Buffering: no\r\nConnection: close\r\nX-Wsrelayd-Peer: 7.0\r\n\r\n";
    let pass = Pass { subscribe: true, publish: true, ..Pass::default() };
    let listen = Verdict::Listen { response: head.into(), path: "/room".into(), tag: Some(31), pass };
    assert_eq!(whole(&request, &all()), listen);
}

#[test]
fn a_websocket_is_found_by_the_tag_of_its_request() {
    let good = "GET /room?a=b&wsrelayd-tag=DEADbeef HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let Verdict::Accept { path, tag, .. } = whole(good, &all()) else { panic!("refused") };
    assert_eq!((path.as_ref(), tag), ("/room", Some(0xdead_beef)));
}

#[test]
fn the_answer_to_a_post_is_one_whole_response() {
    for peers in [0, 7, 10_000] {
        let answer = String::from_utf8(accepted(peers, None)).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, format!("{{\"peers\":{peers}}}\n"));
        assert!(head.starts_with("HTTP/1.1 202 Accepted\r\nConnection: close\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{head}");
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", body.len())), "{head}");
    }
}

/// The same without the bytes that came with the end of the head, which the cuts decide.
fn without_body(verdict: Verdict<'_>) -> Verdict<'_> {
    match verdict {
        Verdict::Post(post) => Verdict::Post(Post { body: b"", ..post }),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_change_no_verdict_on_a_post(
        row in proptest::sample::select(POSTS),
        more in proptest::collection::vec(("[A-Za-z-]{1,22}", "[\t -~]{0,70}"), 0..12),
        body in "[ -~]{0,9}",
        chunk in 1_usize..60,
    ) {
        let more: String = more.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = post_of(&row).replacen("\r\n", &format!("\r\n{more}"), 1) + &body;
        let pieces = feed(request.as_bytes().chunks(chunk), &all());
        prop_assert_eq!(without_body(whole(&request, &all())), without_body(pieces));
    }

    #[test]
    fn a_length_is_the_number_or_none(digits in "[0-9]{1,25}", around in "[ \t]{0,3}") {
        let request = POST.replacen(LENGTH, &format!("Content-Length: {around}{digits}{around}\r\n"), 1);
        let number = digits.parse::<usize>().ok().filter(|number| *number <= 100);
        match (whole(&request, &all()), number) {
            (Verdict::Post(post), Some(number)) => prop_assert_eq!(post.length, number),
            (verdict, None) => prop_assert_eq!(label(&verdict), "body_too_large"),
            (verdict, _) => prop_assert!(false, "{verdict:?}"),
        }
    }
}
