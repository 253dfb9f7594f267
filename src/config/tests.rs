//! Tests of `config`: the example file, what is refused and in which words, and any text at all.

use super::*;
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../etc/wsrelayd.toml");

/// The keys that the program knows, by its own words about one that it does not know.
fn known_keys() -> Vec<String> {
    let complaint = toml::from_str::<RawConfig>("no_such_key = 1").unwrap_err().message().to_owned();
    let (_, list) = complaint.split_once("expected one of ").expect("serde lists the fields");
    list.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

fn complaint(text: &str) -> String {
    let refusal = Config::parse(text).expect_err(text);
    ConfigError { file: "wsrelayd.toml".into(), refusal }.to_string()
}

#[test]
fn nothing_said_means_the_defaults_and_they_break_no_rule() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
}

#[test]
fn the_example_says_every_key_and_exactly_the_defaults() {
    assert_eq!(Config::parse(EXAMPLE).unwrap(), Config::default());
    let example: toml::Table = EXAMPLE.parse().unwrap();
    let known = known_keys();
    assert!(known.len() >= 23, "{known:?}");
    for key in known {
        assert!(example.contains_key(&key), "{key} is not in etc/wsrelayd.toml");
    }
}

#[test]
fn what_is_written_arrives() {
    let text = r#"
        listen = ["0.0.0.0:80", "[::1]:81"]
        log = "debug"
        echo = true
        on_slow = "skip"
        max_message = 1000
        max_lag = "2 MiB"
        ping_interval = "1m 30s"
        pong_timeout = "1500ms"
    "#;
    let config = Config::parse(text).unwrap();
    let listen: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:80", "[::1]:81"]);
    assert_eq!(config.log, LevelFilter::Debug);
    assert!(config.limits.echo);
    assert_eq!(config.limits.on_slow, OnSlow::Skip);
    assert_eq!((config.limits.max_message, config.limits.max_lag), (1000, 2 << 20));
    assert_eq!(config.limits.ping_interval.as_millis(), 90_000);
    assert_eq!(config.limits.pong_timeout.as_millis(), 1500);
    assert_eq!(config.limits.max_frames, Limits::default().max_frames);
}

#[test]
fn what_cannot_be_read_is_shown_with_its_line_and_what_was_expected() {
    let table: &[(&str, &[&str])] = &[
        ("max_conections = 5", &["line 1", "max_conections = 5", "unknown field", "`max_connections`"]),
        ("\n\nlog = \"loud\"", &["line 3", "\"loud\"", "\"info\""]),
        ("max_message = \"64 KB\"", &["line 1", "64 KB", "KiB"]),
        ("max_message = -1", &["line 1", "-1", "KiB"]),
        ("max_message = 1.5", &["line 1", "1.5", "KiB"]),
        ("ping_interval = 25", &["line 1", "integer `25`", "\"25s\""]),
        ("ping_interval = \"25\"", &["line 1", "\"25s\""]),
        ("listen = [\"localhost:9310\"]", &["line 1", "localhost", "127.0.0.1:9310"]),
        ("listen = \"127.0.0.1:9310\"", &["line 1", "sequence"]),
        ("on_slow = \"wait\"", &["line 1", "wait", "`disconnect`", "`skip`"]),
        ("max_connections = -5", &["line 1", "-5"]),
        ("echo = \"yes\"", &["line 1", "boolean"]),
        ("echo = true\necho = true", &["line 2", "duplicate"]),
        ("echo = ", &["line 1"]),
        ("[limits]\necho = true", &["line 1", "limits"]),
    ];
    assert!(!table.is_empty());
    for (text, words) in table {
        let complaint = complaint(text);
        for word in ["wsrelayd.toml: "].iter().chain(*words) {
            assert!(complaint.contains(word), "{text:?}: no {word:?} in: {complaint}");
        }
    }
}

