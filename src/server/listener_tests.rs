//! Tests of `server::listener`: real listeners for what is inherited, scripted ones for what fails.

use super::*;
use crate::server::place::bind;
use mio::{Events, Poll};
use socket2::SockRef;
use std::net::Ipv6Addr;

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn failed<S>(errno: Errno) -> io::Result<S> {
    Err(io::Error::from_raw_os_error(errno.raw_os_error()))
}

#[test]
fn every_error_of_accept_has_its_verdict() {
    let table = [
        (Errno::AGAIN, Verdict::Empty),
        (Errno::INTR, Verdict::Next),
        (Errno::CONNABORTED, Verdict::Next),
        (Errno::PERM, Verdict::Next),
        (Errno::PROTO, Verdict::Next),
        (Errno::NETDOWN, Verdict::Next),
        (Errno::HOSTUNREACH, Verdict::Next),
        (Errno::MFILE, Verdict::Lack),
        (Errno::NFILE, Verdict::Lack),
        (Errno::NOBUFS, Verdict::Lack),
        (Errno::NOMEM, Verdict::Lack),
        (Errno::INVAL, Verdict::Broken),
    ];
    assert!(!table.is_empty());
    for (errno, expected) in table {
        assert_eq!(verdict(&failed::<()>(errno).unwrap_err()), expected, "{errno:?}");
    }
    assert_eq!(verdict(&io::Error::other("no number")), Verdict::Broken);
}

/// Runs a script of answers, `None` for a connection; then nobody waits.
fn run(budget: usize, script: &[Option<Errno>]) -> (Round, usize) {
    let mut answers = script.iter();
    let accept = || match answers.next() {
        Some(Some(errno)) => failed(*errno),
        Some(None) => Ok(()),
        None => failed(Errno::AGAIN),
    };
    let mut opened = 0;
    let round = admit(budget, accept, |()| opened += 1);
    (round, opened)
}

#[test]
fn a_round_goes_on_stops_and_never_spins() {
    let lost = Some(Errno::CONNABORTED);
    let lack = Some(Errno::MFILE);
    // budget, answers, and then: accepted, emptied, exhausted, errors
    let table = [
        (16, &[][..], (0, true, false, 0)),
        (16, &[None, None], (2, true, false, 0)),
        (2, &[None, None], (2, false, false, 0)),
        (16, &[lost, None, lost, None], (2, true, false, 2)),
        (16, &[None, lack, None], (1, false, true, 1)),
        (3, &[lost, lost, None], (1, false, false, 2)),
        (3, &[lost, lost, lost], (0, false, true, 3)),
    ];
    assert!(!table.is_empty());
    for (budget, script, expected) in table {
        let (round, opened) = run(budget, script);
        assert_eq!((round.accepted, round.emptied, round.exhausted, round.errors), expected, "{script:?}");
        assert_eq!(round.accepted, opened);
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // any instant will do for a start
fn pauses_double_up_to_a_second() {
    let mut now = Instant::now();
    let mut pause = Pause::default();
    let mut waited = Vec::new();
    for _ in 0..7 {
        pause.begin(now);
        let until = pause.until.unwrap();
        assert!(!pause.is_over(until - Duration::from_millis(1)));
        assert!(pause.is_over(until));
        waited.push((until - now).as_millis());
        now = until;
    }
    assert_eq!(waited, [50, 100, 200, 400, 800, 1000, 1000]);
}

fn address_of(listener: &Listener) -> SocketAddr {
    SockRef::from(listener).local_addr().unwrap().as_socket().unwrap()
}

fn accepted(listener: &Listener, poll: &mut Poll) -> Stream {
    let mut events = Events::with_capacity(4);
    loop {
        match listener.accept() {
            Ok((socket, _)) => return socket,
            Err(_) => poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap(),
        }
    }
}

#[test]
fn accepted_sockets_inherit_the_options() {
    let config = Config { send_buffer: 20 << 10, receive_buffer: 12 << 10, ..Config::default() };
    let mut poll = Poll::new().unwrap();
    let mut listener = bind(LOOPBACK.into(), &config).unwrap();
    listener.register(poll.registry(), Token(0), Interest::READABLE).unwrap();
    let _client = std::net::TcpStream::connect(address_of(&listener)).unwrap();
    let socket = accepted(&listener, &mut poll);
    let socket = SockRef::from(&socket);
    assert!(socket.tcp_nodelay().unwrap());
    // Linux keeps and tells twice the size it was given, for its own bookkeeping.
    let told = if cfg!(target_os = "linux") { 2 } else { 1 };
    assert_eq!(socket.send_buffer_size().unwrap(), told * config.send_buffer);
    assert_eq!(socket.recv_buffer_size().unwrap(), told * config.receive_buffer);
}

#[test]
fn a_port_in_use_is_an_error_and_one_just_left_is_not() {
    let first = bind(LOOPBACK.into(), &Config::default()).unwrap();
    let address = address_of(&first);
    let error = bind(address, &Config::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);

    // The side that closes first is the one whose port stays in TIME_WAIT.
    let client = std::net::TcpStream::connect(address).unwrap();
    let mut poll = Poll::new().unwrap();
    let mut first = first;
    first.register(poll.registry(), Token(0), Interest::READABLE).unwrap();
    drop(accepted(&first, &mut poll));
    drop(client);
    drop(first);
    bind(address, &Config::default()).unwrap();
}

#[test]
fn both_families_stand_side_by_side_on_one_port() {
    let Ok(six) = bind((Ipv6Addr::UNSPECIFIED, 0).into(), &Config::default()) else {
        return; // a machine without IPv6
    };
    let port = address_of(&six).port();
    bind(([0, 0, 0, 0], port).into(), &Config::default()).unwrap();
}
