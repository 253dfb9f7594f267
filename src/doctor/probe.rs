//! A client of the relay's own, for one look: the handshake, a ping, a close; and one question to the admin listener.
//!
//! Promises: every wait and every answer is bounded; the client joins a channel that nobody else has, and leaves. Where no
//! stranger may join any, being refused as the rules have it is what is good.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use tungstenite::handshake::derive_accept_key;

use super::finding::Finding;
use crate::{
    limits::{Access, Limits},
    nginx::{Address, Door},
};

/// For each single wait.
const PATIENCE: Duration = Duration::from_secs(3);

/// The channel that is joined, where there is no other.
const PATH: &str = "/.well-known/wsrelayd-doctor";

/// Nobody guesses it, and nothing depends on that.
const KEY: &str = "d3NyZWxheWQtZG9jdG9yIQ==";

/// A head or an answer beyond this is none of ours.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// A masked ping and a masked close with 1000. The mask is zero.
const PING: &[u8] = &[0x89, 0x84, 0, 0, 0, 0, b'l', b'o', b'o', b'k'];
const PONG: &[u8] = &[0x8a, 4, b'l', b'o', b'o', b'k'];
const CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
const CLOSED: &[u8] = &[0x88, 2, 0x03, 0xe8];

/// What stands for the stars of a pattern.
const FOR_STARS: &str = "wsrelayd-doctor";

/// What is asked of the relay, and what it is to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Knock {
    path: String,
    /// The subprotocol that is demanded there.
    protocol: Option<Box<str>>,
    status: u16,
}

impl Knock {
    /// At a channel that whoever comes may join, if there is any but those that others have.
    pub(super) fn of(limits: &Limits) -> Self {
        let patterns = limits.rules.iter().map(|rule| rule.pattern.to_string());
        let paths = patterns.filter(|pattern| pattern.contains('*'));
        let paths = paths.map(|pattern| pattern.replace("**", FOR_STARS).replace('*', FOR_STARS));
        let mut all = [PATH.to_owned()].into_iter().chain(paths).map(|path| Self::at(path, limits));
        all.find(|knock| knock.status == 101).unwrap_or_else(|| Self::at(PATH.to_owned(), limits))
    }

    fn at(path: String, limits: &Limits) -> Self {
        let Some(rule) = limits.rule_for(&path) else { return Self { path, protocol: None, status: 404 } };
        let here = limits.under(rule);
        let rights = [here.subscribe, here.publish];
        let status = match () {
            () if rights.contains(&Access::Anyone) => 101,
            () if rights.contains(&Access::Token) => 401,
            () => 403,
        };
        let protocol = here.subprotocols.first().filter(|_| here.subprotocol_required).cloned();
        Self { path, protocol, status }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn connect(address: &Address) -> io::Result<Box<dyn Stream>> {
    match address.near() {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Box::new(stream))
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Box::new(stream))
        }
    }
}

/// Joins through a door, pings, and leaves; or is refused as it should be.
pub(super) fn relay(door: &Door, knock: &Knock) -> Finding {
    let name = &door.address;
    match visit(door, knock) {
        Ok(None) if knock.status != 101 => {
            Finding::good(format!("relay: {name} answers a stranger {}, as its rules have it", knock.status))
        }
        Ok(None) => Finding::good(format!("relay: {name} answers a handshake, a ping and a close")),
        Ok(Some(complaint)) => Finding::error(format!("relay: {name} {complaint}"))
            .remedy("look into the relay's log: journalctl -u wsrelayd"),
        Err(error) => unreachable_door("relay", name, &error),
    }
}

fn unreachable_door(whose: &str, address: &Address, error: &io::Error) -> Finding {
    let key = if whose == "admin" { "admin" } else { "listen" };
    let entry = format!("run this as root, or look at `mode` and `group` of the entry in {key}");
    let (said, remedy) = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            ("nobody listens there", "systemctl status wsrelayd, or start it")
        }
        io::ErrorKind::PermissionDenied => ("may not be connected to by this user", entry.as_str()),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => (
            "does not answer in time",
            "journalctl -u wsrelayd; and look for a firewall, or for IPAddressDeny= in the unit",
        ),
        _ => ("cannot be spoken to", "journalctl -u wsrelayd"),
    };
    Finding::error(format!("{whose}: {address}: {said} ({error})")).remedy(remedy)
}

