//! Each shape of load, for a moment, against the floor: results say what was asked for, and a loss is no result.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// A floor that ends with the test.
struct Floor {
    child: Child,
    address: Vec<String>,
    socket: Option<PathBuf>,
}

impl Floor {
    fn start(arguments: &[&str]) -> Self {
        Self::start_at(&["--port".to_owned(), "0".to_owned()], arguments, None)
    }

    fn start_unix(name: &str) -> Self {
        let path = env::temp_dir().join(format!("bench-floor-{}-{name}", std::process::id()));
        let address = ["--unix".to_owned(), path.display().to_string()];
        Self::start_at(&address, &[], Some(path))
    }

    fn start_at(address: &[String], arguments: &[&str], socket: Option<PathBuf>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench-floor"));
        command.args(address).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("ready"));
        let port = words.next().map(|port| vec!["--port".to_owned(), port.to_owned()]);
        Self { child, address: port.unwrap_or_else(|| address.to_vec()), socket }
    }

    /// Runs the load: whether it was content, and its result.
    fn load(&self, words: &str) -> (bool, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench-load"));
        command.args(&self.address).arg("--server").arg(self.child.id().to_string());
        command.args(["--warm-up", "0.1", "--seconds", "0.4"]).args(words.split(' '));
        let output = command.stderr(Stdio::null()).output().unwrap();
        (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
    }

    fn result(&self, words: &str) -> Value {
        let (content, result) = self.load(words);
        assert!(content, "{words}: {result}");
        result
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(path) = &self.socket {
            let _ = fs::remove_file(path);
        }
    }
}

fn number(result: &Value, field: &str) -> f64 {
    let found = field.split('.').fold(result, |value, name| &value[name]).as_f64();
    found.unwrap_or_else(|| panic!("no number {field} in {result}"))
}

#[test]
fn a_flood_delivers_each_message_to_all_others() {
    let table = [
        ("", "--senders 1 --receivers 20 --window 8", 20.0),
        ("", "--senders 5 --receivers 3 --window 3", 7.0),
        ("", "--senders 5 --receivers 0 --window 300", 4.0),
        ("", "--senders 1 --receivers 3 --channels 20 --window 2", 3.0),
        ("", "--senders 2 --receivers 3 --channels 20 --window 2", 4.0),
        ("", "--senders 1 --receivers 5 --size 16384 --window 4", 5.0),
        ("", "--senders 2 --receivers 2 --size 1000000 --window 4", 3.0),
        ("--each", "--senders 1 --receivers 20 --window 8", 20.0),
        ("--each", "--senders 5 --receivers 3 --window 3", 7.0),
    ];
    let mut run = 0;
    for (floor, words, receivers) in table {
        run += 1;
        let floor = Floor::start(floor.split_whitespace().collect::<Vec<_>>().as_slice());
        let result = floor.result(&format!("flood {words}"));
        assert!(number(&result, "messages") > 0.0, "{words}: {result}");
        assert_eq!(
            number(&result, "deliveries"),
            receivers * number(&result, "messages"),
            "{words}: {result}"
        );
        for field in ["seconds", "server_cpu", "server_us", "own_us", "rss_start", "rss_end", "rss_peak"] {
            assert!(number(&result, field) > 0.0, "{words}: {field} in {result}");
        }
    }
    assert!(run > 0);
}

#[test]
fn a_rate_is_served_and_its_delays_are_told() {
    let floor = Floor::start(&[]);
    for words in [
        "--per-second 500 --senders 1 --receivers 10",
        "--per-second 500 --senders 7 --receivers 3 --stopped 4",
        "--per-second 500 --senders 2 --receivers 3 --channels 10 --size 1024 --from 77.3",
    ] {
        let result = floor.result(&format!("rate {words}"));
        assert_eq!(result["behind"], false, "{words}: {result}");
        assert!((number(&result, "messages") - 200.0).abs() < 100.0, "{words}: {result}");
        assert!((number(&result, "served") - 500.0).abs() < 250.0, "{words}: {result}");
        assert!(number(&result, "latency.each.p50") > 0.0, "{words}: {result}");
        assert!(
            number(&result, "latency.last.max") <= number(&result, "latency.each.max"),
            "{words}: {result}"
        );
        assert!(
            number(&result, "latency.last.p50") >= number(&result, "latency.each.p50"),
            "{words}: {result}"
        );
    }
}

#[test]
fn steps_of_scale_are_weighed_and_come_again() {
    let floor = Floor::start(&[]);
    let result = floor.result("scale --connections 50,250 --again 2 --idle-seconds 0.1 --from 78.1");
    let (steps, again) = (result["steps"].as_array().unwrap(), result["again"].as_array().unwrap());
    assert_eq!(steps.iter().map(|step| number(step, "connections")).collect::<Vec<_>>(), [50.0, 250.0]);
    assert_eq!(again.iter().map(|step| number(step, "opened")).collect::<Vec<_>>(), [250.0, 250.0]);
    for step in steps {
        let receivers = number(step, "connections") - 1.0;
        // On a busy machine a message may arrive on the other side of an end of the span.
        assert!(number(step, "slow.deliveries") >= receivers, "{step}");
        assert!(
            number(step, "slow.messages") >= 1.0 && number(step, "slow.latency.last.p50") > 0.0,
            "{step}"
        );
        assert!(number(step, "handshakes_per_second") > 0.0 && number(step, "handshake_us") > 0.0, "{step}");
    }
}

#[test]
fn unix_sockets_do_as_well() {
    let floor = Floor::start_unix("flood");
    let result = floor.result("flood --senders 3 --receivers 3 --window 50 --size 5000");
    assert_eq!(number(&result, "deliveries"), 5.0 * number(&result, "messages"));
    assert_eq!(floor.result("rate --per-second 100 --receivers 30")["behind"], false);
}

#[test]
fn what_does_not_come_is_no_result() {
    let floor = Floor::start(&[]);
    // The floor sends nobody his own messages, so those are missing.
    for words in ["flood --echo --receivers 3", "rate --echo --receivers 3 --per-second 50"] {
        let (content, result) = floor.load(&format!("--patience 0.5 {words}"));
        assert!(!content, "{words}: {result}");
        assert!(result["failed"].as_str().unwrap().contains("nothing came any more"), "{words}: {result}");
    }
    let (content, result) = floor.load("flood --senders 1 --receivers 0");
    assert!(!content && result["failed"].is_string(), "nobody to hear: {result}");
}
