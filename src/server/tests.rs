//! Tests of `server` below the turn: tokens, advice, and the wire over real sockets. The turn itself is tested with
//! the real binary, in `tests/start.rs`.

use super::*;
use crate::{
    server::socket::Stream,
    wire::{Heard, Wire},
};
use std::{
    io::{IoSlice, Read, Write},
    net::{Shutdown, TcpListener, TcpStream as Client},
};

#[test]
fn tokens_tell_peers_listeners_and_signals_apart() {
    let peer = |slot, serial| PeerId { slot, serial };
    let table = [
        (peer(0, 0).to_word(), Origin::Peer(peer(0, 0))),
        (peer(7, u32::MAX).to_word(), Origin::Peer(peer(7, u32::MAX))),
        (peer(1_000_000, 3).to_word(), Origin::Peer(peer(1_000_000, 3))),
        (VISITORS - 1, Origin::Peer(peer(0xFFFF_FDFF, 0))),
        (VISITORS, Origin::Visitor(peer(0, 0))),
        (peer(15, u32::MAX).to_word() + VISITORS, Origin::Visitor(peer(15, u32::MAX))),
        (LISTENERS, Origin::Listener(0)),
        (LISTENERS + 63, Origin::Listener(63)),
        (SIGNALS, Origin::Signals),
    ];
    assert!(!table.is_empty());
    for (word, origin) in table {
        assert_eq!(Origin::of(Token(word)), origin, "{word:#x}");
    }
}

