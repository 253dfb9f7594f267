//! What the desk of the real binary tells of peers, and the peer that it sends away; files, metrics, and who may ask.

use crate::support::*;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const BOTH: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// One visit to the end of the connection: head and body.
pub(crate) fn ask(desk: SocketAddr, line: &str, fields: &str) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(desk).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(format!("{line} HTTP/1.1\r\nHost: {desk}\r\n{fields}\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}

pub(crate) fn told(desk: SocketAddr, path: &str) -> Value {
    let (head, body) = ask(desk, &format!("GET {path}"), "");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("\r\nContent-Type: application/json\r\n"),
        "{head}"
    );
    serde_json::from_slice(&body).unwrap()
}

/// What is told is up to a second old.
pub(crate) fn told_when(desk: SocketAddr, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until(path, || Some(told(desk, path)).filter(&is_so))
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

/// A client of `target`, and the name that its 101 gave it.
fn named_client(relay: &Relay, target: &str) -> (TcpStream, String) {
    let mut client = TcpStream::connect(relay.addresses[0]).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    let answer = head(&mut client);
    let id = field(&answer, "X-Wsrelayd-Peer").unwrap_or_else(|| panic!("no name in {answer}")).to_owned();
    (client, id)
}

#[test]
fn every_route_has_its_media_type_and_its_head_alone() {
    let relay = Relay::start(&BOTH);
    let desk = relay.addresses[1];
    let table = [
        ("/", "text/html; charset=utf-8"),
        ("/console.css", "text/css; charset=utf-8"),
        ("/console.js", "text/javascript; charset=utf-8"),
        ("/wsrelayd.js", "text/javascript; charset=utf-8"),
        ("/uPlot.iife.min.js", "text/javascript; charset=utf-8"),
        ("/uPlot.min.css", "text/css; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/api/status", "application/json"),
        ("/api/channels", "application/json"),
        ("/api/peers", "application/json"),
        ("/api/log", "application/json"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
    ];
    assert!(!table.is_empty());
    for (path, media) in table {
        let (head, body) = ask(desk, &format!("GET {path}"), "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        assert_eq!(field(&head, "Content-Type"), Some(media), "{path}");
        assert_eq!(field(&head, "Content-Length"), Some(&*body.len().to_string()), "{path}");
        assert_eq!(field(&head, "X-Content-Type-Options"), Some("nosniff"), "{path}");
        assert!(!head.contains("Access-Control") && !body.is_empty(), "{path}: {head}");
        let is_file = field(&head, "ETag").is_some();
        assert_eq!(
            field(&head, "Cache-Control"),
            Some(if is_file { "no-cache" } else { "no-store" }),
            "{path}"
        );
        assert_eq!(field(&head, "Content-Security-Policy").is_some(), is_file, "{path}");
        if media == "application/json" {
            assert!(serde_json::from_slice::<Value>(&body).unwrap().is_object(), "{path}");
        }
        // The answers of a moment may have another length in the next.
        let (head_alone, nothing) = ask(desk, &format!("HEAD {path}"), "");
        assert!(nothing.is_empty() && head_alone.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head_alone}");
        assert_eq!(field(&head_alone, "Content-Type"), Some(media), "{path}");
        if is_file {
            assert_eq!(head_alone, head, "{path}");
            let known = format!("If-None-Match: {}\r\n", field(&head, "ETag").unwrap());
            let (head, nothing) = ask(desk, &format!("GET {path}"), &known);
            assert!(
                head.starts_with("HTTP/1.1 304 Not Modified\r\n") && nothing.is_empty(),
                "{path}: {head}"
            );
        }
    }
}

#[test]
fn peers_are_told_with_what_they_said_under_the_name_that_they_know() {
    let relay = Relay::start(&BOTH);
    let desk = relay.addresses[1];
    let (mut a, name_a) = named_client(&relay, "/room/caf%C3%A9");
    let (mut b, name_b) = named_client(&relay, "/room/caf%C3%A9?wsrelayd-tag=00fE");
    let (_other, _) = named_client(&relay, "/other");
    for _ in 0..3 {
        relay.relays(&mut a, &mut b, "twelve bytes");
    }
    let path = "/api/peers?channel=%2Froom%2Fcaf%25C3%25A9&limit=5";
    let peers = told_when(desk, path, |told| {
        told["total"] == 2 && told["peers"].as_array().unwrap().iter().any(|peer| peer["messages_out"] == 3)
    });
    let row = |name: &str| {
        let rows = peers["peers"].as_array().unwrap();
        rows.iter().find(|peer| peer["id"] == name).unwrap_or_else(|| panic!("no {name} in {peers:#}"))
    };
    let whole = |name: &str, address: SocketAddr, traffic: [u64; 4], tag: Option<&str>| {
        json!({
            "id": name, "address": address.to_string(), "via": null, "channel": "/room/caf%C3%A9", "form": "websocket",
            "messages_in": traffic[0], "bytes_in": traffic[1], "messages_out": traffic[2], "bytes_out": traffic[3],
            "lag_bytes": 0, "takes_bytes": true, "tag": tag, "user": null, "may": ["subscribe", "publish"],
            "age_secs": row(name)["age_secs"], "last_heard_secs": row(name)["last_heard_secs"],
        })
    };
    assert_eq!(*row(&name_a), whole(&name_a, a.local_addr().unwrap(), [3, 36, 0, 0], None));
    assert_eq!(*row(&name_b), whole(&name_b, b.local_addr().unwrap(), [0, 0, 3, 42], Some("fe")));
    assert!(row(&name_a)["age_secs"].as_f64().unwrap() < 60.0);
    let tagged = told(desk, "/api/peers?tag=fe");
    assert_eq!((&tagged["total"], &tagged["peers"][0]["id"]), (&json!(1), &json!(name_b)));
    let channels = told(desk, "/api/channels");
    let paths: BTreeSet<_> =
        channels["channels"].as_array().unwrap().iter().map(|row| row["path"].as_str()).collect();
    assert_eq!(
        (paths, &channels["total"]),
        (BTreeSet::from([Some("/other"), Some("/room/caf%C3%A9")]), &json!(2))
    );
    let wanted = json!({
        "path": "/room/caf%C3%A9", "peers": 2, "event_streams": 0, "backlog_bytes": 0, "lag_bytes": 0,
        "lagging_peers": 0, "rule": null,
    });
    assert_eq!(channels["channels"][0], wanted, "the one with the most peers stands first");
    let relay_told = &told(desk, "/api/status")["relay"];
    assert_eq!(relay_told["listen"], json!([relay.addresses[0].to_string()]));
}

#[test]
fn who_is_behind_a_proxy_is_told_with_it() {
    let relay = Relay::start(&BOTH);
    let mut client = TcpStream::connect(relay.addresses[0]).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   X-Forwarded-For: 203.0.113.7\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 101 "));
    let peers = told_when(relay.addresses[1], "/api/peers", |told| told["total"] == 1);
    let peer = &peers["peers"][0];
    assert_eq!(
        (&peer["address"], &peer["via"]),
        (&json!("203.0.113.7"), &json!(client.local_addr().unwrap().to_string()))
    );
}

#[test]
fn the_slowest_peer_stands_first() {
    let relay = Relay::start(&BOTH);
    let desk = relay.addresses[1];
    let (mut from, _) = named_client(&relay, "/room");
    let (_stuck, name) = named_client(&relay, "/room");
    // More than the kernel takes for a peer that reads nothing, and less than what makes it slow.
    let message = [&[0x82, 0xFE, 0xC3, 0x50, 0, 0, 0, 0][..], &[7; 50_000]].concat();
    for _ in 0..16 {
        from.write_all(&message).unwrap();
    }
    let peers = told_when(desk, "/api/peers?limit=1", |told| told["peers"][0]["takes_bytes"] == false);
    assert_eq!((&peers["peers"][0]["id"], &peers["total"]), (&json!(name), &json!(2)));
    let lag = peers["peers"][0]["lag_bytes"].as_u64().unwrap();
    let channels = told_when(desk, "/api/channels", |told| told["channels"][0]["lagging_peers"] == 1);
    let row = &channels["channels"][0];
    assert!(
        lag > 0 && row["backlog_bytes"].as_u64().unwrap() >= row["lag_bytes"].as_u64().unwrap(),
        "{row:#}"
    );
}

#[test]
fn an_operator_sends_a_peer_away_and_nobody_else_does() {
    let file = File::new("desk-dismissal", "log = \"error\"\n");
    let relay = Relay::start(&[&["--config", file.path()], &BOTH[..]].concat());
    let desk = relay.addresses[1];
    let (mut a, name_a) = named_client(&relay, "/room");
    let (mut b, name_b) = named_client(&relay, "/room");
    let foreign = ["Origin: http://evil.example\r\n", "Origin: null\r\n", "Origin: http://localhost\r\n"];
    for fields in foreign {
        let (head, _) = ask(desk, &format!("DELETE /api/peers/{name_a}"), fields);
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{fields}{head}");
    }
    let mut rebound = TcpStream::connect(desk).unwrap();
    let port = desk.port();
    let request = format!(
        "DELETE /api/peers/{name_a} HTTP/1.1\r\nHost: rebound.example:{port}\r\nOrigin: http://rebound.example:{port}\r\n\r\n"
    );
    rebound.write_all(request.as_bytes()).unwrap();
    assert!(head(&mut rebound).starts_with("HTTP/1.1 421 "));
    for method in ["GET", "POST", "PUT", "PATCH"] {
        let (head, _) = ask(desk, &format!("{method} /api/peers/{name_a}"), "Content-Length: 0\r\n");
        assert!(head.starts_with("HTTP/1.1 405 ") && field(&head, "Allow") == Some("DELETE"), "{head}");
    }
    let (head, _) = ask(desk, &format!("DELETE /api/peers/{name_a}"), "Content-Length: 2\r\n");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    relay.relays(&mut a, &mut b, "both are still there");

    // As curl does it, and as the console does.
    let same = format!("Origin: http://{desk}\r\n");
    for (client, name, fields, query, word) in
        [(&mut a, &name_a, "", "", "operator"), (&mut b, &name_b, &*same, "?reason=too%20loud", "too loud")]
    {
        let (head, body) = ask(desk, &format!("DELETE /api/peers/{name}{query}"), fields);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "dismissed": name }));
        assert_eq!(close_code(client), 1008);
        let mut reason = vec![0; word.len()];
        client.read_exact(&mut reason).unwrap();
        assert_eq!(reason, word.as_bytes());
        client.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xF0]).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    let gone = until("the slot is free", || {
        let (head, _) = ask(desk, &format!("DELETE /api/peers/{name_a}"), "");
        head.starts_with("HTTP/1.1 404 ").then_some(head)
    });
    assert!(field(&gone, "Cache-Control") == Some("no-store"), "{gone}");
    told_when(desk, "/api/status", |status| status["disconnects"]["operator"] == 2);
}

