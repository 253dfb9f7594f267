//! Who may speak and who may listen, on real sockets: what the refused are told, when a token runs out, who is believed
//! about users, whoever sends too much; and that no token stands in anything that people read.

use crate::{codes::*, desk, raw::*, smith::*, support::*};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

pub(crate) const SECRET: &str = "a secret of the tests, and of nobody else";

/// Anyone listens, a token publishes.
pub(crate) const FEED: &str = "[[channel]]\npath = \"/feed/*\"\npublish = \"token\"\n";

const BOTH: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// A relay with one key, its configuration and the key's file beside it.
pub(crate) struct Guarded {
    pub(crate) relay: Relay,
    pub(crate) folder: Folder,
    pub(crate) smith: Smith,
}

impl Guarded {
    /// `keys` stand behind `token_keys`, which names the key by where it lies beside the configuration.
    pub(crate) fn start(name: &str, keys: &str) -> Self {
        let folder = Folder::new(name);
        let smith = Smith::secret(SECRET);
        write(&folder, "feed.secret", &smith.file());
        write(&folder, "relay.toml", &format!("token_keys = [\"feed.secret\"]\n{keys}"));
        let file = folder.path("relay.toml");
        let relay = Relay::start(&[&["--config", &file], &BOTH[..]].concat());
        Self { relay, folder, smith }
    }

    pub(crate) fn bearer(&self, claims: &Value) -> String {
        format!("Authorization: Bearer {}\r\n", self.smith.token(claims))
    }

    /// A peer on `target`, that was let in.
    pub(crate) fn join(&self, target: &str, lines: &str) -> TcpStream {
        let (client, answer) = self.ask(target, lines);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{target} {lines}{answer}");
        client
    }

    /// Asks for a WebSocket, and takes the head of the answer.
    pub(crate) fn ask(&self, target: &str, lines: &str) -> (TcpStream, String) {
        let mut client = connect(&self.relay);
        client.write_all(handshake(target, lines).as_bytes()).unwrap();
        let answer = head(&mut client);
        (client, answer)
    }

    /// Sends a request that is to be refused, and takes the whole answer.
    pub(crate) fn refused(&self, request: &str) -> String {
        let mut client = connect(&self.relay);
        client.write_all(request.as_bytes()).unwrap();
        answer(&mut client)
    }
}

pub(crate) fn write(folder: &Folder, name: &str, text: &str) {
    fs::write(folder.path(name), text).unwrap();
}

/// A request for a WebSocket with more lines, `\r\n` behind each.
pub(crate) fn handshake(target: &str, lines: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
}

pub(crate) fn listen(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}Accept: text/event-stream\r\n\r\n")
}

pub(crate) fn post(target: &str, lines: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: 2\r\n\r\nhi")
}

