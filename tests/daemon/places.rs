//! Where it listens: sockets in the file system, sockets that a service manager hands over; and what the manager is told.

use crate::support::{BINARY, File, Folder, PATIENCE, Relay, head, until};
use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::Signal,
};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsFd, AsRawFd},
        unix::{fs::PermissionsExt, net::UnixDatagram, net::UnixListener, net::UnixStream},
    },
    process::Command,
    time::Duration,
};

const REQUEST: &str = "GET /start HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// A handshake over a socket in the file system.
fn shake_hands(path: &str) -> UnixStream {
    let mut client = UnixStream::connect(path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(REQUEST.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    client
}

#[test]
fn sockets_in_the_file_system_and_of_the_network_are_one_relay() {
    let folder = Folder::new("unix");
    let path = folder.path("relay.sock");
    let text =
        format!("listen = [{{ address = \"unix:{path}\", mode = \"0600\" }}, \"127.0.0.1:0\"]\nadmin = []\n");
    let file = File::new("unix", &text);
    let mut relay = Relay::start(&["--config", file.path()]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut one = shake_hands(&path);
    assert!(relay.line_with("opened").contains("address=unix:"));
    let mut two = relay.client();
    one.write_all(&[0x82, 0x83, 0, 0, 0, 0, 1, 2, 3]).unwrap();
    let mut frame = [0; 5];
    two.read_exact(&mut frame).unwrap();
    assert_eq!(frame, [0x82, 3, 1, 2, 3]);
    drop((one, two));
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait().code(), Some(0));
    assert!(!fs::exists(&path).unwrap(), "its file goes with it");
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_an_error() {
    let folder = Folder::new("stale");
    let path = folder.path("relay.sock");
    let listen = format!("unix:{path}");
    let mut first = Relay::start(&["--listen", &listen]);
    let second = Command::new(BINARY).args(["--listen", &listen]).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "it may be over soon, so a manager may try again");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains(&listen) && said.contains("Another program listens there"), "{said}");
    first.signal(Signal::KILL);
    first.wait();
    assert!(fs::exists(&path).unwrap(), "left behind");
    let _third = Relay::start(&["--listen", &listen]);
    shake_hands(&path);
}

#[test]
fn a_place_that_only_an_editor_can_mend_is_a_bad_configuration() {
    let folder = Folder::new("places");
    let missing = format!("unix:{}", folder.path("missing/relay.sock"));
    let path = folder.path("relay.sock");
    let group = File::new(
        "group",
        &format!("listen = [{{ address = \"unix:{path}\", group = \"no-such-group\" }}]\nadmin = []\n"),
    );
    let table: [(&[&str], &str); 3] = [
        (&["--listen", &missing], "The directory must be there"),
        (&["--config", group.path()], "the group \"no-such-group\" does not stand in /etc/group"),
        (&["--listen", "systemd:relay"], "has handed over none. Start wsrelayd.socket"),
    ];
    assert!(!table.is_empty());
    for (arguments, words) in table {
        let output = Command::new(BINARY).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

/// What a service manager does: a listening socket of its own, which the relay inherits. `LISTEN_FDS_FIRST_FD` is for
/// those who cannot choose the number.
fn hand_over(command: &mut Command, listener: &impl AsFd, name: &str) {
    fcntl_setfd(listener, FdFlags::empty()).unwrap();
    let number = listener.as_fd().as_raw_fd().to_string();
    command.env("LISTEN_FDS", "1").env("LISTEN_FDS_FIRST_FD", number).env("LISTEN_FDNAMES", name);
}

fn activated(listener: &TcpListener, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    hand_over(&mut command, listener, "relay");
    command
}

fn ask(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(REQUEST.as_bytes()).unwrap();
    client
}

/// P12: whoever comes while one process ends is let in by the next.
#[test]
fn an_inherited_socket_keeps_its_waiting_connections_for_the_next_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let file = File::new("inherited", "drain = \"2s\"\n");
    let arguments = ["--config", file.path(), "--listen", "systemd:relay"];
    let mut first = Relay::spawn(activated(&listener, &arguments));
    assert_eq!(first.addresses, [address]);
    let mut early = ask(address);
    assert!(head(&mut early).starts_with("HTTP/1.1 101 "));
    first.signal(Signal::TERM);
    first.line_with("stopping");
    let mut late = ask(address);
    drop(early);
    assert_eq!(first.wait().code(), Some(0));
    let _second = Relay::spawn(activated(&listener, &arguments));
    assert!(head(&mut late).starts_with("HTTP/1.1 101 "), "no reset, no refusal");
}

#[test]
fn an_entry_may_name_its_inherited_socket_by_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let relay = Relay::spawn(activated(&listener, &["--listen", &address]));
    let (mut one, mut two) = (relay.client(), relay.client());
    relay.relays(&mut one, &mut two, "by address");
}

#[test]
fn entries_and_inherited_sockets_that_do_not_match_are_refused_with_the_unit_to_edit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let both = format!("listen = [\"{address}\"]\n");
    let file = File::new("unmatched", &both);
    let table: [(&[&str], &[&str]); 2] = [
        (
            &["--listen", "127.0.0.1:9"],
            &["Set ListenStream=127.0.0.1:9 in wsrelayd.socket", "relay (127.0.0.1:"],
        ),
        (&["--config", file.path()], &["admin: \"127.0.0.1:9311\"", "wsrelayd-admin.socket"]),
    ];
    assert!(!table.is_empty());
    for (arguments, words) in table {
        let output = activated(&listener, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
    }
}

#[test]
fn what_is_handed_over_must_be_a_listening_socket() {
    let folder = Folder::new("handed");
    let datagram = UnixDatagram::bind(folder.path("datagram.sock")).unwrap();
    let mut command = Command::new(BINARY);
    hand_over(&mut command, &datagram, "relay");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("handed over \"relay\", which is no listening stream socket"), "{said}");
}

