//! Target: a request head. Promises: the verdict comes with the byte that decides it, however the bytes were cut; bytes
//! behind a head that came with it are never taken for a good request, except for the body of a POST, and are handed on
//! then as they are; no more is held than a head may have, and nothing after the verdict; what is accepted passes a
//! naive second look, and is only what is offered; each refusal is one well-formed response; who is not trusted is
//! believed nothing.

use crate::{
    address::{Proxies, RealIpHeader, Source},
    handshake::{Claim, Handshake, Heard, Offer, Post, Refusal, Verdict},
    id::PeerId,
    limits::Limits,
    sim::rng::Rng,
};

/// Bytes of a head (`handshake/head.rs`), and what a buffer that doubles takes for them.
const MAX_HEAD: usize = 8 << 10;

/// The name of whoever asks.
const PEER: PeerId = PeerId { slot: 93, serial: 10 };

/// Takes two bytes for the lengths of the pieces and for what is offered, the rest for a request.
pub fn head(data: &[u8]) {
    let Some((lengths, request)) = data.split_at_checked(2) else { return };
    let limits = limits(lengths[0]);
    let (verdict, decided) = feed(request, &[1], &limits);
    assert!(decided <= MAX_HEAD + 1 && (verdict != Verdict::More || request.len() <= MAX_HEAD));
    check_alone(&verdict, &request[..decided], &limits);
    let mut rng = Rng::on_tape(lengths);
    let lengths = [1 + rng.below(200), 1 + rng.below(200)];
    for lengths in [&lengths[..], &[request.len().max(1)]] {
        let (other, came) = feed(request, lengths, &limits);
        assert!(came >= decided, "a verdict before the byte that decides it");
        assert!(came < decided + lengths.iter().max().unwrap_or(&0), "and not in its piece");
        let other = without_body(other, &request[decided..came]);
        if other != verdict {
            let followed = came > decided && request[..decided].ends_with(b"\r\n\r\n");
            assert!(followed && status(&other) == 400, "{other:?}, by byte {verdict:?}");
        }
        let is_taken = matches!(other, Verdict::Accept { .. } | Verdict::Listen { .. });
        assert!(came == decided || !is_taken, "bytes behind it were taken");
    }
}

/// Limits under which this is offered.
fn limits(flags: u8) -> Limits {
    let max_message = if flags & 4 == 0 { 100 } else { 64 << 10 };
    Limits { http_publish: flags & 1 == 0, event_stream: flags & 2 == 0, max_message, ..Limits::default() }
}

/// The verdict less what it hands on, which must be exactly what came behind the head.
fn without_body<'r>(verdict: Verdict<'r>, behind: &[u8]) -> Verdict<'r> {
    match verdict {
        Verdict::Post(post) => {
            assert_eq!(post.body, behind, "what came behind the head");
            Verdict::Post(Post { body: b"", ..post })
        }
        other => other,
    }
}

