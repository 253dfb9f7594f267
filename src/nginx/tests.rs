//! Tests of `nginx`: the committed file against the code, and every form of it against what `wsrelayd doctor` looks for.

use super::*;
use crate::{address::RealIpHeader, config::Config, origin::Origins};
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

/// A header that is not set is what the client wrote; a query that is logged is a token that is.
#[test]
fn who_names_users_and_where_tokens_stand_is_reckoned_with() {
    let (user, log) =
        ("proxy_set_header X-Auth-User \"\";", "access_log /var/log/nginx/access.log wsrelayd;");
    let plain = render(&facts());
    assert!(
        !["auth_request", "access_log", "wsrelayd_path"].iter().any(|word| plain.contains(word)),
        "{plain}"
    );
    let named = render(&Facts { identity_header: Some("X-Auth-User".into()), ..facts() });
    assert!(
        named.contains(user) && named.contains("$upstream_http_x_auth_user;") && !named.contains(log),
        "{named}"
    );
    let logged = render(&Facts { token_query: Some("token".into()), ..facts() });
    assert!(
        logged.contains(log) && logged.contains("log_format wsrelayd ") && !logged.contains("X-Auth"),
        "{logged}"
    );
    for text in [named, logged] {
        assert!(
            !text.contains("X-Original-URI $request_uri") && !text.contains("X-Original-URI $uri"),
            "{text}"
        );
        assert!(!text.replace("@wsrelayd_away", "").contains('@'), "{text}");
        assert_eq!(routes(&read(&text, "f").unwrap().top).len(), 1, "{text}");
    }
}

/// The relay is away just when its clients come back, with their tokens.
#[test]
fn one_log_without_queries_holds_in_every_location() {
    let text = render(&Facts { token_query: Some("token".into()), ..facts() });
    let tree = read(&text, "f").unwrap();
    let routes = routes(&tree.top);
    let stand_ins = routes[0].stand_ins("access_log");
    let names: Vec<_> = stand_ins.iter().map(|(location, _)| location.words.join(" ")).collect();
    assert_eq!(names, ["@wsrelayd_away", "= /.wsrelayd-away"]);
    for logs in stand_ins.into_iter().map(|(_, logs)| logs).chain([routes[0].all("access_log")]) {
        assert!(logs.len() == 1 && logs[0].words[1] == "wsrelayd", "{logs:?}");
    }
}

/// What hangs on `Host`, by the origins of all rules.
#[test]
fn what_hangs_on_the_host_follows_from_the_origins() {
    let origins = |same_host, any| Origins { same_host, any, ..Origins::default() };
    let mut listed = origins(true, false);
    listed.listed.push("https://a.example".parse().unwrap());
    let table = [
        (origins(true, false), Reliance::All),
        (listed, Reliance::Some),
        (origins(false, false), Reliance::Nothing),
        (origins(true, true), Reliance::Nothing),
    ];
    assert!(!table.is_empty());
    for (origins, expected) in table {
        let mut config = Config::default();
        config.limits.origins = origins;
        assert_eq!(Facts::of(&config, |_| Vec::new()).reliance, expected, "{:?}", config.limits.origins);
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
