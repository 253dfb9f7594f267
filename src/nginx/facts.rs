//! What nginx has to know of the relay, taken out of its configuration.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::config::{Config, Place};

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

/// Whose word about a client's address is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Networks: an address and how many of its first bits count.
    pub networks: Vec<(IpAddr, u8)>,
    /// Whoever comes over a unix socket.
    pub unix: bool,
}

impl Trust {
    /// Whether a proxy of this address is believed.
    pub fn covers(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|&(network, bits)| is_within(ip, network, bits))
    }
}

/// Whether the first `bits` of both are the same.
pub(crate) fn is_within(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (a, b, width) = match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let shift = width - u32::from(bits).min(width);
    (a ^ b).checked_shr(shift).unwrap_or(0) == 0
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
    /// Clients of one address.
    pub max_connections_per_address: usize,
    /// The one header that is believed.
    pub real_ip_header: String,
    /// Whom it is believed from.
    pub trust: Trust,
}

impl Facts {
    /// Takes them out of a configuration. Where sockets of the service manager are, of a given name, somebody else has
    /// to know.
    pub fn of(config: &Config, inherited: impl Fn(&str) -> Vec<Address>) -> Self {
        let networks = config.trusted_proxies.networks.iter().map(|one| (one.base(), one.prefix()));
        let trust = Trust { networks: networks.collect(), unix: config.trusted_proxies.unix };
        // nginx knows no "any number".
        let per_address = match config.limits.max_connections_per_address {
            0 => config.limits.max_connections,
            most => most,
        };
        let doors = config.listen.iter().flat_map(|listen| {
            let door = |address| Door { address, proxy_protocol: listen.proxy_protocol };
            addresses(&listen.place, &inherited).into_iter().map(door)
        });
        Self {
            doors: doors.collect(),
            ping_interval: config.limits.ping_interval,
            pong_timeout: config.limits.pong_timeout,
            max_connections: config.limits.max_connections,
            max_connections_per_address: per_address,
            real_ip_header: config.real_ip_header.name().to_owned(),
            trust,
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
    fn a_network_is_its_first_bits() {
        let table = [
            ("127.1.2.3", "127.0.0.0", 8, true),
            ("128.0.0.0", "127.0.0.0", 8, false),
            ("10.0.0.1", "10.0.0.1", 32, true),
            ("10.0.0.2", "10.0.0.1", 32, false),
            ("10.0.0.2", "0.0.0.0", 0, true),
            ("::1", "::1", 128, true),
            ("::2", "::1", 128, false),
            ("2001:db8::5", "2001:db8::", 64, true),
            ("::1", "::", 0, true),
            ("::1", "0.0.0.0", 0, false),
            ("10.0.0.2", "10.0.0.1", 200, false),
        ];
        assert!(!table.is_empty());
        for (ip, network, bits, expected) in table {
            let found = is_within(ip.parse().unwrap(), network.parse().unwrap(), bits);
            assert_eq!(found, expected, "{ip} {network}/{bits}");
        }
    }

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
