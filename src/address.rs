//! Addresses: where a connection comes from, which networks are trusted to name others, and what counts as one client.
//!
//! Owns their forms, in the configuration and in the log. An IPv4 address in the clothes of IPv6 (`::ffff:192.0.2.1`)
//! is IPv4 from here on, so that nobody has two names. Leaves to others: who says which address, and what it means.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fmt, str::FromStr};

use crate::canary::{self, Canary};

/// Where something comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Never an IPv4 address mapped into IPv6.
    Ip(IpAddr),
    /// A unix socket, whose other end has no address.
    Unix,
}

/// A range of addresses with a common prefix; the bits behind it are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// Who is believed when it says for whom it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// In the order in which they were written.
    pub networks: Vec<Network>,
    /// Whether unix sockets are, too.
    pub unix: bool,
}

/// The one header field that is believed. A proxy passes on those that it does not write itself, so any other is the
/// client's own word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RealIpHeader {
    /// A list; each proxy appends whom it was asked by.
    #[default]
    XForwardedFor,
    /// A single address.
    XRealIp,
    /// RFC 7239: a list of pairs, of which `for` counts.
    Forwarded,
}

/// What is believed from whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// From whom.
    pub trusted: Trusted,
    /// What.
    pub header: RealIpHeader,
}

/// What shows that a request came through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A field with the client's address, but not the one that is believed.
    Other(RealIpHeader),
    /// A field that proxies write.
    Field(&'static str),
    /// It came from this machine, and asked for a host that is elsewhere.
    Host,
}

/// Who a peer is, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client: named by a proxy that is believed, else the other end of the connection.
    pub real: Source,
    /// The other end of the connection.
    pub via: Source,
}

/// IPv6 clients are told apart by so many bits: whoever has one such address has the whole network.
const CLIENT_PREFIX_V6: u8 = 64;

impl Source {
    /// Whether it is this machine itself.
    pub fn is_local(self) -> bool {
        match self {
            Self::Ip(ip) => ip.is_loopback(),
            Self::Unix => true,
        }
    }

    /// What counts as one client: an IPv4 address, or the /64 of an IPv6 address. Nothing where there is no address.
    pub fn client(self) -> Option<Network> {
        match self {
            Self::Ip(ip @ IpAddr::V4(_)) => Some(Network::cut(ip, 32)),
            Self::Ip(ip @ IpAddr::V6(_)) => Some(Network::cut(ip, CLIENT_PREFIX_V6)),
            Self::Unix => None,
        }
    }
}

impl From<IpAddr> for Source {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip.to_canonical())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Unix => f.write_str(UNIX),
        }
    }
}

impl Network {
    /// The network of `prefix` bits that `ip` lies in.
    fn cut(ip: IpAddr, prefix: u8) -> Self {
        let base = match ip {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & high_bits_v4(prefix)).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & high_bits_v6(prefix)).into(),
        };
        Self { base, prefix }
    }

    /// Whether an address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.base.is_ipv4() == ip.is_ipv4() && Self::cut(ip, self.prefix) == *self
    }

    fn width(ip: IpAddr) -> u8 {
        if ip.is_ipv4() { 32 } else { 128 }
    }

    /// A network as it is meant: what is mapped into IPv6 is IPv4.
    fn canonical(ip: IpAddr, prefix: u8) -> (IpAddr, u8) {
        match ip.to_canonical() {
            v4 @ IpAddr::V4(_) if ip.is_ipv6() && prefix >= 96 => (v4, prefix - 96),
            _ => (ip, prefix),
        }
    }
}

fn high_bits_v4(count: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(count)).unwrap_or(0)
}

fn high_bits_v6(count: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(count)).unwrap_or(0)
}

impl FromStr for Network {
    /// What was expected instead.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = address.parse().map_err(|_| NETWORK_EXPECTED.to_owned())?;
        let most = Self::width(ip);
        let prefix = match length {
            None => most,
            Some(bits) => read_prefix(bits, most)
                .ok_or_else(|| format!("{NETWORK_EXPECTED}; behind the slash a number from 0 to {most}"))?,
        };
        let (ip, prefix) = Self::canonical(ip, prefix);
        let network = Self::cut(ip, prefix);
        if network.base == ip {
            Ok(network)
        } else {
            Err(format!("the first address of the network, \"{network}\", or the address alone, \"{ip}\""))
        }
    }
}

const NETWORK_EXPECTED: &str = "an IP address or a network, such as \"10.0.0.0/8\" or \"2001:db8::/32\"";

