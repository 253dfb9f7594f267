//! What nginx has to know of the relay, taken out of its configuration.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    address::{RealIpHeader, Trusted},
    config::{Config, Place},
    limits::Limits,
};

/// Where the relay is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Over IP.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// As nginx writes it behind `server` in an upstream.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// The same, as one reaches it from this machine.
    #[must_use]
    pub fn near(&self) -> Self {
        let Self::Tcp(address) = self else { return self.clone() };
        let ip = match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self::Tcp(SocketAddr::new(ip, address.port()))
    }

    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Whether who connects to `ip` and `port` ends up here.
    pub fn takes(&self, ip: IpAddr, port: u16) -> bool {
        let Self::Tcp(own) = self else { return false };
        let is_same = own.ip() == ip || (own.ip().is_unspecified() && own.is_ipv4() == ip.is_ipv4());
        is_same && own.port() == port
    }

    /// Whether it is the socket of that path.
    pub fn is_socket(&self, path: &Path) -> bool {
        matches!(self, Self::Unix(own) if own == path)
    }
}

/// One of the relay's listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Where it is.
    pub address: Address,
    /// Whether it demands a line of the PROXY protocol first.
    pub proxy_protocol: bool,
}

/// What hangs on `Host`: the origin of a page is compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliance {
    /// Nothing.
    Nothing,
    /// Some pages: others are listed.
    Some,
    /// Every page, on some channels.
    All,
}

impl Reliance {
    fn of(limits: &Limits) -> Self {
        let compares = |limits: &Limits| limits.origins.same_host && !limits.origins.any;
        if limits.anywhere(|limits| compares(limits) && limits.origins.listed.is_empty()) {
            Self::All
        } else if limits.anywhere(compares) {
            Self::Some
        } else {
            Self::Nothing
        }
    }
}

/// What of a configuration concerns nginx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// In the order of the configuration.
    pub doors: Vec<Door>,
    /// How long the relay may be silent towards a client that is well.
    pub ping_interval: Duration,
    /// How long after a ping the relay gives a client up.
    pub pong_timeout: Duration,
    /// Clients in all.
    pub max_connections: usize,
    /// Clients of one address. 0 is no limit.
    pub max_connections_per_address: usize,
    /// The one header that is believed.
    pub real_ip_header: RealIpHeader,
    /// New clients of one address in a second. 0 is no limit.
    pub handshakes_per_address_per_sec: u32,
    /// Bytes of a message at most.
    pub max_message: usize,
    /// What hangs on `Host`.
    pub reliance: Reliance,
    /// The header that names the user, if any does.
    pub identity_header: Option<Box<str>>,
    /// The query parameter in which a token may stand, if in any.
    pub token_query: Option<Box<str>>,
    /// Whom it is believed from.
    pub trusted: Trusted,
}

impl Facts {
    /// Takes them out of a configuration. Where sockets of the service manager are, of a given name, somebody else has
    /// to know.
    pub fn of(config: &Config, inherited: impl Fn(&str) -> Vec<Address>) -> Self {
        let doors = config.listen.iter().flat_map(|listen| {
            let door = |address| Door { address, proxy_protocol: listen.proxy_protocol };
            addresses(&listen.place, &inherited).into_iter().map(door)
        });
        Self {
            doors: doors.collect(),
            ping_interval: config.limits.ping_interval,
            pong_timeout: config.limits.pong_timeout,
            max_connections: config.limits.max_connections,
            max_connections_per_address: config.limits.max_connections_per_address,
            handshakes_per_address_per_sec: config.limits.handshakes_per_address_per_sec,
            max_message: config.limits.greatest(|limits| limits.max_message),
            reliance: Reliance::of(&config.limits),
            identity_header: config.gate.identity_header.clone(),
            token_query: config.gate.query.clone(),
            real_ip_header: config.real_ip_header,
            trusted: config.trusted_proxies.clone(),
        }
    }

    /// From the last byte of a client that has died to the relay's own end of its connection.
    pub fn patience(&self) -> Duration {
        self.ping_interval + self.pong_timeout
    }
}

/// Where a place is reached.
pub(crate) fn addresses(place: &Place, inherited: impl Fn(&str) -> Vec<Address>) -> Vec<Address> {
    match place {
        Place::Tcp(address) => vec![Address::Tcp(*address)],
        Place::Unix(path) => vec![Address::Unix(path.clone())],
        Place::Inherited(name) => inherited(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_takes_what_is_meant_for_it() {
        let table = [
            ("127.0.0.1:1", "127.0.0.1", 1, true),
            ("127.0.0.1:1", "127.0.0.1", 2, false),
            ("127.0.0.1:1", "127.0.0.2", 1, false),
            ("0.0.0.0:1", "127.0.0.2", 1, true),
            ("0.0.0.0:1", "::1", 1, false),
            ("[::]:1", "::1", 1, true),
        ];
        assert!(!table.is_empty());
        for (own, ip, port, expected) in table {
            let address = Address::Tcp(own.parse().unwrap());
            assert_eq!(address.takes(ip.parse().unwrap(), port), expected, "{own} {ip} {port}");
        }
    }
}
