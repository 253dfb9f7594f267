//! The opening handshake of RFC 6455 section 4, and what else may be asked for: bytes in, a verdict out.
//!
//! Owns the request head while it comes in, every rule about what makes a good request, and the answer to it. Promises
//! that the verdict depends on the bytes and not on how they were cut into reads, that the work is linear in the bytes,
//! that nothing a peer sends panics, and that nothing of a request stands in an answer but a subprotocol, which is a
//! token. Leaves to others: sockets, the deadline (408), the limits on connections (503 and 429), what becomes of
//! bytes that come after the verdict, and the body of a message that is posted.
//!
//! A good request passes five stations: `head` finds the end of the head and throws out at once what can never become a
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
mod permit;
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
    permit::{Effort, Pass},
    post::Post,
    refusal::{Methods, Refusal},
};
use self::{
    head::{AFTER_HEAD, Head, MAX_HEADERS, RequestLine, Whole, is_token},
    permit::{Asked, Purpose},
    post::Announced,
    refusal::Refusal::BadRequest,
};
use crate::{
    address::{Proxies, Source},
    id::PeerId,
    limits::Limits,
    origin::Desk,
    token::Gate,
};
use std::time::Duration;

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
        /// How it was let in.
        pass: Pass,
    },
    /// A good request for an event stream.
    Listen {
        /// The head of the 200, to be sent as it is.
        response: Vec<u8>,
        /// The request path, as received, without the query.
        path: Cow<'b, str>,
        /// What the request wants to be found by.
        tag: Option<u64>,
        /// How it was let in.
        pass: Pass,
    },
    /// A good request that brings a message.
    Post(Post<'b>),
    /// A bad request.
    Refuse(Refusal),
}

/// What there is to ask for, who may, and what is known of the asker beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'o> {
    /// The name under which the asker is known.
    pub peer: PeerId,
    /// What holds here, and under which rule.
    pub limits: &'o Limits,
    /// What tokens are held against.
    pub gate: &'o Gate,
    /// Whose pages are always taken from.
    pub desk: &'o Desk,
    /// The time of day, since 1970.
    pub unix: Duration,
    /// Who speaks, as far as anybody will say.
    pub source: Option<Source>,
    /// Who is believed when it says for whom it asks.
    pub proxies: &'o Proxies,
}

impl Offer<'_> {
    /// What may be asked for under some rule.
    fn methods(&self) -> Methods {
        methods(self.limits.anywhere(|limits| limits.http_publish))
    }
}

fn methods(http_publish: bool) -> Methods {
    if http_publish { Methods::GetAndPost } else { Methods::Get }
}

/// What a request head amounts to, and what it told besides.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard<'b> {
    /// What becomes of the request.
    pub verdict: Verdict<'b>,
    /// For whom it is made.
    pub claim: Claim,
    /// What was done about it.
    pub effort: Effort,
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
    /// Says also for whom the request is made, as far as it is believed.
    pub fn receive<'b>(&mut self, bytes: &'b [u8], offer: &Offer<'_>) -> Heard<'b> {
        let (mut claim, mut effort) = (Claim::Nothing, Effort::default());
        let verdict = match self.head.receive(bytes) {
            Ok(None) => return Heard { verdict: Verdict::More, claim, effort },
            Ok(Some(Whole { head, used })) => {
                let hear = |fields: &Fields<'_>| claim = forwarded::read(fields, offer.source, offer.proxies);
                decide(head, &bytes[used..], offer, &mut effort, hear)
            }
            Err(refusal) => Err(refusal),
        };
        self.head.close();
        Heard { verdict: verdict.unwrap_or_else(Verdict::Refuse), claim, effort }
    }
}

#[cfg(any(test, feature = "simulation"))]
impl<'o> Offer<'o> {
    /// What these limits offer to somebody of whom nothing is known, where nobody is believed but who is next door.
    pub(crate) fn bare(limits: &'o Limits, peer: PeerId, source: Option<Source>) -> Self {
        static NOTHING: std::sync::LazyLock<(Gate, Desk, Proxies)> =
            std::sync::LazyLock::new(Default::default);
        let (gate, desk, proxies) = &*NOTHING;
        Self { peer, limits, gate, desk, unix: Duration::ZERO, source, proxies }
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
    fn of<'b>(self, path: Cow<'b, str>, pass: Pass, body: &'b [u8]) -> Verdict<'b> {
        match self {
            Self::Join(response, tag) => Verdict::Accept { response, path, tag, pass },
            Self::Listen(response, tag) => Verdict::Listen { response, path, tag, pass },
            Self::Post(Announced { kind, length, expects_continue, allowed_origin }) => Verdict::Post(Post {
                path,
                length,
                expects_continue,
                body,
                kind,
                allowed_origin,
                rule: pass.rule,
            }),
        }
    }
}

/// The verdict on a complete head, behind which came `rest`.
fn decide<'b>(
    head: Cow<'b, [u8]>,
    rest: &'b [u8],
    offer: &Offer<'_>,
    effort: &mut Effort,
    hear: impl FnOnce(&Fields<'_>),
) -> Result<Verdict<'b>, Refusal> {
    let is_followed = !rest.is_empty();
    Ok(match head {
        Cow::Borrowed(head) => {
            let (wish, path, pass) = judge(head, is_followed, offer, effort, hear)?;
            wish.of(path.into(), pass, rest)
        }
        Cow::Owned(head) => {
            let (wish, path, pass) = judge(&head, is_followed, offer, effort, hear)?;
            wish.of(path.to_owned().into(), pass, rest)
        }
    })
}