/// The verdict on pieces of these lengths, again and again, and how many bytes had come by then.
fn feed<'r>(request: &'r [u8], lengths: &[usize], limits: &Limits) -> (Verdict<'r>, usize) {
    let mut handshake = Handshake::default();
    let mut came = 0;
    let header = RealIpHeader::ALL[request.len() % 3];
    let proxies = Proxies { header, ..Proxies::default() };
    let stranger = Source::from(core::net::IpAddr::from([203, 0, 113, 7]));
    let source = if request.len().is_multiple_of(2) { Source::Unix } else { stranger };
    let offer = Offer { proxies: &proxies, ..Offer::bare(limits, PEER, Some(source)) };
    let mut lengths = lengths.iter().cycle();
    while let (true, Some(length)) = (came < request.len(), lengths.next()) {
        let piece = &request[came..request.len().min(came + length)];
        let Heard { verdict, claim, .. } = handshake.receive(piece, &offer);
        assert!(source == Source::Unix || matches!(claim, Claim::Nothing | Claim::Ignored), "{claim:?}");
        came += piece.len();
        assert!(handshake.held() <= 2 * came.max(8) && handshake.held() <= MAX_HEAD);
        if verdict != Verdict::More {
            assert_eq!(handshake.held(), 0);
            let Heard { verdict: second, claim, .. } = handshake.receive(b"x", &offer);
            assert_eq!((status(&second), claim), (400, Claim::Nothing), "there is no second request");
            return (verdict, came);
        }
    }
    (Verdict::More, came)
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

fn check_alone(verdict: &Verdict<'_>, request: &[u8], limits: &Limits) {
    match verdict {
        Verdict::More => {}
        Verdict::Accept { response, path, .. } => {
            check_accepted(&Request::read(request, "GET ", path), response)
        }
        Verdict::Listen { response, path, .. } => {
            assert!(limits.event_stream, "nobody offered it");
            check_listening(&Request::read(request, "GET ", path), response);
        }
        Verdict::Post(post) => {
            assert!(limits.http_publish && post.body.is_empty(), "nobody offered it");
            check_post(&Request::read(request, "POST ", &post.path), post, limits.max_message);
        }
        Verdict::Refuse(refusal) => check_refusal(*refusal),
    }
}

/// A naive look at a good request.
struct Request {
    fields: Vec<String>,
}

impl Request {
    fn read(request: &[u8], method: &str, path: &str) -> Self {
        let text = String::from_utf8_lossy(request);
        let lines: Vec<_> = text.strip_suffix("\r\n\r\n").expect("a whole head").split("\r\n").collect();
        assert!(!lines.iter().any(|line| line.contains(['\r', '\n', '\0'])));
        let target = lines[0].strip_prefix(method).and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
        let target = target.expect("a request line");
        assert!(path.starts_with('/') && target.contains(path) && !path.contains(['?', '#', ' ']));
        assert!(!path.contains(char::is_control) && path.len() <= 255);
        let request = Self { fields: lines[1..].iter().map(|line| (*line).to_owned()).collect() };
        assert_eq!(request.times("host"), 1);
        request
    }

    fn times(&self, name: &str) -> usize {
        self.fields.iter().filter(|line| is_called(line, name)).count()
    }

    fn value(&self, name: &str) -> &str {
        let line = self.fields.iter().find(|line| is_called(line, name)).expect("a line of that name");
        line.split_once(':').map_or("", |(_, value)| value.trim())
    }
}

fn check_accepted(request: &Request, response: &[u8]) {
    let times = |name: &str| request.times(name);
    assert_eq!(["sec-websocket-key", "sec-websocket-version"].map(times), [1, 1]);
    assert_eq!((times("transfer-encoding"), times("content-length") > 1), (0, false));
    let fields = fields_of(response, "HTTP/1.1 101 Switching Protocols\r\n");
    assert_eq!(fields.len(), 4 + usize::from(times("sec-websocket-protocol") > 0), "{fields:?}");
    assert!(!fields.iter().any(|field| is_called(field, "content-length")));
}

fn check_listening(request: &Request, response: &[u8]) {
    let refused = ["upgrade", "transfer-encoding"].map(|name| request.times(name));
    assert!(request.times("accept") > 0 && refused == [0, 0] && request.times("content-length") <= 1);
    let fields = fields_of(response, "HTTP/1.1 200 OK\r\n");
    assert!(fields.contains(&"Content-Type: text/event-stream"), "{fields:?}");
}

/// The lines of an answer that is a head and nothing else; one says who the peer is.
fn fields_of<'a>(response: &'a [u8], first: &str) -> Vec<&'a str> {
    let answer = std::str::from_utf8(response).expect("ASCII");
    let fields = answer.strip_prefix(first).and_then(|rest| rest.strip_suffix("\r\n\r\n")).expect("one head");
    let fields: Vec<_> = fields.split("\r\n").collect();
    assert!(!fields.iter().any(|field| field.contains(['\r', '\n'])));
    let peers = fields.iter().filter(|field| field.eq_ignore_ascii_case("x-wsrelayd-peer: 93.10"));
    assert_eq!(peers.count(), 1, "{fields:?}");
    fields
}

fn check_post(request: &Request, post: &Post<'_>, most: usize) {
    assert_eq!((request.times("transfer-encoding"), request.times("origin") > 1), (0, false));
    assert_eq!(post.allowed_origin.is_some(), request.times("origin") == 1);
    assert_eq!((request.times("content-length"), request.times("content-type") > 1), (1, false));
    assert_eq!(request.value("content-length").parse(), Ok(post.length));
    assert_eq!(request.times("expect"), usize::from(post.expects_continue));
    assert!(post.length <= most);
}

fn is_called(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(called, _)| called.eq_ignore_ascii_case(name))
}

fn check_refusal(refusal: Refusal) {
    let response = String::from_utf8(refusal.response(7)).expect("ASCII");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", refusal.status())));
    assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())) && body.is_ascii());
    assert!(head.contains("\r\nConnection: close"), "{head}");
}