#[test]
fn what_may_not_stand_is_named_with_its_value_and_what_to_do() {
    let table = [
        ("listen = []", "listen = 0 addresses: expected 1 to 64 addresses."),
        ("listen = [\"[::1]:1\", \"[::1]:1\"]", "listen = \"[::1]:1\": expected each address once."),
        ("max_connections = 0", "max_connections = 0: expected a number from 1 to 1000000."),
        ("max_handshakes = 0", "max_handshakes = 0: expected a number"),
        ("max_frames = 0", "max_frames = 0: expected a number"),
        ("control_frames_per_sec = 0", "control_frames_per_sec = 0: expected a number"),
        ("send_buffer = 1", "send_buffer = \"1 B\": expected a size from \"4 KiB\" to \"16 MiB\"."),
        ("receive_buffer = \"1 GiB\"", "receive_buffer = \"1 GiB\": expected a size"),
        ("max_message = 0", "max_message = \"0 B\": expected a size from \"1 B\" to \"16 MiB\"."),
        (
            "max_message = \"1 MiB\"",
            "max_lag = \"1 MiB\": expected at least 2 x max_message, \"2 MiB\". Raise",
        ),
        ("hold = \"1 MiB\"", "max_lag = \"1 MiB\": expected at least 2 x hold, \"2 MiB\"."),
        ("max_lag = \"200 MiB\"", "max_backlog = \"256 MiB\": expected at least 2 x max_lag, \"400 MiB\"."),
        ("hold = \"1 GiB\"", "max_backlog = \"256 MiB\": expected at least 2 x hold, \"2 GiB\"."),
        ("hold = 1", "hold = \"1 B\": expected a size from"),
        ("soft_lag = \"2 MiB\"", "max_lag = \"1 MiB\": expected at least soft_lag, \"2 MiB\"."),
        ("soft_lag = 0", "soft_lag = \"0 B\": expected a size from"),
        (
            "max_inflight_read = 5",
            "max_inflight_read = \"5 B\": expected at least 3 x max_message + 128 KiB,",
        ),
        ("max_backlog = \"5000 GiB\"", "max_backlog = \"5000 GiB\": expected a size from"),
        ("pong_timeout = \"25s\"", "pong_timeout = \"25s\": expected less than ping_interval, \"25s\"."),
        ("stall_timeout = \"0s\"", "stall_timeout = \"0s\": expected a duration from \"100ms\" to \"1day\"."),
        ("soft_lag_time = \"2days\"", "soft_lag_time = \"2days\": expected a duration"),
        ("handshake_timeout = \"1ms\"", "handshake_timeout = \"1ms\": expected a duration"),
        ("close_timeout = \"1ms\"", "close_timeout = \"1ms\": expected a duration"),
        ("message_timeout = \"1ms\"", "message_timeout = \"1ms\": expected a duration"),
        ("pong_timeout = \"1ms\"", "pong_timeout = \"1ms\": expected a duration"),
        ("ping_interval = \"1y\"", "ping_interval = \"1year\": expected a duration"),
    ];
    assert!(!table.is_empty());
    for (text, words) in table {
        let complaint = complaint(text);
        assert!(complaint.contains(&format!("wsrelayd.toml: {words}")), "{text:?}: {complaint}");
    }
}

#[test]
fn all_breaches_are_told_at_once() {
    let complaint = complaint("max_connections = 0\nhold = 1\nclose_timeout = \"0s\"");
    assert_eq!(complaint.lines().count(), 3, "{complaint}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let table = [("/nonexistent/wsrelayd.toml", "No such file"), ("/", "directory"), ("/dev/zero", "1 MiB")];
    assert!(!table.is_empty());
    for (file, words) in table {
        let error = Config::read(Path::new(file)).unwrap_err().to_string();
        assert!(error.starts_with(file) && error.contains(words), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Config::parse(&text);
    }

    /// Mostly valid TOML with known keys and odd values, so that the checks behind the parser are reached too.
    #[test]
    fn no_values_panic(pairs in prop::collection::vec((key(), value()), 0..6)) {
        let text: String = pairs.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        if let Err(refusal) = Config::parse(&text) {
            let error = ConfigError { file: "wsrelayd.toml".into(), refusal };
            prop_assert!(error.to_string().len() > "wsrelayd.toml: ".len());
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(known_keys())
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (any::<u64>(), "( ?(B|KiB|MiB|GiB|ns|ms|s|m|h|days|y)){0,2}")
            .prop_map(|(n, unit)| format!("\"{n}{unit}\"")),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<String>().prop_map(|text| format!("{text:?}")),
        "[0-9.:\\[\\]\", {}=-]{0,20}",
    ]
}
