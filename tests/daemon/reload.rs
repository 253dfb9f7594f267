//! SIGHUP: the configuration is read again. Rows 33, 34 and 36 of the fault matrix, and promise P11.

use crate::support::{BINARY, File, Folder, Relay, close_code, head};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    process::Command,
};

const APPLIED: &str = "the configuration was reloaded:";
const REFUSED: &str = "the configuration was not reloaded, nothing has changed:";

/// A text message of `length` bytes, masked with zeros.
fn message(length: usize) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(u16::try_from(length).unwrap().to_be_bytes());
    frame.extend([0; 4]);
    frame.resize(frame.len() + length, b'x');
    frame
}

fn started(name: &str, text: &str) -> (File, Relay) {
    let file = File::new(name, text);
    let relay = Relay::start(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    (file, relay)
}

fn reload(relay: &mut Relay, file: &File, text: &str, words: &str) -> String {
    file.rewrite(text);
    relay.signal(Signal::HUP);
    relay.line_with(words)
}

#[test]
fn a_changed_limit_holds_at_once_and_for_those_who_are_there() {
    let (file, mut relay) = started("reload", "max_message = 1000\n");
    let (mut one, mut two) = (relay.client(), relay.client());
    relay.relays(&mut one, &mut two, "has a decoder now");
    let said = reload(&mut relay, &file, "max_message = 3000\n", APPLIED);
    assert!(said.contains("max_message = \"1000 B\" -> \"3000 B\""), "{said}");
    one.write_all(&message(2500)).unwrap();
    let mut heard = vec![0; 4 + 2500];
    two.read_exact(&mut heard).unwrap();
    reload(&mut relay, &file, "max_message = 2000\n", APPLIED);
    one.write_all(&message(2500)).unwrap();
    assert_eq!(close_code(&mut one), 1009);
    relay.signal(Signal::USR1);
    assert!(relay.line_with("opened=").contains("reloads=2 reload_failures=0"));
}

#[test]
fn an_interval_that_shrinks_holds_for_pings_already_planned() {
    let (file, mut relay) = started("ping", "ping_interval = \"1h\"\npong_timeout = \"30m\"\n");
    let mut one = relay.client();
    reload(&mut relay, &file, "ping_interval = \"400ms\"\npong_timeout = \"300ms\"\n", APPLIED);
    let mut ping = [0; 2];
    one.read_exact(&mut ping).unwrap();
    assert_eq!(ping, [0x89, 0]);
    assert_eq!(close_code(&mut one), 1001);
}

/// Row 33. Each is refused with a line that says where and what, counted, and changes nothing.
#[test]
fn a_bad_file_changes_nothing() {
    let folder = Folder::new("reload-bad");
    let (file, mut relay) = started("bad", "max_message = 1000\n");
    let (mut one, mut two) = (relay.client(), relay.client());
    let long = format!("# {}\n", "long ".repeat(100_000));
    let table = [
        ("max_message = \n", "line 1, column 15: this is not TOML: a value is missing"),
        (
            "\nmax_mesage = 2000\n",
            "line 2, column 1: unknown key \"max_mesage\"; did you mean \"max_message\"?",
        ),
        ("max_message = true\n", "line 1, column 15: max_message: expected a size"),
        ("max_message = 2000\nping_interval = \"1s\"\n", "pong_timeout: expected less than ping_interval"),
        ("max_connections = 1000000\n", "max_connections: 1000099 descriptors are needed"),
        ("listen = []\nadmin = 3\n", "admin: expected a list of addresses"),
        (&long, "longer than 128 KiB"),
    ];
    assert!(!table.is_empty());
    for (text, words) in table {
        reload(&mut relay, &file, text, REFUSED);
        let said = relay.line_with(words);
        assert!(said.contains(file.path()), "{said}");
    }
    fs::remove_file(file.path()).unwrap();
    relay.signal(Signal::HUP);
    relay.line_with("No such file");
    fs::create_dir(file.path()).unwrap();
    relay.signal(Signal::HUP);
    relay.line_with("no regular file");
    fs::remove_dir(file.path()).unwrap();
    // A pipe into which nobody writes must not keep the loop waiting.
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::rename(&pipe, file.path()).unwrap();
    relay.signal(Signal::HUP);
    relay.line_with("no regular file");

    relay.relays(&mut one, &mut two, "as before");
    relay.signal(Signal::USR1);
    let counts = format!("reloads=0 reload_failures={}", table.len() + 3);
    assert!(relay.line_with("opened=").contains(&counts));
    one.write_all(&message(1001)).unwrap();
    assert_eq!(close_code(&mut one), 1009, "the old limit");
    reload(&mut relay, &file, "max_message = 2000\n", APPLIED);
}

#[test]
fn what_needs_a_restart_is_said_and_waits_for_it() {
    let (file, mut relay) = started("fixed", "");
    let text = "admin = [\"127.0.0.1:1\"]\nlog_format = \"json\"\nlog = \"warn\"\n";
    let said = reload(&mut relay, &file, text, "needs a restart");
    assert!(said.contains("WARN") && said.contains("admin, log_format: changed"), "{said}");
    let said = relay.line_with(APPLIED);
    assert!(said.contains("log = \"info\" -> \"warn\"") && !said.contains("json"), "{said}");
    let mut one = relay.client();
    one.write_all(&message(9)).unwrap();
    // The line of this client would come before.
    let said = reload(&mut relay, &file, "log = \"info\"\n", "reloaded");
    assert!(said.contains("log = \"warn\" -> \"info\""), "{said}");
}

/// Row 36.
#[test]
fn a_lower_number_of_connections_keeps_those_who_are_there() {
    let (file, mut relay) = started("lower", "max_connections = 10\n");
    let mut clients: Vec<_> = (0..4).map(|_| relay.client()).collect();
    reload(&mut relay, &file, "max_connections = 2\n", APPLIED);
    let mut surplus = relay.asking_client();
    assert!(head(&mut surplus).starts_with("HTTP/1.1 503 "));
    let mut last = clients.pop().unwrap();
    clients.iter_mut().for_each(|client| relay.relays(&mut last, client, "once"));
    reload(&mut relay, &file, "max_connections = 6\n", APPLIED);
    clients.push(relay.client());
}

/// Row 34, which Mosquitto failed (CVE-2017-7652): the file can be read with every descriptor taken.
#[test]
fn a_reload_needs_no_free_descriptor() {
    let file = File::new("nofile", "max_message = 1000\n");
    let arguments = ["--config", file.path(), "--listen", "127.0.0.1:0"];
    let mut relay = Relay::start_after("ulimit -n 120;", &arguments);
    let (mut one, mut two) = (relay.client(), relay.client());
    // The limit sinks onto what is open.
    let pid = relay.child.id().to_string();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = format!("--nofile={open}");
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    let _waiting = relay.asking_client();
    relay.line_with("accept failed");
    let said = reload(&mut relay, &file, "max_message = 3000\n", APPLIED);
    assert!(said.contains("max_message"), "{said}");
    relay.relays(&mut one, &mut two, "still here");
    reload(&mut relay, &file, "max_message = nonsense\n", REFUSED);
    reload(&mut relay, &file, "max_message = 2000\n", APPLIED);
}

/// `RUST_LOG` is heard before the key, but not where it says nothing.
#[test]
fn an_empty_rust_log_leaves_the_level_to_the_configuration() {
    let file = File::new("level", "log = \"info\"\n");
    for (filters, heard) in [("", true), (" ", true), ("mio=warn", false), ("error", false)] {
        file.rewrite("log = \"warn\"\n");
        let mut command = Command::new(BINARY);
        command.args(["--config", file.path(), "--listen", "127.0.0.1:0"]);
        let mut relay = Relay::spawn_with(command, &[("RUST_LOG", filters)]);
        let _one = relay.client();
        file.rewrite("log = \"info\"\n");
        relay.signal(Signal::HUP);
        if heard {
            let said = relay.line();
            assert!(said.contains(APPLIED), "{filters:?}: the client's line was below the level: {said}");
        }
        file.rewrite("max_message = nonsense\n");
        relay.signal(Signal::HUP);
        let said = relay.line();
        assert!(said.contains(REFUSED), "{filters:?}: {said}");
    }
}

#[test]
fn while_stopping_nothing_is_read_again() {
    let (_file, mut relay) = started("stopping", "drain = \"2s\"\n");
    let _one = relay.client();
    relay.signal(Signal::TERM);
    relay.line_with("stopping");
    relay.signal(Signal::HUP);
    relay.line_with("not read again while stopping");
}

/// Row 35, with reloads that succeed and fail among them: none is in the way of the stop.
#[test]
fn a_storm_of_signals_with_a_stop_among_them_ends_it() {
    let (file, mut relay) = started("storm", "drain = \"100ms\"\n");
    for nth in 0..300 {
        file.rewrite(if nth % 2 == 0 { "max_message = nonsense\n" } else { "drain = \"200ms\"\n" });
        relay.signal([Signal::HUP, Signal::USR1][nth % 2]);
        relay.signal(Signal::HUP);
    }
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait().code(), Some(0));
}

