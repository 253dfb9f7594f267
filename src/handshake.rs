//! The opening handshake of RFC 6455 section 4, and what else may be asked for: bytes in, a verdict out.
//!
//! Owns the request head while it comes in, every rule about what makes a good request, and the answer to it. Promises
//! that the verdict depends on the bytes and not on how they were cut into reads, that the work is linear in the bytes,
//! that nothing a peer sends panics, and that nothing of a request stands in an answer but a subprotocol, which is a
//! token. Leaves to others: sockets, the deadline (408), the limits on connections (503 and 429), what becomes of
//! bytes that come after the verdict, and the body of a message that is posted.
//!
//! A good request passes four stations: `head` finds the end of the head and throws out at once what can never become a
//! request; `judge` below asks the questions of HTTP, then those of RFC 6455, each with its status; `path` decides
//! whether the target names a channel; and the 101 is written, in which tungstenite computes what a key is answered
//! with. Where that is offered, a request without an upgrade may ask for an event stream, and `post` judges a message
//! that comes by HTTP. Beside them `forwarded` reads for whom a proxy asks, be the request good or bad; and where a
//! listener demands it, a `proxy_line` comes before the head. All that ask for a header line ask `fields`, which has
//! sorted them.

mod fields;
mod forwarded;
pub(crate) mod head;
mod path;
mod post;
mod proxy_line;
mod refusal;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use tungstenite::handshake::derive_accept_key;

pub(crate) use self::{
    fields::{Fields, Name},
    path::tag_of,
    post::{CONTINUE, accepted},
    proxy_line::ProxyLine,
};
pub use self::{
    forwarded::Claim,
    post::Post,
    refusal::{Methods, Refusal},
};
use self::{
    head::{AFTER_HEAD, Head, MAX_HEADERS, RequestLine, Whole, is_token},
    post::Announced,
    refusal::Refusal::BadRequest,
};
use crate::{
    address::{Proxies, Source},
    id::PeerId,
    limits::Limits,
};

/// What the bytes of a request head so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<'b> {
    /// The head is not complete.
    More,
    /// A good request for a WebSocket.
    Accept {
        /// The 101, to be sent as it is.
        response: Vec<u8>,
        /// The request path, as received, without the query.
        path: Cow<'b, str>,
        /// What the request wants to be found by.
        tag: Option<u64>,
    },
    /// A good request for an event stream.
    Listen {
        /// The head of the 200, to be sent as it is.
        response: Vec<u8>,
        /// The request path, as received, without the query.
        path: Cow<'b, str>,
        /// What the request wants to be found by.
        tag: Option<u64>,
    },
    /// A good request that brings a message.
    Post(Post<'b>),
    /// A bad request.
    Refuse(Refusal),
}

/// What there is to ask for, and the name under which an asker is known.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    peer: PeerId,
    http_publish: bool,
    event_stream: bool,
    max_message: usize,
}

impl Offer {
    /// What these limits allow, to this peer.
    pub fn new(limits: &Limits, peer: PeerId) -> Self {
        let Limits { http_publish, event_stream, max_message, .. } = *limits;
        Self { peer, http_publish, event_stream, max_message }
    }

    fn methods(&self) -> Methods {
        if self.http_publish { Methods::GetAndPost } else { Methods::Get }
    }
}

/// Collects a request head (at most 8 KiB) and judges it.
///
/// Small, since one lies in every connection's slot; it holds an allocation only between the first byte and the verdict.
#[derive(Debug, Default)]
pub struct Handshake {
    /// What came so far; closed once a verdict was given, for there is no second request on a connection.
    head: Head,
}

