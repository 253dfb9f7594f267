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

/// Doors at `count` free ports, and their addresses.
fn doors(count: usize, poll: &Poll) -> (Doors, Vec<SocketAddr>) {
    let config = Config::default();
    let purpose = Purpose::Relay { proxy_protocol: false };
    let open = |_| Door::new(bind(LOOPBACK.into(), &config).unwrap(), purpose, None);
    let doors: Vec<_> = (0..count).map(open).collect();
    let addresses = doors.iter().map(|door| address_of(&door.listener)).collect();
    (Doors::new(doors, &config, poll.registry(), 0).unwrap(), addresses)
}

fn knock(addresses: &[SocketAddr], times: usize) -> Vec<std::net::TcpStream> {
    let one_at_each = addresses.iter().cycle().take(addresses.len() * times);
    one_at_each.map(|address| std::net::TcpStream::connect(address).unwrap()).collect()
}

#[test]
fn the_budget_of_a_turn_is_for_all_doors_and_another_one_is_first_each_time() {
    let poll = Poll::new().unwrap();
    let (mut doors, addresses) = doors(3, &poll);
    let _clients = knock(&addresses, 10);
    (0..3).for_each(|nth| doors.knocked(nth));
    #[allow(clippy::disallowed_methods)]
    let now = Instant::now();
    let mut let_in = Vec::new();
    let mut turns = 0;
    while doors.is_busy() {
        let before = let_in.len();
        doors.accept(now, 4, |guest| let_in.push(guest.socket));
        assert!(let_in.len() - before <= 4);
        turns += 1;
        assert!(turns < 20, "{} are in", let_in.len());
        if turns == 3 {
            let ports =
                |socket: &Stream| SockRef::from(socket).local_addr().unwrap().as_socket().unwrap().port();
            let served: std::collections::BTreeSet<_> = let_in.iter().map(ports).collect();
            assert_eq!(served.len(), 3, "nobody is always last");
        }
    }
    assert_eq!(let_in.len(), 30);
}

/// Somebody else who holds an inherited socket may end it: that one fails for good, and only that one.
#[test]
fn a_door_that_is_broken_keeps_nobody_from_the_others() {
    let poll = Poll::new().unwrap();
    let (mut doors, addresses) = doors(3, &poll);
    let broken = doors.doors[1].as_ref().unwrap();
    SockRef::from(&broken.listener).shutdown(std::net::Shutdown::Both).unwrap();
    let _clients = knock(&[addresses[0], addresses[2]], 5);
    (0..3).for_each(|nth| doors.knocked(nth));
    #[allow(clippy::disallowed_methods)]
    let now = Instant::now();
    let mut let_in = 0;
    (0..3).for_each(|_| doors.accept(now, 16, |_| let_in += 1));
    assert_eq!(let_in, 10);
    assert!(
        !doors.is_busy() && doors.next_deadline() == Some(now + PAUSE),
        "it is asked again, but not at once"
    );
    assert_eq!(doors.troubles(), (1, 1));
    doors.pause.delay = MAX_PAUSE;
    doors.pause.begin(now);
    assert_eq!(
        doors.next_deadline(),
        Some(now + MAX_PAUSE),
        "nobody is woken for the end of its pause before"
    );
    assert_eq!(doors.troubles(), (1, 2));
}

#[test]
fn connections_of_the_file_system_have_their_buffers_too() {
    let (one, _other) = mio::net::UnixStream::pair().unwrap();
    let stream = Stream::Unix(one);
    dress(&stream, (12 << 10, 20 << 10));
    let socket = SockRef::from(&stream);
    let told = if cfg!(target_os = "linux") { 2 } else { 1 };
    assert_eq!(socket.recv_buffer_size().unwrap(), told * (12 << 10));
    assert_eq!(socket.send_buffer_size().unwrap(), told * (20 << 10));
}
