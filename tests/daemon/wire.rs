//! What goes over the wire, on real sockets: what the simulation cannot know of a kernel.

use crate::{raw::*, support::*};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::mpsc,
    thread,
    time::Instant,
};

#[test]
fn ten_thousand_messages_in_one_segment_and_then_silence_all_arrive() {
    let relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let (mut from, mut to) = (relay.client(), relay.client());
    from.write_all(&masked(0x82, b"").repeat(10_000)).unwrap();
    let mut frames = vec![0xFF; 2 * 10_000];
    to.read_exact(&mut frames).unwrap();
    assert_eq!(frames, [0x82, 0].repeat(10_000));
}

#[test]
fn a_close_frame_is_read_although_the_peer_goes_on_sending() {
    let relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let mut client = relay.client();
    client.write_all(&masked(0x83, b"a reserved opcode")).unwrap();
    let mut flooding = client.try_clone().unwrap();
    // Unread input would turn the end into a reset, and the close frame would be lost with it.
    let flood = thread::spawn(move || {
        let garbage = vec![0xAA; 64 << 10];
        for _ in 0..64 {
            if flooding.write_all(&garbage).is_err() {
                break;
            }
        }
        let _ = flooding.shutdown(Shutdown::Write);
    });
    flood.join().unwrap();
    let (first, payload) = last_frame(&mut client);
    assert_eq!((first, &payload[..2]), (0x88, &1002u16.to_be_bytes()[..]));
}

#[test]
fn a_receiver_that_never_reads_is_told_so_and_the_others_miss_nothing() {
    let relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let (mut from, mut reading, mut stuck) = (relay.client(), relay.client(), relay.client());
    const MESSAGES: u16 = 600;
    let (done, pace) = mpsc::channel();
    let reader = thread::spawn(move || {
        (0..MESSAGES).for_each(|n| {
            let (first, payload) = frame(&mut reading).unwrap();
            assert_eq!((first, payload.len(), &payload[..2]), (0x82, 60_000, &n.to_be_bytes()[..]));
            let _ = done.send(());
        });
    });
    for n in 0..MESSAGES {
        let mut payload = vec![7; 60_000];
        payload[..2].copy_from_slice(&n.to_be_bytes());
        from.write_all(&masked(0x82, &payload)).unwrap();
        if n >= 8 {
            // Never more ahead of the reader than it may lag.
            pace.recv().unwrap();
        }
    }
    reader.join().unwrap();
    assert_eq!(last_frame(&mut stuck), close_frame(1008, "slow-consumer"));
}

#[test]
fn a_second_request_behind_a_refused_one_is_never_answered() {
    let relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let mut client = TcpStream::connect(relay.addresses[0]).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "POST /a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\
                   GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[test]
fn a_peer_that_shuts_down_its_side_without_a_close_frame_is_removed_at_once() {
    let relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let mut client = relay.client();
    client.shutdown(Shutdown::Write).unwrap();
    let start = Instant::now();
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0, "nothing is written to it");
    assert!(start.elapsed() < PATIENCE / 2);
}

#[test]
fn a_request_that_does_not_come_is_answered_408() {
    let file = File::new("408", "handshake_timeout = \"300ms\"\n");
    let relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    let mut client = TcpStream::connect(relay.addresses[0]).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"GET /slow HTTP/1.1\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("Connection: close"), "{answer}");
}
