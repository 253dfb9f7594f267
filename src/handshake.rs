//! The opening handshake of RFC 6455 section 4: bytes in, a verdict out.
//!
//! Owns the request head while it comes in, every rule about what makes a good request, and the answer to it. Promises
//! that the verdict depends on the bytes and not on how they were cut into reads, that the work is linear in the bytes,
//! that nothing a peer sends panics, and that nothing of a request stands in an answer but a subprotocol, which is a
//! token. Leaves to others: sockets, the deadline (408), the limits on connections (503 and 429), and what becomes of
//! bytes that come after the verdict.
//!
//! A good request passes four stations: `head` finds the end of the head and throws out at once what can never become a
//! request; `judge` below asks the questions of HTTP, then those of RFC 6455, each with its status; `path` decides
//! whether the target names a channel; tungstenite computes the 101. Beside them `forwarded` reads for whom a proxy
//! asks, be the request good or bad; and where a listener demands it, a `proxy_line` comes before the head.

mod forwarded;
pub(crate) mod head;
mod path;
mod proxy_line;
mod refusal;

#[cfg(test)]
mod tests;

use http::{HeaderValue, header};
use httparse::{Header, Status};
use tungstenite::handshake::server;

pub(crate) use self::proxy_line::ProxyLine;
pub use self::{forwarded::Claim, refusal::Refusal};
use self::{
    head::{AFTER_HEAD, Head, MAX_HEADERS, RequestLine, is_token},
    refusal::Refusal::BadRequest,
};
use crate::address::{Proxies, Source};