#[test]
fn anyone_listens_to_a_feed_and_a_token_publishes() {
    let keys = format!("http_publish = true\nevent_stream = true\n{FEED}");
    let mut guarded = Guarded::start("feed", &keys);
    let mut listener = guarded.join("/feed/news", "");
    let good = guarded.bearer(&json!({ "publish": ["/feed/*"], "sub": "mary" }));
    let mut speaker = guarded.join("/feed/news", &good);
    guarded.relay.relays(&mut speaker, &mut listener, "hello");
    let told = guarded.refused(&post("/feed/news", &good));
    assert!(told.ends_with("\r\n\r\n{\"peers\":2}\n"), "{told}");
    assert_eq!(frame(&mut listener).unwrap(), (0x82, b"hi".to_vec()));
    assert_eq!(frame(&mut speaker).unwrap(), (0x82, b"hi".to_vec()));
    listener.write_all(&masked(0x81, b"me too")).unwrap();
    assert_eq!(last_frame(&mut listener), close_frame(1008, "publish-not-allowed"));
    speaker.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let heard = speaker.read(&mut [0]).unwrap_err();
    assert!(matches!(heard.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "nobody heard it: {heard}");
    let ends = counted([("posted", 1), ("disconnects.publish_not_allowed", 1)]);
    assert_counted(&mut guarded.relay, &ends, 1);
}

#[test]
fn each_refusal_has_its_status_its_header_and_its_reason() {
    let keys = "http_publish = true\nevent_stream = true\ntoken_audience = [\"feeds\"]\ntoken_issuers = [\"mint\"]\n\
                token_leeway = \"0s\"\nsubprotocols = [\"v1\"]\n\
                [[channel]]\npath = \"/feed/*\"\npublish = \"token\"\n\
                [[channel]]\npath = \"/closed\"\npublish = \"nobody\"\nsubscribe = \"nobody\"\n\
                [[channel]]\npath = \"/private/**\"\npublish = \"token\"\nsubscribe = \"token\"\n\
                [[channel]]\npath = \"/spoken\"\nsubprotocol_required = true\n\
                [[channel]]\npath = \"/alone\"\nmax_peers = 1\n";
    let mut guarded = Guarded::start("refusals", keys);
    let alone = guarded.join("/alone", "");
    let now = unix().as_secs();
    let claims = json!({ "aud": "feeds", "iss": "mint", "publish": ["/feed/*", "/private/mine"] });
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        guarded.bearer(&claims)
    };
    let good = guarded.bearer(&claims);
    let (bare, twice) = (good.trim_end(), format!("{good}{good}"));
    let stranger = Smith::secret("another secret, which the relay has never seen").token(&claims);
    let other = Smith::ed25519().token(&claims);
    const NO_TOKEN: &str = "WWW-Authenticate: Bearer realm=\"wsrelayd\"";
    const BAD_TOKEN: &str =
        "WWW-Authenticate: Bearer realm=\"wsrelayd\", error=\"invalid_token\", error_description=\"";
    let table = [
        (handshake("/other", ""), "404 Not Found", "", "channel"),
        (handshake("/feed/a/b", &good), "404 Not Found", "", "channel"),
        (post("/feed", &good), "404 Not Found", "", "channel"),
        (handshake("/closed", &good), "403 Forbidden", "", "forbidden"),
        (post("/closed", ""), "403 Forbidden", "", "forbidden"),
        (handshake("/private/yours", &good), "403 Forbidden", "", "forbidden"),
        (listen("/private/mine", &good), "403 Forbidden", "", "forbidden"),
        (handshake("/private/mine", ""), "401 Unauthorized", NO_TOKEN, "token_missing"),
        (post("/feed/a", ""), "401 Unauthorized", NO_TOKEN, "token_missing"),
        (listen("/private/a/b", ""), "401 Unauthorized", NO_TOKEN, "token_missing"),
        (handshake("/feed/a", &with("exp", json!(now - 1))), "401 Unauthorized", BAD_TOKEN, "token_expired"),
        (handshake("/feed/a", &with("nbf", json!(now + 99))), "401 Unauthorized", BAD_TOKEN, "token_not_yet"),
        (handshake("/feed/a", &with("aud", json!("x"))), "401 Unauthorized", BAD_TOKEN, "token_audience"),
        (handshake("/feed/a", &with("iss", json!("x"))), "401 Unauthorized", BAD_TOKEN, "token_issuer"),
        (post("/feed/a", &format!("{bare}.\r\n")), "401 Unauthorized", BAD_TOKEN, "token_malformed"),
        (
            listen("/feed/a", &format!("Authorization: Bearer {stranger}\r\n")),
            "401 Unauthorized",
            BAD_TOKEN,
            "token_signature",
        ),
        (
            handshake("/feed/a", &format!("Sec-WebSocket-Protocol: v1, bearer.{other}\r\n")),
            "401 Unauthorized",
            BAD_TOKEN,
            "token_algorithm",
        ),
        (handshake("/feed/a", &twice), "400 Bad Request", "", "bad_request"),
        (handshake("/spoken", "Sec-WebSocket-Protocol: v2\r\n"), "400 Bad Request", "", "subprotocol"),
        (handshake("/alone", ""), "503 Service Unavailable", "Retry-After: ", "max_peers"),
        (handshake("/feed/a", "Origin: http://evil.example\r\n"), "403 Forbidden", "", "origin"),
    ];
    assert!(!table.is_empty());
    let mut expected = BTreeMap::new();
    for (request, status, field, label) in table {
        let told = guarded.refused(&request);
        assert_refused(&told, status, if field.is_empty() { &[] } else { std::slice::from_ref(&field) });
        assert_eq!(told.contains("WWW-Authenticate"), status.starts_with("401"), "{told}");
        assert_eq!(told.contains("invalid_token"), field == BAD_TOKEN, "{told}");
        *expected.entry(format!("refused.{label}")).or_default() += 1;
    }
    assert_counted(&mut guarded.relay, &expected, 1);
    drop(alone);
}

