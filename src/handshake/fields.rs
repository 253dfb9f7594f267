//! The header lines of a request, sorted once: whoever asks for a field finds its lines without a walk over all, but for
//! those that only few requests are asked for.
//!
//! Owns the names that anybody asks for. What a field says is left to those who ask.

use httparse::{Header, Status};

use super::{
    head::MAX_HEADERS,
    refusal::Refusal::{self, BadRequest},
};

/// A field that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Host,
    IfNoneMatch,
    Upgrade,
    Connection,
    SecWebSocketVersion,
    SecWebSocketKey,
    SecWebSocketProtocol,
    TransferEncoding,
    ContentLength,
    Accept,
    Origin,
    Via,
    Forwarded,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XRealIp,
}

const NAMES: usize = Name::XRealIp as usize + 1;

impl Name {
    /// The field that a line is of; nothing if nobody asks for it. Case does not count.
    fn of(name: &str) -> Option<Self> {
        let (&first, _) = name.as_bytes().split_first()?;
        // No two of them have both in common.
        let (known, spelling) = match (name.len(), first.to_ascii_lowercase()) {
            (4, b'h') => (Self::Host, "host"),
            (13, b'i') => (Self::IfNoneMatch, "if-none-match"),
            (7, b'u') => (Self::Upgrade, "upgrade"),
            (10, b'c') => (Self::Connection, "connection"),
            (21, b's') => (Self::SecWebSocketVersion, "sec-websocket-version"),
            (17, b's') => (Self::SecWebSocketKey, "sec-websocket-key"),
            (22, b's') => (Self::SecWebSocketProtocol, "sec-websocket-protocol"),
            (17, b't') => (Self::TransferEncoding, "transfer-encoding"),
            (14, b'c') => (Self::ContentLength, "content-length"),
            (6, b'a') => (Self::Accept, "accept"),
            (6, b'o') => (Self::Origin, "origin"),
            (3, b'v') => (Self::Via, "via"),
            (9, b'f') => (Self::Forwarded, "forwarded"),
            (15, b'x') => (Self::XForwardedFor, "x-forwarded-for"),
            (17, b'x') => (Self::XForwardedProto, "x-forwarded-proto"),
            (16, b'x') => (Self::XForwardedHost, "x-forwarded-host"),
            (9, b'x') => (Self::XRealIp, "x-real-ip"),
            _ => return None,
        };
        name.eq_ignore_ascii_case(spelling).then_some(known)
    }
}

/// A set of lines, a bit for each: the lowest is the first.
type Lines = u64;

const _: () = assert!(MAX_HEADERS <= Lines::BITS as usize);

/// The header lines of a request, in their order.
pub(crate) struct Fields<'h> {
    headers: &'h [Header<'h>],
    /// Which of them are of each name.
    lines: [Lines; NAMES],
}

impl<'h> Fields<'h> {
    pub(crate) fn parse(lines: &'h [u8], slots: &'h mut [Header<'h>; MAX_HEADERS]) -> Result<Self, Refusal> {
        match httparse::parse_headers(lines, slots) {
            Ok(Status::Complete((_, headers))) => Ok(Self::sort(headers)),
            Err(httparse::Error::TooManyHeaders) => Err(Refusal::HeadTooLarge),
            Ok(Status::Partial) | Err(_) => Err(BadRequest("a header line cannot be read")),
        }
    }

    /// Of at most `MAX_HEADERS` lines.
    pub(crate) fn sort(headers: &'h [Header<'h>]) -> Self {
        debug_assert!(headers.len() <= MAX_HEADERS);
        let mut lines = [0; NAMES];
        for (at, header) in headers.iter().enumerate() {
            if let Some(name) = Name::of(header.name) {
                lines[name as usize] |= 1 << at;
            }
        }
        Self { headers, lines }
    }

    /// Whether there is a line called `name`.
    pub(crate) fn has(&self, name: Name) -> bool {
        self.lines[name as usize] != 0
    }

