//! Opening connections: up to a hundred at a time, each from connecting to the 101, or for socket.io to its welcome.
//!
//! Owns them until they are open. Promises that each is, within a time without any progress, or says why not. What
//! came behind the handshake is handed over with the connection.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsRawFd,
    path::PathBuf,
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{
    Outcome,
    arguments::Common,
    wire::{self, Protocol},
};

/// No listener that anybody would measure has a shorter queue, so none of them has to try again.
const AT_A_TIME: usize = 100;

/// Connections from one source address; far below its ports, so that the kernel finds a free one at once.
const FROM_ONE_ADDRESS: u32 = 2000;

/// What a stopped receiver has room for.
const SMALL_BUFFER: usize = 4096;

/// The key that stands in RFC 6455, and what it is answered with.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Where the server is, and how it is spoken to.
#[derive(Debug)]
pub struct Door {
    address: Address,
    protocol: Protocol,
    /// Further lines of each head, `\r\n` behind each.
    headers: String,
    from: Option<(u8, u8)>,
    patience: Duration,
    /// Connections begun so far.
    begun: u32,
}

#[derive(Debug)]
enum Address {
    Port(u16),
    Unix(PathBuf),
}

/// A connection that is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub path: String,
    /// It will not read, and is to hold little.
    pub stopped: bool,
}

/// A connection that is open.
#[derive(Debug)]
pub struct Open {
    pub socket: Socket,
    /// What came behind the handshake.
    pub rest: Vec<u8>,
}

/// One that is on its way to it.
#[derive(Debug)]
struct Opening {
    socket: Socket,
    /// What is still to be said: the request.
    request: Vec<u8>,
    /// What came.
    answer: Vec<u8>,
    /// Socket.io: the namespace was asked for.
    greeted: bool,
}

impl Door {
    pub fn new(common: &Common) -> Outcome<Self> {
        let address = match (common.port, &common.unix) {
            (Some(port), _) => Address::Port(port),
            (None, Some(path)) => Address::Unix(path.clone()),
            (None, None) => return Err("one of --port and --unix".into()),
        };
        let patience = Duration::try_from_secs_f64(common.patience)?;
        let headers = common.headers.iter().map(|line| format!("{line}\r\n")).collect();
        Ok(Self { address, protocol: common.protocol, headers, from: common.from, patience, begun: 0 })
    }

    /// Opens all, in this order.
    pub fn open(&mut self, wishes: &[Wish]) -> Outcome<Vec<Open>> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(AT_A_TIME);
        let mut all: Vec<Option<Opening>> = Vec::with_capacity(wishes.len());
        let mut open: Vec<Option<Open>> = wishes.iter().map(|_| None).collect();
        let mut done = 0;
        while done < wishes.len() {
            while all.len() < wishes.len() && all.len() - done < AT_A_TIME {
                all.push(Some(self.begin(&poll, all.len(), &wishes[all.len()])?));
            }
            poll.poll(&mut events, Some(self.patience))?;
            if events.is_empty() {
                return Err(format!("connecting: nothing happened any more after {done} connections").into());
            }
            for event in &events {
                let Token(nth) = event.token();
                if let Some(opening) = &mut all[nth]
                    && let Some(length) = opening.go_on(self.protocol)?
                {
                    let Opening { socket, mut answer, .. } = all[nth].take().expect("it was just there");
                    poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd()))?;
                    open[nth] = Some(Open { socket, rest: answer.split_off(length) });
                    done += 1;
                }
            }
        }
        Ok(open.into_iter().flatten().collect())
    }

    fn begin(&mut self, poll: &Poll, nth: usize, wish: &Wish) -> Outcome<Opening> {
        let socket = self.connect(wish.stopped)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(nth), both)?;
        let request = request(self.protocol, &wish.path, &self.headers).into_bytes();
        Ok(Opening { socket, request, answer: Vec::new(), greeted: false })
    }

    fn connect(&mut self, stopped: bool) -> Outcome<Socket> {
        let nth = self.begun;
        self.begun += 1;
        let (domain, address) = match &self.address {
            Address::Port(port) => {
                (Domain::IPV4, SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))))
            }
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        if stopped {
            // Before connecting: the window is agreed upon then.
            socket.set_recv_buffer_size(SMALL_BUFFER)?;
        }
        if domain == Domain::UNIX {
            // Waits where the listener's queue is full; without waiting that would be an error.
            socket.connect(&address)?;
            socket.set_nonblocking(true)?;
            return Ok(socket);
        }
        self.bind(&socket, nth)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error.into()),
            _ => Ok(socket),
        }
    }

    fn bind(&self, socket: &Socket, nth: u32) -> Outcome<()> {
        let Some((a, b)) = self.from else { return Ok(()) };
        let last = 1 + (nth / FROM_ONE_ADDRESS) % 250;
        let address = Ipv4Addr::new(127, a, b, last as u8);
        Ok(socket.bind(&SocketAddr::from((address, 0)).into())?)
    }
}

