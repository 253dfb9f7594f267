//! Tests of `config`: the example file, what is refused and in which words, and any text at all. Whole messages are held
//! against the files in `tests/configs/bad`, with the real binary.

mod permissions;

use super::{keys::Applies, *};
use crate::limits::{Heartbeat, OnSlow};
use proptest::prelude::*;
use std::time::Duration;

const EXAMPLE: &str = include_str!("../../etc/wsrelayd.toml");

fn raw(text: &str) -> RawConfig {
    RawConfig { file: "wsrelayd.toml".into(), ..RawConfig::parse(text.into()) }
}

fn config(text: &str) -> Config {
    let (config, warnings) = raw(text).check(None).unwrap();
    assert_eq!(warnings, []);
    config
}

fn complaint(text: &str) -> String {
    raw(text).check(None).expect_err(text).to_string()
}

#[test]
fn nothing_said_means_the_defaults_and_they_break_no_rule() {
    assert_eq!(config(""), Config::default());
    assert_eq!(RawConfig::default().check(None).unwrap(), (Config::default(), vec![]));
}

#[test]
fn the_example_says_every_key_in_the_order_of_the_table_and_exactly_the_defaults() {
    assert_eq!(config(EXAMPLE), Config::default());
    assert!(KEYS.len() >= 25);
    let said: Vec<_> = EXAMPLE.lines().filter(|line| !line.starts_with('#')).collect();
    let said: Vec<_> = said.iter().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect();
    assert_eq!(said, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
}

#[test]
fn the_example_says_of_each_key_whether_it_needs_a_restart() {
    let blocks = EXAMPLE.split("\n\n");
    let mut told = Vec::new();
    for block in blocks.filter(|block| block.contains(" = ")) {
        let needs = block.contains("Needs a restart.");
        let keys =
            block.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
        told.extend(keys.map(|(key, _)| (key, needs)));
    }
    let right = KEYS.iter().map(|key| (key.name, key.applies == Applies::AtRestart)).collect::<Vec<_>>();
    assert_eq!(told, right);
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
    let config = config(text);
    let listen: Vec<_> = config.listen.iter().map(|entry| entry.place.to_string()).collect();
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
fn what_may_not_stand_is_named_with_what_was_expected_and_what_stands() {
    let table = [
        ("max_handshakes = 0", "max_handshakes: expected a number from 1 to 1000000, not the number 0"),
        ("max_frames = true", "max_frames: expected a number from 1 to 1000000, not true"),
        (
            "max_frames = 0x10_0000",
            "max_frames: expected a number from 1 to 1000000, not the number 0x100000",
        ),
        ("control_frames_per_sec = 10001", "expected a number from 1 to 10000, not the number 10001"),
        ("send_buffer = 1", "send_buffer: expected a size from \"4 KiB\" to \"16 MiB\", not the number 1"),
        ("receive_buffer = \"1 GiB\"", "expected a size from \"4 KiB\" to \"16 MiB\", not \"1 GiB\""),
        ("max_message = 1.5", "max_message: expected a size: a whole number with KiB,"),
        ("max_message = 1979-05-27", "or a number of bytes, not a date or a time"),
        ("max_message = []", "or a number of bytes, not a list"),
        (
            "hold = \"1 MiB\"",
            "max_lag: expected at least 2 x hold, \"2 MiB\", not \"1 MiB\", its default. Raise",
        ),
        (
            "soft_lag = \"2 MiB\"",
            "max_lag: expected at least soft_lag, \"2 MiB\", not \"1 MiB\", its default.",
        ),
        ("soft_lag = 0", "soft_lag: expected a size from \"1 B\""),
        (
            "max_inflight_read = 5",
            "max_inflight_read: expected at least 3 x max_message + 128 KiB, \"320 KiB\",",
        ),
        ("max_backlog = \"5000 GiB\"", "max_backlog: expected a size from \"0 B\" to \"1024 GiB\", not"),
        (
            "max_backlog = \"1 MiB\"",
            "max_backlog: expected at least 2 x max_lag, \"2 MiB\", not \"1 MiB\". Raise",
        ),
        (
            "stall_timeout = \"0s\"",
            "stall_timeout: expected a duration from \"100ms\" to \"1day\", not \"0s\"",
        ),
        ("drain = \"2days\"", "drain: expected a duration from"),
        ("ping_interval = 25", "such as \"25s\", \"500ms\" or \"1m 30s\", not the number 25"),
        ("log = \"trace\"", "\"info\", \"debug\", not \"trace\"\n"),
        ("log_format = \"jsn\"", "not \"jsn\"; did you mean \"json\"?"),
        ("echo = \"yes\"", "echo: expected true or false, not \"yes\""),
        ("http_publish = 1", "http_publish: expected true or false, not the number 1"),
        ("event_stream = []", "event_stream: expected true or false, not a list"),
        ("heartbeat = true", "heartbeat: expected false, or what is asked and what is answered, { request ="),
        ("heartbeat = \"ping\"", "reply = \"pong\" }, not \"ping\""),
        ("heartbeat = { reply = \"b\" }", "expected a `request` in the table, such as { request = \"ping\","),
        ("heartbeat = { request = \"a\" }", "heartbeat: expected a `reply` in the table"),
        ("heartbeat = { request = \"\", reply = \"b\" }", "expected a request of 1 to 64 bytes, not \"\""),
        ("heartbeat = { request = \"a\", reply = 5 }", "expected a reply of 1 to 64 bytes, not the number 5"),
        (
            "heartbeat = { request = \"a\", reply = \"a\" }",
            "heartbeat: expected a reply other than the request",
        ),
        (
            "heartbeat = { request = \"a\", reply = \"b\", rply = 1 }",
            "option \"rply\"; did you mean \"reply\"?",
        ),
        ("on_slow = {}", "expected one of \"disconnect\", \"skip\", not a table"),
        ("limits.echo = true", "unknown table \"limits\": every key stands at the top, in no table"),
        ("listen = [\"0.0.0.0:1\", \"127.0.0.1:1\"]", "\"0.0.0.0:1\" is every address of the machine,"),
        ("listen = [\"unix:relay.sock\"]", "expected an absolute path of at most 107 bytes"),
        ("listen = [\"systemd:a b\"]", "expected a name as in FileDescriptorName="),
        ("listen = [{}]", "expected an `address` in the table"),
        (
            "listen = [{ address = \"127.0.0.1:1\", mod = 1 }]",
            "unknown option \"mod\"; did you mean \"mode\"?",
        ),
        (
            "listen = [{ address = \"127.0.0.1:1\", mode = \"0600\" }]",
            "`mode` is for \"unix:\" addresses only",
        ),
        (
            "listen = [{ address = \"unix:/a\", mode = \"0888\" }]",
            "a mode in octal, such as \"0660\", not \"0888\"",
        ),
        (
            "listen = [{ address = \"unix:/a\", mode = 660 }]",
            "a mode in octal, such as \"0660\", not the number 660",
        ),
        ("listen = [{ address = \"unix:/a\", group = \"\" }]", "the name or the number of a group"),
        (
            "listen = [{ address = \"unix:/a\", proxy_protocol = 1 }]",
            "expected true or false, not the number 1",
        ),
        (
            "listen = [\"unix:/a\", { address = \"unix:/a\" }]",
            "expected each address once, not \"unix:/a\" again",
        ),
        ("trusted_proxies = \"10.0.0.0/8\"", "expected a list of networks, such as"),
        (
            "trusted_proxies = [\"10.1.0.0/8\"]",
            "expected the first address of the network, \"10.0.0.0/8\", or",
        ),
        (
            "trusted_proxies = [\"proxy\"]",
            "such as \"10.0.0.0/8\" or \"2001:db8::/32\", or \"unix:\", not \"proxy\"",
        ),
        ("trusted_proxies = [1]", "expected an IP address or a network, such as"),
        ("real_ip_header = \"X-Forwarded-Fro\"", "did you mean \"X-Forwarded-For\"?"),
        ("real_ip_header = 1", "expected one of \"X-Forwarded-For\", \"X-Real-IP\", \"Forwarded\", not"),
        ("max_connections_per_address = -1", "expected a number from 0 to 1000000"),
        ("listen = [{ address = \"unix:/a\", group = \"4294967295\" }]", "the name or the number of a group"),
        ("admin = [\"127.0.0.1:9310\"]", "admin: expected each address once, not \"127.0.0.1:9310\" again"),
    ];
    assert!(!table.is_empty());
    for (text, words) in table {
        let complaint = complaint(text);
        assert!(complaint.starts_with("wsrelayd.toml, line 1, column "), "{text:?}: {complaint}");
        assert!(complaint.contains(words), "{text:?}: {complaint}");
    }
}

#[test]
fn a_heartbeat_is_a_table_or_false() {
    let pair = |request: &str, reply: &str| Some(Heartbeat { request: request.into(), reply: reply.into() });
    let long = "é".repeat(32);
    let longest = format!("heartbeat = {{ request = \"{long}\", reply = \"b\" }}");
    let table = [
        ("heartbeat = false", None),
        ("heartbeat = { request = \"ping\", reply = \"pong\" }", pair("ping", "pong")),
        ("heartbeat.request = \"a\\n\"\nheartbeat.reply = \"\\\"\"", pair("a\n", "\"")),
        (&longest, pair(&long, "b")),
    ];
    assert!(!table.is_empty());
    for (text, heartbeat) in table {
        assert_eq!(config(text).limits.heartbeat, heartbeat, "{text}");
    }
    let too_long = longest.replace("é\"", "éx\"");
    assert!(complaint(&too_long).contains("a request of 1 to 64 bytes"), "{too_long}");
}

#[test]
fn too_many_listeners_are_one_mistake() {
    let said = raw(&format!("listen = [{}]", "\"[::1]:1\", ".repeat(5000)))
        .check(Some(1024))
        .unwrap_err()
        .to_string();
    assert!(
        said.starts_with("wsrelayd.toml, line 1, column 10: listen: expected 1 to 64 addresses, not 5000\n"),
        "{said}"
    );
}

#[test]
fn listeners_may_share_what_the_system_lets_them_share() {
    let table = [
        "[\"127.0.0.1:0\", \"127.0.0.1:0\"]",
        "[\"0.0.0.0:1\", \"[::]:1\"]",
        "[\"127.0.0.1:1\", \"127.0.0.2:1\"]",
        "[\"0.0.0.0:1\", \"127.0.0.1:2\"]",
    ];
    assert!(!table.is_empty());
    for listen in table {
        assert_eq!(config(&format!("listen = {listen}")).listen.len(), 2);
    }
}

/// What stands in place of a refused value is a default that nobody wrote.
#[test]
fn nothing_is_concluded_from_a_refused_value() {
    for text in ["max_message = 0\nmax_lag = \"512 KiB\"", "ping_interval = \"1s\"\npong_timeout = 4"] {
        let said = complaint(text);
        assert!(!said.contains("mistakes") && !said.contains("at least 2 x max_message"), "{said}");
    }
}

#[test]
fn arguments_take_the_place_of_addresses_but_excuse_no_others() {
    let address = parse_listen("[::1]:5").unwrap();
    let alone = |text| raw(text).listening_on(vec![address.clone()]).check(None).unwrap().0;
    assert_eq!(alone("listen = []").listen, std::slice::from_ref(&address));
    assert_eq!(alone("").admin, [], "elsewhere altogether");
    assert_eq!(alone("admin = [\"[::1]:6\"]").admin.len(), 1, "but where the file says so");
    let error = raw("listen = [1]\nhold = 1").listening_on(vec![address; 2]).check(None).unwrap_err();
    let said = error.to_string();
    for words in
        ["3 mistakes in the configuration:\n", "line 1, column 11: listen", "hold", "\n--listen: expected"]
    {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let table =
        [("/nonexistent/wsrelayd.toml", "No such file"), ("/", "directory"), ("/dev/zero", "128 KiB")];
    assert!(!table.is_empty());
    for (file, words) in table {
        let error = RawConfig::read(Path::new(file)).check(None).unwrap_err().to_string();
        assert!(error.starts_with(file) && error.contains(words), "{error}");
    }
}

#[test]
fn only_a_default_is_lowered_to_what_the_descriptors_allow() {
    let lowered = |text, descriptors| {
        let checked = raw(text).check(descriptors);
        checked.map(|(config, lowered)| (config.limits.max_connections, !lowered.is_empty()))
    };
    let written = "max_connections = 10000";
    let two = "listen = [\"[::1]:1\", \"[::1]:2\"]";
    let table = [
        ("", None, Some((10_000, false))),
        ("", Some(u64::MAX), Some((10_000, false))),
        ("", Some(10_100), Some((10_000, false))),
        ("", Some(10_099), Some((9_999, true))),
        ("", Some(1024), Some((924, true))),
        (two, Some(1024), Some((923, true))),
        ("", Some(101), Some((1, true))),
        ("", Some(100), None),
        ("", Some(0), None),
        (written, Some(10_100), Some((10_000, false))),
        (written, Some(10_099), None),
        (written, Some(100), None),
        ("max_connections = 0", Some(100), None),
    ];
    assert!(!table.is_empty());
    for (text, descriptors, expected) in table {
        assert_eq!(lowered(text, descriptors).ok(), expected, "{text} {descriptors:?}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<Vec<u8>>()) {
        let raw = RawConfig::parse(text);
        let _ = raw.check(Some(1024)).map_err(|error| error.to_string());
    }

    /// Mostly valid TOML with known keys and odd values, so that the checks behind the parser are reached too.
    #[test]
    fn no_values_panic(pairs in prop::collection::vec((key(), value()), 0..6)) {
        let text: String = pairs.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        if let Err(error) = raw(&text).check(Some(1024)) {
            prop_assert!(error.to_string().contains("wsrelayd.toml"));
        }
    }

    #[test]
    fn what_is_printed_is_read_to_the_same(written in valid()) {
        let printed = written.to_toml();
        let at_the_top = printed.split("\n\n").next().unwrap();
        prop_assert_eq!(at_the_top.lines().count(), KEYS.len());
        prop_assert_eq!(config(&printed), written);
    }
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS.iter().map(|key| key.name).collect::<Vec<_>>())
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

/// An entry with options; no two that differ in `name` clash.
fn entry(name: &'static str) -> impl Strategy<Value = Listen> {
    let group = prop::option::of("[a-z][a-z0-9-]{0,10}");
    let place = prop_oneof![
        "[a-z ]{0,90}".prop_map(move |rest| Place::Unix(format!("/run/{name}{rest}").into())),
        "[a-z.-]{0,90}".prop_map(move |rest| Place::Inherited(format!("{name}{rest}"))),
    ];
    (place, 0..=0o777_u32, group, any::<bool>()).prop_map(|(place, mode, group, proxy_protocol)| {
        let file = matches!(place, Place::Unix(_));
        let plain = Listen::from(place.clone());
        let mode = if file { mode } else { plain.mode };
        Listen { place, mode, group: group.filter(|_| file), proxy_protocol }
    })
}

/// None, or two different texts of any letters.
fn heartbeat() -> impl Strategy<Value = Option<Heartbeat>> {
    let text = prop::collection::vec(any::<char>(), 1..16);
    let pair = (text.clone(), text).prop_filter("they are different", |(request, reply)| request != reply);
    let join = |letters: Vec<char>| letters.into_iter().collect::<String>().into_boxed_str();
    prop::option::of(
        pair.prop_map(move |(request, reply)| Heartbeat { request: join(request), reply: join(reply) }),
    )
}

/// Configurations that break no rule, all their keys random.
fn valid() -> impl Strategy<Value = Config> {
    let many = (1..=1_000_000_usize, 1..=1_000_000_usize, 1..=1_000_000_u32, 1..=10_000_u32);
    let sizes = (1..=16_usize << 20, 1 << 10..=1_usize << 30, 1..=1_usize << 30, 0..=1_usize << 30);
    let buffers = (4 << 10..=16_usize << 20, 4 << 10..=16_usize << 20);
    let spans = prop::collection::vec(100..=43_200_000_u64, 8);
    let listen = prop::collection::hash_set(any::<(std::net::Ipv6Addr, u16)>(), 1..4);
    let listen = (listen, prop::option::of(entry("a")), prop::option::of(entry("b")));
    let words = (any::<[bool; 2]>(), 0..5_usize, 0..4_usize, heartbeat());
    let rest = (listen, words, permissions::permissions());
    (many, sizes, buffers, spans, rest).prop_map(|(many, sizes, buffers, spans, rest)| {
        let (listen, words, permissions) = rest;
        let (listen, entries, admin) = listen;
        let listen = listen
            .into_iter()
            .filter(|(ip, _)| !ip.is_unspecified())
            .map(SocketAddr::from)
            .collect::<Vec<_>>();
        let listen: Vec<Listen> = listen.into_iter().map(Listen::from).chain(entries).collect();
        let span = |nth: usize| Duration::from_millis(spans[nth]);
        let ([echo, skip], log, form, heartbeat) = words;
        let (max_message, hold, soft_lag, more) = sizes;
        let max_lag = (2 * max_message).max(2 * hold).max(soft_lag) + more;
        let limits = Limits {
            echo,
            http_publish: skip,
            event_stream: echo != skip,
            heartbeat,
            max_connections: many.0,
            max_handshakes: many.1,
            max_connections_per_address: many.0 - 1,
            handshakes_per_address_per_sec: many.2 - 1,
            max_message,
            max_frames: many.2,
            control_frames_per_sec: many.3,
            max_inflight_read: 3 * max_message + (128 << 10) + more,
            max_backlog: 2 * max_lag + more,
            max_lag,
            soft_lag,
            soft_lag_time: span(0),
            stall_timeout: span(1),
            on_slow: if skip { OnSlow::Skip } else { OnSlow::Disconnect },
            hold,
            ping_interval: span(2) + span(3),
            pong_timeout: span(3),
            handshake_timeout: span(4),
            close_timeout: span(5),
            message_timeout: span(6),
            drain: span(7),
            ..Limits::default()
        };
        let log =
            [LevelFilter::Off, LevelFilter::Error, LevelFilter::Warn, LevelFilter::Info, LevelFilter::Debug]
                [log];
        let log_format = [Format::Auto, Format::Human, Format::Journal, Format::Json][form];
        let admin = admin.into_iter().collect();
        let mut trusted_proxies = Trusted::nobody();
        let networks =
            [("10.0.0.0/8", echo), ("2001:db8::/32", skip), ("192.0.2.1", echo != skip), ("unix:", skip)];
        for (entry, _) in networks.into_iter().filter(|(_, is_in)| *is_in) {
            assert_eq!(trusted_proxies.add(entry), Ok(()));
        }
        let real_ip_header = RealIpHeader::ALL[form % 3];
        let mut config = Config {
            listen,
            admin,
            trusted_proxies,
            real_ip_header,
            limits,
            send_buffer: buffers.0,
            receive_buffer: buffers.1,
            log,
            log_format,
            ..Config::default()
        };
        permissions.put_into(&mut config);
        config
    })
}
