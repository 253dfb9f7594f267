//! For whom a proxy asks: the one header field that is believed, read from its end.
//!
//! A proxy appends to what it was given, and what it was given may be anything. So the walk goes from the right: hops
//! that are trusted are passed over, the first other one is the client, and nothing left of it is looked at: whatever
//! a client sends stands there, an unclosed quote included. Owns the forms of the three fields. Promises: linear work,
//! no allocation, no panic. Leaves to others what the address is used for.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Fields, Name};
use crate::{
    address::{Evidence, Proxies, RealIpHeader, Source, UNIX},
    canary::{self, Canary},
};

/// What a request says of the client that it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// Nothing, and nothing shows that it should.
    #[default]
    Nothing,
    /// Nothing, though it came through a proxy, as this shows.
    Missing(Evidence),
    /// This, which is believed.
    Client(Source),
    /// Something that cannot be read; or that it is not to be known.
    Unreadable,
    /// Something, from somebody who is not believed.
    Ignored,
}

/// What proxies write, and nobody else does.
const PROXY_FIELDS: [(&str, Name); 3] = [
    ("Via", Name::Via),
    ("X-Forwarded-Proto", Name::XForwardedProto),
    ("X-Forwarded-Host", Name::XForwardedHost),
];

/// An address with a port takes 47 bytes at most; whatever is longer is none.
const MAX_HOP: usize = 64;

/// Reads what the fields of a request from `source` say; from nobody known, for `None`.
pub(super) fn read(fields: &Fields<'_>, source: Option<Source>, proxies: &Proxies) -> Claim {
    let is_present = fields.all(field(proxies.header)).any(|value| !value.trim_ascii().is_empty());
    let is_trusted =
        |source: &Source| proxies.trusted.trusts(*source) || canary::sings(Canary::StrangerBelieved);
    match (is_present, source.filter(is_trusted)) {
        (true, Some(_)) => believe(fields, proxies).map_or(Claim::Unreadable, Claim::Client),
        (true, None) => Claim::Ignored,
        (false, Some(source)) => {
            evidence(fields, source, proxies.header).map_or(Claim::Nothing, Claim::Missing)
        }
        (false, None) => Claim::Nothing,
    }
}

fn field(header: RealIpHeader) -> Name {
    match header {
        RealIpHeader::XForwardedFor => Name::XForwardedFor,
        RealIpHeader::XRealIp => Name::XRealIp,
        RealIpHeader::Forwarded => Name::Forwarded,
    }
}

fn believe(fields: &Fields<'_>, proxies: &Proxies) -> Option<Source> {
    let lines = fields.all(field(proxies.header)).rev();
    match proxies.header {
        RealIpHeader::XForwardedFor => walk(lines.flat_map(FromTheEnd::items).map(hop), proxies),
        // Of several lines, the one that the proxy wrote could be any.
        RealIpHeader::XRealIp => fields.only(Name::XRealIp).and_then(hop),
        RealIpHeader::Forwarded => walk(lines.flat_map(FromTheEnd::items).map(forwarded_for), proxies),
    }
}

/// The client among hops that come nearest first. Where all are trusted, it is the farthest.
fn walk(hops: impl Iterator<Item = Option<Source>>, proxies: &Proxies) -> Option<Source> {
    let mut farthest = None;
    for hop in hops {
        farthest = Some(hop?);
        if !proxies.trusted.trusts(hop?) {
            break;
        }
    }
    farthest
}

/// The parts of a list, the last first, those that are empty left out. A separator within quotes is none.
struct FromTheEnd<'h> {
    rest: Option<&'h [u8]>,
    separator: u8,
    /// A quote further left may open what one further right closes. Once there is none, nobody looks again.
    may_open: bool,
}

impl<'h> FromTheEnd<'h> {
    fn items(list: &'h [u8]) -> Self {
        Self { rest: Some(list), separator: b',', may_open: true }
    }

    fn pairs(item: &'h [u8]) -> Self {
        Self { rest: Some(item), separator: b';', may_open: true }
    }

