//! What a visitor asks: bytes of a head in, a page or a refusal out.
//!
//! Reads heads as the handshake does, each byte once and strictly. Promises that the verdict depends on the bytes and
//! not on how they were cut into reads; that only DELETE changes anything; and that no page of a foreign site gets an
//! answer through somebody's browser. Over TCP a `Host` must be an address or `localhost`, since a name that is rebound
//! to this machine (DNS rebinding) is none; and an `Origin`, where there is one, must be the same address. Leaves to
//! others: what the pages say.

use super::{
    Entrance,
    answer::{self, Page},
    query,
    question::{Exposition, Question},
    tally::Refused,
};
use crate::{
    handshake::{
        Fields, Name, Refusal,
        head::{Head, MAX_HEADERS, RequestLine},
    },
    id::PeerId,
};
use core::net::{IpAddr, Ipv6Addr};

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Header lines that belong to it.
    pub(super) fields: &'static str,
}

pub(super) const fn denial(status: u16, why: Refused, line: &'static str) -> Denial {
    Denial { status, why, line, fields: "" }
}

const MALFORMED: Denial = denial(400, Refused::BadRequest, "This is not a proper HTTP/1.1 request.");
const TARGET: Denial = denial(400, Refused::BadRequest, "The target of the request is to be a path.");
const BODY: Denial = denial(400, Refused::BadRequest, "Nothing is to be sent along with a DELETE.");
const LARGE: Denial =
    denial(431, Refused::HeadTooLarge, "The request head is too large: at most 8 KiB and 64 header lines.");
const LONG: Denial = denial(
    414,
    Refused::HeadTooLarge,
    "The request line is too long: at most 4 KiB, and the paths are short.",
);
const VERSION: Denial = denial(505, Refused::BadRequest, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
const METHOD: Denial = Denial {
    fields: "Allow: GET, HEAD\r\n",
    ..denial(405, Refused::Method, "Nothing can be changed here: use GET or HEAD.")
};
const METHOD_OF_PEER: Denial = Denial {
    fields: "Allow: DELETE\r\n",
    ..denial(405, Refused::Method, "A peer can be closed, with DELETE; /api/peers tells of all of them.")
};
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
    "This request has an Origin that is not the address in its Host: a page of another site sent it, and nothing here \
     is for those. A proxy that lets nobody through but operators takes it out: proxy_set_header Origin \"\";",
);
const NOT_FOUND: Denial = denial(404, Refused::NotFound, answer::ROUTES_LINE);
/// For a peer that is not there.
pub(super) const NOBODY: Denial = denial(404, Refused::NotFound, "There is no such peer (any more).");
const NO_PEER: Denial =
    denial(404, Refused::NotFound, "The name of a peer is two numbers and a dot, as in /api/peers/12.3.");

/// Peers by name.
const PEERS: &[u8] = b"/api/peers/";

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
    let mut parts = line.target.splitn(2, |&byte| byte == b'?');
    let path = parts.next().filter(|path| path.starts_with(b"/")).ok_or(TARGET)?;
    let query = parts.next().unwrap_or_default();
    let name = path.strip_prefix(PEERS);
    check_method(line.method, name.is_some())?;
    if entrance == Entrance::Tcp {
        check_host(&fields, is_old)?;
    }
    check_origin(&fields)?;
    match name {
        Some(name) => dismissal(name, query, &fields),
        None => page(path, query, &fields),
    }
}

fn check_method(method: &[u8], is_of_peer: bool) -> Result<(), Denial> {
    match (method, is_of_peer) {
        (b"DELETE", true) | (b"GET" | b"HEAD", false) => Ok(()),
        (_, true) => Err(METHOD_OF_PEER),
        (_, false) => Err(METHOD),
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

/// A page of another site may lead here, and may show nothing of what is here: browsers say so of each request that bears no
/// `Origin`, be it only for a picture. Who says nothing is no browser, or an old one.
fn is_foreign(fields: &Fields<'_>) -> bool {
    let is = |name, value: &[u8]| fields.others(name).any(|said| said.eq_ignore_ascii_case(value));
    let from_elsewhere = is("sec-fetch-site", b"cross-site") || is("sec-fetch-site", b"same-site");
    from_elsewhere && !is("sec-fetch-mode", b"navigate")
}

/// A page may ask that came from where it asks. Not even then under a name, whatever the entrance: behind a proxy that
/// passes the `Host` on, a page under a rebound name looks the same.
fn check_origin(fields: &Fields<'_>) -> Result<(), Denial> {
    if is_foreign(fields) {
        return Err(ORIGIN);
    }
    if !fields.has(Name::Origin) {
        return Ok(());
    }
    let authority = |origin: &[u8]| {
        origin.strip_prefix(b"http://").or(origin.strip_prefix(b"https://")).map(<[u8]>::to_ascii_lowercase)
    };
    let origin = fields.only(Name::Origin).and_then(authority);
    let host = fields.only(Name::Host).filter(|host| is_address(host)).map(<[u8]>::to_ascii_lowercase);
    if origin.is_some() && origin == host { Ok(()) } else { Err(ORIGIN) }
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

/// The page at `path`, with all that its answer depends on.
fn page(path: &[u8], query: &[u8], fields: &Fields<'_>) -> Result<Page, Denial> {
    let page = answer::page(path).ok_or(NOT_FOUND)?;
    Ok(match page {
        Page::Costly(Question::Peers(_)) => Page::Costly(Question::Peers(query::search(query)?)),
        Page::Costly(Question::Metrics(_)) => Page::Costly(Question::Metrics(exposition(fields))),
        Page::File { file, .. } => Page::File { file, is_known: file.is_known(fields) },
        page => page,
    })
}

fn dismissal(name: &[u8], query: &[u8], fields: &Fields<'_>) -> Result<Page, Denial> {
    let is_empty = |length: &[u8]| length == b"0";
    if fields.has(Name::TransferEncoding) || !fields.all(Name::ContentLength).all(is_empty) {
        return Err(BODY);
    }
    let id = str::from_utf8(name).ok().and_then(|name| name.parse::<PeerId>().ok()).ok_or(NO_PEER)?;
    Ok(Page::Dismissal { id, reason: query::reason(query)? })
}

/// OpenMetrics for who would rather have that, or as gladly; else what everybody reads.
fn exposition(fields: &Fields<'_>) -> Exposition {
    let new = liking(fields, b"application/openmetrics-text");
    let is_asked_for = new > 0 && new >= liking(fields, b"text/plain");
    if is_asked_for { Exposition::OpenMetrics } else { Exposition::Plain }
}

/// How much a media type is liked that stands in `Accept` by its name, in thousandths (RFC 9110 12.4.2).
fn liking(fields: &Fields<'_>, media: &[u8]) -> u32 {
    let weight = |item: &[u8]| {
        let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media));
        let weight = parts.find_map(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")));
        is_it.then(|| weight.map_or(Some(1.0), |weight| str::from_utf8(weight).ok()?.parse::<f32>().ok()))?
    };
    let weights = fields.items(Name::Accept).filter_map(weight);
    weights.map(|weight| (weight.clamp(0.0, 1.0) * 1000.0) as u32).max().unwrap_or(0)
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
#[path = "request_tests.rs"]
mod tests;