impl Handshake {
    /// Takes the next bytes of the stream: all of them, whatever the verdict. Bytes behind the head are refused with 400,
    /// since a client waits for the answer before it sends frames (RFC 6455 4.1), and what follows may be a second
    /// request that was smuggled past a proxy; behind that of a POST they are handed on. After a verdict any byte is
    /// refused.
    ///
    /// Says also for whom the request is made, as far as `proxies` has it that the `source` of it is believed.
    pub fn receive<'b>(
        &mut self,
        bytes: &'b [u8],
        source: Option<Source>,
        proxies: &Proxies,
        offer: &Offer,
    ) -> (Verdict<'b>, Claim) {
        let mut claim = Claim::Nothing;
        let verdict = match self.head.receive(bytes) {
            Ok(None) => return (Verdict::More, claim),
            Ok(Some(Whole { head, used })) => {
                let hear = |fields: &Fields<'_>| claim = forwarded::read(fields, source, proxies);
                decide(head, &bytes[used..], offer, hear)
            }
            Err(refusal) => Err(refusal),
        };
        self.head.close();
        (verdict.unwrap_or_else(Verdict::Refuse), claim)
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Handshake {
    /// Memory held.
    pub(crate) fn held(&self) -> usize {
        self.head.held()
    }
}

const KEY: &str = "the request needs one Sec-WebSocket-Key, the base64 of 16 bytes";
const PROTOCOL: &str = "Sec-WebSocket-Protocol is not a list of tokens";

/// What a good request asks for, except for the channel.
enum Wish {
    Join(Vec<u8>, Option<u64>),
    Listen(Vec<u8>, Option<u64>),
    Post(Announced),
}

impl Wish {
    fn of<'b>(self, path: Cow<'b, str>, body: &'b [u8]) -> Verdict<'b> {
        match self {
            Self::Join(response, tag) => Verdict::Accept { response, path, tag },
            Self::Listen(response, tag) => Verdict::Listen { response, path, tag },
            Self::Post(Announced { kind, length, expects_continue }) => {
                Verdict::Post(Post { path, length, expects_continue, body, kind })
            }
        }
    }
}

/// The verdict on a complete head, behind which came `rest`.
fn decide<'b>(
    head: Cow<'b, [u8]>,
    rest: &'b [u8],
    offer: &Offer,
    hear: impl FnOnce(&Fields<'_>),
) -> Result<Verdict<'b>, Refusal> {
    let is_followed = !rest.is_empty();
    Ok(match head {
        Cow::Borrowed(head) => {
            let (wish, path) = judge(head, is_followed, offer, hear)?;
            wish.of(path.into(), rest)
        }
        Cow::Owned(head) => {
            let (wish, path) = judge(&head, is_followed, offer, hear)?;
            wish.of(path.to_owned().into(), rest)
        }
    })
}

/// The judgement of a complete head, in the order in which its faults count: HTTP first, then the upgrade, the version,
/// the key and the path. `hear` is given the header lines, whatever the judgement. Of a good request, what it asks for
/// and the path.
fn judge<'h>(
    head: &'h [u8],
    is_followed: bool,
    offer: &Offer,
    hear: impl FnOnce(&Fields<'_>),
) -> Result<(Wish, &'h str), Refusal> {
    let (line, rest) = RequestLine::split_off(head)?;
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let fields = Fields::parse(rest, &mut slots)?;
    hear(&fields);
    if line.version != b"HTTP/1.1" {
        return Err(Refusal::HttpVersion);
    }
    match line.method {
        b"GET" => {}
        b"POST" if offer.http_publish => {
            check_host(&fields)?;
            let (announced, path) = post::judge(line.target, &fields, offer)?;
            return Ok((Wish::Post(announced), path));
        }
        _ => return Err(Refusal::Method(offer.methods())),
    }
    check_host(&fields)?;
    check_no_body(&fields)?;
    if is_followed {
        return Err(AFTER_HEAD);
    }
    if offer.event_stream && !fields.lists(Name::Upgrade, "websocket") && accepts_events(&fields) {
        let path = path::channel(line.target)?;
        return Ok((Wish::Listen(begin_events(offer.peer), path::tag(line.target)), path));
    }
    judge_upgrade(line.target, &fields, offer)
}

/// The judgement of a request that is good as far as HTTP goes, and is to become a WebSocket.
fn judge_upgrade<'h>(
    target: &'h [u8],
    fields: &Fields<'_>,
    offer: &Offer,
) -> Result<(Wish, &'h str), Refusal> {
    if !fields.lists(Name::Upgrade, "websocket") || !fields.lists(Name::Connection, "upgrade") {
        return Err(Refusal::Upgrade);
    }
    if fields.only(Name::SecWebSocketVersion) != Some(b"13") {
        return Err(Refusal::Version);
    }
    let key = fields.only(Name::SecWebSocketKey).filter(|key| is_key(key)).ok_or(BadRequest(KEY))?;
    let path = path::channel(target)?;
    let protocol = first_protocol(fields)?;
    Ok((Wish::Join(switch_protocols(key, protocol, offer.peer), path::tag(target)), path))
}

