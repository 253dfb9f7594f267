//! Configurations seen from outside: every mistake in exact words, `--check`, `--print-config`, and the descriptor limit.

use crate::support::*;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// From the root of the repository, so that a message has no path of a machine in it.
const BAD: &str = "tests/configs/bad";

/// Exit code, standard output, standard error.
type Outcome = (Option<i32>, String, String);

/// Runs it to its end in the root of the repository.
fn run(arguments: &[&str]) -> Outcome {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    ended(command)
}

fn ended(mut command: Command) -> Outcome {
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("RUST_LOG").stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Under a shell that has set its limits by `prelude`.
fn run_after(prelude: &str, arguments: &[&str]) -> Outcome {
    ended(after(prelude, arguments))
}

/// A file that goes away with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wsrelayd-config-{name}-{}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The configurations of a folder, sorted.
fn bad_configurations() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join(BAD)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|file| file.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    files
}

/// Each with the message that is expected of it, to the letter. `BLESS=1` writes the messages down instead.
#[test]
fn every_bad_configuration_is_refused_in_exact_words() {
    let files = bad_configurations();
    assert!(files.len() >= 18, "{files:?}");
    for file in files {
        let name = format!("{BAD}/{}", file.file_name().unwrap().to_str().unwrap());
        let (code, printed, said) = run(&["--config", &name]);
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{name}: {said}");
        let expected = file.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&expected).unwrap(), "{name}");
        assert_eq!(run(&["--check", "--config", &name]), (Some(2), String::new(), said), "{name}");
    }
}

#[test]
fn six_mistakes_in_one_file_are_told_at_once() {
    let (code, _, said) = run(&["--config", "tests/configs/bad/six.toml"]);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("wsrelayd: 6 mistakes in the configuration:\n"), "{said}");
    assert_eq!(said.matches("tests/configs/bad/six.toml, line ").count(), 6, "{said}");
}

#[test]
fn a_check_of_the_defaults_and_of_the_example_says_what_they_take() {
    for arguments in [&["--check"][..], &["--check", "--config", "etc/wsrelayd.toml"]] {
        let (code, printed, said) = run_after("", arguments);
        assert_eq!(code, Some(0), "{said}");
        for words in [
            ": no mistakes\n",
            "listen           127.0.0.1:9310\n",
            "admin            127.0.0.1:9311\n",
            "connections      10000\n",
            "descriptors      10100 needed, ",
            "own memory       613.9 MiB at worst:\n",
            "kernel's memory  2.5 GiB at worst:\n",
            "both             3.1 GiB\n",
        ] {
            assert!(printed.contains(words), "no {words:?} in: {printed}");
        }
    }
}

