//! A long life and a gentle end: a process that stood still, a shutdown with many peers, the lines of a peer's life.

use crate::support::*;
use rustix::process::Signal;
use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// The close frame's code and reason; pings and relayed messages before it are passed over.
fn told(client: &mut TcpStream) -> (u16, String) {
    loop {
        let mut header = [0; 2];
        client.read_exact(&mut header).unwrap();
        let mut payload = vec![0; header[1] as usize];
        client.read_exact(&mut payload).unwrap();
        if header[0] == 0x88 {
            let reason = String::from_utf8(payload.split_off(2)).unwrap();
            return (u16::from_be_bytes([payload[0], payload[1]]), reason);
        }
    }
}

#[test]
fn a_thousand_peers_leave_one_by_one_and_are_told_when_to_come_back() {
    const PEERS: usize = 1000;
    let file = File::new("drain", "drain = \"2s\"\nlog = \"warn\"\n");
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let mut clients = (0..PEERS).map(|_| relay.client()).collect::<Vec<_>>();
    let start = Instant::now();
    relay.signal(Signal::TERM);
    until("nobody listens any more", || TcpStream::connect(relay.addresses[0]).err());
    // Relaying goes on among those who are still there.
    clients[0].write_all(&[0x82, 0x81, 0, 0, 0, 0, 42]).unwrap();
    let readers = clients.into_iter().map(|mut client| {
        thread::Builder::new().stack_size(64 << 10).spawn(move || {
            let told = told(&mut client);
            // An honest client answers, and waits for the end.
            client.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xF4]).unwrap();
            assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
            (told, start.elapsed())
        })
    });
    let readers = readers.collect::<Result<Vec<_>, _>>().unwrap();
    let ends = readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>();
    assert_eq!(relay.wait().code(), Some(0));
    let early = ends.iter().filter(|(_, at)| *at < Duration::from_secs(1)).count();
    assert!((250..750).contains(&early), "{early} of {PEERS} in the first half");
    for ((code, reason), at) in &ends {
        let secs: u64 = reason.strip_prefix("retry-after=").and_then(|secs| secs.parse().ok()).expect(reason);
        assert!(*code == 1012 && (1..=4).contains(&secs) && *at < PATIENCE, "{code} {reason} at {at:?}");
    }
}

#[test]
fn a_process_that_stood_still_blames_nobody_for_it() {
    let file = File::new("stall", "ping_interval = \"1s\"\npong_timeout = \"900ms\"\n");
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let (mut a, mut b) = (relay.client(), relay.client());
    let mut ping = [0; 2];
    for client in [&mut a, &mut b] {
        client.read_exact(&mut ping).unwrap();
        assert_eq!(ping, [0x89, 0]);
    }
    relay.signal(Signal::STOP);
    thread::sleep(Duration::from_secs(4));
    relay.signal(Signal::CONT);
    relay.line_with("stood still for ");
    // The pings were unanswered for longer than the deadline, of which the relay has seen nothing.
    for client in [&mut a, &mut b] {
        client.write_all(&[0x8A, 0x80, 0, 0, 0, 0]).unwrap();
    }
    relay.relays(&mut a, &mut b, "still here");
}

#[test]
fn a_peers_life_is_three_lines_at_most() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let (mut a, mut b) = (relay.client(), relay.client());
    let address = a.local_addr().unwrap().to_string();
    relay.relays(&mut a, &mut b, "hello");
    a.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]).unwrap();
    assert_eq!(told(&mut a), (1000, String::new()));
    drop(a);
    let opened = relay.line_with(&address);
    assert!(opened.contains("opened") && opened.contains("/start"), "{opened}");
    let ended = relay.line_with(&address);
    for words in ["ended", "/start", "peer_closed", "messages_in", "bytes_in", "messages_out", "bytes_out"] {
        assert!(ended.contains(words), "{words}: {ended}");
    }
    let mut refused = TcpStream::connect(relay.addresses[0]).unwrap();
    refused.write_all(b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let line = relay.line_with(&refused.local_addr().unwrap().to_string());
    assert!(line.contains("refused") && line.contains("method"), "{line}");
}

#[test]
fn a_short_stop_is_no_stand_still_and_no_end_of_waiting() {
    let file = File::new("throttled", "drain = \"500ms\"\nclose_timeout = \"500ms\"\n");
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let _mute = relay.client();
    relay.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(200));
    relay.signal(Signal::CONT);
    relay.signal(Signal::USR1);
    let line = relay.line_with("stalls=");
    assert!(line.contains("stalls=0"), "{line}");
    // Stopped and continued all the time, as tools do that ration processor time, it still comes to its end.
    relay.signal(Signal::TERM);
    until("it ends", || {
        relay.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(50));
        relay.signal(Signal::CONT);
        thread::sleep(Duration::from_millis(50));
        relay.child.try_wait().unwrap()
    });
}
