//! The other end of the desk: asks a running relay how it does, for `wsrelayd status`.
//!
//! Owns the question, its timeouts, and what is said when nobody answers: each address that was tried, why it failed,
//! and what to do. Promises that it ends, whoever answers: five seconds for each address, and an answer of at most
//! 256 KiB, of which nothing is shown but numbers and escaped words. Blocks, and so is nothing for the loop. Leaves to
//! others: printing, and the exit code.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use super::overview::Overview;
use crate::{
    config::{Listen, Place},
    logging,
};

/// For each address, from the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Above this it is no answer of ours.
const MAX_ANSWER: usize = 256 << 10;
const MAX_HEADERS: usize = 32;
/// Bytes of a line that somebody else wrote.
const MAX_WORDS: usize = 200;

/// What the first relay that answered said, as text for people or as JSON; with a line feed at its end.
///
/// # Errors
/// When none did: which were tried, why each failed, and what to do.
pub fn status(admin: &[Listen], as_json: bool) -> Result<String, Unanswered> {
    let mut tried = Vec::new();
    for place in admin.iter().flat_map(|entry| reachable(&entry.place)) {
        match ask(&place) {
            Ok(answer) if as_json => return Ok(plain_json(&answer)),
            Ok(answer) => return Ok(format!("{}answered by      {place}\n", Overview(&answer))),
            Err(why) => tried.push((place, why)),
        }
    }
    Err(Unanswered(tried))
}

fn ask(place: &Place) -> Result<Value, String> {
    let answer = talk(place).map_err(|error| complaint(&error))?;
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let strange = || "something else than wsrelayd answered".to_owned();
    let Ok(httparse::Status::Complete(head)) = response.parse(&answer) else { return Err(strange()) };
    let body = &answer[head..];
    match response.code {
        Some(200) => serde_json::from_slice(body).ok().filter(Value::is_object).ok_or_else(strange),
        code => {
            let words = logging::plain(String::from_utf8_lossy(body).trim_ascii(), MAX_WORDS);
            Err(format!("answered with status {}: {words}", code.unwrap_or_default()))
        }
    }
}

/// The whole answer, head and body.
#[allow(clippy::disallowed_methods, reason = "a program of its own, without a loop that could give the time")]
fn talk(place: &Place) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut socket = connect(place)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let host = match place {
        Place::Tcp(address) => address.to_string(),
        _ => "localhost".into(),
    };
    let request = format!("GET /api/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut piece) {
            Ok(0) => return Ok(answer),
            Ok(read) if answer.len() + read <= MAX_ANSWER => answer.extend_from_slice(&piece[..read]),
            Ok(_) => return Err(io::Error::other("something else than wsrelayd answered, and without end")),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn complaint(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {} s", PATIENCE.as_secs()),
        ErrorKind::PermissionDenied => {
            format!(
                "{error}: become root, or a member of the group that may use the socket (its key `group`)"
            )
        }
        _ => error.to_string(),
    }
}

/// JSON of which no letter does anything to a terminal: beyond ASCII, all is escaped.
fn plain_json(value: &Value) -> String {
    let mut text = String::new();
    for letter in format!("{value:#}\n").chars() {
        match letter {
            '\n' | ' '..='~' => text.push(letter),
            _ => letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text += &format!("\\u{unit:04x}")),
        }
    }
    text
}

