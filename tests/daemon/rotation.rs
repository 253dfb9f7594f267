//! The keys that tokens are held against, while it runs: one is changed for another by SIGHUP, step by step, and a bad
//! one changes nothing.

use crate::{codes::*, permits::*, raw::*, smith::*};
use rustix::process::Signal;
use serde_json::json;
use std::{fs, net::TcpStream, process::Command};

const APPLIED: &str = "the configuration was reloaded:";
const REFUSED: &str = "the configuration was not reloaded, nothing has changed:";

fn reload(guarded: &mut Guarded, keys: &str, words: &str) -> String {
    write(&guarded.folder, "relay.toml", &format!("token_keys = [{keys}]\n{FEED}"));
    guarded.relay.signal(Signal::HUP);
    guarded.relay.line_with(words)
}

fn publishing(smith: &Smith) -> String {
    format!("Authorization: Bearer {}\r\n", smith.token(&json!({ "publish": ["/feed/*"] })))
}

/// Whether a new peer is let in: its status.
fn status(guarded: &Guarded, smith: &Smith) -> String {
    guarded.ask("/feed/a", &publishing(smith)).1[9..12].to_owned()
}

/// One that publishes and one that listens are still there, and hear each other.
fn go_on(guarded: &Guarded, pair: &mut [TcpStream; 2], step: &str) {
    let [speaker, listener] = pair;
    guarded.relay.relays(speaker, listener, step);
}

#[test]
fn a_key_is_changed_for_another_and_nobody_who_is_there_notices() {
    let mut guarded = Guarded::start("rotation", FEED);
    let old = Smith::secret(SECRET);
    let new = Smith::ed25519();
    write(&guarded.folder, "feed-2.pem", &new.file());
    let mut pair = [guarded.join("/feed/b", &publishing(&old)), guarded.join("/feed/b", "")];
    let statuses = |guarded: &Guarded| [status(guarded, &old), status(guarded, &new)];
    assert_eq!(statuses(&guarded), ["101", "401"], "the old key only");
    go_on(&guarded, &mut pair, "before");

    let said = reload(&mut guarded, "\"feed.secret\", \"feed-2.pem\"", APPLIED);
    assert!(said.contains("keys that tokens are held against: feed (HS256), feed-2 (EdDSA)"), "{said}");
    assert_eq!(statuses(&guarded), ["101", "101"], "both");
    let mut later = [guarded.join("/feed/c", &publishing(&new)), guarded.join("/feed/c", "")];
    go_on(&guarded, &mut pair, "with both");

    let said = reload(&mut guarded, "\"feed-2.pem\"", APPLIED);
    assert!(said.contains("keys that tokens are held against: feed-2 (EdDSA)"), "{said}");
    assert_eq!(statuses(&guarded), ["401", "101"], "the new key only");
    go_on(&guarded, &mut pair, "by the old key still");
    go_on(&guarded, &mut later, "by the new one");

    // The same name, and another key in it: what counts is what the file holds.
    let third = Smith::ed25519();
    write(&guarded.folder, "feed-2.pem", &third.file());
    let said = reload(&mut guarded, "\"feed-2.pem\"", APPLIED);
    assert!(said.contains("keys that tokens are held against: feed-2 (EdDSA)"), "{said}");
    assert_eq!([status(&guarded, &new), status(&guarded, &third)], ["401", "101"]);
    go_on(&guarded, &mut pair, "to the end");
    let log = said_until_its_end(&mut guarded);
    for material in [SECRET, new.file().lines().nth(1).unwrap(), third.file().lines().nth(1).unwrap()] {
        assert!(!log.contains(&material[..16]), "{material} in {log}");
    }
}

/// The log from here on.
fn said_until_its_end(guarded: &mut Guarded) -> String {
    guarded.relay.signal(Signal::TERM);
    let mut log = String::new();
    loop {
        match guarded.relay.line() {
            line if line.is_empty() => return log,
            line => log += &line,
        }
    }
}

