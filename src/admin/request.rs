//! What a visitor asks: bytes of a head in, a page or a refusal out.
//!
//! Reads heads as the handshake does, each byte once and strictly. Promises that the verdict depends on the bytes and
//! not on how they were cut into reads, and that no page of a foreign site gets an answer through somebody's browser: a
//! request with an `Origin` is refused, and over TCP a `Host` must be an address or `localhost`, since a name that is
//! rebound to this machine (DNS rebinding) is none. Leaves to others: what the pages say.

use super::{
    Entrance,
    answer::{self, Page},
    tally::Refused,
};
use crate::handshake::{
    Fields, Name, Refusal,
    head::{Head, MAX_HEADERS, RequestLine},
};
use core::net::{IpAddr, Ipv6Addr};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) page: Result<Page, Denial>,
    /// The method was HEAD.
    pub(super) head_only: bool,
}

/// Why nothing is told: the status, the label of the counter, and a line for the person at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) status: u16,
    pub(super) why: Refused,
    pub(super) line: &'static str,
}

const fn denial(status: u16, why: Refused, line: &'static str) -> Denial {
    Denial { status, why, line }
}

const MALFORMED: Denial = denial(400, Refused::BadRequest, "This is not a proper HTTP/1.1 request.");
const TARGET: Denial = denial(400, Refused::BadRequest, "The target of the request is to be a path.");
const LARGE: Denial =
    denial(431, Refused::HeadTooLarge, "The request head is too large: at most 8 KiB and 64 header lines.");