fn connect(place: &Place) -> io::Result<Socket> {
    let (domain, address) = match place {
        Place::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
        Place::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        Place::Inherited(_) => return Err(ErrorKind::AddrNotAvailable.into()),
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.connect_timeout(&address, PATIENCE)?;
    Ok(socket)
}

/// Under which addresses a place is reached from this machine. Of sockets that the service manager holds only it
/// knows the address; the units of the package have these.
fn reachable(place: &Place) -> Vec<Place> {
    match place {
        Place::Tcp(address) => vec![Place::Tcp(at_home(*address))],
        Place::Unix(_) => vec![place.clone()],
        Place::Inherited(_) => {
            vec![
                Place::Tcp(SocketAddr::from(([127, 0, 0, 1], 9311))),
                Place::Unix("/run/wsrelayd/admin.sock".into()),
            ]
        }
    }
}

/// Who listens on all addresses is reached on the machine's own.
fn at_home(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Nobody answered: who was asked, and why not.
#[derive(Debug)]
pub struct Unanswered(Vec<(Place, String)>);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(tried) = self;
        if tried.is_empty() {
            return write!(
                f,
                "there is nobody to ask: the configuration has `admin = []`. Give the relay an admin address, such as \
                 admin = [\"127.0.0.1:9311\"], and restart it"
            );
        }
        writeln!(f, "no relay answered. Tried:")?;
        tried.iter().try_for_each(|(place, why)| writeln!(f, "  {place}: {why}"))?;
        write!(
            f,
            "Is it running (systemctl status wsrelayd)? It is asked where the key `admin` of its configuration says: \
             name that file with --config"
        )
    }
}

impl std::error::Error for Unanswered {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    /// Asks a server that says `answer`.
    fn asked(answer: &'static [u8], as_json: bool) -> (Result<String, Unanswered>, Place) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Place::Tcp(listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut visitor, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                let free = request.iter().position(|byte| *byte == 0).unwrap();
                assert_ne!(visitor.read(&mut request[free..]).unwrap(), 0);
            }
            let _ = visitor.write_all(answer);
            String::from_utf8_lossy(&request).into_owned()
        });
        let said = status(&[target.clone().into()], as_json);
        let request = server.join().unwrap();
        assert!(request.contains(&format!("\r\nHost: {target}\r\n")), "{request}");
        (said, target)
    }

    #[test]
    fn json_is_passed_on_without_a_letter_that_does_anything() {
        let answer =
            "HTTP/1.1 200 OK\r\n\r\n{\"a\": \"\u{9b}2J\\u001b[31m\u{202e}\u{1f600}\", \"n\": 1}".as_bytes();
        let (said, _) = asked(answer, true);
        let said = said.unwrap();
        assert!(said.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{said:?}");
        let back: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(back, serde_json::json!({"a": "\u{9b}2J\u{1b}[31m\u{202e}\u{1f600}", "n": 1}));
    }

    #[test]
    fn whatever_answers_is_told_in_plain_words() {
        let rows: [(&[u8], &str); 6] = [
            (b"", "something else than wsrelayd answered"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "something else than wsrelayd answered"),
            (b"HTTP/1.1 200 OK\r\n\r\nhello", "something else than wsrelayd answered"),
            (b"HTTP/1.1 200 OK\r\n\r\n[1]", "something else than wsrelayd answered"),
            (b"HTTP/1.1 404 Not Found\r\n\r\nno \x1b[2J page\n", "status 404: no \\u{1b}[2J page\n"),
            (&[b'x'; 400 << 10], "and without end"),
        ];
        assert!(!rows.is_empty());
        for (answer, words) in rows {
            let (said, target) = asked(answer, false);
            let said = said.unwrap_err().to_string();
            assert!(said.contains(&format!("\n  {target}: ")) && said.contains(words), "{said}");
        }
    }

    #[test]
    fn who_is_not_there_is_named_with_the_reason_and_what_to_do() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let places = [Place::Tcp(port), Place::Unix("/nowhere/admin.sock".into())];
        let said = status(&places.map(Listen::from), false).unwrap_err().to_string();
        for words in [
            format!("  {port}: Connection refused").as_str(),
            "  unix:/nowhere/admin.sock: No such file",
            "--config",
        ] {
            assert!(said.contains(words), "{said}");
        }
        assert!(status(&[], false).unwrap_err().to_string().contains("admin = []"));
    }

    #[test]
    fn each_place_is_asked_where_it_is_reached() {
        let table = [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("10.0.0.1:3", "10.0.0.1:3"),
            ("unix:/run/a", "unix:/run/a"),
            ("systemd:admin", "127.0.0.1:9311 unix:/run/wsrelayd/admin.sock"),
        ];
        assert!(!table.is_empty());
        for (place, wanted) in table {
            let places: Vec<_> = reachable(&place.parse().unwrap()).iter().map(ToString::to_string).collect();
            assert_eq!(places.join(" "), wanted);
        }
    }
}