/// How a unix socket is written.
pub const UNIX: &str = "unix:";

fn read_prefix(bits: &str, most: u8) -> Option<u8> {
    let is_plain = bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    bits.parse().ok().filter(|&prefix| is_plain && prefix <= most)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == Self::width(self.base) {
            self.base.fmt(f)
        } else {
            write!(f, "{}/{}", self.base, self.prefix)
        }
    }
}

impl Default for Trusted {
    /// This machine: a proxy on it, over TCP or a unix socket.
    fn default() -> Self {
        let networks = vec![
            Network::cut(Ipv4Addr::LOCALHOST.into(), 8),
            Network { base: Ipv6Addr::LOCALHOST.into(), prefix: 128 },
        ];
        Self { networks, unix: true }
    }
}

impl Trusted {
    /// Nobody.
    pub fn nobody() -> Self {
        Self { networks: Vec::new(), unix: false }
    }

    /// Adds one entry: a network, an address, or `unix:`.
    ///
    /// # Errors
    /// What was expected.
    pub fn add(&mut self, entry: &str) -> Result<(), String> {
        if entry == UNIX {
            self.unix = true;
            return Ok(());
        }
        let is_network = entry.contains('/');
        let told = |expected| if is_network { expected } else { format!("{expected}, or \"{UNIX}\"") };
        self.networks.push(entry.parse().map_err(told)?);
        Ok(())
    }

    /// The entries, as they would be written.
    pub fn entries(&self) -> Vec<String> {
        let networks = self.networks.iter().map(ToString::to_string);
        networks.chain(self.unix.then(|| UNIX.to_owned())).collect()
    }

    /// Whether what comes from there is believed.
    pub fn trusts(&self, source: Source) -> bool {
        match source {
            Source::Ip(ip) => self.networks.iter().any(|network| network.contains(ip)),
            Source::Unix => self.unix,
        }
    }
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entries().join(", "))
    }
}

impl RealIpHeader {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::XForwardedFor, Self::XRealIp, Self::Forwarded];

    /// The name of the field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "X-Forwarded-For",
            Self::XRealIp => "X-Real-IP",
            Self::Forwarded => "Forwarded",
        }
    }
}

impl Proxies {
    /// What the limits per address count a client under; nothing for whom they do not hold: this machine, unix sockets
    /// and the trusted themselves, or everybody behind a proxy that names nobody would share one limit.
    pub fn account(&self, source: Source) -> Option<Network> {
        let exempt = source.is_local() || self.trusted.trusts(source);
        let exempt = exempt && !canary::sings(Canary::NobodyExempt);
        source.client().filter(|_| !exempt)
    }
}

/// How a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its other end.
    pub source: Source,
    /// Its listener demands a line of the PROXY protocol before the request.
    pub proxy_protocol: bool,
}

impl From<Source> for Arrival {
    /// Over an ordinary listener.
    fn from(source: Source) -> Self {
        Self { source, proxy_protocol: false }
    }
}

impl Caller {
    /// Who is at the other end of the connection, and nobody else is known.
    pub fn direct(source: Source) -> Self {
        Self { real: source, via: source }
    }

