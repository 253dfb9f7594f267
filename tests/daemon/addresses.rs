//! Who a client is: what is believed from whom, the limits per address, and what the log says.

use crate::support::{File, PATIENCE, Relay, head, until};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

const CLIENT: &str = "203.0.113.7";

/// An ordinary listener, and one that demands a PROXY line.
const LISTEN: &str =
    "listen = [\"127.0.0.1:0\", { address = \"127.0.0.1:0\", proxy_protocol = true }]\nadmin = []\n";

fn start(name: &str, keys: &str) -> (Relay, File) {
    let file = File::new(name, &format!("{LISTEN}{keys}"));
    (Relay::start(&["--config", file.path()]), file)
}

/// A request with these lines of its own, `\r\n` behind each.
fn request(lines: &str) -> String {
    format!(
        "GET /addresses HTTP/1.1\r\nHost: localhost\r\n{lines}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Sends bytes and takes the head of the answer.
fn ask(address: SocketAddr, bytes: &str) -> (TcpStream, String) {
    let mut client = connect(address);
    client.write_all(bytes.as_bytes()).unwrap();
    let answer = head(&mut client);
    (client, answer)
}

/// Comes through a proxy that says that it asks for `address`.
fn ask_for(relay: &Relay, address: &str) -> (TcpStream, String) {
    ask(relay.addresses[0], &request(&format!("X-Forwarded-For: {address}\r\n")))
}

fn is_welcome(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 101 ")
}

fn counters(relay: &mut Relay) -> String {
    relay.signal(Signal::USR1);
    relay.line_with("ignored_addresses=")
}

fn assert_told_to_come_later(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
    let secs = answer.lines().find_map(|line| line.strip_prefix("Retry-After: ")).expect("when to come back");
    assert!((1..=10).contains(&secs.parse::<u32>().unwrap()), "{answer}");
}

#[test]
fn what_a_proxy_says_of_its_client_is_believed_if_the_proxy_is_trusted() {
    let table = [
        // Keys, lines of the request, and whom the log names behind `address=`; none: the other end.
        ("", "X-Forwarded-For: 203.0.113.7\r\n", Some(CLIENT)),
        ("", "X-Forwarded-For: 10.0.0.1, 203.0.113.7\r\n", Some(CLIENT)),
        ("", "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 203.0.113.7, 127.0.0.1\r\n", Some(CLIENT)),
        ("", "X-Forwarded-For: ::ffff:203.0.113.7\r\n", Some(CLIENT)),
        ("", "X-Forwarded-For: 203.0.113.7, junk\r\n", None),
        ("", "X-Real-IP: 203.0.113.7\r\nForwarded: for=203.0.113.7\r\n", None),
        ("", "", None),
        ("trusted_proxies = []\n", "X-Forwarded-For: 203.0.113.7\r\n", None),
        ("trusted_proxies = [\"192.0.2.0/24\"]\n", "X-Forwarded-For: 203.0.113.7\r\n", None),
        (
            "real_ip_header = \"X-Real-IP\"\n",
            "X-Real-IP: 203.0.113.7\r\nX-Forwarded-For: 1.1.1.1\r\n",
            Some(CLIENT),
        ),
        (
            "real_ip_header = \"Forwarded\"\n",
            "Forwarded: for=\"x, for=203.0.113.7;proto=https\r\n",
            Some(CLIENT),
        ),
    ];
    assert!(!table.is_empty());
    for (nth, (keys, lines, real)) in table.into_iter().enumerate() {
        let (mut relay, _file) = start(&format!("spoof-{nth}"), keys);
        let (client, answer) = ask(relay.addresses[0], &request(lines));
        assert!(is_welcome(&answer), "{keys}{lines}{answer}");
        let end = client.local_addr().unwrap();
        let expected = match real {
            Some(real) => format!(" address={real} via={end} channel=/addresses"),
            None => format!(" address={end} channel=/addresses"),
        };
        let line = relay.line_with("opened");
        assert!(line.contains(&expected), "{keys}{lines}{line}");
        drop(client);
        let line = relay.line_with("ended");
        assert!(line.contains(&expected), "{keys}{lines}{line}");
        let ignored = usize::from(keys.starts_with("trusted"));
        let unreadable = usize::from(lines.contains("junk"));
        let counted = format!(" ignored_addresses={ignored} unreadable_addresses={unreadable} ");
        let line = counters(&mut relay);
        assert!(line.contains(&counted), "{keys}{lines}{line}");
    }
}

#[test]
fn a_proxy_line_may_come_in_pieces_and_is_demanded_where_the_listener_says_so() {
    let (mut relay, _file) = start("line", "");
    let [plain, behind] = relay.addresses[..] else { panic!("two listeners") };
    let line = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";
    let mut client = connect(behind);
    client.set_nodelay(true).unwrap();
    for byte in format!("{line}{}", request("")).as_bytes() {
        client.write_all(&[*byte]).unwrap();
    }
    assert!(is_welcome(&head(&mut client)));
    let end = client.local_addr().unwrap();
    let opened = relay.line_with("opened");
    assert!(opened.contains(&format!(" address=203.0.113.7 via={end} ")), "{opened}");
    let table = [
        (behind, request(""), "this listener expects a line of the PROXY protocol"),
        (behind, "\r\n\r\n\0\r\nQUIT\n".to_owned(), "this is version 2 of the PROXY protocol"),
        (behind, "PROXY TCP4 203.0.113.7\r\n".to_owned(), "PROXY TCP4, TCP6 or UNKNOWN"),
        (plain, format!("{line}{}", request("")), "Set proxy_protocol = true at its entry of `listen`"),
    ];
    assert!(!table.is_empty());
    for (address, bytes, words) in table {
        let (mut client, answer) = ask(address, &bytes);
        let mut body = String::new();
        client.read_to_string(&mut body).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && body.contains(words), "{bytes:?}: {answer}{body}");
    }
}

#[test]
fn so_many_connections_of_one_address_and_429_for_the_next() {
    let (mut relay, _file) = start("crowd", "max_connections_per_address = 3\n");
    let mut clients: Vec<_> = (0..3).map(|_| ask_for(&relay, CLIENT)).collect();
    assert!(clients.iter().all(|(_, answer)| is_welcome(answer)));
    assert_told_to_come_later(&ask_for(&relay, CLIENT).1);
    let line = format!("PROXY TCP4 {CLIENT} 192.0.2.1 1 2\r\n{}", request(""));
    assert_told_to_come_later(&ask(relay.addresses[1], &line).1);
    let refused = relay.line_with("refused");
    assert!(refused.contains(" address=203.0.113.7 via=127.0.0.1:"), "{refused}");
    assert!(refused.contains(" reason=address_connections"), "{refused}");
    assert!(is_welcome(&ask_for(&relay, "203.0.113.8").1), "nobody else suffers");
    // Whoever says nothing of its client is this machine, which has no such limit.
    let locals: Vec<_> = (0..20).map(|_| ask(relay.addresses[0], &request(""))).collect();
    assert!(locals.iter().all(|(_, answer)| is_welcome(answer)));
    drop(clients.pop());
    until("a connection that ended makes room", || {
        Some(ask_for(&relay, CLIENT)).filter(|(_, answer)| is_welcome(answer))
    });
    assert!(counters(&mut relay).contains(" refused.address_connections="));
}

#[test]
fn so_many_handshakes_of_one_address_and_429_for_the_next() {
    let (mut relay, _file) = start("rate", "handshakes_per_address_per_sec = 1\n");
    // One /64 is one client; five seconds' worth may come at once.
    let answers = (0..200).map(|n| ask_for(&relay, &format!("2001:db8:1:2::{n:x}")).1);
    let answers: Vec<_> = answers.take_while(|answer| is_welcome(answer)).collect();
    assert!((5..200).contains(&answers.len()), "{} handshakes", answers.len());
    until("the rest of a second", || {
        Some(ask_for(&relay, "2001:db8:1:2::1").1).filter(|answer| !is_welcome(answer))
    });
    assert!(is_welcome(&ask_for(&relay, "2001:db8:1:3::1").1), "nobody else suffers");
    until("time heals", || Some(ask_for(&relay, "2001:db8:1:2::1").1).filter(|answer| is_welcome(answer)));
    assert!(counters(&mut relay).contains(" refused.address_rate="));
}

#[test]
fn a_proxy_that_names_nobody_is_told_of_once_and_with_the_line_that_is_missing() {
    let (mut relay, _file) = start("silent", "");
    let words = "a proxy seems to be in front";
    for _ in 0..3 {
        let foreign = request("").replace("Host: localhost", "Host: relay.example");
        assert!(is_welcome(&ask(relay.addresses[0], &foreign).1));
    }
    let line = relay.line_with(words);
    assert!(line.contains("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"), "{line}");
    assert!(line.contains(" WARN "), "{line}");
    relay.signal(Signal::USR1);
    until("the counters", || {
        let line = relay.line();
        assert!(!line.contains(words), "twice: {line}");
        line.contains("ignored_addresses=").then_some(())
    });
}

#[test]
fn whom_to_believe_may_change_while_running() {
    let (mut relay, file) = start("believe", "");
    assert!(is_welcome(&ask_for(&relay, CLIENT).1));
    assert!(relay.line_with("opened").contains(" address=203.0.113.7 via="));
    fs::write(file.path(), format!("{LISTEN}trusted_proxies = [\"unix:\"]\n")).unwrap();
    relay.signal(Signal::HUP);
    let line = relay.line_with("the configuration was reloaded");
    assert!(
        line.contains("trusted_proxies = [\"127.0.0.0/8\", \"::1\", \"unix:\"] -> [\"unix:\"]"),
        "{line}"
    );
    assert!(is_welcome(&ask_for(&relay, CLIENT).1));
    assert!(relay.line_with("opened").contains(" address=127.0.0.1:"));
}