/// EINPROGRESS
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

impl Opening {
    /// Says and hears what it can; when it is open, how long the handshake was.
    fn go_on(&mut self, protocol: Protocol) -> Outcome<Option<usize>> {
        if !self.request.is_empty() {
            match self.socket.write(&self.request) {
                Ok(sent) => drop(self.request.drain(..sent)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
                Err(error) => return Err(format!("connecting: {error}").into()),
            }
        }
        self.read()?;
        let Some(head) = head_length(&self.answer)? else { return Ok(None) };
        if protocol == Protocol::Ws {
            return Ok(Some(head));
        }
        self.be_welcomed(head)
    }

    fn read(&mut self) -> Outcome<()> {
        let mut some = [0; 2048];
        loop {
            match self.socket.read(&mut some) {
                Ok(0) => return Err("the server closed a connection before it was open".into()),
                Ok(read) => self.answer.extend_from_slice(&some[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(());
                }
                Err(error) => return Err(format!("connecting: {error}").into()),
            }
        }
    }

    /// Socket.io behind the 101: engine.io opens, we ask for the namespace, and are let in.
    fn be_welcomed(&mut self, head: usize) -> Outcome<Option<usize>> {
        let Some((opened, first)) = text_frame(&self.answer[head..])? else { return Ok(None) };
        if !opened.starts_with(b"0") {
            return Err(format!("engine.io opened with {}", opened.escape_ascii()).into());
        }
        let Some((welcome, second)) = text_frame(&self.answer[head + first..])? else {
            if !std::mem::replace(&mut self.greeted, true) {
                let mut frame = Vec::new();
                wire::append_client_frame(&mut frame, wire::TEXT, b"40");
                self.socket.write_all(&frame)?;
            }
            return Ok(None);
        };
        if !welcome.starts_with(b"40") {
            return Err(format!("socket.io answered {}", welcome.escape_ascii()).into());
        }
        Ok(Some(head + first + second))
    }
}

fn request(protocol: Protocol, path: &str, headers: &str) -> String {
    let path = match protocol {
        Protocol::Ws => path,
        Protocol::Socketio => "/socket.io/?EIO=4&transport=websocket",
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
}

/// The length of the 101, once it is there.
fn head_length(answer: &[u8]) -> Outcome<Option<usize>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = &answer[..end + 4];
    let accepted = head.windows(ACCEPT.len()).any(|some| some == ACCEPT);
    if !head.starts_with(b"HTTP/1.1 101 ") || !accepted {
        return Err(format!("the server refused: {}", head.escape_ascii()).into());
    }
    Ok(Some(end + 4))
}

/// The text that a server's frames begin with, and the frame's length, if all of it is there.
fn text_frame(bytes: &[u8]) -> Outcome<Option<(&[u8], usize)>> {
    let (start, size) = match *bytes {
        [wire::TEXT, size @ 0..126, ..] => (2, usize::from(size)),
        [wire::TEXT, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        [] | [wire::TEXT] | [wire::TEXT, 126, ..] => return Ok(None),
        _ => return Err(format!("instead of socket.io's text came {}", bytes.escape_ascii()).into()),
    };
    Ok(bytes.get(start..start + size).map(|text| (text, start + size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_101_to_our_key_opens() {
        let good = format!("HTTP/1.1 101 Fine\r\nx-accept: {}\r\n\r\n", ACCEPT.escape_ascii());
        let table = [
            ("all of it", good.clone(), Some(Some(good.len()))),
            ("more behind", format!("{good}\u{1}"), Some(Some(good.len()))),
            ("not all yet", good[..good.len() - 1].to_owned(), Some(None)),
            ("another answer", good.replace("101", "200"), None),
            ("another key", good.replace("s3pP", "s3pQ"), None),
        ];
        assert!(!table.is_empty());
        for (name, answer, expected) in table {
            assert_eq!(head_length(answer.as_bytes()).ok(), expected, "{name}");
        }
    }

    #[test]
    fn texts_are_read_when_they_are_whole() {
        let long = [&[wire::TEXT, 126, 0, 200][..], &[b'0'; 200]].concat();
        let table = [
            ("short", vec![wire::TEXT, 2, b'4', b'0'], Some(Some((2, 4)))),
            ("more behind", vec![wire::TEXT, 1, b'2', wire::TEXT], Some(Some((1, 3)))),
            ("long", long.clone(), Some(Some((200, 204)))),
            ("long, not all yet", long[..203].to_vec(), Some(None)),
            ("long, cut in its length", long[..3].to_vec(), Some(None)),
            ("nothing", vec![], Some(None)),
            ("no text", vec![wire::BINARY, 0], None),
        ];
        assert!(!table.is_empty());
        for (name, bytes, expected) in table {
            let found = text_frame(&bytes).ok();
            let lengths = found.map(|found| found.map(|(text, length)| (text.len(), length)));
            assert_eq!(lengths, expected, "{name}");
        }
    }
}
