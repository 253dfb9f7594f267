//! Tests of `nginx`: the committed file against the code, and every form of it against what `wsrelayd doctor` looks for.

use super::*;
use crate::{address::RealIpHeader, config::Config};
use std::{fs, path::Path};

fn facts() -> Facts {
    Facts::of(&Config::default(), |_| Vec::new())
}

fn door(address: &str, proxy_protocol: bool) -> Door {
    let address = address
        .strip_prefix("unix:")
        .map_or_else(|| Address::Tcp(address.parse().unwrap()), |path| Address::Unix(path.into()));
    Door { address, proxy_protocol }
}

/// `BLESS=1` writes the file anew.
#[test]
fn the_committed_file_is_what_the_defaults_make() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/nginx/wsrelayd.conf");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, render(&facts())).unwrap();
    }
    assert_eq!(fs::read_to_string(file).unwrap(), render(&facts()));
}

#[test]
fn every_place_is_filled_in_and_what_comes_out_is_a_configuration() {
    let doors: [&[Door]; 5] = [
        &[],
        &[door("0.0.0.0:1", false)],
        &[door("127.0.0.1:1", false), door("unix:/r", false)],
        &[door("127.0.0.1:1", true)],
        &[door("127.0.0.1:1", true), door("[::]:2", false)],
    ];
    let expected: [&[Target]; 5] = [
        &[Target::Tcp([127, 0, 0, 1].into(), 9310)],
        &[Target::Tcp([127, 0, 0, 1].into(), 1)],
        &[Target::Unix("/r".into())],
        &[Target::Tcp([127, 0, 0, 1].into(), 1)],
        &[Target::Tcp("::1".parse().unwrap(), 2)],
    ];
    for (doors, expected) in doors.into_iter().zip(expected) {
        for header in RealIpHeader::ALL {
            let text = render(&Facts { doors: doors.to_vec(), real_ip_header: header, ..facts() });
            let without_names = text.replace("@wsrelayd_away", "");
            assert!(!without_names.contains('@'), "{text}");
            let tree = read(&text, "f").unwrap();
            let routes = routes(&tree.top);
            assert_eq!(routes.len(), 1);
            assert_eq!(routes[0].targets, expected, "{text}");
            assert_eq!(routes[0].is_stream, doors.len() == 1 && doors[0].proxy_protocol);
        }
    }
}

#[test]
fn times_and_numbers_are_those_of_the_configuration() {
    let mut config = Config::default();
    config.limits.ping_interval = std::time::Duration::from_millis(100_500);
    config.limits.max_connections = 100;
    config.limits.max_message = (1 << 10) + 1;
    let text = render(&Facts::of(&config, |_| Vec::new()));
    let numbers = ["proxy_read_timeout 221s;", "worker_connections 440;", "client_max_body_size 2k;"];
    for words in numbers.into_iter().chain(["after\n        # 1m 40s 500ms and"]) {
        assert!(text.contains(words), "{words}\n{text}");
    }
}