/// What is wrong with the answers, if anything is.
fn visit(door: &Door, knock: &Knock) -> io::Result<Option<String>> {
    let mut stream = connect(&door.address)?;
    let line = if door.proxy_protocol { "PROXY UNKNOWN\r\n" } else { "" };
    let Knock { path, protocol, status } = knock;
    let offer = protocol.as_ref().map_or(String::new(), |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let request = format!(
        "{line}GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\n{offer}Sec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let (head, mut rest) = head(&mut *stream)?;
    if *status != 101 && head.starts_with(&format!("HTTP/1.1 {status} ")) {
        return Ok(None);
    }
    if let Some(complaint) = objection(&head) {
        return Ok(Some(complaint));
    }
    for (said, expected, what) in [(PING, PONG, "a ping"), (CLOSE, CLOSED, "a close")] {
        stream.write_all(said)?;
        if !hears(&mut *stream, &mut rest, expected)? {
            return Ok(Some(format!("does not answer {what}")));
        }
    }
    Ok(None)
}

/// The head of an answer, and what came behind it.
fn head(stream: &mut dyn Stream) -> io::Result<(String, Vec<u8>)> {
    let mut answer = Vec::new();
    loop {
        if let Some(end) = find(&answer, b"\r\n\r\n") {
            let rest = answer.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&answer).into_owned(), rest));
        }
        if !more(stream, &mut answer)? {
            return Ok((String::from_utf8_lossy(&answer).into_owned(), Vec::new()));
        }
    }
}

/// Reads on; false at the end of it, or of what is to be believed.
fn more(stream: &mut dyn Stream, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 4096];
    let count = stream.read(&mut piece)?;
    into.extend_from_slice(&piece[..count]);
    Ok(count > 0 && into.len() <= MAX_ANSWER_BYTES)
}

/// Whether a frame comes, pings of the relay's among others.
fn hears(stream: &mut dyn Stream, heard: &mut Vec<u8>, expected: &[u8]) -> io::Result<bool> {
    loop {
        if let Some(at) = find(heard, expected) {
            heard.drain(..at + expected.len());
            return Ok(true);
        }
        if !more(stream, heard)? {
            return Ok(false);
        }
    }
}

fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    text.windows(piece.len()).position(|window| window == piece)
}

/// What is wrong with the answer to a handshake.
fn objection(head: &str) -> Option<String> {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101 ") {
        let said = if status.is_empty() { "nothing" } else { status };
        return Some(format!("answers a good handshake with {said:?}"));
    }
    let accept = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Accept"));
    let right = accept.is_some_and(|(_, value)| value.trim() == derive_accept_key(KEY.as_bytes()));
    (!right).then(|| "answers 101 without the right Sec-WebSocket-Accept: this is not wsrelayd".to_owned())
}

