//! How the program starts, refuses to start, stops, and lives with what its surroundings do to it.

use crate::support::*;
use rustix::process::Signal;
#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, prlimit};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Runs to the end: the exit code and what stood on standard error.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = wait(&mut child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// Processor time of a process so far, in clock ticks (hundredths of a second).
#[cfg(target_os = "linux")]
fn processor_ticks(child: &Child) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    // After the name: state is the first field, utime the 12th, stime the 13th.
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// How often a process went to sleep by itself so far: the wake-ups of its loop.
#[cfg(target_os = "linux")]
fn sleeps(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn it_says_where_it_listens_relays_and_stops_with_0() {
    let file = File::new("short-drain", "drain = \"300ms\"\n");
    let mut relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    assert_ne!(relay.addresses[0].port(), 0, "the real port is printed");
    let (mut one, mut two) = (relay.client(), relay.client());
    relay.relays(&mut one, &mut two, "hello");
    relay.relays(&mut two, &mut one, "and back");

    let start = Instant::now();
    relay.signal(Signal::TERM);
    for client in [&mut one, &mut two] {
        assert_eq!(close_code(client), 1012);
    }
    // Honest clients answer and leave; the relay need not wait for its deadline.
    for mut client in [one, two] {
        client.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4]).unwrap();
    }
    assert_eq!(relay.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // Every connection ended under one reason, and the sums match (law 12).
    relay.line_with("stopped: opened=2 joined=2 disconnects.shutdown=2 messages_in=2 ");
}

#[test]
fn without_peers_either_signal_stops_it_at_once() {
    let table = [Signal::TERM, Signal::INT];
    assert!(!table.is_empty());
    for signal in table {
        let mut relay = Relay::start(&["--listen", "127.0.0.1:0"]);
        let start = Instant::now();
        relay.signal(signal);
        assert_eq!(relay.wait().code(), Some(0), "{signal:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{signal:?}");
    }
}

#[test]
fn a_second_signal_does_not_wait_for_peers_that_do_not_answer() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let mut mute = relay.client();
    relay.signal(Signal::TERM);
    until("nobody listens any more", || TcpStream::connect(relay.addresses[0]).err());
    let start = Instant::now();
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2), "drain and close deadline are 5 s each");
    let _ = mute.read(&mut [0; 64]);
}

#[test]
fn other_signals_are_answered_with_a_line_and_kill_nobody() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let (mut one, mut two) = (relay.client(), relay.client());
    for _ in 0..100 {
        relay.signal(Signal::HUP);
        relay.signal(Signal::USR1);
    }
    assert!(relay.line_with("SIGHUP").contains("--config"));
    relay.line_with("INFO");
    relay.relays(&mut one, &mut two, "still here");
}

#[test]
fn bad_arguments_and_configurations_end_with_2_and_say_why() {
    let typo = File::new("typo", "\nmax_conections = 5\n");
    let breach = File::new("breach", "pong_timeout = \"40s\"\n");
    let table: &[(&[&str], &[&str])] = &[
        (&["--config", typo.path()], &["typo", "line 2", "max_conections", "max_connections"]),
        (&["--config", breach.path()], &["breach", "pong_timeout", "40s", "ping_interval", "25s"]),
        (&["--config", "/nonexistent/wsrelayd.toml"], &["/nonexistent/wsrelayd.toml", "No such file"]),
        (&["--listen", "localhost:9310"], &["--listen", "localhost:9310", "127.0.0.1:9310"]),
        (&["--no-such-thing"], &["--no-such-thing", "--help"]),
    ];
    assert!(!table.is_empty());
    for (arguments, words) in table {
        let (code, said) = refused(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        for word in *words {
            assert!(said.contains(word), "{arguments:?}: no {word:?} in: {said}");
        }
    }
}

#[test]
fn help_and_version_end_with_0() {
    for (argument, words) in [("--help", "--listen"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = Command::new(BINARY).arg(argument).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains(words), "{argument}");
    }
}

#[test]
fn a_port_in_use_ends_with_1_and_one_line() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let (code, said) = refused(&["--listen", &address]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn all_listeners_lead_to_one_relay() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    assert_eq!(relay.addresses.len(), 2);
    let mut one = relay.client();
    relay.addresses.swap(0, 1);
    let mut two = relay.client();
    relay.relays(&mut one, &mut two, "across");
}

#[test]
fn arguments_win_over_the_file() {
    let file = File::new("listen", "listen = [\"127.0.0.1:1\"]\n");
    let relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    assert_ne!(relay.addresses[0].port(), 1);
}

/// Row 11 of the fault matrix. The limit falls while it runs, as a start under it would be refused. The relay needs
/// some ten descriptors for itself, so that forty connections are too many: the rest wait in the kernel, with their
/// requests, and cost nothing.
#[test]
#[cfg(target_os = "linux")]
fn out_of_descriptors_it_neither_spins_nor_stalls() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let few = Rlimit { current: Some(30), maximum: Some(30) };
    prlimit(Some(pid(&relay.child)), Resource::Nofile, few).unwrap();
    let mut clients: Vec<_> = (0..40).map(|_| relay.asking_client()).collect();
    relay.line_with("accept failed");
    // Lets the first, short pauses pass.
    thread::sleep(Duration::from_millis(500));

    let (ticks, slept) = (processor_ticks(&relay.child), sleeps(&relay.child));
    thread::sleep(Duration::from_secs(2));
    assert!(sleeps(&relay.child) - slept < 2 * 20, "less than 20 wake-ups a second");
    assert!(processor_ticks(&relay.child) - ticks < 2 * 5, "less than 5 % of a processor");

    // The kernel keeps the order: the first were accepted, the others wait.
    let mut first = clients.drain(..10).collect::<Vec<_>>();
    let accepted = first.iter_mut().all(|client| head(client).starts_with("HTTP/1.1 101"));
    let next = clients.iter().position(|client| !answered(client)).unwrap();
    assert!(accepted && next > 0);

    // No new connection comes, so only the burials can lead to those that wait. Their pauses are long by now.
    let mut took = Duration::ZERO;
    for (leaving, waiting) in first.into_iter().zip(&mut clients[next..]).take(3) {
        let start = Instant::now();
        drop(leaving);
        assert!(head(waiting).starts_with("HTTP/1.1 101"));
        took += start.elapsed();
        thread::sleep(Duration::from_millis(800));
    }
    assert!(took < Duration::from_millis(450), "three accepts took {took:?}");
}

/// Whether an answer stands in the socket; takes nothing of it.
#[cfg(target_os = "linux")]
fn answered(client: &TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let answered = client.peek(&mut [0]).is_ok();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    answered
}