/// Whether it is the base64 of 16 bytes: 22 digits, the last of which stands for two bits, and two pads.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    match key.strip_suffix(b"==") {
        Some([digits @ .., b'A' | b'Q' | b'g' | b'w']) => digits.len() == 21 && digits.iter().all(is_digit),
        _ => false,
    }
}

/// The 101 for this key and this subprotocol, and by which name the peer goes.
fn switch_protocols(key: &[u8], protocol: Option<&[u8]>, peer: PeerId) -> Vec<u8> {
    const BEGINNING: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-accept: ";
    const PROTOCOL_FIELD: &[u8] = b"\r\nsec-websocket-protocol: ";
    const PEER_FIELD: &[u8] = b"\r\nx-wsrelayd-peer: ";
    /// Two numbers of ten digits, a dot, and the end.
    const REST: usize = 25;
    let accept = derive_accept_key(key);
    let (field, protocol) = protocol.map_or_else(Default::default, |protocol| (PROTOCOL_FIELD, protocol));
    let parts = [BEGINNING, accept.as_bytes(), field, protocol, PEER_FIELD];
    let mut response = Vec::with_capacity(parts.map(<[u8]>::len).iter().sum::<usize>() + REST);
    parts.iter().for_each(|part| response.extend_from_slice(part));
    end_head(response, peer)
}

/// The head of the 200 whose body is an event stream.
fn begin_events(peer: PeerId) -> Vec<u8> {
    const BEGINNING: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
        X-Accel-Buffering: no\r\nConnection: close\r\nX-Wsrelayd-Peer: ";
    end_head(BEGINNING.to_vec(), peer)
}

fn end_head(mut response: Vec<u8>, peer: PeerId) -> Vec<u8> {
    peer.write_to(&mut response);
    response.extend_from_slice(b"\r\n\r\n");
    response
}

/// Whether an event stream is among what the client takes by name; a browser's EventSource asks so.
fn accepts_events(fields: &Fields<'_>) -> bool {
    let is_events = |item: &[u8]| {
        let end = item.iter().position(|&b| b == b';').unwrap_or(item.len());
        item[..end].trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    };
    fields.items(Name::Accept).any(is_events)
}

/// Exactly one `Host`, and one that a proxy cannot read in another way (RFC 9112 3.2).
fn check_host(fields: &Fields<'_>) -> Result<(), Refusal> {
    let is_host_byte = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(b);
    match fields.only(Name::Host) {
        Some(host) if !host.is_empty() && host.iter().all(is_host_byte) => Ok(()),
        _ => Err(BadRequest("the request needs one Host, and a valid one")),
    }
}

/// No body: what follows the head could be read as a second request, or as frames (RFC 9112 6).
fn check_no_body(fields: &Fields<'_>) -> Result<(), Refusal> {
    let is_zero = |length: &[u8]| !length.is_empty() && length.iter().all(|&b| b == b'0');
    if fields.has(Name::TransferEncoding) {
        return Err(BadRequest("the request has a Transfer-Encoding, and a handshake has no body"));
    }
    if fields.has(Name::ContentLength) && !fields.only(Name::ContentLength).is_some_and(is_zero) {
        return Err(BadRequest("the request has a Content-Length, and a handshake has no body"));
    }
    Ok(())
}

/// The subprotocol to answer with: the first one offered. A browser fails the connection if none is chosen.
fn first_protocol<'h>(fields: &Fields<'h>) -> Result<Option<&'h [u8]>, Refusal> {
    if !fields.has(Name::SecWebSocketProtocol) {
        return Ok(None);
    }
    let first = fields.items(Name::SecWebSocketProtocol).next().filter(|first| is_token(first));
    first.map(Some).ok_or(BadRequest(PROTOCOL))
}