/// In real time, for those who are there already: not before, and soon after.
#[test]
fn a_connection_ends_when_its_token_does() {
    let guarded = Guarded::start("expiry", &format!("token_leeway = \"0s\"\n{FEED}"));
    let ends = unix() + Duration::from_millis(1500);
    let short = guarded.bearer(&json!({ "exp": ends.as_secs_f64(), "publish": ["/feed/*"] }));
    let mut crowd = [(); 8].map(|()| guarded.join("/feed/a", &short));
    let (mut anyone, mut listener) = (guarded.join("/feed/b", ""), guarded.join("/feed/b", ""));
    let long = guarded.bearer(&json!({ "publish": ["/feed/*"] }));
    let mut lasting = guarded.join("/feed/b", &long);
    let left_at = thread::scope(|scope| {
        let ends = crowd.each_mut().map(|client| {
            scope.spawn(|| {
                assert_eq!(last_frame(client), close_frame(1008, "token-expired"));
                unix()
            })
        });
        ends.map(|end| end.join().unwrap())
    });
    for at in left_at {
        assert!(at >= ends, "{:?} too early", ends - at);
        // They are spread over five seconds; the rest is for a loaded machine.
        assert!(at < ends + Duration::from_secs(8), "{:?} too late", at - ends);
    }
    assert!(left_at.iter().max() > left_at.iter().min(), "{left_at:?}");
    guarded.relay.relays(&mut lasting, &mut anyone, "still here");
    assert_eq!(frame(&mut listener).unwrap(), (0x81, b"still here".to_vec()));
}

/// In all three places, taken and refused, with a log that says all it can say, in each of its forms.
#[test]
fn no_token_and_no_secret_is_ever_told_to_anybody() {
    for format in ["human", "journal", "json"] {
        let keys = format!(
            "token_query = \"access\"\nhttp_publish = true\nevent_stream = true\nlog = \"debug\"\n\
             log_format = \"{format}\"\n{FEED}"
        );
        let mut guarded = Guarded::start(&format!("quiet-{format}"), &keys);
        let (requests, tokens) = requests_with_tokens(&guarded.smith);
        let mut kept: Vec<TcpStream> = Vec::new();
        let mut statuses = BTreeMap::new();
        for request in &requests {
            let mut client = connect(&guarded.relay);
            client.write_all(request.as_bytes()).unwrap();
            let told = head(&mut client);
            assert_silent("an answer", &told, &tokens);
            *statuses.entry(told[9..12].to_owned()).or_insert(0) += 1;
            kept.push(client);
        }
        let wanted = ["101", "200", "202", "400", "401", "403", "404", "405", "431"];
        assert_eq!(
            statuses.keys().collect::<Vec<_>>(),
            wanted,
            "each kind of answer is among them: {statuses:?}"
        );
        let desk = guarded.relay.addresses[1];
        desk::told_when(desk, "/api/status", |told| told["refused"]["token_malformed"].as_u64() > Some(0));
        for path in ["/api/status", "/api/channels", "/api/peers", "/api/log", "/metrics", "/readyz"] {
            let (head, body) = desk::ask(desk, &format!("GET {path}"), "");
            assert_silent(path, &head, &tokens);
            assert_silent(path, &String::from_utf8(body).unwrap(), &tokens);
        }
        guarded.relay.signal(Signal::USR1);
        guarded.relay.signal(Signal::HUP);
        drop(kept);
        guarded.relay.signal(Signal::TERM);
        let mut log = String::new();
        guarded.relay.stderr.read_to_string(&mut log).unwrap();
        assert!(log.lines().count() > requests.len() && log.contains("/feed/a"), "it says something: {log}");
        assert_silent("the log", &log, &tokens);
    }
}

