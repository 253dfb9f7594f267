//! The desk of the real binary: its pages, who is turned away, and `wsrelayd status`.

use crate::support::*;
use rustix::process::Signal;
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::{fs::FileTypeExt, net::UnixStream},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const BOTH: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// One visit to the end of the connection.
fn visit(mut socket: impl Read + Write, request: &str) -> String {
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn ask(address: SocketAddr, request: &str) -> String {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    visit(socket, request)
}

fn page(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

fn status(address: SocketAddr) -> Value {
    let answer = page(address, "/api/status");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("\r\nContent-Type: application/json"),
        "{head}"
    );
    assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
    serde_json::from_str(body).unwrap()
}

/// The number at `path`.
fn number(status: &Value, path: &str) -> f64 {
    status
        .pointer(path)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number at {path} in {status:#}"))
}

fn wsrelayd(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A configuration that says where the desk of a running relay is.
fn told_where(name: &str, places: &[&str]) -> File {
    File::new(name, &format!("admin = {places:?}\n"))
}

#[test]
fn each_page_has_its_answer_and_everything_else_its_refusal() {
    let relay = Relay::start(&BOTH);
    let desk = relay.addresses[1];
    let good = format!("Host: {desk}\r\n\r\n");
    let table = [
        ("GET /healthz HTTP/1.1\r\n", good.as_str(), "200 OK", "ok\n"),
        ("GET /readyz HTTP/1.1\r\n", &good, "200 OK", "ready\n"),
        ("HEAD /readyz HTTP/1.1\r\n", &good, "200 OK", "\r\n\r\n"),
        ("GET /healthz HTTP/1.0\r\n", "\r\n", "200 OK", "ok\n"),
        ("GET /metrics HTTP/1.1\r\n", &good, "200 OK", "\n# TYPE wsrelayd_opened_total counter\n"),
        ("GET /nothing HTTP/1.1\r\n", &good, "404 Not Found", "/healthz (is it alive)"),
        ("POST /healthz HTTP/1.1\r\n", &good, "405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
        ("GET /healthz HTTP/1.1\r\n", "Host: localhost\r\n\r\n", "200 OK", "ok\n"),
        (
            "GET /healthz HTTP/1.1\r\n",
            "Host: rebound.example:9311\r\n\r\n",
            "421 Misdirected Request",
            "use the address",
        ),
        (
            "GET /api/status HTTP/1.1\r\n",
            "Host: [::1]\r\nOrigin: http://evil.example\r\n\r\n",
            "403 Forbidden",
            "Origin",
        ),
        ("GET /healthz HTTP/1.1\r\n", "\r\n", "400 Bad Request", "one Host"),
    ];
    assert!(!table.is_empty());
    for (line, rest, status, words) in table {
        let answer = ask(desk, &format!("{line}{rest}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{line}{rest}{answer}");
        assert!(answer.contains(words), "{line}{rest}{answer}");
        for field in ["Connection: close", "Cache-Control: no-store", "X-Content-Type-Options: nosniff"] {
            assert!(answer.contains(&format!("\r\n{field}\r\n")), "{answer}");
        }
        assert!(!answer.contains("Access-Control"), "{answer}");
    }
    let admin = until("the counts of this test", || {
        let status = status(desk);
        // What is told is up to a second old, and counts no visit that is still under way.
        (number(&status, "/admin/opened") >= 11.0).then(|| status["admin"].clone())
    });
    let refused = |label: &str| number(&admin["refused"], label);
    let labels = ["not_found", "method", "host", "origin", "bad_request", "limit", "timeout"];
    let counts = labels.map(|label| refused(&format!("/admin_{label}")) as u64);
    assert_eq!(counts, [1, 1, 1, 1, 1, 0, 0], "{admin:#}");
}

#[test]
fn the_status_moves_with_what_happens() {
    let relay = Relay::start(&BOTH);
    let desk = relay.addresses[1];
    let before = status(desk);
    assert_eq!(
        (&before["state"], &before["version"]),
        (&"running".into(), &env!("CARGO_PKG_VERSION").into())
    );
    assert_eq!(number(&before, "/pid") as u32, relay.child.id());
    assert_eq!((number(&before, "/peers"), number(&before, "/channels")), (0.0, 0.0));
    let (mut a, mut b) = (relay.client(), relay.client());
    let _asking = TcpStream::connect(relay.addresses[0]).unwrap();
    for n in 0..7 {
        relay.relays(&mut a, &mut b, &format!("message {n}"));
    }
    let mut refused = TcpStream::connect(relay.addresses[0]).unwrap();
    refused.write_all(b"PUT / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(head(&mut refused).contains(" 405 "));
    drop(refused);
    let wanted = [
        ("/peers", 3.0),
        ("/handshaking", 1.0),
        ("/channels", 1.0),
        ("/totals/opened", 4.0),
        ("/totals/joined", 2.0),
        ("/totals/messages_in", 7.0),
        ("/totals/deliveries", 7.0),
        ("/refused/method", 1.0),
        ("/refused/upgrade", 0.0),
        ("/disconnects/eof", 0.0),
        ("/lag_bytes", 0.0),
        ("/reloads_ok", 0.0),
        ("/max_connections", number(&before, "/max_connections")),
    ];
    assert!(!wanted.is_empty());
    until("the status says so", || {
        let now = status(desk);
        let is_moved = wanted.iter().all(|(path, value)| number(&now, path) == *value);
        (is_moved && number(&now, "/rates/messages_in") > 0.0 && number(&now, "/rates/bytes_out") > 0.0)
            .then_some(())
    });
    drop(b);
    until("the end of a peer", || (number(&status(desk), "/disconnects/eof") == 1.0).then_some(()));
}

#[test]
fn what_was_said_is_no_rate_any_more_after_ten_seconds() {
    let relay = Relay::start(&BOTH);
    let rate = || number(&status(relay.addresses[1]), "/rates/messages_in");
    let (mut a, mut b) = (relay.client(), relay.client());
    for n in 0..30 {
        relay.relays(&mut a, &mut b, &format!("message {n}"));
    }
    until("a rate", || (rate() > 0.0).then_some(()));
    // Of thirty messages, ever since the start, it would be a while until a tenth is rounded to nothing.
    let start = Instant::now();
    while rate() > 0.0 {
        assert!(start.elapsed() < 4 * PATIENCE, "the rate is still {}", rate());
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_lagging_peer_is_in_the_status() {
    let relay = Relay::start(&BOTH);
    let (mut from, _stuck) = (relay.client(), relay.client());
    // More than the kernel takes for a peer that reads nothing, and less than what makes it slow.
    let message = [&[0x82, 0xFE, 0xC3, 0x50, 0, 0, 0, 0][..], &[7; 50_000]].concat();
    for _ in 0..16 {
        from.write_all(&message).unwrap();
    }
    let lagging = until("a lag", || {
        Some(status(relay.addresses[1])).filter(|status| number(status, "/lag_bytes") > 0.0)
    });
    assert_eq!(number(&lagging, "/lagging_peers"), 1.0);
    assert!(number(&lagging, "/backlog_bytes") >= number(&lagging, "/lag_bytes"), "{lagging:#}");
    assert!(number(&lagging, "/peak_lag_bytes") >= number(&lagging, "/lag_bytes"), "{lagging:#}");
}

/// Nothing else wakes the loop.
#[test]
fn a_silent_visitor_is_cut_after_five_seconds_in_an_idle_relay() {
    let relay = Relay::start(&BOTH);
    let mut silent = TcpStream::connect(relay.addresses[1]).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = silent.read(&mut [0; 8]).map_err(|error| error.kind());
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    until("the count", || {
        (number(&status(relay.addresses[1]), "/admin/refused/admin_timeout") == 1.0).then_some(())
    });
}

#[test]
fn while_draining_it_is_alive_and_not_ready_until_the_last_peer_is_gone() {
    let file = File::new("admin-drain", "drain = \"100ms\"\nclose_timeout = \"1h\"\n");
    let mut relay = Relay::start(&[&["--config", file.path()], &BOTH[..]].concat());
    let desk = relay.addresses[1];
    let peer = relay.client();
    relay.signal(Signal::TERM);
    let answer =
        until("it drains", || Some(page(desk, "/readyz")).filter(|answer| answer.contains("draining")));
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
    assert!(page(desk, "/healthz").ends_with("\r\n\r\nok\n"));
    until("the state", || (status(desk)["state"] == "draining").then_some(()));
    assert!(relay.child.try_wait().unwrap().is_none(), "a peer is still there");
    drop(peer);
    assert_eq!(relay.wait().code(), Some(0));
}

#[test]
fn over_a_unix_socket_any_host_is_welcome() {
    let path = std::env::temp_dir().join(format!("wsrelayd-admin-{}.sock", std::process::id()));
    let place = format!("unix:{}", path.display());
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0", "--admin", &place]);
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let connect = || {
        let socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let answer = visit(connect(), "GET /healthz HTTP/1.1\r\nHost: anything.example\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    let answer = visit(connect(), "GET /healthz HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let file = told_where("admin-unix", &[&place]);
    let said = wsrelayd(&["status", "--config", file.path()]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success() && text.contains(&format!("answered by      {place}\n")), "{text}");
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait().code(), Some(0));
    assert!(!path.exists(), "the file goes with the socket");
}

#[test]
fn status_prints_what_the_first_relay_that_answers_says() {
    let relay = Relay::start(&BOTH);
    let desk = relay.addresses[1].to_string();
    let _peer = relay.client();
    let file = told_where("admin-status", &["unix:/nowhere/admin.sock", &desk]);
    let said = wsrelayd(&["status", "--config", file.path()]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{text}");
    let version = format!("wsrelayd         {}, running\n", env!("CARGO_PKG_VERSION"));
    let process = format!(", process {}\n", relay.child.id());
    for words in
        [&version, &process, "\npeers            1 of ", "\nchannels         1\n", "\nrefused          0\n"]
    {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    let said = wsrelayd(&["status", "--json", "--config", file.path()]);
    let json: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(number(&json, "/pid") as u32, relay.child.id());
}

#[test]
fn status_says_who_was_tried_and_what_to_do() {
    let none = told_where("admin-none", &["unix:/nowhere/admin.sock", "127.0.0.1:1"]);
    let off = File::new("admin-off", "admin = []\n");
    let bad = File::new("admin-bad", "amdin = []\n");
    let table = [
        (&none, 1, "no relay answered. Tried:\n  unix:/nowhere/admin.sock: No such file"),
        (&none, 1, "\n  127.0.0.1:1: Connection refused"),
        (&none, 1, "systemctl status wsrelayd"),
        (&off, 1, "admin = []"),
        (&bad, 2, "amdin"),
    ];
    assert!(!table.is_empty());
    for (file, code, words) in table {
        let said = wsrelayd(&["status", "--config", file.path()]);
        let text = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(code), "{text}");
        assert!(said.stdout.is_empty() && text.contains(words), "no {words:?} in {text}");
    }
}

#[test]
fn status_does_not_wait_for_ever_for_a_relay_that_stands_still() {
    let relay = Relay::start(&BOTH);
    let desk = relay.addresses[1].to_string();
    let file = told_where("admin-still", &[&desk]);
    relay.signal(Signal::STOP);
    let said = wsrelayd(&["status", "--config", file.path()]);
    relay.signal(Signal::CONT);
    let text = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("\n  {desk}: no answer within 5 s\n")), "{text}");
}

#[test]
fn status_survives_an_output_that_takes_nothing() {
    let relay = Relay::start(&BOTH);
    let file = told_where("admin-full", &[&relay.addresses[1].to_string()]);
    for sink in ["> /dev/full", "| :", ">&-"] {
        let script = format!("{{ \"$0\" status --config \"$1\"; echo $? >&2; }} {sink}");
        let said = Command::new("sh").args(["-c", &script, BINARY, file.path()]).output().unwrap();
        let text = String::from_utf8(said.stderr).unwrap();
        assert!(!text.contains("panicked"), "{sink}: {text}");
        // A pipe may be read before it is closed, and a closed descriptor is opened anew by the runtime.
        let code = text.lines().last().unwrap();
        assert!(code == "1" || code == "0" && sink != "> /dev/full", "{sink}: {text}");
    }
}
