//! What the service manager has in its units that concerns the relay: descriptors, the list of IP addresses, and where
//! the sockets are that it hands over.
//!
//! Pure: from what `systemctl show` says to findings.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use super::finding::Finding;
use crate::{address::Network, nginx::Address};

/// What is asked of the service.
pub(super) const PROPERTIES: &str = "LoadState,ActiveState,Result,LimitNOFILE,IPAddressDeny,IPAddressAllow,RuntimeDirectory,RuntimeDirectoryPreserve";

/// What is asked of the sockets.
pub(super) const SOCKET_PROPERTIES: &str =
    "Id,ActiveState,Triggers,Listen,FileDescriptorName,IPAddressDeny,IPAddressAllow";

/// A value of `systemctl show`.
fn value<'t>(said: &'t str, name: &str) -> Option<&'t str> {
    said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// What the service's unit does to the relay, whose entries name `own`: it opens them itself, or the unit of a socket
/// among `sockets` does. `descriptors` are what the configuration needs.
pub(super) fn examine(said: &str, sockets: &str, own: &[SocketAddr], descriptors: u64) -> Vec<Finding> {
    if value(said, "LoadState") != Some("loaded") {
        return vec![
            Finding::note("unit: there is no wsrelayd.service here")
                .remedy("install the package, or the unit by hand"),
        ];
    }
    let dropped = own.iter().filter_map(|&address| match handing(sockets, address) {
        Some(unit) => dropped(unit, id(unit), address),
        None => dropped(said, "wsrelayd.service", address),
    });
    let found = limit(said, descriptors).into_iter().chain(failed(said)).chain(dropped);
    found.chain(taken_away(said, sockets)).collect()
}

/// The unit of a socket that hands the service this very address: for what it opened, the service's list says nothing.
fn handing(sockets: &str, address: SocketAddr) -> Option<&str> {
    handing_units(sockets).find(|unit| addresses(unit).any(|one| one == Address::Tcp(address)))
}

/// Of the sockets that are up and belong to the service.
fn handing_units(sockets: &str) -> impl Iterator<Item = &str> {
    let is_of_service = |unit: &str| {
        let mut triggered = value(unit, "Triggers").unwrap_or_default().split_whitespace();
        triggered.any(|one| one == "wsrelayd.service")
    };
    let is_up = |unit: &str| value(unit, "ActiveState") == Some("active");
    sockets.split("\n\n").filter(move |unit| is_up(unit) && is_of_service(unit))
}

fn id(unit: &str) -> &str {
    value(unit, "Id").unwrap_or("the socket unit")
}

/// A socket in a folder that goes with the service.
fn taken_away(said: &str, sockets: &str) -> Option<Finding> {
    if value(said, "RuntimeDirectoryPreserve") == Some("yes") {
        return None;
    }
    let folders: Vec<_> = value(said, "RuntimeDirectory")?.split_whitespace().map(folder).collect();
    let is_inside = |path: &Path| folders.iter().any(|folder| path.starts_with(folder));
    let (unit, path) = handing_units(sockets).find_map(|unit| {
        let inside = addresses(unit).find_map(|one| match one {
            Address::Unix(path) if is_inside(&path) => Some(path),
            _ => None,
        });
        Some((unit, inside?))
    })?;
    let what = format!(
        "unit: {} of {} stands in a folder that wsrelayd.service takes away when it stops (RuntimeDirectory=), and nobody \
         comes in any more",
        path.display(),
        id(unit)
    );
    let remedy = "install sockets.conf into /etc/systemd/system/wsrelayd.service.d/, systemctl daemon-reload, and restart \
                  the socket and the service";
    Some(Finding::warning(what).remedy(remedy))
}

/// `NAME`, or `NAME:LINK` of newer versions.
fn folder(written: &str) -> PathBuf {
    Path::new("/run").join(written.split(':').next().unwrap_or(written))
}

