//! `wsrelayd nginx` and `wsrelayd doctor` as programs: what they print, and their exit codes. A real nginx is in front
//! in `tests/nginx`.

use crate::support::*;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Exit code and standard output, in the root of the repository.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_defaults_print_the_file_that_is_installed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/nginx/wsrelayd.conf");
    assert_eq!(
        run(&["nginx", "--config", "etc/wsrelayd.toml"]),
        (Some(0), fs::read_to_string(file).unwrap())
    );
}

#[test]
fn a_configuration_with_a_mistake_is_no_use_to_either() {
    for command in ["nginx", "doctor"] {
        let (code, said) = run(&[command, "--config", "tests/configs/bad/six.toml"]);
        assert_eq!((code, said.as_str()), (Some(2), ""), "{command}");
    }
}

/// Everything is looked at: a socket in the file system, the operators' listener, and an nginx that fits or does not.
#[test]
fn a_machine_is_examined_and_the_exit_code_says_how_it_is() {
    let folder = Folder::new("front");
    let socket = format!("unix:{}", folder.path("relay.sock"));
    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--listen", &socket, "--admin", "127.0.0.1:0"]);
    let text = format!(
        "listen = [\"{}\", \"{socket}\"]\nadmin = [\"{}\"]\n",
        relay.addresses[0], relay.addresses[1]
    );
    let config = File::new("front", &format!("{text}max_connections = 100\n"));
    let (_, printed) = run(&["nginx", "--config", config.path()]);
    let good = File::new("front-good", &printed);
    let broken = File::new("front-broken", &printed.replace("proxy_set_header Upgrade", "# "));
    let absent = folder.path("absent");
    let table = [
        (good.path(), Some(0), "ok       nginx: location / (ws.example.com) passes WebSockets on to unix:"),
        (broken.path(), Some(1), "error    nginx: location / (ws.example.com) does not pass Upgrade on"),
        (absent.as_str(), Some(1), "cannot be read"),
    ];
    for (nginx, code, words) in table {
        let (found, said) = run(&["doctor", "--config", config.path(), "--nginx", nginx]);
        assert_eq!(found, code, "{said}");
        assert!(said.contains(words), "{said}");
        let well =
            said.lines().filter(|line| line.contains("answers a handshake, a ping and a close")).count();
        assert_eq!((well, said.contains("says that the relay is well")), (2, true), "{said}");
    }
}