/// What the bytes of a request head so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The head is not complete.
    More,
    /// A good request.
    Accept {
        /// The 101, to be sent as it is.
        response: Vec<u8>,
        /// The request path, as received, without the query.
        path: String,
    },
    /// A bad request.
    Refuse(Refusal),
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
    /// request that was smuggled past a proxy. So are bytes after a verdict.
    ///
    /// Says also for whom the request is made, as far as `proxies` has it that the `source` of it is believed.
    pub fn receive(&mut self, bytes: &[u8], source: Option<Source>, proxies: &Proxies) -> (Verdict, Claim) {
        let mut claim = Claim::Nothing;
        let verdict = match self.head.receive(bytes) {
            Ok(None) => return (Verdict::More, claim),
            Ok(Some(used)) => {
                let hear = |fields: &Fields<'_>| claim = forwarded::read(fields, source, proxies);
                judge(self.head.bytes(), used < bytes.len(), hear)
            }
            Err(refusal) => Err(refusal),
        };
        self.head.close();
        let verdict = match verdict {
            Ok((response, path)) => Verdict::Accept { response, path },
            Err(refusal) => Verdict::Refuse(refusal),
        };
        (verdict, claim)
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

/// The judgement of a complete head, in the order in which its faults count: HTTP first, then the upgrade, the version,
/// the key and the path. `hear` is given the header lines, whatever the judgement.
fn judge(
    head: &[u8],
    is_followed: bool,
    hear: impl FnOnce(&Fields<'_>),
) -> Result<(Vec<u8>, String), Refusal> {
    let (line, rest) = RequestLine::split_off(head)?;
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let fields = Fields::parse(rest, &mut slots)?;
    hear(&fields);
    if line.version != b"HTTP/1.1" {
        return Err(Refusal::HttpVersion);
    }
    if line.method != b"GET" {
        return Err(Refusal::Method);
    }
    fields.check_host()?;
    fields.check_no_body()?;
    if is_followed {
        return Err(AFTER_HEAD);
    }
    if !fields.lists(header::UPGRADE, "websocket") || !fields.lists(header::CONNECTION, "upgrade") {
        return Err(Refusal::Upgrade);
    }
    if fields.only(header::SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(Refusal::Version);
    }
    let key = fields.only(header::SEC_WEBSOCKET_KEY).ok_or(BadRequest(KEY))?;
    let mut response = switch_protocols(key).ok_or(BadRequest(KEY))?;
    let path = path::channel(line.target)?;
    if let Some(protocol) = fields.first_protocol()? {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let mut bytes = Vec::new();
    server::write_response(&mut bytes, &response).map_err(|_| BadRequest(PROTOCOL))?;
    Ok((bytes, path.to_owned()))
}

/// tungstenite's 101 for `key`, or nothing if it is not the base64 of 16 bytes. The request is built anew, because
/// tungstenite sees only the first `Connection` line and takes no list in `Upgrade`.
fn switch_protocols(key: &[u8]) -> Option<server::Response> {
    let request = http::Request::builder()
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, key)
        .body(())
        .ok()?;
    server::create_response(&request).ok()
}

/// The header lines of a request, in their order.
pub(crate) struct Fields<'h>(&'h [Header<'h>]);

impl<'h> Fields<'h> {
    pub(crate) fn parse(lines: &'h [u8], slots: &'h mut [Header<'h>]) -> Result<Self, Refusal> {
        match httparse::parse_headers(lines, slots) {
            Ok(Status::Complete((_, headers))) => Ok(Self(headers)),
            Err(httparse::Error::TooManyHeaders) => Err(Refusal::HeadTooLarge),
            Ok(Status::Partial) | Err(_) => Err(BadRequest("a header line cannot be read")),
        }
    }

    /// Exactly one `Host`, and one that a proxy cannot read in another way (RFC 9112 3.2).
    fn check_host(&self) -> Result<(), Refusal> {
        let is_host_byte = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(b);
        match self.only(header::HOST) {
            Some(host) if !host.is_empty() && host.iter().all(is_host_byte) => Ok(()),
            _ => Err(BadRequest("the request needs one Host, and a valid one")),
        }
    }

    /// No body: what follows the head could be read as a second request, or as frames (RFC 9112 6).
    fn check_no_body(&self) -> Result<(), Refusal> {
        let is_zero = |length: &[u8]| !length.is_empty() && length.iter().all(|&b| b == b'0');
        if self.all(header::TRANSFER_ENCODING).next().is_some() {
            return Err(BadRequest("the request has a Transfer-Encoding, and a handshake has no body"));
        }
        match (self.all(header::CONTENT_LENGTH).next(), self.only(header::CONTENT_LENGTH)) {
            (None, _) => Ok(()),
            (_, Some(length)) if is_zero(length) => Ok(()),
            _ => Err(BadRequest("the request has a Content-Length, and a handshake has no body")),
        }
    }

    /// The subprotocol to answer with: the first one offered. A browser fails the connection if none is chosen.
    fn first_protocol(&self) -> Result<Option<HeaderValue>, Refusal> {
        if self.all(header::SEC_WEBSOCKET_PROTOCOL).next().is_none() {
            return Ok(None);
        }
        self.items(header::SEC_WEBSOCKET_PROTOCOL)
            .next()
            .filter(|first| is_token(first))
            .and_then(|first| HeaderValue::from_bytes(first).ok())
            .map(Some)
            .ok_or(BadRequest(PROTOCOL))
    }

    /// Whether `token` stands, in any case, in the list that all lines called `name` make together (RFC 9110 5.3).
    fn lists(&self, name: header::HeaderName, token: &str) -> bool {
        self.items(name).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The items of that list, the empty ones left out (RFC 9110 5.6.1).
    fn items(&self, name: header::HeaderName) -> impl Iterator<Item = &'h [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|&b| b == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|item| !item.is_empty())
    }

    /// The value of the only line called `name`; nothing if there is none, or more than one.
    pub(crate) fn only(&self, name: header::HeaderName) -> Option<&'h [u8]> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    pub(crate) fn all(
        &self,
        name: header::HeaderName,
    ) -> impl DoubleEndedIterator<Item = &'h [u8]> + use<'h> {
        let fields = self.0.iter();
        fields.filter(move |f| f.name.eq_ignore_ascii_case(name.as_str())).map(|f| f.value)
    }
}