#[test]
fn a_reload_with_a_bad_key_changes_nothing() {
    let mut guarded = Guarded::start("bad-keys", FEED);
    let mut pair =
        [guarded.join("/feed/b", &publishing(&Smith::secret(SECRET))), guarded.join("/feed/b", "")];
    let folder = &guarded.folder;
    write(folder, "short.secret", "too short a secret of mine");
    write(folder, "private.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    write(folder, "broken.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    write(folder, "long.secret", &"a long secret ".repeat(2000));
    fs::create_dir_all(folder.path("folder.secret")).unwrap();
    // Nobody writes into it, and nobody may wait for that.
    let _ = Command::new("mkfifo").arg(folder.path("pipe.secret")).status().unwrap();
    let table = [
        ("\"missing.secret\"", "No such file"),
        ("\"short.secret\"", "at least 32 bytes, not of 26"),
        ("\"private.pem\"", "expected a public key, not a private one"),
        ("\"broken.pem\"", "it is damaged"),
        ("\"long.secret\"", "this is no key"),
        ("\"folder.secret\"", "no regular file"),
        ("\"pipe.secret\"", "no regular file"),
        ("\"feed.secret\", \"feed.secret\"", "feed.secret"),
    ];
    assert!(!table.is_empty());
    for (keys, words) in table {
        reload(&mut guarded, keys, REFUSED);
        let said = guarded.relay.line_with("token_keys");
        assert!(said.contains(words), "{keys}: {said}");
        assert!(!said.contains("too short a secret of mine"), "{said}");
    }
    assert_eq!(status(&guarded, &Smith::secret(SECRET)), "101", "the key is still known");
    go_on(&guarded, &mut pair, "as before");
    guarded.relay.signal(Signal::USR1);
    let counts = format!("reloads=0 reload_failures={}", table.len());
    assert!(guarded.relay.line_with("opened=").contains(&counts));
    write(&guarded.folder, "feed.secret", &format!("{SECRET}, and more of it\n"));
    reload(&mut guarded, "\"feed.secret\"", APPLIED);
    assert_eq!(status(&guarded, &Smith::secret(SECRET)), "401", "and a good one is taken");
}

/// Where a token counts and there is no key, the start is refused, and so is a reload.
#[test]
fn what_rules_say_changes_at_once_and_what_was_granted_stays() {
    let mut guarded = Guarded::start("rules-reload", FEED);
    let smith = Smith::secret(SECRET);
    let mut pair = [guarded.join("/feed/b", &publishing(&smith)), guarded.join("/feed/b", "")];
    let text = "token_keys = [\"feed.secret\"]\n[[channel]]\npath = \"/feed/*\"\npublish = \"nobody\"\nmax_message = 8\n";
    write(&guarded.folder, "relay.toml", text);
    guarded.relay.signal(Signal::HUP);
    let said = guarded.relay.line_with(APPLIED);
    assert!(
        said.contains("[[channel]] /feed/*: ") && said.contains("publish = \"token\" -> \"nobody\""),
        "{said}"
    );
    go_on(&guarded, &mut pair, "8 bytes!");
    let [speaker, _] = &mut pair;
    std::io::Write::write_all(speaker, &masked(0x81, b"9 bytes!!")).unwrap();
    assert_eq!(last_frame(speaker), close_frame(1009, "too-big"));
    let mut again = guarded.join("/feed/b", &publishing(&smith));
    std::io::Write::write_all(&mut again, &masked(0x81, b"x")).unwrap();
    assert_eq!(last_frame(&mut again), close_frame(1008, "publish-not-allowed"));
    write(&guarded.folder, "relay.toml", "[[channel]]\npath = \"/other\"\n");
    guarded.relay.signal(Signal::HUP);
    let said = guarded.relay.line_with(APPLIED);
    assert!(
        said.contains("[[channel]] /feed/*: taken out") && said.contains("[[channel]] /other: new"),
        "{said}"
    );
    assert_refused(&guarded.refused(&handshake("/feed/b", "")), "404 Not Found", &[]);
}
