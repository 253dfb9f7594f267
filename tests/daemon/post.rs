//! Messages that come by HTTP: the README's lines with the real curl, every status at the real socket, bodies in pieces,
//! and the name under which a peer is known.

use crate::{codes::*, raw::*, support::*};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    io::Write,
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const README: &str = include_str!("../../README.md");

fn start(name: &str, keys: &str) -> (Relay, File) {
    let file = File::new(name, &format!("http_publish = true\n{keys}"));
    let relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    (relay, file)
}

/// A peer on a channel, and the head of its 101.
fn listen(relay: &Relay, target: &str) -> (TcpStream, String) {
    let mut client = connect(relay);
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    let answer = head(&mut client);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    (client, answer)
}

fn post(relay: &Relay, request: &str) -> String {
    let mut client = connect(relay);
    client.write_all(request.as_bytes()).unwrap();
    answer(&mut client)
}

/// What a shell prints for a line.
fn printed(line: &str) -> String {
    let mut shell = Command::new("sh");
    // Wherever a proxy is set, this machine is meant.
    let output = shell.arg("-c").arg(line).env("no_proxy", "*").stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Commands of the README's section on this, each with what it prints there.
fn lines_of_the_readme() -> Vec<(String, String)> {
    let (_, section) = README.split_once("\n## Publish by HTTP\n").expect("the section");
    let block = section.split("```console\n").nth(1).and_then(|block| block.split("```").next()).unwrap();
    let commands = block.split("$ ").skip(1).filter_map(|part| part.split_once('\n'));
    commands.map(|(command, printed)| (command.to_owned(), printed.to_owned())).collect()
}

#[test]
fn the_lines_of_the_readme_do_what_they_show() {
    let (relay, _file) = start("readme", "");
    let mut others = [listen(&relay, "/room").0, listen(&relay, "/room").0];
    let address = relay.addresses[0].to_string();
    let lines = lines_of_the_readme();
    assert!(lines.len() >= 4, "{lines:?}");
    if printed("command -v curl").is_empty() {
        return eprintln!("no curl: the lines of the README are not tried");
    }
    for (command, shown) in &lines {
        assert!(command.contains("127.0.0.1:9310"), "{command}");
        let quiet = command.replace("127.0.0.1:9310", &address).replace("curl ", "curl -s ");
        assert_eq!(&printed(&quiet), shown, "{command}");
    }
    let wanted = [(0x82, &b"hello"[..]), (0x81, b"hello, others"), (0x82, b"from a pipe")];
    for other in &mut others {
        for (first, payload) in wanted {
            assert_eq!(frame(other).unwrap(), (first, payload.to_vec()));
        }
    }
}

/// curl waits for `100 Continue` before it sends a body of more than a megabyte.
#[test]
fn curl_is_told_to_go_on_with_a_large_message_and_not_with_one_that_is_too_large() {
    let keys = "max_message = \"2 MiB\"\nmax_lag = \"8 MiB\"\nmax_inflight_read = \"16 MiB\"\n";
    let (mut relay, _file) = start("large", keys);
    if printed("command -v curl").is_empty() {
        return eprintln!("no curl: a large message is not tried");
    }
    let address = relay.addresses[0];
    let status = |bytes: usize| {
        printed(&format!(
            "head -c {bytes} /dev/zero | curl -s -o /dev/null -w '%{{http_code}} %{{size_upload}}' -H 'Expect: 100-continue' \
             --data-binary @- http://{address}/nobody"
        ))
    };
    assert_eq!(status(2 << 20), "202 2097152");
    assert!(status((2 << 20) + 1).starts_with("413 "), "one byte more");
    assert_counted(&mut relay, &counted([("posted", 1), ("refused.body_too_large", 1)]), 0);
}

#[test]
fn every_status_of_a_post_is_told_and_counted() {
    let (mut relay, _file) = start("statuses", "");
    const LENGTH: &str = "Content-Length: 5\r\n";
    const TYPE: &str = "Content-Type: text/plain\r\n";
    let good = format!("POST /room HTTP/1.1\r\nHost: localhost\r\n{TYPE}{LENGTH}\r\nhello");
    #[rustfmt::skip]
    let table: &[(&str, &str, &str, &[&str], &str)] = &[
        ("hello", "hello, and more", "400 Bad Request", &[], "refused.bad_request"),
        (LENGTH, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "400 Bad Request", &[], "refused.bad_request"),
        (LENGTH, "Content-Length: 5\r\nContent-Length: 6\r\n", "400 Bad Request", &[], "refused.bad_request"),
        (TYPE, "Origin: http://localhost.example\r\n", "403 Forbidden", &[], "refused.origin"),
        ("POST", "DELETE", "405 Method Not Allowed", &["Allow: GET, POST"], "refused.method"),
        (LENGTH, "Transfer-Encoding: chunked\r\n", "411 Length Required", &[], "refused.length_required"),
        (LENGTH, "Content-Length: 65537\r\n", "413 Content Too Large", &[], "refused.body_too_large"),
        (TYPE, "Content-Type: text/plain; charset=latin1\r\n", "415 Unsupported Media Type", &[], "refused.media_type"),
        (LENGTH, "Content-Length: 5\r\nExpect: tea\r\n", "417 Expectation Failed", &[], "refused.expectation"),
        ("", "", "202 Accepted", &["Content-Type: application/json"], "posted"),
        (TYPE, "", "202 Accepted", &[], "posted"),
    ];
    assert!(!table.is_empty());
    let mut expected = BTreeMap::new();
    for (from, to, status, fields, label) in table {
        assert_refused(&post(&relay, &good.replacen(from, to, 1)), status, fields);
        *expected.entry((*label).to_owned()).or_default() += 1;
    }
    assert_counted(&mut relay, &expected, 0);
}

#[test]
fn a_post_that_does_not_come_to_its_end_is_told_so_in_time_or_counted_as_abandoned() {
    let (mut relay, _file) = start("half", "message_timeout = \"1s\"\nhandshake_timeout = \"5s\"\n");
    let half = "POST /room HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel";
    let began = Instant::now();
    assert_refused(&post(&relay, half), "408 Request Timeout", &[]);
    assert!(began.elapsed() >= Duration::from_secs(1));
    connect(&relay).write_all(half.as_bytes()).unwrap();
    let ends = counted([("refused.body_timeout", 1), ("refused.abandoned", 1)]);
    assert_counted(&mut relay, &ends, 0);
}

#[test]
fn a_body_may_come_byte_by_byte_and_everybody_there_gets_it_once() {
    let (relay, _file) = start("bytes", "");
    let mut others = [listen(&relay, "/caf%C3%A9").0, listen(&relay, "/caf%C3%A9").0];
    let mut client = connect(&relay);
    client.set_nodelay(true).unwrap();
    let request = "POST /caf%C3%A9 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nh\u{e9}llo";
    for byte in request.bytes() {
        client.write_all(&[byte]).unwrap();
    }
    assert!(answer(&mut client).ends_with("\r\n\r\n{\"peers\":2}\n"));
    for other in &mut others {
        assert_eq!(frame(other).unwrap(), (0x81, "h\u{e9}llo".as_bytes().to_vec()));
    }
    let [one, other] = &mut others;
    relay.relays(one, other, "nothing else came");
}

/// Off, on and off again by reload, for those who are connected too.
#[test]
fn it_is_off_until_it_is_switched_on() {
    let file = File::new("switch", "");
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let (mut other, _) = listen(&relay, "/room");
    let request = "POST /room HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi";
    assert_refused(&post(&relay, request), "405 Method Not Allowed", &["Allow: GET"]);
    for (keys, status) in [("http_publish = true\n", "202 Accepted"), ("", "405 Method Not Allowed")] {
        file.rewrite(keys);
        relay.signal(Signal::HUP);
        relay.line_with("http_publish = ");
        until("the reload holds", || {
            post(&relay, request).starts_with(&format!("HTTP/1.1 {status}\r\n")).then_some(())
        });
    }
    assert_eq!(frame(&mut other).unwrap(), (0x82, b"hi".to_vec()));
}

/// In its 101 and in the log; the tag of a request changes nothing of its channel.
#[test]
fn a_peer_is_told_the_name_that_the_log_has_for_it() {
    let (mut relay, _file) = start("name", "");
    let mut names = Vec::new();
    for target in ["/room", "/room?wsrelayd-tag=2a&x"] {
        let (client, told) = listen(&relay, target);
        let name = told.lines().find_map(|line| line.strip_prefix("x-wsrelayd-peer: ")).unwrap().to_owned();
        let line = relay.line_with("opened");
        assert!(line.contains(&format!(" peer={name} ")) && line.contains(" channel=/room"), "{line}");
        names.push((name, client));
    }
    assert_ne!(names[0].0, names[1].0);
}