const LONG: Denial = denial(
    414,
    Refused::HeadTooLarge,
    "The request line is too long: at most 4 KiB, and the paths are short.",
);
const VERSION: Denial = denial(505, Refused::BadRequest, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
const METHOD: Denial = denial(405, Refused::Method, "Nothing can be changed here: use GET or HEAD.");
const NO_HOST: Denial = denial(400, Refused::BadRequest, "The request needs one Host, and not more.");
const HOST: Denial = denial(
    421,
    Refused::Host,
    "The Host of this request is a name, and a foreign page could have had it point here: use the address itself, \
     such as http://127.0.0.1:9311/, or localhost. A proxy in front sets it: proxy_set_header Host localhost;",
);
const ORIGIN: Denial = denial(
    403,
    Refused::Origin,
    "This request has an Origin: a page in a browser sent it, and nothing here is for pages of other sites.",
);
const NOT_FOUND: Denial = denial(404, Refused::NotFound, answer::ROUTES_LINE);

/// Takes the next bytes; answers when the head is complete, or can never become one.
pub(super) fn receive(head: &mut Head, bytes: &[u8], entrance: Entrance) -> Option<Asked> {
    match head.receive(bytes) {
        Ok(None) => None,
        Ok(Some(whole)) => Some(judge(&whole.head, entrance)),
        Err(refusal) => Some(Asked { page: Err(refusal.into()), head_only: false }),
    }
}

fn judge(head: &[u8], entrance: Entrance) -> Asked {
    match RequestLine::split_off(head) {
        Ok((line, rest)) => Asked { page: find(&line, rest, entrance), head_only: line.method == b"HEAD" },
        Err(refusal) => Asked { page: Err(refusal.into()), head_only: false },
    }
}

fn find(line: &RequestLine<'_>, rest: &[u8], entrance: Entrance) -> Result<Page, Denial> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let fields = Fields::parse(rest, &mut slots)?;
    let is_old = line.version == b"HTTP/1.0";
    if line.version != b"HTTP/1.1" && !is_old {
        return Err(VERSION);
    }
    if line.method != b"GET" && line.method != b"HEAD" {
        return Err(METHOD);
    }
    if entrance == Entrance::Tcp {
        check_host(&fields, is_old)?;
    }
    if fields.has(Name::Origin) {
        return Err(ORIGIN);
    }
    match line.target.split(|&byte| byte == b'?').next() {
        Some(path @ [b'/', ..]) => answer::page(path).ok_or(NOT_FOUND),
        _ => Err(TARGET),
    }
}

/// A request of HTTP/1.0 may have none: simple health checkers send such, and no browser does.
fn check_host(fields: &Fields<'_>, is_old: bool) -> Result<(), Denial> {
    match fields.only(Name::Host) {
        Some(host) if is_address(host) => Ok(()),
        Some(_) => Err(HOST),
        None if is_old && !fields.has(Name::Host) => Ok(()),
        None => Err(NO_HOST),
    }
}

/// An IP address or `localhost`, with a port or without.
fn is_address(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else { return false };
    if let Some((ip, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return ip.parse::<Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    is_port(port) && (name.eq_ignore_ascii_case("localhost") || matches!(name.parse(), Ok(IpAddr::V4(_))))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::HeadTooLarge => LARGE,
            Refusal::TargetTooLong => LONG,
            Refusal::HttpVersion => VERSION,
            _ => MALFORMED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(request: &str, entrance: Entrance) -> Asked {
        receive(&mut Head::default(), request.as_bytes(), entrance).expect("a whole head")
    }

    fn status(request: &str, entrance: Entrance) -> u16 {
        asked(request, entrance).page.err().map_or(200, |denial| denial.status)
    }

    #[test]
    fn each_request_has_its_page_or_its_status() {
        let table = [
            ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
            ("GET /readyz?full HTTP/1.1\r\nHost: [::1]:9311\r\n\r\n", 200),
            ("HEAD /api/status HTTP/1.1\r\nHost: localhost:9311\r\n\r\n", 200),
            ("GET /healthz HTTP/1.0\r\n\r\n", 200),
            ("GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n", 421),
            ("GET /healthz HTTP/1.1\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: ::1\r\nHost: ::1\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: null\r\n\r\n", 403),
            ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
            ("GET /healthz/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
            ("GET http://127.0.0.1/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
            ("POST /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
            ("get /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
            ("GET /healthz HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n", 505),
            ("GET /healthz\r\n\r\n", 505),
            ("GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n", 400),
            ("\x16\x03\x01", 400),
        ];
        assert!(!table.is_empty());
        for (request, wanted) in table {
            assert_eq!(status(request, Entrance::Tcp), wanted, "{request:?}");
        }
    }

    #[test]
    fn over_tcp_a_host_is_an_address_and_over_a_unix_socket_anything() {
        let good = ["127.0.0.1", "127.0.0.1:0", "10.1.2.3:65535", "[::]", "[fe80::1]:80", "LocalHost:1"];
        let bad = [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.0.0.1:+1",
            "localhost:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "[::1]:",
            "127.1",
            "0x7f.0.0.1",
            "localhost, evil.example",
            "evil@127.0.0.1",
        ];
        assert!(!good.is_empty() && !bad.is_empty());
        let rows = good.map(|host| (host, 200)).into_iter().chain(bad.map(|host| (host, 421)));
        for (host, wanted) in rows {
            let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(status(&request, Entrance::Tcp), wanted, "{host:?}");
            assert_eq!(status(&request, Entrance::Unix), 200, "{host:?}");
        }
        assert_eq!(status("GET /healthz HTTP/1.1\r\n\r\n", Entrance::Unix), 200);
    }

    #[test]
    fn heads_have_a_limit() {
        let request =
            |n: usize| format!("GET /healthz HTTP/1.1\r\nHost: [::1]\r\nA: {}\r\n\r\n", "a".repeat(n));
        let spare = (8 << 10) - request(0).len();
        assert_eq!(status(&request(spare), Entrance::Tcp), 200);
        assert_eq!(status(&request(spare + 1), Entrance::Tcp), 431);
        assert_eq!(status(&format!("GET /{}", "a".repeat(5000)), Entrance::Tcp), 414);
    }
}
