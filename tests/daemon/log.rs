//! The log: its forms, and everything that standard error may be. Whatever it is, the relay keeps relaying.

use crate::support::*;
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl, fstat},
    process::Signal,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde_json::Value as Json;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, PipeReader, PipeWriter, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

/// A file that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("wsrelayd-log-{name}-{}", std::process::id())))
    }

    fn holding(name: &str, text: &str) -> Self {
        let file = Self::new(name);
        fs::write(&file.0, text).unwrap();
        file
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// An address that nobody has and nobody is given: below the ports that the system hands out by itself, since those
/// of other tests would take it before the relay does, or the probe would connect to itself.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 200) as u16 * 100;
    let ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::SeqCst)).take(100);
    let mut addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).expect("no port is free")
}

/// A relay whose standard error is `sink`; what can be read of it is read at `reader`, which may be `/dev/null`.
fn start_on(mut command: Command, sink: impl Into<Stdio>, reader: impl Into<OwnedFd>) -> Relay {
    let free = free_address();
    command.args(["--listen", &free.to_string()]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(sink).spawn().unwrap();
    let stderr = BufReader::new(ChildStderr::from(reader.into()));
    let relay = Relay { child, stderr, addresses: vec![free] };
    until("it listens", || TcpStream::connect(free).ok());
    relay
}

/// The relay, with nothing in its surroundings that changes the form of lines.
fn bare() -> Command {
    plain(Command::new(BINARY))
}

fn plain(mut command: Command) -> Command {
    for variable in ["JOURNAL_STREAM", "NO_COLOR", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm");
    command
}

fn nothing() -> File {
    File::open("/dev/null").unwrap()
}

/// Device and inode, as in `JOURNAL_STREAM`.
fn stream_name(open: impl AsFd) -> String {
    let stat = fstat(open).unwrap();
    format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// Two lines of the log for each round, and between them the relay relays: signals would coalesce otherwise.
fn log_and_relay(relay: &Relay, rounds: usize) {
    let (mut one, mut two) = (relay.client(), relay.client());
    for round in 0..rounds {
        relay.signal(Signal::HUP);
        relay.signal(Signal::USR1);
        relay.relays(&mut one, &mut two, &round.to_string());
    }
}

/// It relays, logs, and ends with 0 soon after it is told to.
fn lives_and_stops(mut relay: Relay) {
    log_and_relay(&relay, 20);
    stop(&mut relay);
}

fn stop(relay: &mut Relay) {
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait().code(), Some(0));
}

/// Both ends of a terminal.
fn terminal() -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap();
    (master, slave)
}

/// Whether a line begins with a time and a level, as lines for people do.
fn is_human(line: &str) -> bool {
    let (time, rest) = line.split_once("Z ").unwrap_or_default();
    let level = rest.split(' ').next().unwrap_or_default();
    time.len() == "2023-11-14T22:13:20.123".len() && ["WARN", "INFO", "ERROR", "DEBUG"].contains(&level)
}

#[test]
fn a_file_gets_each_line_with_time_and_level_and_without_colours() {
    let log = Scratch::new("file");
    lives_and_stops(start_on(bare(), File::create(&log.0).unwrap(), nothing()));
    let text = fs::read_to_string(&log.0).unwrap();
    assert!(text.contains(" listens on ") && text.contains("SIGHUP"), "{text}");
    for line in text.lines() {
        assert!(is_human(line) && !line.contains('\x1b'), "{line}");
    }
}

#[test]
fn sinks_that_take_nothing_stop_nothing() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let table = [
        ("a full disk", Stdio::from(full())),
        ("a dead pipe", io::pipe().unwrap().1.into()),
        ("a descriptor that is open for reading only", nothing().into()),
    ];
    assert!(!table.is_empty());
    for (what, sink) in table {
        println!("{what}");
        lives_and_stops(start_on(bare(), sink, nothing()));
    }
    // Proof that the disk of the first row is full.
    let error = io::Write::write(&mut full(), b"x").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

/// Without standard streams the first sockets would get their numbers, and the log would go to a peer.
#[test]
fn it_lives_without_standard_streams() {
    let mut command = plain(after("exec 0<&- 1>&- 2>&-;", &[]));
    command.env("RUST_LOG", "debug");
    lives_and_stops(start_on(command, Stdio::null(), nothing()));
}

/// A pipe holds 64 KiB, a terminal less.
#[test]
fn a_sink_that_nobody_reads_stops_nothing_and_what_was_lost_is_mentioned_to_who_reads_again() {
    let (reader, writer) = io::pipe().unwrap();
    let (master, slave) = terminal();
    let table = [("a pipe", OwnedFd::from(reader), OwnedFd::from(writer)), ("a terminal", master, slave)];
    assert!(!table.is_empty());
    for (what, reader, writer) in table {
        let mut relay = start_on(bare(), writer, reader);
        log_and_relay(&relay, 1500);
        // The queue alone holds a thousand lines; they come first.
        let lost = (0..4000).map(|_| relay.line()).find(|line| line.contains("log lines were dropped"));
        let lost = lost.unwrap_or_default();
        assert!(lost.contains(" dropped="), "{what}: {lost}");
        stop(&mut relay);
    }
}

/// Stopped again while nobody reads.
#[test]
fn a_sink_that_nobody_reads_does_not_delay_the_end() {
    let (_reader, writer) = io::pipe().unwrap();
    let mut relay = start_on(bare(), writer, nothing());
    log_and_relay(&relay, 1500);
    let start = Instant::now();
    stop(&mut relay);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_reader_that_comes_back_to_a_pipe_reads_on() {
    let fifo = Scratch::new("fifo");
    assert!(Command::new("mkfifo").arg(fifo.path()).status().unwrap().success());
    // Open for both, so that neither end waits for the other.
    let both = |path: &Path| OpenOptions::new().read(true).write(true).open(path).unwrap();
    let holder = both(&fifo.0);
    let writer = OpenOptions::new().write(true).open(&fifo.0).unwrap();
    let mut relay = start_on(bare(), writer, File::open(&fifo.0).unwrap());
    drop(holder);
    assert!(relay.line().contains(" listens on "));

    relay.stderr = BufReader::new(ChildStderr::from(OwnedFd::from(nothing())));
    log_and_relay(&relay, 10);
    relay.stderr = BufReader::new(ChildStderr::from(OwnedFd::from(both(&fifo.0))));
    relay.signal(Signal::HUP);
    assert!(is_human(&relay.line_with("log lines were dropped")));
    assert!(is_human(&relay.line_with("SIGHUP")));
    stop(&mut relay);
}

/// A limit on the size of files tears a line as a full disk does, and needs no disk of its own.
#[test]
fn a_disk_that_is_no_longer_full_gets_whole_lines_again() {
    let log = Scratch::new("disk");
    let prelude = format!("trap '' XFSZ; ulimit -f 1; exec 2>>{};", log.path());
    let mut relay = start_on(plain(after(&prelude, &[])), Stdio::null(), nothing());
    log_and_relay(&relay, 10);
    let text = fs::read_to_string(&log.0).unwrap();
    assert!(!text.ends_with('\n'), "the last line was torn: {text}");

    fs::write(&log.0, "").unwrap();
    relay.signal(Signal::HUP);
    let text = until("the log goes on", || {
        let text = fs::read_to_string(&log.0).unwrap();
        text.contains("SIGHUP").then_some(text)
    });
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(""), "the torn line is ended");
    let gap = lines.next().unwrap();
    assert!(is_human(gap) && gap.contains("log lines were dropped"), "{text}");
    assert!(is_human(lines.next().unwrap()), "{text}");
    stop(&mut relay);
}

#[test]
fn the_flags_of_an_inherited_descriptor_stay() {
    let table = [OFlags::empty(), OFlags::NONBLOCK];
    assert!(!table.is_empty());
    for flags in table {
        let (reader, writer): (PipeReader, PipeWriter) = io::pipe().unwrap();
        fcntl_setfl(&writer, flags).unwrap();
        let before = fcntl_getfl(&writer).unwrap();
        let mut relay = start_on(bare(), writer.try_clone().unwrap(), reader);
        log_and_relay(&relay, 1500);
        assert_eq!(fcntl_getfl(&writer).unwrap(), before);
        relay.line_with("SIGHUP");
        stop(&mut relay);
        assert_eq!(fcntl_getfl(&writer).unwrap(), before);
    }
}

#[test]
fn colours_are_for_terminals_that_have_them_and_users_who_want_them() {
    let table: [(&str, &str, bool); 3] =
        [("TERM", "xterm", true), ("TERM", "dumb", false), ("NO_COLOR", "1", false)];
    assert!(!table.is_empty());
    for (variable, value, coloured) in table {
        let (master, slave) = terminal();
        let mut command = bare();
        command.env(variable, value);
        let mut relay = start_on(command, slave, master);
        let greeting = relay.line();
        assert!(greeting.contains(" listens on "), "{greeting}");
        relay.signal(Signal::HUP);
        let warning = relay.line_with("SIGHUP");
        assert_eq!(
            greeting.contains("\x1b[32mINFO \x1b[0m wsrelayd"),
            coloured,
            "{variable}={value}: {greeting:?}"
        );
        assert_eq!(
            warning.contains("\x1b[33mWARN \x1b[0m SIGHUP"),
            coloured,
            "{variable}={value}: {warning:?}"
        );
        assert_eq!(warning.contains('\x1b'), coloured, "{variable}={value}: {warning:?}");
        lives_and_stops(relay);
    }
}

#[test]
fn a_terminal_that_goes_away_stops_nothing() {
    let (master, slave) = terminal();
    let mut relay = start_on(bare(), slave, master);
    assert!(relay.line().contains(" listens on "));
    relay.stderr = BufReader::new(ChildStderr::from(OwnedFd::from(nothing())));
    lives_and_stops(relay);
}

#[test]
fn the_journal_is_known_by_device_and_inode() {
    let table = [("the right name", true), ("another name", false)];
    assert!(!table.is_empty());
    for (what, right) in table {
        let (reader, writer) = io::pipe().unwrap();
        let name = if right { stream_name(&writer) } else { stream_name(nothing()) };
        let mut command = bare();
        command.env("JOURNAL_STREAM", name);
        let mut relay = start_on(command, writer, reader);
        let greeting = relay.line();
        assert_eq!(greeting.starts_with("<6>wsrelayd "), right, "{what}: {greeting}");
        assert_eq!(is_human(&greeting), !right, "{what}: {greeting}");
        relay.signal(Signal::HUP);
        assert_eq!(relay.line_with("SIGHUP").starts_with("<4>SIGHUP"), right, "{what}");
        stop(&mut relay);
    }
}

#[test]
fn a_file_can_be_the_journal_too_and_the_configuration_wins() {
    let log = Scratch::new("journal");
    let file = File::create(&log.0).unwrap();
    let json = Scratch::holding("json.toml", "log_format = \"json\"\n");
    let table: [(&[&str], char); 2] = [(&[], '<'), (&["--config", json.path()], '{')];
    assert!(!table.is_empty());
    for (arguments, first) in table {
        fs::write(&log.0, "").unwrap();
        let mut command = bare();
        command.args(arguments).env("JOURNAL_STREAM", stream_name(&file));
        let sink = OpenOptions::new().append(true).open(&log.0).unwrap();
        lives_and_stops(start_on(command, sink, nothing()));
        let text = fs::read_to_string(&log.0).unwrap();
        assert!(text.contains("SIGHUP") && text.lines().all(|line| line.starts_with(first)), "{text}");
    }
}

#[test]
fn each_json_line_is_an_object() {
    let config = Scratch::holding("json-lines.toml", "log_format = \"json\"\n");
    let (reader, writer) = io::pipe().unwrap();
    let mut command = bare();
    command.args(["--config", config.path()]);
    let mut relay = start_on(command, writer, reader);
    log_and_relay(&relay, 5);
    stop(&mut relay);
    let mut text = String::new();
    relay.stderr.read_to_string(&mut text).unwrap();

    let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said =
        |words: &str| lines.iter().find(|line| line["message"].as_str().unwrap().contains(words)).unwrap();
    assert_eq!(said(" listens on ")["level"], "info");
    assert_eq!(said("SIGHUP")["level"], "info");
    let opened = said("opened");
    assert_eq!(opened["channel"], "/start");
    let ended =
        lines.iter().find(|line| line["message"] == "ended" && line["peer"] == opened["peer"]).unwrap();
    assert_eq!(ended["messages_in"], 5, "numbers stay numbers: {ended}");
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == 24, "{line}");
    }
}

/// Row 8 of the fault matrix, as far as paths and headers reach the log.
#[test]
fn what_clients_send_cannot_make_lines() {
    let (reader, writer) = io::pipe().unwrap();
    let mut command = bare();
    command.env("RUST_LOG", "debug");
    let mut relay = start_on(command, writer, reader);
    relay.signal(Signal::HUP);
    let table: [&[u8]; 4] = [
        b"GET /a\x1b[31m\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%0a%0dforged HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ok HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\x1b]0;t\x07\xe2\x80\xae\r\n\r\n",
        &[b"GET /".as_slice(), &[b'x'; 8192], b" HTTP/1.1\r\n\r\n"].concat(),
    ];
    assert!(!table.is_empty());
    for request in table {
        let mut client = TcpStream::connect(relay.addresses[0]).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        io::Write::write_all(&mut client, request).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    }
    stop(&mut relay);
    let mut text = String::new();
    relay.stderr.read_to_string(&mut text).unwrap();
    assert!(text.contains("refused"), "each refusal is a line at debug at least: {text}");
    for line in text.lines() {
        assert!(is_human(line) && line.len() < 4096 && !line.contains(char::is_control), "{line:?}");
    }
}