/// Requests of all kinds, and the tokens in them.
fn requests_with_tokens(smith: &Smith) -> (Vec<String>, Vec<String>) {
    let claims = json!({ "publish": ["/feed/*"], "sub": "mary" });
    let good = smith.token(&claims);
    let bad = [
        Smith::secret("another secret, which the relay has never seen").token(&claims),
        smith.token(&json!({ "exp": 1 })),
        format!("{good}=="),
        "no.token.of_anybody_at_all_but_long_enough".to_owned(),
    ];
    let tokens = [std::slice::from_ref(&good), &bad].concat();
    let mut requests = Vec::new();
    for token in &tokens {
        let header = format!("Authorization: Bearer {token}\r\n");
        let offer = format!("Sec-WebSocket-Protocol: bearer.{token}, chat\r\n");
        let query = format!("/feed/a?access={token}");
        requests.extend([
            handshake("/feed/a", &header),
            listen("/feed/a", &header),
            post("/feed/a", &header),
        ]);
        requests.extend([handshake("/feed/a", &offer), listen(&query, ""), post(&query, "")]);
        requests.extend([handshake(&query, ""), handshake(&query, &header), handshake("/other", &offer)]);
    }
    requests.extend([
        handshake("/feed/a", &format!("Origin: null\r\nAuthorization: Bearer {good}\r\n")),
        handshake(&format!("/feed/%zz?access={good}"), ""),
        handshake("/feed/a", &format!("Authorization: Bearer {good}\r\nX: {}\r\n", "x".repeat(9 << 10))),
        handshake(&format!("/feed/a?access={good}"), "").replacen("GET", "PUT", 1),
        handshake("/feed/a", &format!("Authorization: Basic {good}\r\n")),
    ]);
    (requests, tokens)
}

/// Neither a token nor a third of one, nor the secret, stands in `text`.
fn assert_silent(what: &str, text: &str, tokens: &[String]) {
    let long = |part: &&str| part.len() >= 16;
    let parts = tokens.iter().flat_map(|token| token.split('.').skip(1)).filter(long);
    for word in parts.chain([SECRET]) {
        assert!(!text.contains(&word[..16]), "{word} in {what}: {text}");
    }
}

#[test]
fn a_user_is_named_by_a_trusted_proxy_or_else_by_the_token() {
    let told = |name: &str, keys: &str, lines: &str| {
        let mut guarded = Guarded::start(name, &format!("identity_header = \"X-User\"\n{keys}{FEED}"));
        let token = guarded.bearer(&json!({ "sub": "by token", "publish": ["/feed/a"] }));
        let _client = guarded.join("/feed/a", &lines.replace("TOKEN\r\n", &token));
        let line = guarded.relay.line_with("opened");
        let desk = guarded.relay.addresses[1];
        let peers = desk::told_when(desk, "/api/peers", |told| told["total"] == 1);
        let log = desk::told_when(desk, "/api/log", |log| log["entries"].as_array().unwrap().len() == 1);
        let user = peers["peers"][0]["user"].clone();
        assert_eq!(user, log["entries"][0]["user"], "{log:#}");
        assert_eq!(line.contains(" user="), !user.is_null(), "{line}");
        guarded.relay.signal(Signal::USR1);
        let counters = guarded.relay.line_with("ignored_users=");
        let ignored =
            counters.split("ignored_users=").nth(1).unwrap().split(' ').next().unwrap().trim().to_owned();
        (user, peers["peers"][0]["may"].clone(), ignored)
    };
    const TRUSTED: &str = "";
    const ANOTHER: &str = "trusted_proxies = [\"192.0.2.1\"]\n";
    let (both, one) = (json!(["subscribe", "publish"]), json!(["subscribe"]));
    let table = [
        (TRUSTED, "X-User: mary\r\n", json!("mary"), &one, "0"),
        (TRUSTED, "X-User: mary\r\nTOKEN\r\n", json!("mary"), &both, "0"),
        (TRUSTED, "TOKEN\r\n", json!("by token"), &both, "0"),
        (TRUSTED, "X-User: \r\n", Value::Null, &one, "0"),
        (TRUSTED, "X-User: mary\r\nX-User: eve\r\n", Value::Null, &one, "1"),
        (TRUSTED, "", Value::Null, &one, "0"),
        (ANOTHER, "X-User: mary\r\n", Value::Null, &one, "1"),
        (ANOTHER, "X-User: mary\r\nTOKEN\r\n", json!("by token"), &both, "1"),
    ];
    assert!(!table.is_empty());
    for (nth, (keys, lines, user, may, ignored)) in table.into_iter().enumerate() {
        let found = told(&format!("user-{nth}"), keys, lines);
        assert_eq!(found, (user, may.clone(), ignored.to_owned()), "{keys}{lines}");
    }
}

