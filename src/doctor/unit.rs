//! What the service manager has in its units that concerns the relay: descriptors, the list of IP addresses, and where
//! the sockets are that it hands over.
//!
//! Pure: from what `systemctl show` says to findings.

use std::{net::IpAddr, path::Path};

use super::finding::Finding;
use crate::nginx::{Address, Facts, is_within};

/// What is asked of the service.
pub(super) const PROPERTIES: &str = "LoadState,LimitNOFILE,IPAddressDeny,IPAddressAllow";

/// What is asked of the sockets.
pub(super) const SOCKET_PROPERTIES: &str = "Listen,FileDescriptorName";

/// A value of `systemctl show`.
fn value<'t>(said: &'t str, name: &str) -> Option<&'t str> {
    said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// What the service's unit does to the relay. `descriptors` are what the configuration needs.
pub(super) fn examine(said: &str, facts: &Facts, descriptors: u64) -> Vec<Finding> {
    if value(said, "LoadState") != Some("loaded") {
        return vec![
            Finding::note("unit: there is no wsrelayd.service here")
                .remedy("install the package, or the unit by hand"),
        ];
    }
    limit(said, descriptors).into_iter().chain(dropped(said, facts)).collect()
}

/// More than fits makes the service refuse to start, or lower a default.
fn limit(said: &str, needed: u64) -> Option<Finding> {
    let granted = value(said, "LimitNOFILE")?.parse::<u64>().ok()?;
    Some(if granted < needed {
        let what = format!("unit: wsrelayd.service may have {granted} descriptors, and {needed} are needed");
        Finding::error(what)
            .remedy(format!("systemctl edit wsrelayd.service: [Service] LimitNOFILE={needed}"))
    } else {
        Finding::good(format!("unit: wsrelayd.service may have {granted} descriptors, {needed} are needed"))
    })
}

/// Packets that the unit's list drops, without a word to anybody.
fn dropped(said: &str, facts: &Facts) -> Vec<Finding> {
    let [denied, allowed] =
        ["IPAddressDeny", "IPAddressAllow"].map(|name| networks(value(said, name).unwrap_or_default()));
    let covers =
        |list: &[(IpAddr, u8)], ip: IpAddr| list.iter().any(|&(network, bits)| is_within(ip, network, bits));
    let doors = facts.doors.iter().filter_map(|door| match door.address {
        Address::Tcp(address) if !address.ip().is_loopback() => Some(address),
        _ => None,
    });
    // Who connects from another machine has an address of the listener's kind; none of them is allowed by a list that
    // does not even have the listener's own.
    let shut = doors.filter(|address| covers(&denied, address.ip()) && !covers(&allowed, address.ip()));
    let finding = |address| {
        let what = format!(
            "unit: wsrelayd.service has IPAddressDeny=, and what comes to {address} from other machines is dropped \
             without a word"
        );
        Finding::error(what)
            .remedy("systemctl edit wsrelayd.service: [Service] IPAddressAllow= and the networks of your clients or proxies")
    };
    shut.map(finding).collect()
}

/// `127.0.0.0/8 ::1/128`
fn networks(list: &str) -> Vec<(IpAddr, u8)> {
    let one = |word: &str| {
        let (ip, bits) = word.split_once('/')?;
        Some((ip.parse().ok()?, bits.parse().ok()?))
    };
    list.split_whitespace().filter_map(one).collect()
}

/// Where the sockets of a name are, out of what `systemctl show '*.socket'` says: a paragraph for each unit.
pub(super) fn sockets(said: &str, name: &str) -> Vec<Address> {
    let own = said.split("\n\n").filter(|unit| value(unit, "FileDescriptorName") == Some(name));
    let listen = own.flat_map(|unit| unit.lines().filter_map(|line| line.strip_prefix("Listen=")));
    listen.filter_map(|line| address(line.strip_suffix(" (Stream)")?)).collect()
}

fn address(text: &str) -> Option<Address> {
    if text.starts_with('/') {
        return Some(Address::Unix(Path::new(text).to_owned()));
    }
    text.parse().ok().map(Address::Tcp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, doctor::Severity};

    fn facts(listen: &str) -> Facts {
        let listen = vec![listen.parse::<crate::config::Place>().unwrap().into()];
        Facts::of(&Config { listen, ..Config::default() }, |_| Vec::new())
    }

    #[test]
    fn a_unit_that_drops_what_comes_is_found() {
        let shut = "LoadState=loaded\nLimitNOFILE=65536\nIPAddressAllow=127.0.0.0/8 ::1/128\nIPAddressDeny=::/0 0.0.0.0/0\n";
        let wide = "LoadState=loaded\nLimitNOFILE=65536\nIPAddressAllow=\nIPAddressDeny=\n";
        let partly =
            "LoadState=loaded\nLimitNOFILE=65536\nIPAddressAllow=10.0.0.0/8\nIPAddressDeny=0.0.0.0/0\n";
        let table = [
            (shut, "127.0.0.1:1", Severity::Good),
            (shut, "0.0.0.0:1", Severity::Error),
            (shut, "[2001:db8::1]:1", Severity::Error),
            (shut, "unix:/r", Severity::Good),
            (wide, "0.0.0.0:1", Severity::Good),
            (partly, "10.1.1.1:1", Severity::Good),
            (partly, "11.1.1.1:1", Severity::Error),
        ];
        assert!(!table.is_empty());
        for (said, listen, expected) in table {
            let found = examine(said, &facts(listen), 10_080);
            assert_eq!(
                found.iter().map(|finding| finding.severity).max(),
                Some(expected),
                "{listen} {found:?}"
            );
        }
    }

    #[test]
    fn too_few_descriptors_are_told_with_the_number() {
        let found = examine("LoadState=loaded\nLimitNOFILE=1024\n", &facts("[::1]:1"), 10_080);
        assert_eq!(found[0].severity, Severity::Error);
        assert!(found[0].remedy.as_ref().unwrap().ends_with("LimitNOFILE=10080"));
        assert_eq!(examine("LoadState=not-found\n", &facts("[::1]:1"), 1)[0].severity, Severity::Note);
    }

    #[test]
    fn sockets_are_found_by_their_names() {
        let said = "FileDescriptorName=a\nListen=127.0.0.1:1 (Stream)\n\n\
                    Listen=/run/r.sock (Stream)\nListen=[::1]:2 (Stream)\nListen=/run/d (Datagram)\nFileDescriptorName=relay\n";
        assert_eq!(
            sockets(said, "relay"),
            [Address::Unix("/run/r.sock".into()), Address::Tcp("[::1]:2".parse().unwrap())]
        );
        assert_eq!(sockets(said, "a"), [Address::Tcp("127.0.0.1:1".parse().unwrap())]);
        assert_eq!(sockets(said, "b"), []);
    }
}
