//! From which pages requests are taken: the console's own and those of the same host, and no others, in every way in which
//! a page can ask.

use crate::{codes::*, permits::*, support::*};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

const OPEN: &str = "http_publish = true\nevent_stream = true\n";

/// Each way in which a page can ask: its request for a host with this line, and the status of what is taken.
fn ways(host: &str, line: &str) -> [(String, &'static str); 3] {
    let for_host = |request: String| request.replacen("Host: localhost", &format!("Host: {host}"), 1);
    let ways = [(handshake("/a", line), "101"), (listen("/a", line), "200"), (post("/a", line), "202")];
    ways.map(|(request, status)| (for_host(request), status))
}

/// The head of what comes back.
fn told(guarded: &Guarded, request: &str) -> String {
    let mut client = connect(&guarded.relay);
    client.write_all(request.as_bytes()).unwrap();
    head(&mut client)
}

fn assert_taken(guarded: &Guarded, host: &str, origin: &str) {
    for (request, status) in ways(host, &format!("Origin: {origin}\r\n")) {
        let told = told(guarded, &request);
        assert_eq!(&told[9..12], status, "{origin} for {host}: {told}");
        // A WebSocket is under no such rule of browsers.
        let may_be_read =
            told.contains(&format!("Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n"));
        assert_eq!(may_be_read, status != "101", "{told}");
    }
}

/// Answers with how many that were.
fn assert_not_taken(guarded: &Guarded, host: &str, line: &str) -> u64 {
    for (request, _) in ways(host, line) {
        let told = guarded.refused(&request);
        assert_refused(&told, "403 Forbidden", &[]);
        assert!(!told.contains("Access-Control"), "{told}");
    }
    3
}

fn origin(text: &str) -> String {
    format!("Origin: {text}\r\n")
}

#[test]
fn by_default_pages_of_the_same_host_and_of_the_console_are_taken_and_no_others() {
    let mut guarded = Guarded::start("pages", OPEN);
    let [relay, desk] = [0, 1].map(|nth| guarded.relay.addresses[nth]);
    let port = desk.port();
    assert_ne!(relay.port(), port);
    for console in [format!("http://{desk}"), format!("http://localhost:{port}")] {
        assert_taken(&guarded, &relay.to_string(), &console);
    }
    assert_taken(&guarded, &relay.to_string(), &format!("http://{relay}"));
    assert_taken(&guarded, "Chat.Example.com", "https://chat.example.com");
    assert_taken(&guarded, "chat.example.com:443", "https://chat.example.com");
    for (request, status) in ways("chat.example.com", "") {
        let told = told(&guarded, &request);
        assert_eq!(&told[9..12], status, "no browser asks: {told}");
        assert!(!told.contains("Access-Control"), "{told}");
    }
    let foreign = [
        origin("https://evil.example"),
        origin("null"),
        origin(&format!("https://{desk}")),
        origin(&format!("http://evil.example:{port}")),
        origin(&format!("http://127.0.0.2:{port}")),
        origin("http://chat.example.com:8080"),
        origin("https://chat.example.com") + &origin("https://chat.example.com"),
        origin("https://chat.example.com") + &origin("https://evil.example"),
    ];
    let refused = foreign.iter().map(|line| assert_not_taken(&guarded, "chat.example.com", line)).sum();
    let line = told_counters(&mut guarded);
    let found: BTreeMap<_, _> = line.split(' ').filter_map(|word| word.trim().split_once('=')).collect();
    assert_eq!(found.get("refused.origin").map(|n| n.parse()), Some(Ok::<u64, _>(refused)), "{line}");
}

fn told_counters(guarded: &mut Guarded) -> String {
    guarded.relay.signal(rustix::process::Signal::USR1);
    guarded.relay.line_with("stalls=")
}

#[test]
fn a_rule_lists_the_pages_of_its_channels() {
    let keys = format!(
        "{OPEN}origins = [\"https://app.example.com\"]\n\
         [[channel]]\npath = \"/a\"\norigins = [\"https://one.example:8443\", \"null\"]\n\
         [[channel]]\npath = \"/any\"\norigins = [\"any\"]\n[[channel]]\npath = \"/**\"\n"
    );
    let guarded = Guarded::start("listed", &keys);
    assert_taken(&guarded, "localhost", "https://one.example:8443");
    assert_taken(&guarded, "localhost", "null");
    for line in ["https://app.example.com", "http://localhost", "https://one.example"] {
        assert_not_taken(&guarded, "localhost", &origin(line));
    }
    let ask = |path, page| told(&guarded, &listen(path, &origin(page)));
    assert!(ask("/any", "https://evil.example").contains("\r\nAccess-Control-Allow-Origin: *\r\n"));
    assert!(ask("/else", "https://app.example.com").starts_with("HTTP/1.1 200 "));
    assert!(ask("/else", "https://one.example:8443").starts_with("HTTP/1.1 403 "));
    let mut body = [0; 2];
    let mut client = connect(&guarded.relay);
    client.write_all(listen("/any", "").as_bytes()).unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
    client.read_exact(&mut body).unwrap();
    assert_eq!(&body, b":\n");
}