/// Over its rate a sender is not read: all it sent comes, in order, and not before its time.
#[test]
fn who_sends_more_than_its_rate_waits_or_is_closed() {
    let keys = "[[channel]]\npath = \"/slow\"\nmessages_per_sec = 20\nrate_burst = \"1s\"\n\
                [[channel]]\npath = \"/strict\"\nmessages_per_sec = 20\nrate_burst = \"1s\"\non_rate = \"disconnect\"\n";
    let mut guarded = Guarded::start("rate", keys);
    let numbered: Vec<u8> = (0..60u8).flat_map(|n| masked(0x82, &[n])).collect();
    let (mut sender, mut listener) = (guarded.join("/slow", ""), guarded.join("/slow", ""));
    let began = Instant::now();
    sender.write_all(&numbered).unwrap();
    for n in 0..60 {
        assert_eq!(frame(&mut listener).unwrap(), (0x82, vec![n]));
    }
    // Twenty at once, and forty at their rate.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    guarded.relay.relays(&mut listener, &mut sender, "and it is heard and spoken to");
    let (mut sender, mut listener) = (guarded.join("/strict", ""), guarded.join("/strict", ""));
    sender.write_all(&numbered).unwrap();
    assert_eq!(last_frame(&mut sender), close_frame(1008, "rate"));
    for n in 0..20 {
        assert_eq!(frame(&mut listener).unwrap(), (0x82, vec![n]));
    }
    assert_counted(&mut guarded.relay, &counted([("disconnects.rate", 1)]), 3);
}

#[test]
fn a_channel_takes_the_kinds_that_its_rule_names() {
    let keys = "http_publish = true\n[[channel]]\npath = \"/text\"\nkinds = \"text\"\n\
                [[channel]]\npath = \"/binary\"\nkinds = \"binary\"\n";
    let mut guarded = Guarded::start("kinds", keys);
    for (path, good, bad, reason) in
        [("/text", 0x81, 0x82, "text-only"), ("/binary", 0x82, 0x81, "binary-only")]
    {
        let (mut sender, mut listener) = (guarded.join(path, ""), guarded.join(path, ""));
        sender.write_all(&[masked(good, b"x"), masked(bad, b"y")].concat()).unwrap();
        assert_eq!(frame(&mut listener).unwrap(), (good, b"x".to_vec()));
        assert_eq!(last_frame(&mut sender), close_frame(1003, reason));
    }
    let told = guarded.refused(&post("/text", ""));
    assert_refused(&told, "415 Unsupported Media Type", &[]);
    let told = guarded.refused(&post("/binary", "Content-Type: text/plain\r\n"));
    assert_refused(&told, "415 Unsupported Media Type", &[]);
    let ends = [("disconnects.kind", 2), ("disconnects.eof", 2), ("refused.kind", 2)];
    assert_counted(&mut guarded.relay, &counted(ends), 0);
}