/// A terabyte: no machine that runs tests has it.
#[test]
fn a_check_warns_of_more_memory_than_the_machine_has() {
    let file = File::new("memory", "max_backlog = \"1024 GiB\"\n");
    let (code, printed, said) = run(&["--check", "--config", file.path()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(printed.contains("backlogs       1024.0 GiB, max_backlog"), "{printed}");
    assert!(said.starts_with("wsrelayd: warning: at worst 1026"), "{said}");
    assert!(said.contains("the machine has") && said.contains("Lower max_connections"), "{said}");
}

#[test]
fn a_check_opens_no_port() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let (code, printed, _) = run(&["--check", "--listen", &address]);
    assert_eq!(code, Some(0));
    assert!(printed.contains(&format!("listen           {address}\n")), "{printed}");
}

#[test]
fn what_is_printed_is_what_holds_and_loads_again() {
    let file = File::new("print", "echo = true\nhold = 65536\nlisten = [\"127.0.0.1:1\"]\n");
    let arguments = ["--print-config", "--config", file.path(), "--listen", "[::1]:7"];
    let (code, printed, said) = run(&arguments);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    for line in ["listen = [\"[::1]:7\"]\n", "echo = true\n", "hold = \"64 KiB\"\n", "drain = \"5s\"\n"] {
        assert!(printed.contains(line), "no {line:?} in: {printed}");
    }
    let again = File::new("again", &printed);
    assert_eq!(run(&["--print-config", "--config", again.path()]), (Some(0), printed, String::new()));
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_a_failure() {
    for argument in ["--check", "--print-config"] {
        let (code, _, said) = run_after("exec >/dev/full;", &[argument]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
}

#[test]
fn the_default_number_of_connections_gives_way_to_the_descriptor_limit() {
    let warning = |to: usize| {
        format!(
            "max_connections is lowered from its default, 10000, to {to}: this process may have 300 descriptors"
        )
    };
    let mut relay = Relay::start_after("ulimit -Sn 300; ulimit -Hn 300;", &["--listen", "127.0.0.1:0"]);
    assert!(relay.line_with("WARN").contains(&warning(201)));
    let (mut one, mut two) = (relay.client(), relay.client());
    relay.relays(&mut one, &mut two, "few, but well");

    let (code, printed, said) = run_after("ulimit -Sn 300; ulimit -Hn 300;", &["--check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&warning(200)), "with a listener for operators: {said}");
    assert!(
        printed.contains("connections      200\ndescriptors      300 needed, 300 granted\n"),
        "{printed}"
    );

    let (_, printed, _) = run_after("ulimit -Sn 300; ulimit -Hn 300;", &["--print-config"]);
    assert!(printed.contains("max_connections = 200\n"), "loads again on this machine: {printed}");
}

#[test]
fn a_number_of_connections_that_was_asked_for_and_does_not_fit_is_refused() {
    let file = File::new("asked", "max_connections = 300\n");
    let (code, _, said) = run_after("ulimit -Sn 300; ulimit -Hn 300;", &["--config", file.path()]);
    assert_eq!(code, Some(2));
    let expected = format!(
        "wsrelayd: {}, line 1, column 19: max_connections: 400 descriptors are needed, and this process may have 300. \
         Raise the limit to 400 (LimitNOFILE, ulimit -Hn), or lower max_connections to at most 200\n  \
         |\n1 | max_connections = 300\n  |                   ^^^\n",
        file.path()
    );
    assert_eq!(said, expected);
    let fits = File::new("fits", "max_connections = 200\n");
    let (code, _, said) = run_after("ulimit -Sn 300; ulimit -Hn 300;", &["--check", "--config", fits.path()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("descriptors"), "{said}");
}

#[test]
fn too_few_descriptors_for_anybody_are_refused() {
    let (code, _, said) = run_after("ulimit -Sn 40; ulimit -Hn 40;", &["--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(2));
    assert_eq!(
        said,
        "wsrelayd: this process may have 40 descriptors, and 100 are needed for a single connection. Raise the limit \
         (LimitNOFILE, ulimit -Hn)\n"
    );
}

/// The soft limit of most logins, which the program raises by itself.
#[test]
fn a_soft_limit_of_1024_is_no_limit() {
    let (code, printed, said) = run_after("ulimit -Sn 1024;", &["--check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!printed.contains(" 1024 granted"), "{printed}");
    let relay = Relay::start_after("ulimit -Sn 1024;", &["--listen", "127.0.0.1:0"]);
    let (mut one, mut two) = (relay.client(), relay.client());
    relay.relays(&mut one, &mut two, "as ever");
}

#[test]
fn rules_are_told_with_their_line_and_a_path_without_one_is_a_failure() {
    let file = File::new(
        "rules",
        "token_keys = [\"nowhere.key\"]\n[[channel]]\npath = \"/feed/*\"\npublish = \"token\"\n",
    );
    // The keys are not for everybody to read who asks.
    let (code, printed, said) = run(&["rules", "/feed/a", "--config", file.path()]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let head = format!("/feed/a comes under the rule /feed/* ({}, line 3).\n", file.path());
    assert!(printed.starts_with(&head), "{printed}");
    let (code, printed, said) = run(&["rules", "/other", "--config", file.path()]);
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    assert!(said.starts_with("wsrelayd: /other comes under no rule of"), "{said}");
    let (code, printed, _) = run(&["rules", "--config", file.path()]);
    assert_eq!(code, Some(0));
    assert!(printed.ends_with("  /feed/*  line 3     listen: anyone  publish: token\n"), "{printed}");
}

#[test]
fn a_check_names_the_keys_and_warns_of_a_secret_that_everybody_may_read() {
    let folder = Folder::new("config-keys");
    let key = folder.path("main.key");
    fs::write(&key, "k".repeat(40)).unwrap();
    let text = "token_keys = [\"main.key\"]\n[[channel]]\npath = \"/a\"\npublish = \"token\"\n";
    let file = folder.path("wsrelayd.toml");
    fs::write(&file, text).unwrap();
    for (mode, warned) in [(0o644, true), (0o640, false)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let (code, printed, said) = run(&["--check", "--config", &file]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.contains("everybody on this machine may read the secret"), warned, "{said}");
        assert!(
            printed.contains("channels         one rule: a path that it is not for gets 404\n"),
            "{printed}"
        );
        assert!(printed.contains("keys for tokens  main (HS256)\n"), "{printed}");
        assert!(!format!("{printed}{said}").contains("kkk"), "the key itself is told to nobody");
    }
    let (_, printed, _) = run(&["--print-config", "--config", &file]);
    assert!(printed.contains(&format!("token_keys = [\"{key}\"]\n")), "loads from elsewhere too: {printed}");
    assert!(printed.ends_with("\n[[channel]]\npath = \"/a\"\npublish = \"token\"\n"), "{printed}");
}
