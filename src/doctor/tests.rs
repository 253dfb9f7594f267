//! Tests of `doctor`: whole configurations of nginx in `tests/nginx/doctor`, each with exactly what is found in it.

use super::*;
use crate::{address::RealIpHeader, config::Place, nginx::Reliance};
use proptest::prelude::*;
use std::{fs, path::PathBuf};

const FOLDER: &str = "tests/nginx/doctor";

/// The relay of all these tests: the defaults, a socket, and a port for who speaks the PROXY protocol.
fn relay() -> Facts {
    let mut listen = Config::default().listen;
    listen.push(Place::Unix("/run/wsrelayd/relay.sock".into()).into());
    let mut line: crate::config::Listen = "127.0.0.1:9320".parse::<Place>().unwrap().into();
    line.proxy_protocol = true;
    listen.push(line);
    Facts::of(&Config { listen, ..Config::default() }, |_| Vec::new())
}

/// The same, with users whom the proxy names and tokens in the query.
fn relay_with_users() -> Facts {
    Facts { identity_header: Some("X-User".into()), token_query: Some("token".into()), ..relay() }
}

fn found_in(text: &str, name: &str) -> Report {
    let around = Around { version: Some(Version([1, 22, 1])), processors: Some(2), is_accepted: false };
    let facts = if name.contains("named") { relay_with_users() } else { relay() };
    Report(examine(text, name, &facts, around))
}

fn configurations() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join(FOLDER)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|file| file.extension().is_some_and(|end| end == "conf")).collect();
    files.sort();
    files
}

/// `BLESS=1` writes down what is found instead.
#[test]
fn everything_that_is_wrong_with_an_nginx_is_found_and_nothing_else() {
    let files = configurations();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let name = format!("{FOLDER}/{}", file.file_name().unwrap().to_str().unwrap());
        let told = found_in(&fs::read_to_string(&file).unwrap(), &name).to_string();
        let expected = file.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        assert_eq!(told, fs::read_to_string(&expected).unwrap(), "{name}");
        let is_good = name.contains("/good");
        assert_eq!(is_good, told.ends_with("\n0 errors, 0 warnings\n"), "{name}: {told}");
    }
}

/// What `wsrelayd nginx` prints stands its own examination, for every kind of door.
#[test]
fn the_printed_configuration_is_found_good() {
    for listen in ["127.0.0.1:9310", "0.0.0.0:1", "[::1]:2", "unix:/r", "proxy"] {
        for header in RealIpHeader::ALL {
            let mut one: crate::config::Listen =
                listen.parse::<Place>().unwrap_or(Place::Unix("/p".into())).into();
            one.proxy_protocol = listen == "proxy";
            let facts = Facts::of(&Config { listen: vec![one], ..Config::default() }, |_| Vec::new());
            let facts = Facts { real_ip_header: header, ..facts };
            let named = Facts {
                identity_header: Some("X-User".into()),
                token_query: Some("token".into()),
                ..facts.clone()
            };
            for facts in [facts, named] {
                let report = Report(examine(&nginx::render(&facts), "f", &facts, Around::default()));
                assert!(
                    report.to_string().ends_with("0 errors, 0 warnings\n"),
                    "{listen} {header:?}: {report}"
                );
                assert!(report.to_string().starts_with("ok "), "{listen} {header:?}: {report}");
            }
        }
    }
}

/// The lines for a service that knows who it is stand there to be taken.
#[test]
fn the_printed_lines_that_ask_who_it_is_are_found_good() {
    let facts = relay_with_users();
    let printed = nginx::render(&facts);
    let marks = ["auth_request", "proxy_set_header X-User $", "location = /.wsrelayd-auth", "    ", "}"];
    let is_taken = |line: &str| marks.iter().any(|mark| line.starts_with(&format!("# {mark}")));
    let taken = printed.lines().map(|line| {
        let bare = line.trim_start();
        if is_taken(bare) { &bare[2..] } else { line }
    });
    let asking = taken.collect::<Vec<_>>().join("\n").replace("proxy_set_header X-User \"\";", "");
    let report = Report(examine(&asking, "f", &facts, Around::default())).to_string();
    assert!(asking.contains("auth_request_set $wsrelayd_user $upstream_http_x_user;"), "{asking}");
    assert!(report.starts_with("ok ") && report.ends_with("0 errors, 0 warnings\n"), "{report}\n{asking}");
    let without = asking.replace("proxy_set_header X-User $wsrelayd_user;", "");
    let report = Report(examine(&without, "f", &facts, Around::default())).to_string();
    assert!(report.contains("any client may call itself anybody"), "{report}");
}

