//! Listeners: how they are made, and how connections are taken from them.
//!
//! Owns the listening sockets, which of them owe an accept, and the pause after the system has run out of something.
//! Promises: an accept that failed never ends the program and never makes it spin; a listener whose edge was spent
//! is asked again until it has said "would block". Leaves to others: what becomes of the connections.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, TcpStream},
};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{config::Config, logging::Throttle};

/// Connections that the kernel keeps for us until we take them; it cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The first pause, and the longest: each one is twice the one before, until an accept succeeds.
const PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A listening socket at `address`. Its options are inherited by what it accepts, which saves each connection three
/// system calls.
///
/// # Errors
/// Those of the system, the address in use above all.
pub(super) fn bind(address: SocketAddr, config: &Config) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // "[::]" is IPv6 alone, on every machine, so that "0.0.0.0" can stand beside it.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    // Before listen: the window that the kernel offers in its first answer depends on it.
    socket.set_recv_buffer_size(config.receive_buffer)?;
    socket.set_send_buffer_size(config.send_buffer)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// All listeners.
#[derive(Debug)]
pub(super) struct Doors {
    doors: Vec<Door>,
    pause: Pause,
    throttle: Throttle,
    /// Accepts that failed, so far.
    errors: u64,
    /// Pauses that followed, so far.
    pauses: u64,
}

#[derive(Debug)]
struct Door {
    listener: TcpListener,
    /// Its edge was spent, and it has not said "would block" since.
    owed: bool,
}

impl Doors {
    pub(super) fn new() -> Self {
        let (pause, throttle) = (Pause::default(), Throttle::default());
        Self { doors: Vec::new(), pause, throttle, errors: 0, pauses: 0 }
    }

    /// Registers a listener under `token`. Its tokens count up from 0, in the order of the calls.
    pub(super) fn add(
        &mut self,
        mut listener: TcpListener,
        registry: &Registry,
        token: Token,
    ) -> io::Result<()> {
        registry.register(&mut listener, token, Interest::READABLE)?;
        self.doors.push(Door { listener, owed: false });
        Ok(())
    }

    /// Closes all of them. What waited unaccepted is reset by the kernel.
    pub(super) fn close(&mut self) {
        self.doors.clear();
    }

    /// The addresses, with the ports that were really given.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.doors.iter().map(|door| door.listener.local_addr()).collect()
    }

    /// The `nth` listener has a readable edge.
    pub(super) fn knocked(&mut self, nth: usize) {
        if let Some(door) = self.doors.get_mut(nth) {
            door.owed = true;
        }
    }

    /// Whether somebody can be let in without waiting for an event.
    pub(super) fn is_busy(&self) -> bool {
        self.pause.until.is_none() && self.doors.iter().any(|door| door.owed)
    }

    /// When the pause ends, if there is one.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.pause.until
    }

    /// Accepts that failed, and pauses that followed, so far.
    pub(super) fn troubles(&self) -> (u64, u64) {
        (self.errors, self.pauses)
    }

    /// A descriptor came free: no event tells so, and the pause would only cost time.
    pub(super) fn retry(&mut self) {
        self.pause.until = None;
    }

    /// Accepts from each listener that owes it, at most `budget` times each.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        budget: usize,
        mut open: impl FnMut((TcpStream, SocketAddr)),
    ) {
        if !self.pause.is_over(now) {
            return;
        }
        for door in self.doors.iter_mut().filter(|door| door.owed) {
            let listener = &door.listener;
            let round = admit(budget, || listener.accept(), &mut open);
            door.owed = !round.emptied;
            self.errors += round.errors as u64;
            if round.accepted > 0 {
                self.pause.delay = PAUSE;
            }
            if let Some(error) = &round.error {
                complain(&mut self.throttle, now, error, round.exhausted);
            }
            if round.exhausted {
                self.pause.begin(now);
                self.pauses += 1;
                // What one listener lacks, the others lack too.
                return;
            }
        }
    }
}

/// A time without accepts.
#[derive(Debug)]
struct Pause {
    until: Option<Instant>,
    /// How long the next one is.
    delay: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self { until: None, delay: PAUSE }
    }
}

impl Pause {
    fn begin(&mut self, now: Instant) {
        self.until = now.checked_add(self.delay);
        self.delay = (self.delay * 2).min(MAX_PAUSE);
    }

    /// Ends the pause when its time has come.
    fn is_over(&mut self, now: Instant) -> bool {
        self.until = self.until.filter(|until| now < *until);
        self.until.is_none()
    }
}

/// What became of one listener's share of a turn.
#[derive(Debug, Default)]
struct Round {
    accepted: usize,
    /// Accepts that failed, "would block" apart.
    errors: usize,
    /// The listener has said "would block": its next connection comes with an event.
    emptied: bool,
    /// It is of no use to ask again at once.
    exhausted: bool,
    /// The latest error that was not "would block".
    error: Option<io::Error>,
}

/// Accepts up to `budget` times.
fn admit<S>(budget: usize, mut accept: impl FnMut() -> io::Result<S>, mut open: impl FnMut(S)) -> Round {
    let mut round = Round::default();
    for _ in 0..budget {
        match accept() {
            Ok(socket) => {
                round.accepted += 1;
                open(socket);
            }
            Err(error) => {
                let verdict = verdict(&error);
                if verdict == Verdict::Empty {
                    round.emptied = true;
                    return round;
                }
                round.error = Some(error);
                round.errors += 1;
                round.exhausted = verdict == Verdict::Exhausted;
                if round.exhausted {
                    return round;
                }
            }
        }
    }
    // A whole budget of errors, each harmless in itself, is not: asked again at once, it would be a spin.
    round.exhausted = round.accepted == 0 && round.error.is_some();
    round
}

/// What a failed accept means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody waits.
    Empty,
    /// This one is lost or was never there; the next may be good.
    Next,
    /// The system lacks something: asking again at once would spin.
    Exhausted,
}

/// Sorts the errors of accept(2). One that is not known there is treated as a lack, so that it cannot make us spin.
fn verdict(error: &io::Error) -> Verdict {
    if error.kind() == ErrorKind::WouldBlock {
        return Verdict::Empty;
    }
    match Errno::from_io_error(error) {
        Some(Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR | Errno::PERM | Errno::PROTO) => {
            Verdict::Next
        }
        // Errors of the network that wait on the new socket: Linux hands them out at accept.
        Some(Errno::NETDOWN | Errno::NETUNREACH | Errno::HOSTDOWN | Errno::HOSTUNREACH) => Verdict::Next,
        Some(Errno::NOPROTOOPT | Errno::OPNOTSUPP | Errno::TIMEDOUT) => Verdict::Next,
        _ => Verdict::Exhausted,
    }
}

fn complain(throttle: &mut Throttle, now: Instant, error: &io::Error, exhausted: bool) {
    let Some(unsaid) = throttle.pass(now) else { return };
    let consequence =
        if exhausted { "accepting pauses until a connection closes or 1 s at most" } else { "going on" };
    log::warn!("accept failed: {error}; {consequence} ({unsaid} more since the last such line)");
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