/// The judgement of a complete head, in the order in which its faults count: HTTP first, then the upgrade, the version,
/// the key, the path, the rule, the page, the token and the subprotocol. `hear` is given the header lines, whatever the
/// judgement. Of a good request, what it asks for, the path, and how it is let in.
fn judge<'h>(
    head: &'h [u8],
    is_followed: bool,
    offer: &Offer<'_>,
    effort: &mut Effort,
    hear: impl FnOnce(&Fields<'_>),
) -> Result<(Wish, &'h str, Pass), Refusal> {
    let (line, rest) = RequestLine::split_off(head)?;
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let fields = Fields::parse(rest, &mut slots)?;
    hear(&fields);
    if line.version != b"HTTP/1.1" {
        return Err(Refusal::HttpVersion);
    }
    match line.method {
        b"GET" => {}
        b"POST" if offer.limits.anywhere(|limits| limits.http_publish) => {
            check_host(&fields)?;
            let (announced, path, pass) = post::judge(line.target, &fields, offer, effort)?;
            return Ok((Wish::Post(announced), path, pass));
        }
        _ => return Err(Refusal::Method(offer.methods())),
    }
    check_host(&fields)?;
    check_no_body(&fields)?;
    if is_followed {
        return Err(AFTER_HEAD);
    }
    if !fields.lists(Name::Upgrade, "websocket")
        && accepts_events(&fields)
        && offer.limits.anywhere(|limits| limits.event_stream)
    {
        return permit::on_path(line.target, &fields, effort, |asked, effort| listen(asked, offer, effort));
    }
    judge_upgrade(line.target, &fields, offer, effort)
}

/// The judgement of a request that is good as far as HTTP goes, and is for an event stream.
fn listen(asked: Asked<'_>, offer: &Offer<'_>, effort: &mut Effort) -> Result<(Wish, Pass), Refusal> {
    let (rule, limits) = permit::rule(asked.path, offer)?;
    if !limits.event_stream {
        return Err(Refusal::Upgrade);
    }
    let pass = permit::admit(asked, Purpose::Listen, rule, offer, effort)?;
    let response = begin_events(offer.peer, permit::allowed_origin(asked.fields, limits).as_deref());
    Ok((Wish::Listen(response, path::tag(asked.target)), pass))
}

/// The judgement of a request that is good as far as HTTP goes, and is to become a WebSocket.
fn judge_upgrade<'h>(
    target: &'h [u8],
    fields: &Fields<'_>,
    offer: &Offer<'_>,
    effort: &mut Effort,
) -> Result<(Wish, &'h str, Pass), Refusal> {
    if !fields.lists(Name::Upgrade, "websocket") || !fields.lists(Name::Connection, "upgrade") {
        return Err(Refusal::Upgrade);
    }
    if fields.only(Name::SecWebSocketVersion) != Some(b"13") {
        return Err(Refusal::Version);
    }
    let key = fields.only(Name::SecWebSocketKey).filter(|key| is_key(key)).ok_or(BadRequest(KEY))?;
    permit::on_path(target, fields, effort, |asked, effort| join(asked, key, offer, effort))
}

fn join(
    asked: Asked<'_>,
    key: &[u8],
    offer: &Offer<'_>,
    effort: &mut Effort,
) -> Result<(Wish, Pass), Refusal> {
    let (rule, limits) = permit::rule(asked.path, offer)?;
    let pass = permit::admit(asked, Purpose::Join, rule, offer, effort)?;
    let protocol = protocol(asked.fields, limits)?;
    Ok((Wish::Join(switch_protocols(key, protocol, offer.peer), path::tag(asked.target)), pass))
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
fn begin_events(peer: PeerId, allowed_origin: Option<&str>) -> Vec<u8> {
    const BEGINNING: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
        X-Accel-Buffering: no\r\nConnection: close\r\n";
    const PEER_FIELD: &[u8] = b"X-Wsrelayd-Peer: ";
    let allowed_origin = allowed_origin.unwrap_or_default().as_bytes();
    end_head([BEGINNING, allowed_origin, PEER_FIELD].concat(), peer)
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

/// The subprotocol to answer with: the first one offered that is on the rule's list, or at all if that has none. A browser
/// fails the connection if none is chosen.
fn protocol<'h>(fields: &Fields<'h>, limits: &Limits) -> Result<Option<&'h [u8]>, Refusal> {
    let list = &limits.subprotocols;
    if limits.subprotocol_required && !fields.has(Name::SecWebSocketProtocol) {
        return Err(Refusal::Subprotocol);
    }
    if !fields.has(Name::SecWebSocketProtocol) {
        return Ok(None);
    }
    // None at all, or a first one that is no token: no list.
    fields
        .items(Name::SecWebSocketProtocol)
        .next()
        .filter(|first| is_token(first))
        .ok_or(BadRequest(PROTOCOL))?;
    let is_served = |item: &&[u8]| list.is_empty() || list.iter().any(|one| one.as_bytes() == *item);
    let chosen = permit::offered_protocols(fields).filter(|item| is_token(item)).find(is_served);
    if chosen.is_none() && limits.subprotocol_required { Err(Refusal::Subprotocol) } else { Ok(chosen) }
}