/// The file of the configuration stays as it is.
#[test]
fn a_key_whose_content_is_another_is_a_change_and_a_bad_one_refuses_the_reload() {
    let folder = Folder::new("reload-keys");
    let (key, file) = (folder.path("main.key"), folder.path("wsrelayd.toml"));
    fs::write(&key, "a".repeat(40)).unwrap();
    fs::write(&file, "token_keys = [\"main.key\"]\npublish = \"token\"\n").unwrap();
    let mut relay = Relay::start(&["--config", &file, "--listen", "127.0.0.1:0"]);
    relay.signal(Signal::HUP);
    relay.line_with("nothing has changed");
    fs::write(&key, "b".repeat(40)).unwrap();
    relay.signal(Signal::HUP);
    let said = relay.line_with(APPLIED);
    assert!(
        said.contains("keys that tokens are held against: main (HS256)") && !said.contains("bbb"),
        "{said}"
    );
    fs::write(&key, "short").unwrap();
    relay.signal(Signal::HUP);
    relay.line_with(REFUSED);
    assert!(relay.line_with("token_keys: ").contains("at least 32 bytes"));
    fs::remove_file(&key).unwrap();
    relay.signal(Signal::HUP);
    relay.line_with(REFUSED);
    assert!(relay.line_with("token_keys: ").contains("No such file"));
}
