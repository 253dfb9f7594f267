//! Origins: the pages from which a browser's requests are taken (RFC 6454).
//!
//! Owns their form, and whether a page may ask. Promises: what is not exactly the form that a browser sends is the origin of
//! nobody; a missing port is the default one of the page's scheme, on either side. Leaves to others: a request without an
//! origin, and one with two.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::{error::Error, fmt, str::FromStr};

/// Scheme, host and port of a page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// In lower case.
    scheme: Box<str>,
    host: Host,
    /// None where it is the default one of the scheme.
    port: Option<u16>,
}

/// A host, by its name or its address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    /// In lower case; an IPv4 address too.
    Name(Box<str>),
    V6(Ipv6Addr),
}

/// Why a text is no origin: what is expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOrigin(pub &'static str);

/// From which pages requests are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// From any, `null` included.
    pub any: bool,
    /// From the host and port that the request is for.
    pub same_host: bool,
    /// From those that have no origin (`null`): files, sandboxed frames.
    pub null: bool,
    /// From these.
    pub listed: Vec<Origin>,
}

/// Under which origins the desk's own pages come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desk {
    /// Where it listens.
    pub places: Vec<SocketAddr>,
}

impl Default for Origins {
    fn default() -> Self {
        Self { any: false, same_host: true, null: false, listed: Vec::new() }
    }
}

impl Origins {
    /// Whether a request for `host`, as its `Host` says, is taken from the page that `origin` names, as received. The desk's own
    /// pages always are.
    pub fn allow(&self, origin: &[u8], host: &[u8], desk: &Desk) -> bool {
        if self.any || self.null && origin == b"null" {
            return true;
        }
        let origin = str::from_utf8(origin).ok().and_then(|text| text.parse::<Origin>().ok());
        origin.is_some_and(|origin| self.listed.contains(&origin) || self.allow_by_host(&origin, host, desk))
    }

    fn allow_by_host(&self, origin: &Origin, host: &[u8], desk: &Desk) -> bool {
        let host = str::from_utf8(host).ok().and_then(|text| read_authority(text).ok());
        self.same_host && host.as_ref().is_some_and(|host| origin.is_at(host))
            || desk.places.iter().any(|&place| origin.is_of_desk(place, host.as_ref().map(|(host, _)| host)))
    }
}

impl Origin {
    /// Whether a page of this origin came from this host and port. Only pages of the web come from hosts: what another scheme
    /// calls a host is some program's own affair.
    fn is_at(&self, (host, port): &(Host, Option<u16>)) -> bool {
        let default = default_port(&self.scheme);
        default.is_some() && self.host == *host && self.port.or(default) == port.or(default)
    }

    /// Whether a page of this origin is one of a desk that listens here, where the request is for `asked`.
    fn is_of_desk(&self, place: SocketAddr, asked: Option<&Host>) -> bool {
        let ip = place.ip().to_canonical();
        let is_everywhere = ip.is_unspecified();
        let is_there = self.host.is_ip(ip)
            || (is_everywhere || ip.is_loopback()) && self.host.is_localhost()
            // A name may be anybody's.
            || is_everywhere && asked == Some(&self.host) && self.host.is_literal();
        is_there && &*self.scheme == "http" && self.port.unwrap_or(HTTP_PORT) == place.port()
    }
}

impl Host {
    fn is_ip(&self, ip: IpAddr) -> bool {
        match self {
            Self::Name(name) => name.parse() == Ok(ip),
            Self::V6(own) => *own == ip,
        }
    }

    fn is_literal(&self) -> bool {
        match self {
            Self::Name(name) => name.parse::<core::net::Ipv4Addr>().is_ok(),
            Self::V6(_) => true,
        }
    }

    fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if &**name == "localhost")
    }
}

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The port that a page's address leaves out.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(HTTP_PORT),
        "https" | "wss" => Some(HTTPS_PORT),
        _ => None,
    }
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(NO_SCHEME)?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !is_scheme {
            return Err(NO_SCHEME);
        }
        let scheme = scheme.to_ascii_lowercase().into_boxed_str();
        let (host, port) = read_authority(authority)?;
        let port = port.filter(|&port| Some(port) != default_port(&scheme));
        Ok(Self { scheme, host, port })
    }
}

/// A host and perhaps a port, and nothing else.
fn read_authority(text: &str) -> Result<(Host, Option<u16>), BadOrigin> {
    if let Some((ip, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let ip = ip.parse().map_err(|_| BAD_HOST)?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(tail(rest))?) };
        return Ok((Host::V6(ip), port.map(read_port).transpose()?));
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !is_name {
        return Err(tail(text));
    }
    Ok((Host::Name(name.to_ascii_lowercase().into()), port.map(read_port).transpose()?))
}

fn read_port(text: &str) -> Result<u16, BadOrigin> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let port = text.parse().ok().filter(|_| is_plain);
    port.ok_or_else(|| match tail(text) {
        BAD_HOST => BAD_PORT,
        other => other,
    })
}

/// What is wrong with what is no host.
fn tail(text: &str) -> BadOrigin {
    match text {
        text if !text.is_ascii() => NOT_ASCII,
        text if text.contains('@') => USER,
        text if text.contains(['/', '?', '#', '\\']) => PATH,
        text if text.contains('*') => STAR,
        text if text.contains(|c: char| c.is_ascii_whitespace() || c == ',') => TWO,
        _ => BAD_HOST,
    }
}

const NO_SCHEME: BadOrigin = BadOrigin("an origin with its scheme, such as \"https://example.com\"");
const BAD_HOST: BadOrigin = BadOrigin(
    "an origin with a host behind its scheme, such as \"https://example.com\" or \"http://[2001:db8::1]:8080\"",
);
const BAD_PORT: BadOrigin = BadOrigin("a port from 0 to 65535 without zeros before it");
const NOT_ASCII: BadOrigin = BadOrigin(
    "the host as browsers send it, such as \"https://xn--bcher-kva.example\" for b\u{fc}cher.example",
);
const USER: BadOrigin = BadOrigin("an origin without a user: a scheme, a host and perhaps a port");
const PATH: BadOrigin =
    BadOrigin("an origin without a path, a query and a slash at its end, such as \"https://example.com\"");
const STAR: BadOrigin = BadOrigin("the whole name of one host; others stand in the list beside it");
const TWO: BadOrigin = BadOrigin("one origin without spaces; others stand in the list beside it");

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl Error for BadOrigin {}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

#[cfg(test)]
mod tests;