/// What the units of the sockets of a name do to them: for these, the list of the service says nothing.
pub(super) fn examine_sockets(said: &str, name: &str) -> Vec<Finding> {
    let found = units(said, name).flat_map(|unit| {
        let tcp = addresses(unit).filter_map(|address| match address {
            Address::Tcp(address) => Some(address),
            Address::Unix(_) => None,
        });
        tcp.filter_map(move |address| dropped(unit, id(unit), address))
    });
    found.collect()
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

/// A service that has given up, or that starts again and again.
fn failed(said: &str) -> Option<Finding> {
    let [state, result] = ["ActiveState", "Result"].map(|name| value(said, name).unwrap_or_default());
    let is_lost = state == "failed" || (state == "activating" && result != "success");
    is_lost.then(|| {
        Finding::error(format!("unit: wsrelayd.service does not stay up ({state}, {result})"))
            .remedy("journalctl -u wsrelayd -n 20 says why")
    })
}

/// Packets that a unit's list drops, without a word to anybody: everything but what stays on this machine.
fn dropped(said: &str, unit: &str, address: SocketAddr) -> Option<Finding> {
    let listed = |name| value(said, name).unwrap_or_default().split_whitespace();
    let mut denied = listed("IPAddressDeny").filter_map(|one| one.parse::<Network>().ok());
    let is_elsewhere = |one: &str| base(one).is_some_and(|ip| !ip.is_loopback());
    let is_shut =
        denied.any(|network| network.contains(address.ip())) && !listed("IPAddressAllow").any(is_elsewhere);
    if address.ip().is_loopback() || !is_shut {
        return None;
    }
    let what = format!(
        "unit: {unit} has IPAddressDeny=, and what comes to {address} from other machines is dropped without a word"
    );
    Some(Finding::error(what).remedy(format!(
        "systemctl edit {unit}: IPAddressAllow= and the networks of your clients or proxies"
    )))
}

/// Of `127.0.0.0/8` or `::1/128`.
fn base(network: &str) -> Option<IpAddr> {
    network.split('/').next()?.parse().ok()
}

/// Where the sockets of a name are, out of what `systemctl show '*.socket'` says.
pub(super) fn sockets(said: &str, name: &str) -> Vec<Address> {
    units(said, name).flat_map(addresses).collect()
}

/// A paragraph for each unit.
fn units<'t>(said: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    said.split("\n\n").filter(move |unit| value(unit, "FileDescriptorName") == Some(name))
}