    /// Names for people: the client, and the other end of the connection where that is a proxy. Whose address is that of
    /// the other end is told with its port.
    pub fn named(self, port: Option<u16>) -> (String, Option<String>) {
        let end = match (self.via, port) {
            (Source::Ip(ip), Some(port)) => SocketAddr::new(ip, port).to_string(),
            (via, _) => via.to_string(),
        };
        if self.real == self.via { (end, None) } else { (self.real.to_string(), Some(end)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_read_exactly_or_the_right_form_is_shown() {
        let table = [
            ("10.0.0.0/8", Ok("10.0.0.0/8")),
            ("192.0.2.1", Ok("192.0.2.1")),
            ("192.0.2.1/32", Ok("192.0.2.1")),
            ("0.0.0.0/0", Ok("0.0.0.0/0")),
            ("::/0", Ok("::/0")),
            ("::1", Ok("::1")),
            ("2001:DB8::/32", Ok("2001:db8::/32")),
            ("::ffff:10.0.0.0/104", Ok("10.0.0.0/8")),
            ("::ffff:192.0.2.1", Ok("192.0.2.1")),
            ("10.1.2.3/8", Err("\"10.0.0.0/8\", or the address alone, \"10.1.2.3\"")),
            ("2001:db8::1/32", Err("\"2001:db8::/32\", or the address alone, \"2001:db8::1\"")),
            ("10.0.0.0/33", Err("a number from 0 to 32")),
            ("::/129", Err("a number from 0 to 128")),
            ("10.0.0.0/", Err("a number from 0 to 32")),
            ("10.0.0.0/08", Err("a number from 0 to 32")),
            ("10.0.0.0/+8", Err("a number from 0 to 32")),
            ("10.0.0.0/8/8", Err("a number from 0 to 32")),
            ("10/8", Err("an IP address or a network")),
            ("10.0.0.0-10.0.0.9", Err("an IP address or a network")),
            ("localhost", Err("an IP address or a network")),
            ("127.0.0.1:80", Err("an IP address or a network")),
            (" 10.0.0.0/8", Err("an IP address or a network")),
            ("", Err("an IP address or a network")),
        ];
        assert!(!table.is_empty());
        for (text, expected) in table {
            match (text.parse::<Network>(), expected) {
                (Ok(network), Ok(written)) => assert_eq!(network.to_string(), written, "{text}"),
                (Err(said), Err(words)) => assert!(said.contains(words), "{text}: {said}"),
                (read, _) => panic!("{text}: {read:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_network_contains_what_it_says() {
        let table = [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("192.0.2.128/25", "192.0.2.128", true),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "203.0.113.1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
            ("2001:db8::1", "2001:db8::1", true),
            ("2001:db8::1", "2001:db8::2", false),
        ];
        assert!(!table.is_empty());
        for (network, address, contains) in table {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(ip(address)), contains, "{address} in {network}");
        }
    }

    #[test]
    fn one_client_is_an_ipv4_address_or_a_64() {
        let table = [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ];
        assert!(!table.is_empty());
        for (address, client) in table {
            assert_eq!(Source::from(ip(address)).client().unwrap().to_string(), client);
        }
        assert_eq!(Source::Unix.client(), None);
    }

    #[test]
    fn the_limits_hold_for_nobody_on_this_machine_and_for_no_proxy() {
        let mut trusted = Trusted::nobody();
        assert_eq!(trusted.add("198.51.100.0/24"), Ok(()));
        let proxies = Proxies { trusted, ..Proxies::default() };
        let table = [
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("198.51.100.7", false),
            ("198.51.101.7", true),
            ("10.0.0.1", true),
            ("2001:db8::1", true),
        ];
        assert!(!table.is_empty());
        for (address, limited) in table {
            assert_eq!(proxies.account(ip(address).into()).is_some(), limited, "{address}");
        }
        assert_eq!(proxies.account(Source::Unix), None, "though nobody trusts it");
        assert!(!proxies.trusted.trusts(Source::Unix));
    }

    #[test]
    fn the_list_of_the_trusted_is_written_as_it_is_read() {
        let mut trusted = Trusted::nobody();
        for entry in ["10.0.0.0/8", "2001:db8::1", "unix:"] {
            assert_eq!(trusted.add(entry), Ok(()));
        }
        assert_eq!(trusted.to_string(), "10.0.0.0/8, 2001:db8::1, unix:");
        let said = trusted.add("unix").unwrap_err();
        assert!(said.ends_with(", or \"unix:\""), "{said}");
        assert_eq!(Trusted::default().to_string(), "127.0.0.0/8, ::1, unix:");
        for entry in Trusted::default().entries() {
            assert_eq!(trusted.add(&entry), Ok(()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_address_lies_in_each_of_its_networks_and_in_none_with_another_bit(bits: u128, prefix in 0u8..=128, v4: bool) {
            let (ip, other, prefix) = if v4 {
                let (bits, prefix) = (bits as u32, prefix.min(32));
                let other = bits ^ 1u32.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                (IpAddr::from(Ipv4Addr::from_bits(bits)), Ipv4Addr::from_bits(other).into(), prefix)
            } else {
                let other = bits ^ 1u128.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                (IpAddr::from(Ipv6Addr::from_bits(bits)), Ipv6Addr::from_bits(other).into(), prefix)
            };
            let network = Network::cut(ip, prefix);
            prop_assert!(network.contains(ip));
            prop_assert_eq!(network.contains(other), prefix == 0 || ip == other);
            let again: Result<Network, _> = network.to_string().parse();
            let mapped = matches!(network.base, IpAddr::V6(base) if base.to_ipv4_mapped().is_some());
            prop_assert!(mapped || again == Ok(network));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[0-9a-f:./]{0,30}") {
            let _ = text.parse::<Network>().map(|network| network.contains(ip("10.0.0.1")));
        }
    }
}