/// Whatever is logged.
#[test]
fn the_log_of_the_desk_has_what_happened_the_newest_first() {
    let file = File::new("desk-log", "log = \"error\"\n");
    let relay = Relay::start(&[&["--config", file.path()], &BOTH[..]].concat());
    let desk = relay.addresses[1];
    let (client, name) = named_client(&relay, "/room");
    let address = client.local_addr().unwrap().to_string();
    drop(client);
    let mut refused = TcpStream::connect(relay.addresses[0]).unwrap();
    until("the end is known", || (told(desk, "/api/status")["disconnects"]["eof"] == 1).then_some(()));
    refused.write_all(b"PUT / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let log = told_when(desk, "/api/log", |log| log["entries"].as_array().unwrap().len() == 3);
    let entry = |nth: usize| &log["entries"][nth];
    let wanted = [
        ("refused", json!("method"), Value::Null),
        ("ended", json!("eof"), json!("/room")),
        ("opened", Value::Null, json!("/room")),
    ];
    for (nth, (event, reason, channel)) in wanted.into_iter().enumerate() {
        let found = entry(nth);
        assert_eq!(
            (&found["event"], &found["reason"], &found["channel"]),
            (&json!(event), &reason, &channel),
            "{log:#}"
        );
        assert_eq!(
            (found["seq"].as_u64(), found["lasted_secs"].is_null()),
            (Some(3 - nth as u64), event != "ended")
        );
    }
    assert_eq!((&entry(1)["peer"], &entry(1)["address"]), (&json!(name), &json!(address)));
    assert_eq!((&entry(2)["peer"], &entry(2)["address"]), (&json!(name), &json!(address)));
    let at_ms = entry(0)["at_ms"].as_u64().unwrap();
    assert!(at_ms > 1_700_000_000_000 && at_ms >= entry(2)["at_ms"].as_u64().unwrap(), "{log:#}");
}

#[test]
fn metrics_are_told_in_both_forms_and_count() {
    let relay = Relay::start(&BOTH);
    let desk = relay.addresses[1];
    let (mut a, mut b) = (relay.client(), relay.client());
    for n in 0..5 {
        relay.relays(&mut a, &mut b, &format!("message {n}"));
    }
    let scrape = |accept: &str| {
        let (head, body) = ask(desk, "GET /metrics", &format!("Accept: {accept}\r\n"));
        (field(&head, "Content-Type").unwrap().to_owned(), String::from_utf8(body).unwrap())
    };
    let lines = [
        "wsrelayd_peers 2",
        "wsrelayd_messages_in_total 5",
        "wsrelayd_deliveries_total 5",
        "wsrelayd_channels 1",
    ];
    for (accept, media, end) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", '\n'),
        (
            "application/openmetrics-text;version=1.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            '\n',
        ),
    ] {
        let (told_media, text) = until("what was sent", || {
            let (media, text) = scrape(accept);
            lines.iter().all(|line| text.lines().any(|found| found == *line)).then_some((media, text))
        });
        assert_eq!(told_media, media);
        assert_eq!((text.ends_with(end), text.ends_with("\n# EOF\n")), (true, accept != "*/*"), "{text}");
    }
    let counts = told_when(desk, "/api/status", |status| status["totals"]["messages_in"] == 5);
    let rates = &counts["rates"];
    assert!(rates["longest_turn_micros"].as_u64().unwrap() > 0, "{rates:#}");
    assert!(
        rates["mean_turn_micros"].as_f64().unwrap() <= rates["longest_turn_micros"].as_f64().unwrap(),
        "{rates:#}"
    );
    assert!(counts["totals"]["log_dropped"] == 0);
}

/// A dozen different questions in a burst: each is answered in its turn, and the peers go on meanwhile.
#[test]
fn many_different_questions_are_answered_one_by_one() {
    let relay = Relay::start(&BOTH);
    let desk = relay.addresses[1];
    let (mut a, mut b) = (relay.client(), relay.client());
    let mut waiting: Vec<_> = (1..=12)
        .map(|limit| {
            let mut socket = TcpStream::connect(desk).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let request = format!("GET /api/peers?limit={limit} HTTP/1.1\r\nHost: {desk}\r\n\r\n");
            socket.write_all(request.as_bytes()).unwrap();
            socket
        })
        .collect();
    relay.relays(&mut a, &mut b, "meanwhile");
    let start = std::time::Instant::now();
    for socket in &mut waiting {
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
