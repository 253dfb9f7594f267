//! Listeners: how connections are taken from them.
//!
//! Owns the listening sockets, which of them owe an accept, and the pause after the system has run out of something.
//! Promises: an accept that failed never ends the program and never makes it spin; a listener whose edge was spent
//! is asked again until it has said "would block". Leaves to others: what becomes of the connections.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Interest, Registry, Token, event::Source};
use rustix::io::Errno;
use socket2::SockRef;

use super::{
    opening::Purpose,
    place::{SocketFile, set_buffers},
    socket::{Listener, Stream},
};
use crate::{
    config::{Config, Place},
    logging::Throttle,
};

/// The first pause, and the longest: each one is twice the one before, until an accept succeeds.
const PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// All listeners.
#[derive(Debug)]
pub(super) struct Doors {
    /// Each at the place of its token; `None` once it is closed.
    doors: Vec<Option<Door>>,
    /// Who is asked first; another one each turn.
    first: usize,
    /// Bytes of the buffers, in and out, of connections that do not inherit them.
    buffers: (usize, usize),
    /// While the system lacks something, which all of them would lack.
    pause: Pause,
    throttle: Throttle,
    /// Accepts that failed, so far.
    errors: u64,
}

/// One listener.
#[derive(Debug)]
pub(super) struct Door {
    listener: Listener,
    purpose: Purpose,
    /// Its file, if we have made it; goes with it.
    _file: Option<SocketFile>,
    /// Its edge was spent, and it has not said "would block" since.
    owed: bool,
    /// While nothing but this one fails.
    pause: Pause,
}

impl Door {
    pub(super) fn new(listener: Listener, purpose: Purpose, file: Option<SocketFile>) -> Self {
        Self { listener, purpose, _file: file, owed: false, pause: Pause::default() }
    }

    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
    }

    fn is_for_peers(&self) -> bool {
        matches!(self.purpose(), Purpose::Relay { .. })
    }

    /// Where it listens, with the port that was really given.
    fn place(&self) -> io::Result<Option<Place>> {
        let address = SockRef::from(&self.listener).local_addr()?;
        let path = || address.as_pathname().map(|path| Place::Unix(path.to_owned()));
        Ok(address.as_socket().map(Place::Tcp).or_else(path))
    }
}

/// Somebody who has come in.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) socket: Stream,
    /// Where the connection comes from, if it comes over the network.
    pub(super) address: Option<SocketAddr>,
    /// What the listener is for.
    pub(super) purpose: Purpose,
}

impl Doors {
    /// Registers the listeners, the first one under the token `first`, and so on.
    ///
    /// # Errors
    /// When the poller has no room.
    pub(super) fn new(
        mut doors: Vec<Door>,
        config: &Config,
        registry: &Registry,
        first: usize,
    ) -> io::Result<Self> {
        for (nth, door) in doors.iter_mut().enumerate() {
            door.listener.register(registry, Token(first + nth), Interest::READABLE)?;
        }
        let (pause, throttle) = (Pause::default(), Throttle::default());
        let doors = doors.into_iter().map(Some).collect();
        let buffers = (config.receive_buffer, config.send_buffer);
        Ok(Self { doors, first: 0, buffers, pause, throttle, errors: 0 })
    }

    /// Closes those for peers. What waits unaccepted at one of our own is reset by the kernel; what waits at one that was
    /// handed over waits for the next process, since the service manager holds that one open.
    pub(super) fn close(&mut self, registry: &Registry) {
        for door in self.doors.iter_mut().filter(|door| door.as_ref().is_some_and(Door::is_for_peers)) {
            // The poller would keep one that somebody else holds open.
            if let Some(mut door) = door.take() {
                let _ = door.listener.deregister(registry);
            }
        }
    }

    /// Where peers are let in, and where operators are, with the ports that were really given.
    ///
    /// # Errors
    /// Those of `getsockname`.
    pub(super) fn places(&self) -> io::Result<(Vec<Place>, Vec<Place>)> {
        let (mut peers, mut operators) = (Vec::new(), Vec::new());
        for door in self.doors.iter().flatten() {
            let places = if door.is_for_peers() { &mut peers } else { &mut operators };
            places.extend(door.place()?);
        }
        Ok((peers, operators))
    }

    /// Where peers are heard who need no proxy in front.
    ///
    /// # Errors
    /// Those of `getsockname`.
    pub(super) fn plain_places(&self) -> io::Result<Vec<Place>> {
        let plain = |door: &&Door| door.purpose() == Purpose::Relay { proxy_protocol: false };
        let places = self.doors.iter().flatten().filter(plain).map(Door::place);
        places.filter_map(io::Result::transpose).collect()
    }

