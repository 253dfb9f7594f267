//! Event streams and heartbeats, on real sockets.

use crate::{raw::*, support::*};
use rustix::process::Signal;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

const STREAMING: &str = "event_stream = true\ndrain = \"300ms\"\nclose_timeout = \"20s\"\n";

/// A client that reads the channel of `Relay::client` as an event stream, and what its answer says.
fn listener(relay: &Relay) -> (TcpStream, String) {
    let mut client = TcpStream::connect(relay.addresses[0]).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"GET /start HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").unwrap();
    let answer = head(&mut client);
    expect(&mut client, ":\n\n");
    (client, answer)
}

/// The next bytes are these.
fn expect(client: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

/// Everything up to an orderly end.
fn rest(client: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_channel_is_read_as_an_event_stream_beside_websockets() {
    let file = File::new("stream", STREAMING);
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let (mut from, mut to) = (relay.client(), relay.client());
    let (mut stream, answer) = listener(&relay);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let small = answer.to_ascii_lowercase();
    for field in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "connection: close",
    ] {
        assert!(small.contains(&format!("\r\n{field}\r\n")), "{field}: {answer}");
    }
    relay.relays(&mut from, &mut to, "hello");
    from.write_all(&[masked(0x81, b"two\nlines"), masked(0x81, b"a\rb"), masked(0x82, b"\x00\xff")].concat())
        .unwrap();
    expect(
        &mut stream,
        "data: hello\n\ndata: two\ndata: lines\n\nevent: text-base64\ndata: YQ1i\n\nevent: binary\ndata: AP8=\n\n",
    );
    // What it says is nobody's business, and it stays.
    stream.write_all(&masked(0x81, b"let me speak")).unwrap();
    from.write_all(&masked(0x81, b"still there?")).unwrap();
    expect(&mut stream, "data: still there?\n\n");
    assert_eq!(frame(&mut to).unwrap(), (0x81, b"two\nlines".to_vec()));

    relay.signal(Signal::TERM);
    let last = rest(&mut stream);
    let secs = last.trim_end().rsplit_once("retry-after=").map_or("", |(_, secs)| secs);
    assert!(secs.parse::<u64>().is_ok(), "{last:?}");
    assert_eq!(last, format!("retry: {secs}000\nevent: close\ndata: 1012 retry-after={secs}\n\n"));
    drop((stream, from, to));
    assert!(relay.wait().success());
}

#[test]
fn curl_listens() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("there is no curl here");
        return;
    }
    let file = File::new("curl", STREAMING);
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let url = format!("http://{}/start", relay.addresses[0]);
    let mut curl = Command::new("curl")
        .args(["-sSN", "--noproxy", "*", "--max-time", "20", "-H", "Accept: text/event-stream", &url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = curl.stdout.take().unwrap();
    let mut hear = |text: &str| {
        let mut bytes = vec![0; text.len()];
        output.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    };
    hear(":\n\n");
    let mut from = relay.client();
    from.write_all(&masked(0x81, b"hello")).unwrap();
    hear("data: hello\n\n");
    relay.signal(Signal::TERM);
    hear("retry: ");
    assert!(wait(&mut curl).success(), "the end is an orderly one");
    drop(from);
    assert!(relay.wait().success());
}

#[test]
fn a_listener_that_never_reads_is_told_so_and_one_that_leaves_is_missed() {
    let file = File::new("deaf", STREAMING);
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let (mut from, mut reading) = (relay.client(), relay.client());
    let (mut stuck, _) = listener(&relay);
    let (leaving, _) = listener(&relay);
    leaving.shutdown(Shutdown::Write).unwrap();
    // Its rest is small enough to be finished before the last event.
    const LENGTH: usize = 40_000;
    const MESSAGES: usize = 600;
    let (done, pace) = mpsc::channel();
    let reader = thread::spawn(move || {
        (0..MESSAGES).for_each(|_| {
            assert_eq!(frame(&mut reading).unwrap().1.len(), LENGTH);
            let _ = done.send(());
        });
        reading
    });
    for n in 0..MESSAGES {
        from.write_all(&masked(0x81, &[b'x'; LENGTH])).unwrap();
        if n >= 8 {
            pace.recv().unwrap();
        }
    }
    let _reading = reader.join().unwrap();
    let heard = rest(&mut stuck);
    let event = format!("data: {}\n\n", "x".repeat(LENGTH));
    let last = heard.trim_start_matches(event.as_str());
    assert_eq!(last, "event: close\ndata: 1008 slow-consumer\n\n", "{} bytes", heard.len());
    relay.signal(Signal::USR1);
    let line = relay.line_with("disconnects.");
    assert!(line.contains(" disconnects.eof=1 ") && line.contains(" disconnects.slow_consumer=1 "), "{line}");
}

#[test]
fn a_heartbeat_is_answered_and_nobody_else_hears_it() {
    let file = File::new("heartbeat", "heartbeat = { request = \"ping\", reply = \"pong\" }\n");
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let (mut a, mut b) = (relay.client(), relay.client());
    a.write_all(&[masked(0x81, b"ping"), masked(0x82, b"ping")].concat()).unwrap();
    assert_eq!(frame(&mut a).unwrap(), (0x81, b"pong".to_vec()));
    assert_eq!(frame(&mut a).unwrap(), (0x82, b"pong".to_vec()));
    relay.relays(&mut a, &mut b, "a message");
    relay.signal(Signal::USR1);
    let line = relay.line_with(" heartbeats=");
    assert!(line.contains(" heartbeats=2 ") && line.contains(" messages_in=1 "), "{line}");

    file.rewrite("heartbeat = false\n");
    relay.signal(Signal::HUP);
    relay.line_with("heartbeat");
    relay.relays(&mut a, &mut b, "ping");
    a.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let silence = a.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence:?}");
}