#[test]
fn an_inherited_socket_in_the_file_system_is_found_by_its_path_and_left_there() {
    let folder = Folder::new("handed-unix");
    let path = folder.path("relay.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["--listen", &format!("unix:{path}")]);
    hand_over(&mut command, &listener, "relay");
    let mut relay = Relay::spawn(command);
    shake_hands(&path);
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait().code(), Some(0));
    assert!(fs::exists(&path).unwrap(), "it is the service manager's");
}

/// A service manager's ear, and what it hears.
struct Ear {
    socket: UnixDatagram,
    _folder: Folder,
    path: String,
}

impl Ear {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let path = folder.path("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        Self { socket, _folder: folder, path }
    }

    fn relay(&self, file: &File, watchdog: &str) -> Relay {
        let mut command = Command::new(BINARY);
        command.args(["--config", file.path(), "--listen", "127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", watchdog);
        Relay::spawn(command)
    }

    /// Listens until it hears `words`, and answers with the whole message.
    fn hear(&self, words: &str) -> String {
        let mut bytes = [0; 4096];
        let mut heard = || {
            let length = self.socket.recv(&mut bytes).ok()?;
            Some(String::from_utf8_lossy(&bytes[..length]).into_owned()).filter(|text| text.contains(words))
        };
        until(words, &mut heard)
    }
}

#[test]
fn the_service_manager_hears_what_happens() {
    let ear = Ear::new("notify");
    let file = File::new("notify", "drain = \"3s\"\nclose_timeout = \"2s\"\n");
    let mut relay = ear.relay(&file, "400000");
    ear.hear("READY=1\n");
    assert!(ear.hear("STATUS=").starts_with("STATUS=Relaying: 0 connections, 0 channels;"));
    ear.hear("WATCHDOG=1\n");
    ear.hear("WATCHDOG=1\n");
    let one = relay.client();
    assert!(ear.hear("STATUS=").contains("1 connections, 1 channels"));
    relay.signal(Signal::HUP);
    let reloading = ear.hear("RELOADING=1\n");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    ear.hear("READY=1\n");
    relay.signal(Signal::TERM);
    assert_eq!(ear.hear("STOPPING=1\n"), "STOPPING=1\nEXTEND_TIMEOUT_USEC=7000000\n");
    drop(one);
    assert_eq!(relay.wait().code(), Some(0));
}

#[test]
fn a_manager_that_cannot_be_reached_is_no_obstacle() {
    let file = File::new("no-manager", "");
    let mut command = Command::new(BINARY);
    command
        .args(["--config", file.path(), "--listen", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", "/nonexistent/notify");
    command.env_remove("RUST_LOG").stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    while !said.contains(" listens on ") {
        assert_ne!(std::io::BufRead::read_line(&mut stderr, &mut said).unwrap(), 0, "{said}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains("NOTIFY_SOCKET=/nonexistent/notify cannot be reached"), "{said}");
}

/// A loop that stands does not feed the watchdog: nobody else does.
#[test]
fn a_loop_that_stands_feeds_no_watchdog() {
    let ear = Ear::new("watchdog");
    let file = File::new("watchdog", "");
    let relay = ear.relay(&file, "200000");
    ear.hear("WATCHDOG=1\n");
    relay.signal(Signal::STOP);
    let mut bytes = [0; 4096];
    let mut silent = 0;
    // What was on its way comes first.
    until("nothing more is heard", || {
        silent = if ear.socket.recv(&mut bytes).is_ok() { 0 } else { silent + 1 };
        (silent >= 100).then_some(())
    });
    relay.signal(Signal::CONT);
    ear.hear("WATCHDOG=1\n");
}
