//! How a client reaches the relay, and what is said of it on the way: the truth, nothing, or a lie.

use core::net::{IpAddr, Ipv6Addr};

use super::rng::Rng;
use crate::address::{Arrival, Network, Source};

/// What a liar says: to be one of those whom no limit holds for.
const LIE: &str = "127.0.0.1";

/// Who is in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// A proxy on a unix socket that says nothing.
    Silent,
    /// Nobody.
    Nobody,
    /// Nobody; the client says in the header that it is somebody else.
    HeaderOfItsOwn,
    /// Nobody; the client says so in a PROXY line.
    LineOfItsOwn,
    /// A trusted proxy that names the client in the header.
    Header,
    /// A trusted proxy that names the client in a PROXY line.
    Line,
}

/// The way of one client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Road {
    between: Between,
    real: IpAddr,
    /// The proxy is on a unix socket.
    unix: bool,
}

impl Road {
    /// Of a client for whom no limit holds.
    pub(super) fn silent() -> Self {
        Self { between: Between::Silent, real: Ipv6Addr::LOCALHOST.into(), unix: true }
    }

    /// Of a client with one of so many addresses.
    pub(super) fn draw(addresses: usize, rng: &mut Rng) -> Self {
        use Between::*;
        let between = rng.pick(&[Silent, Nobody, HeaderOfItsOwn, LineOfItsOwn, Header, Line]);
        let nth = rng.below(addresses) as u16;
        // The same IPv6 client has many addresses.
        let host = rng.below(1000) as u16;
        let real = if nth.is_multiple_of(2) {
            IpAddr::from([203, 0, 113, nth as u8])
        } else {
            IpAddr::from([0x2001, 0xdb8, 0, nth, host, 0, 0, 1])
        };
        Self { between, real, unix: rng.chance(500) }
    }

    pub(super) fn arrival(&self) -> Arrival {
        let source = match self.between {
            Between::Nobody | Between::HeaderOfItsOwn | Between::LineOfItsOwn => self.real.into(),
            _ if self.unix => Source::Unix,
            _ => IpAddr::from([127, 0, 0, 1]).into(),
        };
        let proxy_protocol = matches!(self.between, Between::LineOfItsOwn | Between::Line);
        Arrival { source, proxy_protocol }
    }

    /// The request as it arrives.
    pub(super) fn carry(&self, request: &[u8]) -> Vec<u8> {
        let real = self.real;
        let (kind, destination) = if real.is_ipv4() { ("TCP4", "192.0.2.1") } else { ("TCP6", "::1") };
        match self.between {
            Between::Silent | Between::Nobody => request.to_vec(),
            Between::HeaderOfItsOwn => with_field(request, LIE),
            Between::Header => with_field(request, &format!("{LIE}, {real}, {LIE}")),
            Between::LineOfItsOwn => [b"PROXY TCP4 127.0.0.1 192.0.2.1 1 2\r\n", request].concat(),
            Between::Line => {
                [format!("PROXY {kind} {real} {destination} 1 2\r\n").as_bytes(), request].concat()
            }
        }
    }

    /// Whom the relay must take the client for.
    pub(super) fn real(&self) -> Source {
        if self.between == Between::Silent { self.arrival().source } else { self.real.into() }
    }

    /// What the limits per address count the client under.
    pub(super) fn client(&self) -> Option<Network> {
        Source::from(self.real).client().filter(|_| self.between != Between::Silent)
    }
}

fn with_field(request: &[u8], value: &str) -> Vec<u8> {
    let Some(at) = request.windows(7).position(|bytes| bytes == b"\r\nHost:") else {
        return request.to_vec();
    };
    [&request[..at], b"\r\nX-Forwarded-For: ", value.as_bytes(), &request[at..]].concat()
}
