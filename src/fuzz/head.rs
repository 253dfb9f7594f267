//! Target: a request head. Promises: the verdict comes with the byte that decides it, however the bytes were cut; bytes
//! behind a head that came with it are never taken for a good request; no more is held than a head may have, and
//! nothing after the verdict; what is accepted passes a naive second look; each refusal is one well-formed response;
//! who is not trusted is believed nothing.

use crate::{
    address::{Proxies, RealIpHeader, Source},
    handshake::{Claim, Handshake, Refusal, Verdict},
    sim::rng::Rng,
};

/// Bytes of a head (`handshake/head.rs`), and what a buffer that doubles takes for them.
const MAX_HEAD: usize = 8 << 10;

/// Takes two bytes for the lengths of the pieces, the rest for a request.
pub fn head(data: &[u8]) {
    let Some((lengths, request)) = data.split_at_checked(2) else { return };
    let (verdict, decided) = feed(request, &[1]);
    assert!(decided <= MAX_HEAD + 1 && (verdict != Verdict::More || request.len() <= MAX_HEAD));
    check_alone(&verdict, &request[..decided]);
    let mut rng = Rng::on_tape(lengths);
    let lengths = [1 + rng.below(200), 1 + rng.below(200)];
    for lengths in [&lengths[..], &[request.len().max(1)]] {
        let (other, came) = feed(request, lengths);
        assert!(came >= decided, "a verdict before the byte that decides it");
        assert!(came < decided + lengths.iter().max().unwrap_or(&0), "and not in its piece");
        if other != verdict {
            let followed = came > decided && request[..decided].ends_with(b"\r\n\r\n");
            assert!(followed && status(&other) == 400, "{other:?}, by byte {verdict:?}");
        }
        assert!(came == decided || !matches!(other, Verdict::Accept { .. }), "bytes behind it were taken");
    }
}

/// The verdict on pieces of these lengths, again and again, and how many bytes had come by then.
fn feed<'r>(request: &'r [u8], lengths: &[usize]) -> (Verdict<'r>, usize) {
    let mut handshake = Handshake::default();
    let mut came = 0;
    let header = RealIpHeader::ALL[request.len() % 3];
    let proxies = Proxies { header, ..Proxies::default() };
    let stranger = Source::from(core::net::IpAddr::from([203, 0, 113, 7]));
    let source = if request.len().is_multiple_of(2) { Source::Unix } else { stranger };
    let mut lengths = lengths.iter().cycle();
    while let (true, Some(length)) = (came < request.len(), lengths.next()) {
        let piece = &request[came..request.len().min(came + length)];
        let (verdict, claim) = handshake.receive(piece, Some(source), &proxies);
        assert!(source == Source::Unix || matches!(claim, Claim::Nothing | Claim::Ignored), "{claim:?}");
        came += piece.len();
        assert!(handshake.held() <= 2 * came.max(8) && handshake.held() <= MAX_HEAD);
        if verdict != Verdict::More {
            assert_eq!(handshake.held(), 0);
            let (second, claim) = handshake.receive(b"x", Some(source), &proxies);
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
        Verdict::Refuse(refusal) => refusal.status(),
    }
}

fn check_alone(verdict: &Verdict<'_>, request: &[u8]) {
    match verdict {
        Verdict::More => {}
        Verdict::Accept { response, path } => check_accepted(request, response, path),
        Verdict::Refuse(refusal) => check_refusal(*refusal),
    }
}

fn check_accepted(request: &[u8], response: &[u8], path: &str) {
    let text = String::from_utf8_lossy(request);
    let lines: Vec<_> = text.strip_suffix("\r\n\r\n").expect("a whole head").split("\r\n").collect();
    assert!(!lines.iter().any(|line| line.contains(['\r', '\n', '\0'])));
    let target = lines[0].strip_prefix("GET ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let target = target.expect("a request line");
    assert!(path.starts_with('/') && target.contains(path) && !path.contains(['?', '#', ' ']));
    assert!(!path.contains(char::is_control) && path.len() <= 255);
    let times = |name: &str| lines[1..].iter().filter(|line| is_called(line, name)).count();
    assert_eq!(["host", "sec-websocket-key", "sec-websocket-version"].map(times), [1, 1, 1]);
    assert_eq!((times("transfer-encoding"), times("content-length") > 1), (0, false));
    let answer = std::str::from_utf8(response).expect("ASCII");
    let fields = answer.strip_prefix("HTTP/1.1 101 Switching Protocols\r\n").expect("a 101");
    let fields: Vec<_> = fields.strip_suffix("\r\n\r\n").expect("one head").split("\r\n").collect();
    assert_eq!(fields.len(), 3 + usize::from(times("sec-websocket-protocol") > 0), "{fields:?}");
    assert!(!fields.iter().any(|field| field.contains(['\r', '\n']) || is_called(field, "content-length")));
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