/// Asks the admin listener whether the relay is well.
pub(super) fn admin(address: &Address) -> Finding {
    let ask = || {
        let mut stream = connect(address)?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        head(&mut *stream)
    };
    match ask() {
        Ok((head, _)) if head.starts_with("HTTP/1.1 200 ") => {
            Finding::good(format!("admin: {address} says that the relay is well"))
        }
        Ok((head, _)) => {
            let status = head.lines().next().unwrap_or("nothing");
            Finding::error(format!("admin: {address} answers /healthz with {status:?}"))
                .remedy("look into the relay's log: journalctl -u wsrelayd")
        }
        Err(error) => unreachable_door("admin", address, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::Severity,
        rules::{Rule, Rules},
    };
    use std::{net::TcpListener, thread};

    /// A server that says this to whoever connects, and what is found of it.
    fn found_of(answer: String, knock: &Knock) -> Finding {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let finding = relay(&Door { address, proxy_protocol: false }, knock);
        server.join().unwrap();
        finding
    }

    #[test]
    fn who_is_not_the_relay_is_found_out() {
        let accept = derive_accept_key(KEY.as_bytes());
        let upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        let table = [
            (String::new(), "answers a good handshake with \"nothing\""),
            (
                "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
                "answers a good handshake with \"HTTP/1.1 404 Not Found\"",
            ),
            (format!("{upgrade}\r\n"), "without the right Sec-WebSocket-Accept"),
            (
                format!("{upgrade}Sec-WebSocket-Accept: AAAA\r\n\r\n"),
                "without the right Sec-WebSocket-Accept",
            ),
        ];
        assert!(!table.is_empty());
        for (answer, words) in table {
            let finding = found_of(answer, &usual());
            assert!(finding.severity == Severity::Error && finding.what.contains(words), "{finding}");
        }
        let half = found_of(format!("{upgrade}Sec-WebSocket-Accept: {accept}\r\n\r\n"), &usual());
        assert!(half.severity == Severity::Error, "{half}");
    }

    fn usual() -> Knock {
        Knock::of(&Limits::default())
    }

    /// A pattern, who may listen, and who may publish.
    type Written = (&'static str, Access, Access);

    fn limits(rules: &[Written]) -> Limits {
        let rule = |&(pattern, subscribe, publish): &Written| Rule {
            pattern: pattern.parse().unwrap(),
            limits: Limits { subscribe, publish, ..Limits::default() },
        };
        Limits { rules: Rules::new(rules.iter().map(rule).collect()).unwrap(), ..Limits::default() }
    }

    #[test]
    fn it_knocks_where_a_stranger_may_come_in_and_else_knows_how_it_is_refused() {
        use Access::{Anyone, Nobody, Token};
        let table: &[(&[Written], &str, u16)] = &[
            (&[], PATH, 101),
            (&[("/**", Anyone, Token)], PATH, 101),
            (&[("/feed/*", Anyone, Token)], "/feed/wsrelayd-doctor", 101),
            (&[("/*/x/**", Nobody, Anyone)], "/wsrelayd-doctor/x/wsrelayd-doctor", 101),
            (&[("/a/*", Token, Token), ("/b/**", Anyone, Nobody)], "/b/wsrelayd-doctor", 101),
            (&[("/feed", Anyone, Anyone)], PATH, 404),
            (&[("/**", Token, Nobody)], PATH, 401),
            (&[("/**", Nobody, Nobody)], PATH, 403),
        ];
        assert!(!table.is_empty());
        for (rules, path, status) in table {
            let knock = Knock::of(&limits(rules));
            assert_eq!((&*knock.path, knock.status), (*path, *status), "{rules:?}");
        }
    }

    #[test]
    fn where_a_subprotocol_is_demanded_it_offers_one() {
        let subprotocols = vec!["chat.v2".into(), "chat.v1".into()];
        for (subprotocol_required, offered) in [(true, Some("chat.v2".into())), (false, None)] {
            let limits =
                Limits { subprotocols: subprotocols.clone(), subprotocol_required, ..Limits::default() };
            assert_eq!(Knock::of(&limits).protocol, offered);
        }
    }

    #[test]
    fn a_refusal_is_good_exactly_when_the_rules_have_it() {
        let knock = Knock::of(&limits(&[("/**", Access::Token, Access::Token)]));
        let table = [
            ("401 Unauthorized", Severity::Good),
            ("404 Not Found", Severity::Error),
            ("101 X", Severity::Error),
        ];
        assert!(!table.is_empty());
        for (status, severity) in table {
            let found = found_of(format!("HTTP/1.1 {status}\r\n\r\n"), &knock);
            assert_eq!(found.severity, severity, "{status}: {found}");
        }
    }

    #[test]
    fn nobody_there_is_told_with_what_to_do() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for address in [Address::Tcp(free), Address::Unix("/no/such/socket".into())] {
            let finding = relay(&Door { address: address.clone(), proxy_protocol: false }, &usual());
            assert!(finding.what.contains("nobody listens there"), "{finding}");
            assert!(admin(&address).remedy.is_some_and(|remedy| remedy.contains("systemctl status")));
        }
    }

    #[test]
    fn who_may_not_come_in_is_told_which_entry_it_is() {
        let denied = io::ErrorKind::PermissionDenied.into();
        for (whose, words) in [("relay", "of the entry in listen"), ("admin", "of the entry in admin")] {
            let finding = unreachable_door(whose, &Address::Unix("/s".into()), &denied);
            assert!(finding.remedy.is_some_and(|remedy| remedy.ends_with(words)), "{whose}");
        }
    }
}