/// A log of the relay's location alone leaves those who answer for it to another.
#[test]
fn a_log_that_holds_only_while_the_relay_is_there_is_found() {
    let facts = relay_with_users();
    let printed = nginx::render(&facts);
    let log = "access_log /var/log/nginx/access.log wsrelayd;";
    assert!(printed.contains(log), "{printed}");
    let said = |text: &str| Report(examine(text, "f", &facts, Around::default())).to_string();
    let inside = printed.replace(log, "").replace("location / {", &format!("location / {{ {log}"));
    let told = said(&inside);
    for whose in ["location @wsrelayd_away answers", "location = /.wsrelayd-away answers"] {
        assert!(told.contains(whose), "{whose}: {told}");
    }
    assert_eq!(told.matches("warning  ").count(), 2, "{told}");
    let off = said(&inside.replace("server_name", "access_log off; server_name"));
    assert!(off.ends_with("0 errors, 0 warnings\n"), "{off}");
    let nowhere = said(&printed.replace(log, ""));
    assert_eq!(nowhere.matches("warning  ").count(), 1, "{nowhere}");
}

/// Where pages are listed, or all are taken, less hangs on `Host`, or nothing.
#[test]
fn what_is_said_of_a_host_is_as_bad_as_what_hangs_on_it() {
    let text = nginx::render(&relay()).replace("proxy_set_header Host $http_host;", "");
    let table = [
        (Reliance::All, Severity::Error),
        (Reliance::Some, Severity::Warning),
        (Reliance::Nothing, Severity::Good),
    ];
    assert!(!table.is_empty());
    for (reliance, severity) in table {
        let found = examine(&text, "f", &Facts { reliance, ..relay() }, Around::default());
        assert_eq!(found.iter().map(|finding| finding.severity).max(), Some(severity), "{found:?}");
    }
}

#[test]
fn a_refusal_of_nginx_is_told_apart_from_a_mistake() {
    let denied = "nginx: [alert] could not open error log\nnginx: [emerg] cannot load certificate: (13: Permission denied)\n";
    assert_eq!(refused(denied).severity, Severity::Note);
    let broken = "nginx: [emerg] unknown directive \"a\" in /etc/nginx/nginx.conf:1\nnginx: configuration file test failed\n";
    let finding = refused(broken);
    assert!(finding.severity == Severity::Error && finding.what.contains("unknown directive"), "{finding}");
    assert_eq!(refused("").severity, Severity::Error);
}

/// Text that nginx has read is no mistake of its owner's because this reader fails.
#[test]
fn what_nginx_accepts_and_is_not_understood_is_no_error() {
    let odd = "# configuration file /n:\nodd { x 's }\n";
    let success = "nginx: configuration file /n test is successful\n";
    let examined = |text: &str, is_accepted| {
        let found = examine(text, "f", &relay(), Around { is_accepted, ..Around::default() });
        assert!(found.len() == 1 && found[0].what.contains("never closed"), "{found:?}");
        found[0].severity
    };
    assert_eq!(examined(odd, false), Severity::Error);
    assert_eq!(examined(odd, true), Severity::Note);
    assert_eq!(examined(&format!("{success}{odd}"), false), Severity::Note);
}

/// What `--check` calls a mistake is one here.
#[test]
fn a_configuration_that_does_not_fit_its_unit_is_no_good_one() {
    let machine =
        |seconds| Machine { stop_timeout: Some(Duration::from_secs(seconds)), ..Machine::default() };
    let found = |seconds| limits(&Examination::new(&Config::default(), machine(seconds)));
    assert_eq!(found(1).len(), 1);
    assert!(found(1)[0].severity == Severity::Error && found(1)[0].what.contains("TimeoutStopSec="));
    assert!(found(3600).len() == 1 && found(3600)[0].severity == Severity::Good);
}

proptest! {
    #[test]
    fn any_configuration_at_all_is_examined_to_the_end(
        text in r#"((http|server|location /|upstream u|stream|events|if \(x\)) \{|\}|proxy_pass (http://)?(127\.0\.0\.1:9310|u|unix:/run/wsrelayd/relay\.sock);|server 127\.0\.0\.1:9310;|proxy_set_header [a-zA-Z-]{0,8} [$a-z_]{0,8};|proxy_read_timeout [0-9]{0,22}[a-z]?;|worker_connections [0-9]{0,22};|limit_conn a [0-9]*;|access_log [a-z]{0,3};|access_log ('a' )?[a-z]{0,3};|log_format( a)?( \$request)?;|listen [0-9.:]{0,8};|set \$a [$a-z_]{0,8};|proxy_set_header (X-User|Host) [$a-z_]{0,8};| |\n|.){0,30}"#
    ) {
        for name in ["f", "named"] {
            let _ = found_in(&text, name).to_string();
        }
    }
}
