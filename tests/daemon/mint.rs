//! The README's feed as somebody new to it would try it: the rule is asked for, a secret and a token are made by the
//! program, and what the token is worth is asked and then seen.

use crate::{codes::*, permits::*, raw::*, support::*};
use std::{
    fs,
    process::{Command, Output, Stdio},
};

const README: &str = include_str!("../../README.md");

/// The configuration that the README shows, with its secret in this folder.
fn configuration(folder: &Folder) -> String {
    let (_, section) = README.split_once("\n## Permissions\n").expect("the section");
    let (_, block) = section.split_once("```toml\n").expect("the example");
    let (block, _) = block.split_once("```").unwrap();
    assert!(block.contains("[[channel]]") && block.contains("\"feed.secret\""), "{block}");
    block.replace("feed.secret", &folder.path("feed.secret"))
}

/// The program with these words, in a folder.
fn run(words: &[&str]) -> Output {
    Command::new(BINARY).args(words).stdin(Stdio::null()).output().unwrap()
}

/// What it prints where all is well.
fn printed(words: &[&str]) -> String {
    let output = run(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_readmes_feed_does_what_a_newcomer_expects() {
    let folder = Folder::new("newcomer");
    let (file, secret) = (folder.path("relay.toml"), folder.path("feed.secret"));
    fs::write(&file, configuration(&folder)).unwrap();
    // Before there is a key a start is refused, and the rule can be asked for.
    let refused = run(&["--check", "--config", &file]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("feed.secret"));
    let told = printed(&["rules", "/feed/news", "--config", &file]);
    assert!(
        told.contains("/feed/news comes under the rule /feed/*") && told.contains("whoever brings a token"),
        "{told}"
    );
    let nowhere = run(&["rules", "/other", "--config", &file]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("404"));

    fs::write(&secret, printed(&["token", "secret"])).unwrap();
    let relay = Relay::start(&["--config", &file, "--listen", "127.0.0.1:0"]);
    let made = |publish: &str| {
        printed(&[
            "token",
            "make",
            "--key",
            &secret,
            "--publish",
            publish,
            "--subject",
            "mary",
            "--lasts",
            "2h",
        ])
    };
    let (good, other) = (made("/feed/*"), made("/feed/weather"));
    let mut listener = listening(&relay);
    for (token, status) in
        [(Some(&good), "202 Accepted"), (Some(&other), "403 Forbidden"), (None, "401 Unauthorized")]
    {
        let line =
            token.map_or(String::new(), |token| format!("Authorization: Bearer {}\r\n", token.trim_end()));
        let mut client = connect(&relay);
        std::io::Write::write_all(&mut client, post("/feed/news", &line).as_bytes()).unwrap();
        assert_refused(&answer(&mut client), status, &[]);
    }
    assert_eq!(frame(&mut listener).unwrap(), (0x82, b"hi".to_vec()));
    for (token, words) in [(&good, "may publish to /feed/*"), (&other, "may publish to /feed/weather")] {
        let told = printed(&["token", "inspect", token.trim_end(), "--config", &file]);
        assert!(told.contains("good now") && told.contains(words) && told.contains("mary"), "{told}");
    }
    let is_good = |token: &str, path: &str| {
        run(&["token", "inspect", token.trim_end(), "--config", &file, "--path", path]).status.success()
    };
    assert!(is_good(&good, "/feed/news") && is_good(&other, "/feed/weather"));
    let spoilt = format!("{}A", good.trim_end());
    assert!(
        !is_good(&good, "/other") && !is_good(&spoilt, "/feed/news"),
        "what the relay refuses is no good"
    );
}

fn listening(relay: &Relay) -> std::net::TcpStream {
    let mut client = connect(relay);
    std::io::Write::write_all(&mut client, handshake("/feed/news", "").as_bytes()).unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 101 "));
    client
}