#[test]
fn a_start_error_says_where_and_what_to_do() {
    let place = Place::Tcp(([127, 0, 0, 1], 9310).into());
    let error = StartError::Listen { key: "listen", place, error: io::ErrorKind::AddrInUse.into() };
    let line = error.to_string();
    assert!(line.contains("127.0.0.1:9310") && line.contains("--listen"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

/// What another start may find otherwise is left to the service manager to try again.
#[test]
fn only_what_an_editor_must_mend_is_of_the_configuration() {
    use io::ErrorKind as Kind;
    let table = [
        (Kind::PermissionDenied, true),
        (Kind::NotFound, true),
        (Kind::AlreadyExists, true),
        (Kind::AddrInUse, false),
        (Kind::AddrNotAvailable, false),
        (Kind::StorageFull, false),
        (io::Error::from_raw_os_error(24).kind(), false),
    ];
    assert!(!table.is_empty());
    for (kind, right) in table {
        let place = Place::Tcp(([127, 0, 0, 1], 9310).into());
        let error = StartError::Listen { key: "listen", place, error: kind.into() };
        assert_eq!(error.is_of_configuration(), right, "{kind:?}");
    }
}

/// A link that is registered with a poller of its own, and the other end of it.
struct Pair {
    poll: Poll,
    link: Link,
    client: Client,
    wire: Sockets,
}

impl Pair {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut link = Link::new(Stream::Tcp(mio::net::TcpStream::from_std(socket)), None);
        let poll = Poll::new().unwrap();
        link.register(poll.registry(), Token(0)).unwrap();
        Self { poll, link, client, wire: Sockets::new() }
    }

    /// Waits for a readable event, or 5 s, and notes what came.
    fn wait(&mut self) -> bool {
        let mut events = Events::with_capacity(4);
        for _ in 0..50 {
            self.poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            events.iter().for_each(|event| self.link.note(event));
            if events.iter().any(Event::is_readable) {
                return true;
            }
        }
        false
    }

    /// Reads once and says what it was in one word, bytes as text.
    fn read(&mut self, max: usize) -> String {
        match self.wire.read(&mut self.link, max) {
            Heard::Bytes { bytes, drained } => {
                let more = if drained { "" } else { "+" };
                format!("{}{more}", String::from_utf8_lossy(bytes))
            }
            Heard::WouldBlock => "WouldBlock".into(),
            Heard::End => "End".into(),
            Heard::Failed(_) => "Failed".into(),
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_short_read_has_drained_the_socket_and_a_full_one_has_not() {
    let mut pair = Pair::new();
    assert_eq!(pair.read(100), "WouldBlock");
    pair.client.write_all(b"abcdef").unwrap();
    assert!(pair.wait());
    assert_eq!(pair.read(4), "abcd+");
    assert_eq!(pair.read(4), "ef");
    assert_eq!(pair.read(4), "WouldBlock", "drained was true");
    pair.client.write_all(b"gh").unwrap();
    assert!(pair.wait(), "the next bytes have an edge of their own");
    assert_eq!(pair.read(2), "gh+", "a full read proves nothing");
}

/// The end came before the read, and its edge with the bytes': nothing else will tell of it.
#[test]
fn after_the_event_of_the_end_no_read_is_taken_for_the_last() {
    let mut pair = Pair::new();
    pair.client.write_all(b"bye").unwrap();
    pair.client.shutdown(Shutdown::Write).unwrap();
    assert!(pair.wait());
    assert_eq!(pair.read(100), "bye+");
    assert_eq!(pair.read(100), "End");
    assert_eq!(pair.read(100), "End");
}

/// The urgent mark cuts a read short, and the bytes behind it have no edge of their own.
#[test]
#[cfg(target_os = "linux")]
fn urgent_data_hides_nothing_behind_it() {
    let mut pair = Pair::new();
    pair.client.write_all(b"before").unwrap();
    socket2::SockRef::from(&pair.client).send_out_of_band(b"!").unwrap();
    pair.client.write_all(b"behind").unwrap();
    // As the core does: an event, then reads until one says that there is no more.
    let mut heard = String::new();
    while !heard.contains("behind") {
        assert!(pair.wait(), "no event for what is behind {heard:?}");
        while heard.len() < 100 {
            let read = pair.read(100);
            heard.push_str(&read);
            if !read.ends_with('+') {
                break;
            }
        }
    }
}

/// The end comes after a read that drained: it has an edge of its own.
#[test]
fn an_end_after_the_last_read_wakes() {
    let mut pair = Pair::new();
    pair.client.write_all(b"bye").unwrap();
    assert!(pair.wait());
    assert!(pair.read(100).starts_with("bye"));
    pair.client.shutdown(Shutdown::Write).unwrap();
    assert!(pair.wait());
    assert_eq!(pair.read(100), "End");
}

#[test]
fn a_reset_is_a_failure_of_this_link_alone() {
    let mut pair = Pair::new();
    socket2::SockRef::from(&pair.client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(std::mem::replace(&mut pair.client, Pair::new().client));
    assert!(pair.wait());
    assert_eq!(pair.read(100), "Failed");
}

#[test]
fn slices_leave_in_order_and_a_full_socket_would_block() {
    let mut pair = Pair::new();
    let slices = [IoSlice::new(b"one "), IoSlice::new(b"two "), IoSlice::new(b"three")];
    assert_eq!(pair.wire.write(&mut pair.link, &slices).unwrap(), 13);
    pair.wire.finish(&mut pair.link);
    let mut heard = String::new();
    pair.client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "one two three");

    let mut pair = Pair::new();
    let block = [0; 64 << 10];
    let full = (0..10_000).find_map(|_| pair.wire.write(&mut pair.link, &[IoSlice::new(&block)]).err());
    assert_eq!(full.expect("no socket takes 640 MB unread").kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_link_closes_in_peace_or_with_a_reset() {
    let table = [(false, None), (true, Some(io::ErrorKind::ConnectionReset))];
    assert!(!table.is_empty());
    for (reset, error) in table {
        let mut pair = Pair::new();
        pair.link.close(reset);
        let answer = pair.client.read(&mut [0; 8]);
        assert_eq!(answer.err().map(|error| error.kind()), error, "reset: {reset}");
    }
}

#[test]
fn a_read_brings_no_more_than_asked_and_no_more_than_the_scratch_holds() {
    assert_eq!(link::SCRATCH, Config::default().limits.turn.read_per_peer, "one read spends the budget");
    let mut pair = Pair::new();
    pair.client.write_all(&[b'x'; 100]).unwrap();
    assert!(pair.wait());
    assert_eq!(pair.read(10), "xxxxxxxxxx+");
    assert!(pair.read(10 * link::SCRATCH).starts_with(&"x".repeat(90)));
}