    /// Takes what stands behind the last separator.
    fn split_off(&mut self, list: &'h [u8]) -> &'h [u8] {
        let mut at = list.len();
        while at > 0 {
            at -= 1;
            if list[at] == self.separator {
                self.rest = Some(&list[..at]);
                return &list[at + 1..];
            }
            if list[at] == b'"' && self.may_open {
                // Without its partner it is a letter like others, and makes a hop that cannot be read.
                let opening = opening_quote(&list[..at]);
                self.may_open = opening.is_some();
                at = opening.unwrap_or(at);
            }
        }
        self.rest = None;
        list
    }
}

impl<'h> Iterator for FromTheEnd<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        while let Some(list) = self.rest {
            let last = self.split_off(list).trim_ascii();
            if !last.is_empty() {
                return Some(last);
            }
        }
        None
    }
}

/// Where the quote stands that the one behind `before` closes. One that would be escaped is none.
fn opening_quote(before: &[u8]) -> Option<usize> {
    let mut end = before.len();
    while let Some(at) = before[..end].iter().rposition(|&b| b == b'"') {
        let escapes = before[..at].iter().rev().take_while(|&&b| b == b'\\').count();
        if escapes % 2 == 0 {
            return Some(at);
        }
        end = at - escapes;
    }
    None
}

/// The one `for` of an element of `Forwarded`.
fn forwarded_for(element: &[u8]) -> Option<Source> {
    let mut values = FromTheEnd::pairs(element).filter_map(|pair| {
        let at = pair.iter().position(|&b| b == b'=')?;
        pair[..at].eq_ignore_ascii_case(b"for").then(|| &pair[at + 1..])
    });
    let value = values.next().filter(|_| values.next().is_none())?;
    match value {
        [b'"', quoted @ .., b'"'] => hop(quoted),
        plain => hop(plain),
    }
}

/// An address, with or without a port; or `unix:`, as nginx calls a client on a unix socket.
fn hop(text: &[u8]) -> Option<Source> {
    let text = std::str::from_utf8(text.trim_ascii()).ok().filter(|text| text.len() <= MAX_HOP)?;
    if text == UNIX {
        return Some(Source::Unix);
    }
    let ip: IpAddr = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, behind) = rest.split_once(']')?;
            let is_good = behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port);
            is_good.then_some(ip)?.parse::<Ipv6Addr>().ok()?.into()
        }
        None => match text.split_once(':') {
            Some((ip, port)) if is_port(port) && ip.contains('.') => ip.parse::<Ipv4Addr>().ok()?.into(),
            _ => text.parse().ok()?,
        },
    };
    Some(ip.into())
}

/// A number; or a name for one, which RFC 7239 begins with `_`.
fn is_port(text: &str) -> bool {
    let name = text.strip_prefix('_');
    let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match name {
        Some(name) => !name.is_empty() && name.bytes().all(is_name_byte),
        None => text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}

/// What shows that somebody stands between us and the client, although no believed field says so.
fn evidence(fields: &Fields<'_>, source: Source, believed: RealIpHeader) -> Option<Evidence> {
    let others = RealIpHeader::ALL.into_iter().filter(|&header| header != believed);
    let other = others.into_iter().find(|&header| fields.has(field(header))).map(Evidence::Other);
    let trace = || PROXY_FIELDS.into_iter().find(|(_, name)| fields.has(*name));
    let elsewhere = || source.is_local() && fields.only(Name::Host).is_some_and(|host| !is_here(host));
    other
        .or_else(|| trace().map(|(name, _)| Evidence::Field(name)))
        .or_else(|| elsewhere().then_some(Evidence::Host))
}

/// Whether a `Host` names this machine as itself.
fn is_here(host: &[u8]) -> bool {
    let name = host.rsplitn(2, |&b| b == b':').last().unwrap_or(host);
    let is_name = |name: &[u8]| name.eq_ignore_ascii_case(b"localhost") || name.ends_with(b".localhost");
    is_name(host) || is_name(name) || hop(host).is_some_and(Source::is_local)
}

#[cfg(test)]
mod tests;