fn addresses(unit: &str) -> impl Iterator<Item = Address> {
    let listen = unit.lines().filter_map(|line| line.strip_prefix("Listen=")?.strip_suffix(" (Stream)"));
    listen.filter_map(address)
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
    use crate::doctor::Severity;

    #[test]
    fn a_unit_that_drops_what_comes_is_found() {
        let shut = "LoadState=loaded\nLimitNOFILE=65536\nIPAddressAllow=127.0.0.0/8 ::1/128\n\
                    IPAddressDeny=::/0 0.0.0.0/0\n";
        let wide = "LoadState=loaded\nLimitNOFILE=65536\nIPAddressAllow=\nIPAddressDeny=\n";
        let partly = "LoadState=loaded\nLimitNOFILE=65536\nIPAddressAllow=127.0.0.0/8 10.0.0.0/8\nIPAddressDeny=0.0.0.0/0\n";
        let table = [
            (shut, "127.0.0.1:1", Severity::Good),
            (shut, "0.0.0.0:1", Severity::Error),
            (shut, "[2001:db8::1]:1", Severity::Error),
            (wide, "0.0.0.0:1", Severity::Good),
            (partly, "0.0.0.0:1", Severity::Good),
            (partly, "11.1.1.1:1", Severity::Good),
        ];
        assert!(!table.is_empty());
        for (said, listen, expected) in table {
            let found = examine(said, "", &[listen.parse().unwrap()], 10_080);
            assert_eq!(
                found.iter().map(|finding| finding.severity).max(),
                Some(expected),
                "{listen} {found:?}"
            );
        }
    }

    #[test]
    fn too_few_descriptors_are_told_with_the_number() {
        let found = examine("LoadState=loaded\nLimitNOFILE=1024\n", "", &[], 10_080);
        assert_eq!(found[0].severity, Severity::Error);
        assert!(found[0].remedy.as_ref().unwrap().ends_with("LimitNOFILE=10080"));
        assert_eq!(examine("LoadState=not-found\n", "", &[], 1)[0].severity, Severity::Note);
    }

    #[test]
    fn a_service_that_has_failed_is_told() {
        let table = [
            ("active", "success", 0),
            ("inactive", "success", 0),
            ("failed", "exit-code", 1),
            ("activating", "exit-code", 1),
        ];
        assert!(!table.is_empty());
        for (state, result, count) in table {
            let said = format!("LoadState=loaded\nActiveState={state}\nResult={result}\n");
            assert_eq!(examine(&said, "", &[], 1).len(), count, "{said}");
        }
    }

    const SOCKETS: &str = "Id=a.socket\nListen=0.0.0.0:1 (Stream)\nFileDescriptorName=a\nIPAddressAllow=127.0.0.0/8\n\
                           IPAddressDeny=::/0 0.0.0.0/0\n\nId=b.socket\nListen=/run/r.sock (Stream)\n\
                           Listen=[::1]:2 (Stream)\nListen=/run/d (Datagram)\nFileDescriptorName=relay\n";

    #[test]
    fn sockets_are_found_by_their_names() {
        let both = [Address::Unix("/run/r.sock".into()), Address::Tcp("[::1]:2".parse().unwrap())];
        assert_eq!(sockets(SOCKETS, "relay"), both);
        assert_eq!(sockets(SOCKETS, "a"), [Address::Tcp("0.0.0.0:1".parse().unwrap())]);
        assert_eq!(sockets(SOCKETS, "b"), []);
    }

    #[test]
    fn for_a_socket_that_is_handed_over_its_own_unit_counts() {
        let found = examine_sockets(SOCKETS, "a");
        assert!(
            found.len() == 1 && found[0].what.starts_with("unit: a.socket has IPAddressDeny="),
            "{found:?}"
        );
        assert_eq!(examine_sockets(SOCKETS, "relay"), []);
    }

    fn socket(listen: &str, state: &str, triggers: &str, lists: &str) -> String {
        format!(
            "Id=wsrelayd.socket\nActiveState={state}\nTriggers={triggers}\nListen={listen} (Stream)\n\
             FileDescriptorName=relay\n{lists}\n\nId=x.socket\n"
        )
    }

    /// An entry by its address is handed over as well as one by its name.
    #[test]
    fn for_an_address_that_is_handed_over_the_unit_of_the_socket_counts() {
        const OURS: &str = "wsrelayd.service";
        let shut = "IPAddressAllow=127.0.0.0/8 ::1/128\nIPAddressDeny=::/0 0.0.0.0/0\n";
        let wide = "IPAddressAllow=\nIPAddressDeny=\n";
        let (named, service) = (Some("unit: wsrelayd.socket has"), Some("unit: wsrelayd.service has"));
        let table = [
            (shut, socket("0.0.0.0:9310", "active", OURS, wide), None),
            (wide, socket("0.0.0.0:9310", "active", OURS, shut), named),
            (shut, socket("0.0.0.0:9310", "inactive", OURS, wide), service),
            (shut, socket("0.0.0.0:9310", "active", "other.service", wide), service),
            (shut, socket("0.0.0.0:9311", "active", OURS, wide), service),
            (wide, socket("0.0.0.0:9311", "active", OURS, shut), None),
        ];
        assert!(!table.is_empty());
        for (lists, sockets, expected) in table {
            let said = format!("LoadState=loaded\n{lists}");
            let found = examine(&said, &sockets, &["0.0.0.0:9310".parse().unwrap()], 1);
            assert_eq!(found.len(), usize::from(expected.is_some()), "{said} {sockets} {found:?}");
            assert!(found.iter().all(|one| one.what.starts_with(expected.unwrap())), "{sockets} {found:?}");
        }
    }

    #[test]
    fn a_socket_in_a_folder_that_goes_with_the_service_is_found() {
        let table = [
            ("RuntimeDirectory=wsrelayd\n", "/run/wsrelayd/relay.sock", 1),
            ("RuntimeDirectory=a wsrelayd:b\n", "/run/wsrelayd/relay.sock", 1),
            ("RuntimeDirectory=\n", "/run/wsrelayd/relay.sock", 0),
            ("RuntimeDirectory=wsrelayd\nRuntimeDirectoryPreserve=yes\n", "/run/wsrelayd/relay.sock", 0),
            ("RuntimeDirectory=wsrelayd\n", "/run/wsrelayd.sock", 0),
            ("RuntimeDirectory=wsrelayd\n", "127.0.0.1:9310", 0),
        ];
        assert!(!table.is_empty());
        for (service, listen, count) in table {
            let said = format!("LoadState=loaded\n{service}");
            let sockets = socket(listen, "active", "wsrelayd.service", "");
            let found = examine(&said, &sockets, &[], 1);
            assert_eq!(found.len(), count, "{said} {sockets} {found:?}");
            assert!(found.iter().all(|one| one.severity == Severity::Warning), "{found:?}");
            assert!(
                found.iter().all(|one| one.remedy.as_ref().unwrap().contains("sockets.conf")),
                "{found:?}"
            );
        }
    }
}
