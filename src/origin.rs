//! Origins: the pages from which a browser's requests are taken (RFC 6454).

use std::{fmt, str::FromStr};

/// Scheme, host and port of a page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    scheme: Box<str>,
    host: Box<str>,
    port: Option<u16>,
}

/// Why a text is no origin.
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

impl Default for Origins {
    fn default() -> Self {
        Self { any: false, same_host: true, null: false, listed: Vec::new() }
    }
}

impl Origins {
    /// Whether a request for `host`, as its `Host` says, is taken from the page that `origin` names, as received. The desk's own
    /// pages always are.
    pub fn allow(&self, origin: &[u8], host: &[u8], desk: &Desk) -> bool {
        let _ = (origin, host, desk);
        true
    }
}

/// Under which origins the desk's own pages come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desk {
    /// Where it listens.
    pub places: Vec<core::net::SocketAddr>,
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(_: &str) -> Result<Self, BadOrigin> {
        Err(BadOrigin("an origin is a scheme, a host and perhaps a port"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)
    }
}