    /// The value of the only line called `name`; nothing if there is none, or more than one.
    pub(crate) fn only(&self, name: Name) -> Option<&'h [u8]> {
        let lines = self.lines[name as usize];
        lines.is_power_of_two().then(|| self.headers[lines.trailing_zeros() as usize].value)
    }

    /// The values of all lines called `name`.
    pub(crate) fn all(&self, name: Name) -> impl DoubleEndedIterator<Item = &'h [u8]> + use<'h> {
        let (headers, lines) = (self.headers, self.lines[name as usize]);
        let end = Lines::BITS - lines.leading_zeros();
        let range = lines.trailing_zeros().min(end)..end;
        range.filter(move |&at| lines >> at & 1 == 1).map(move |at| headers[at as usize].value)
    }

    /// The values of all lines called `name`, which has no place of its own: found by a walk over all.
    pub(crate) fn others<'n>(&self, name: &'n str) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
        let is_called = move |header: &&'h Header<'h>| header.name.eq_ignore_ascii_case(name);
        self.headers.iter().filter(is_called).map(|header| header.value)
    }

    /// Whether `token` stands, in any case, in the list that all lines called `name` make together (RFC 9110 5.3).
    pub(super) fn lists(&self, name: Name, token: &str) -> bool {
        let is_token = |item: &[u8]| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
        self.all(name).any(|value| value.split(|&b| b == b',').any(is_token))
    }

    /// The items of the list that all lines called `name` make together, the empty ones left out (RFC 9110 5.6.1).
    pub(crate) fn items(&self, name: Name) -> impl Iterator<Item = &'h [u8]> + use<'h> {
        self.all(name)
            .flat_map(|value| value.split(|&b| b == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|item| !item.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name as its specification spells it.
    const SPELLINGS: [(&str, Name); NAMES] = [
        ("Host", Name::Host),
        ("If-None-Match", Name::IfNoneMatch),
        ("Upgrade", Name::Upgrade),
        ("Connection", Name::Connection),
        ("Sec-WebSocket-Version", Name::SecWebSocketVersion),
        ("Sec-WebSocket-Key", Name::SecWebSocketKey),
        ("Sec-WebSocket-Protocol", Name::SecWebSocketProtocol),
        ("Transfer-Encoding", Name::TransferEncoding),
        ("Content-Length", Name::ContentLength),
        ("Accept", Name::Accept),
        ("Origin", Name::Origin),
        ("Via", Name::Via),
        ("Forwarded", Name::Forwarded),
        ("X-Forwarded-For", Name::XForwardedFor),
        ("X-Forwarded-Proto", Name::XForwardedProto),
        ("X-Forwarded-Host", Name::XForwardedHost),
        ("X-Real-IP", Name::XRealIp),
    ];

    #[test]
    fn each_name_is_known_in_any_case_and_nothing_like_it() {
        for (at, (spelling, name)) in SPELLINGS.into_iter().enumerate() {
            assert_eq!(name as usize, at, "each stands here once");
            for known in [spelling.to_owned(), spelling.to_ascii_uppercase(), spelling.to_ascii_lowercase()] {
                assert_eq!(Name::of(&known), Some(name), "{known}");
            }
            for at in 0..spelling.len() {
                let other = format!("{}_{}", &spelling[..at], &spelling[at + 1..]);
                assert_eq!(Name::of(&other), None, "{other}");
            }
            assert_eq!((Name::of(&spelling[1..]), Name::of(&format!("{spelling}s"))), (None, None));
        }
        assert_eq!(Name::of(""), None);
    }

    #[test]
    fn lines_are_found_in_their_order_from_both_ends_up_to_the_last_possible() {
        let names = ["Via", "A", "Origin", "via", "VIA"];
        let values: Vec<_> = (0..MAX_HEADERS).map(|at| at.to_string()).collect();
        let headers: Vec<_> = (values.iter().zip(names.iter().cycle()))
            .map(|(value, name)| Header { name, value: value.as_bytes() })
            .collect();
        assert_eq!(headers.len(), MAX_HEADERS);
        let fields = Fields::sort(&headers);
        let called = |wanted: &str| {
            let lines = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(wanted));
            lines.map(|header| header.value).collect::<Vec<_>>()
        };
        for (name, wanted) in
            [(Name::Via, called("via")), (Name::Origin, called("origin")), (Name::Host, vec![])]
        {
            assert_eq!(fields.all(name).collect::<Vec<_>>(), wanted);
            assert_eq!(
                fields.all(name).rev().collect::<Vec<_>>(),
                wanted.iter().rev().copied().collect::<Vec<_>>()
            );
            assert_eq!((fields.has(name), fields.only(name)), (!wanted.is_empty(), None));
        }
        let last = [&headers[..MAX_HEADERS - 1], &[Header { name: "Host", value: b"h" }]].concat();
        assert_eq!(Fields::sort(&last).only(Name::Host), Some(&b"h"[..]));
    }
}
