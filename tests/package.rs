//! The units and the package held against the program: numbers and addresses that stand in two places agree.
//!
//! Promises nothing about systemd itself: that is for `tests/system`, where one is booted.

#![allow(clippy::unwrap_used)]

use wsrelayd::config::{Config, Examination, Listen, Machine};

const SERVICE: &str = include_str!("../systemd/wsrelayd.service");
const RELAY_SOCKET: &str = include_str!("../systemd/wsrelayd.socket");
const ADMIN_SOCKET: &str = include_str!("../systemd/wsrelayd-admin.socket");
const CHANGELOG: &str = include_str!("../packaging/debian/changelog");

/// What a unit says of a key: each value in its order.
fn values<'u>(unit: &'u str, key: &str) -> Vec<&'u str> {
    let pairs = unit.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    pairs.filter(|(name, _)| *name == key).map(|(_, value)| value).collect()
}

/// The one value that a unit has for a key.
fn value<'u>(unit: &'u str, key: &str) -> &'u str {
    let all = values(unit, key);
    assert_eq!(all.len(), 1, "{key} stands there {} times", all.len());
    all[0]
}

#[test]
fn memory_max_is_what_the_default_limits_add_up_to_and_a_quarter() {
    let defaults = Examination::new(&Config::default(), Machine::default());
    let worst = defaults.own_bytes() + defaults.kernel_bytes();
    let with_headroom = (worst + worst / 4).div_ceil(1 << 20);
    assert_eq!(value(SERVICE, "MemoryMax"), format!("{with_headroom}M"));
}

#[test]
fn the_service_has_as_many_descriptors_as_its_comment_says() {
    let limit: usize = value(SERVICE, "LimitNOFILE").parse().unwrap();
    let words = "this is enough for `max_connections` = ";
    let said: usize = SERVICE.split_once(words).unwrap().1.split_once('.').unwrap().0.parse().unwrap();
    assert!(said + 100 + Config::default().listen.len() <= limit, "{said} of {limit}");
}

#[test]
fn a_stop_has_time_for_everybody_to_leave() {
    let allowed: u64 = value(SERVICE, "TimeoutStopSec").trim_end_matches('s').parse().unwrap();
    let limits = Config::default().limits;
    let needed = limits.drain + limits.close_timeout;
    assert!(2 * needed.as_secs() <= allowed, "{needed:?} of {allowed} s");
}

#[test]
fn the_sockets_are_where_the_default_configuration_has_them() {
    let places = |all: Vec<Listen>| all.iter().map(|one| one.place.to_string()).collect::<Vec<_>>();
    let Config { listen, admin, .. } = Config::default();
    assert_eq!(values(RELAY_SOCKET, "ListenStream"), places(listen));
    assert_eq!(values(ADMIN_SOCKET, "ListenStream"), places(admin));
}

#[test]
fn the_changelog_of_the_package_begins_with_this_version() {
    let first = CHANGELOG.lines().next().unwrap();
    assert!(first.starts_with(concat!("wsrelayd (", env!("CARGO_PKG_VERSION"), "-")), "{first}");
}