    /// Sets what connections from now on inherit.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn set_buffers(&mut self, config: &Config) -> io::Result<()> {
        self.buffers = (config.receive_buffer, config.send_buffer);
        self.doors.iter().flatten().try_for_each(|door| set_buffers(&door.listener, config))
    }

    /// The `nth` listener has a readable edge.
    pub(super) fn knocked(&mut self, nth: usize) {
        if let Some(Some(door)) = self.doors.get_mut(nth) {
            door.owed = true;
        }
    }

    /// Whether somebody can be let in without waiting for an event.
    pub(super) fn is_busy(&self) -> bool {
        self.pause.until.is_none()
            && self.doors.iter().flatten().any(|door| door.owed && door.pause.until.is_none())
    }

    /// When a pause ends, if there is one. While all pause, nobody looks at the pause of a single one: to wake for its end
    /// would be a spin.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.pause.until.or_else(|| self.rests().filter_map(|pause| pause.until).min())
    }

    /// The pauses of single listeners.
    fn rests(&self) -> impl Iterator<Item = &Pause> {
        self.doors.iter().flatten().map(|door| &door.pause)
    }

    /// Accepts that failed, and pauses that followed, so far.
    pub(super) fn troubles(&self) -> (u64, u64) {
        (self.errors, self.pause.count + self.rests().map(|pause| pause.count).sum::<u64>())
    }

    /// A descriptor came free: no event tells so, and the pause would only cost time.
    pub(super) fn retry(&mut self) {
        self.pause.until = None;
    }

    /// Accepts from the listeners that owe it, at most `budget` times in all. Each time another one is the first, so that
    /// a crowd at one door keeps nobody from the others.
    pub(super) fn accept(&mut self, now: Instant, budget: usize, mut open: impl FnMut(Guest)) {
        if !self.pause.is_over(now) {
            return;
        }
        let (count, mut left) = (self.doors.len(), budget);
        self.first = (self.first + 1) % count.max(1);
        for nth in (self.first..count).chain(0..self.first) {
            if left == 0 {
                return;
            }
            let Some(round) = self.ask(nth, now, left, &mut open) else { continue };
            left -= round.accepted;
            if round.lacks {
                // What one listener lacks, the others lack too.
                self.pause.begin(now);
                return;
            }
        }
    }

    /// Asks one listener, if it owes an accept.
    fn ask(
        &mut self,
        nth: usize,
        now: Instant,
        budget: usize,
        open: &mut impl FnMut(Guest),
    ) -> Option<Round> {
        let Self { doors, buffers, pause, throttle, errors, .. } = self;
        let door = doors.get_mut(nth)?.as_mut()?;
        if !door.owed || !door.pause.is_over(now) {
            return None;
        }
        let (listener, purpose) = (&door.listener, door.purpose());
        let welcome = |(socket, address)| {
            dress(&socket, *buffers);
            open(Guest { socket, address, purpose });
        };
        let round = admit(budget, || listener.accept(), welcome);
        door.owed = !round.emptied;
        *errors += round.errors as u64;
        if round.accepted > 0 {
            door.pause.delay = PAUSE;
            pause.delay = PAUSE;
        }
        if let Some(error) = &round.error {
            complain(throttle, now, error, round.exhausted);
        }
        if round.exhausted && !round.lacks {
            door.pause.begin(now);
        }
        Some(round)
    }
}

/// Sockets in the file system do not inherit the buffers of their listener, as those of the network do.
fn dress(socket: &Stream, (receive, send): (usize, usize)) {
    if let Stream::Unix(socket) = socket {
        let socket = SockRef::from(socket);
        // With other buffers it is as good a connection.
        let _ = socket.set_recv_buffer_size(receive).and_then(|()| socket.set_send_buffer_size(send));
    }
}

/// A time without accepts.
#[derive(Debug)]
struct Pause {
    until: Option<Instant>,
    /// How long the next one is.
    delay: Duration,
    /// How many there were.
    count: u64,
}

impl Default for Pause {
    fn default() -> Self {
        Self { until: None, delay: PAUSE, count: 0 }
    }
}

impl Pause {
    fn begin(&mut self, now: Instant) {
        self.count += 1;
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
    /// Nor to ask another listener: the system lacks something.
    lacks: bool,
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
                round.lacks = verdict == Verdict::Lack;
                round.exhausted = round.lacks || verdict == Verdict::Broken;
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
    /// The system lacks something: asking anybody again at once would spin.
    Lack,
    /// This listener fails: asking it again at once would spin.
    Broken,
}

/// Sorts the errors of accept(2). One that is not known there may stay, so it must not make us spin.
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
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Verdict::Lack,
        _ => Verdict::Broken,
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
