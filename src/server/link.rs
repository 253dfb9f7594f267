//! Sockets as the core sees them: links, and the reads and writes on them.
//!
//! Owns the one scratch buffer that every read goes into. Promises: each call of `Wire` is one system call (and its
//! repetition after `EINTR`), and none blocks. Leaves to others: who is read or written, when, and how much.

use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
    time::Duration,
};

use mio::{
    Interest, Registry, Token,
    event::{Event, Source},
};
use socket2::SockRef;

use super::socket::Stream;
use crate::{
    peer::Peer,
    wire::{Heard, Wire},
};

/// What one read can bring at most.
pub(super) const SCRATCH: usize = 64 << 10;

/// One connection. The core keeps it and hands it back when the peer is buried.
#[derive(Debug)]
pub struct Link {
    /// Registered once, for both directions, from the accept to the close.
    socket: Stream,
    /// The other end's port, if it comes over the network; its address is the peer's, as IPv4 where it is that in the
    /// clothes of IPv6, and without the scope of a link-local one.
    port: Option<u16>,
    /// An event has said that the peer will send nothing more, that the connection failed, or that urgent data came:
    /// from then on a short read proves nothing. Never taken back.
    doubtful: bool,
}

// What every connection costs, idle or not. Grows only on purpose: the README says what a connection takes. With debug
// assertions mio keeps more with a socket.
const _: () = assert!(cfg!(debug_assertions) || size_of::<Peer<Link>>() <= 352);

impl Link {
    pub(super) fn new(socket: Stream, port: Option<u16>) -> Self {
        Self { socket, port, doubtful: false }
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Called once in a link's life: what the interest is never changes.
    ///
    /// # Errors
    /// When the poller has no room.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        #[cfg(target_os = "linux")]
        let interest = interest | Interest::PRIORITY;
        self.socket.register(registry, token, interest)
    }

    /// Remembers what only an event tells.
    pub(super) fn note(&mut self, event: &Event) {
        self.doubtful |= event.is_read_closed() || event.is_error() || event.is_priority();
    }

    /// Closes the connection: in peace, or with a reset that also throws away what the kernel still holds.
    pub(super) fn close(self, reset: bool) {
        if reset {
            // Fails only on a socket that is beyond resetting.
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// The outside, over real sockets.
#[derive(Debug)]
pub struct Sockets {
    /// Holds the bytes of the latest read, until the next.
    scratch: Box<[u8]>,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self { scratch: vec![0; SCRATCH].into() }
    }
}

impl Wire<Link> for Sockets {
    fn read<'w>(&'w mut self, link: &mut Link, max: usize) -> Heard<'w> {
        let asked = max.min(self.scratch.len());
        let scratch = &mut self.scratch[..asked];
        match again_when_interrupted(|| link.socket.read(scratch)) {
            Ok(0) => Heard::End,
            Ok(read) => {
                let drained = is_drained(read, asked, link.doubtful);
                Heard::Bytes { bytes: &self.scratch[..read], drained }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::WouldBlock,
            Err(error) => Heard::Failed(error),
        }
    }

    fn write(&mut self, link: &mut Link, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = again_when_interrupted(|| match slices {
            [slice] => link.socket.write(slice), // is the cheaper call
            _ => link.socket.write_vectored(slices),
        });
        match written {
            // No stream socket answers so to bytes that it was given; one that did would be asked for ever.
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            answer => answer,
        }
    }

    fn finish(&mut self, link: &mut Link) {
        // Fails only when the connection is gone already, which the next read tells.
        let _ = link.socket.shutdown(Shutdown::Write);
    }

    #[cfg(target_os = "linux")]
    fn lose_after(&mut self, link: &mut Link, patience: Duration) {
        if let Stream::Tcp(socket) = &link.socket {
            // Fails only when the connection is gone already, which the next read tells.
            let _ = SockRef::from(socket).set_tcp_user_timeout(Some(patience));
        }
    }

    /// Elsewhere the kernel gives up by itself, after a quarter of an hour or so.
    #[cfg(not(target_os = "linux"))]
    fn lose_after(&mut self, _: &mut Link, _: Duration) {}
}

/// Whether a read of `read` bytes, where `asked` were welcome, has emptied the socket.
///
/// On Linux a short read of a stream socket says so (epoll(7), question 9), which saves each sender one read in two:
/// bytes or an end that come later have an edge of their own. Not so after two kinds of event, hence `doubtful`. The
/// edge of an end that came *before* the read is spent on the event that led to it. And TCP's urgent mark cuts a
/// read short with bytes behind it (seen): WebSocket has no use for it, but a peer can send it.
/// Elsewhere nobody promises as much.
fn is_drained(read: usize, asked: usize, doubtful: bool) -> bool {
    cfg!(target_os = "linux") && read < asked && !doubtful
}

fn again_when_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
    };

    #[test]
    #[cfg(target_os = "linux")]
    fn only_over_the_network_a_silent_connection_is_given_up() {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::connect(door.local_addr().unwrap()).unwrap();
        let mut link = Link::new(Stream::Tcp(mio::net::TcpStream::from_std(other)), None);
        let patience = Duration::from_millis(35_500);
        Sockets::new().lose_after(&mut link, patience);
        assert_eq!(SockRef::from(&link.socket).tcp_user_timeout().unwrap(), Some(patience));

        let (near, _far) = UnixStream::pair().unwrap();
        let mut link = Link::new(Stream::Unix(mio::net::UnixStream::from_std(near)), None);
        Sockets::new().lose_after(&mut link, patience);
        assert!(SockRef::from(&link.socket).take_error().unwrap().is_none(), "and nothing else happens");
    }
}
