//! The service manager: what it hands over, and what it is told.
//!
//! Owns the sockets of socket activation until the server takes them, and the socket by which the manager hears from
//! us (sd_notify(3), sd_listen_fds(3)). Promises: no call blocks; nothing is told where nobody asked for it; what must
//! be heard (ready, reloading, stopping) is repeated until the manager's socket has taken it; the watchdog is fed from
//! the turn and from nothing else, so that it fires when the loop stands.

use std::{
    env, fmt,
    io::{self, ErrorKind},
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
    time::{Duration, Instant},
};

use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};
use socket2::SockRef;

use crate::config::Place;

/// The status line changes at most so often.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// After so long the manager is told again what it did not take.
const AGAIN: Duration = Duration::from_millis(100);

/// What `LISTEN_FDNAMES` calls a socket that has no name (sd_listen_fds_with_names(3)).
const NAMELESS: &str = "unknown";

/// A socket that the service manager has handed over.
#[derive(Debug)]
pub struct Handed {
    /// Its `FileDescriptorName=`; that of the unit, unless one was written.
    pub name: String,
    /// Where it listens; `None` for a socket without a path.
    pub place: Option<Place>,
    /// The socket.
    pub socket: HandedSocket,
}

/// The two kinds of it.
#[derive(Debug)]
pub enum HandedSocket {
    /// Of the network.
    Tcp(TcpListener),
    /// Of the file system.
    Unix(UnixListener),
}

impl fmt::Display for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} ({place})", self.name),
            None => write!(f, "{} (without an address)", self.name),
        }
    }
}

/// Takes the sockets that the service manager has handed over; none where it has not. To be called once, before any
/// thread: the environment is changed.
///
/// # Errors
/// A sentence, when something was handed over that is no listening stream socket.
pub fn take_sockets() -> Result<Vec<Handed>, String> {
    // Before `from_env`, which clears what it has read.
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    let mut sockets = ListenFd::from_env();
    (0..sockets.len())
        .map(|nth| {
            let name = names.next().unwrap_or(NAMELESS).to_owned();
            take_socket(&mut sockets, nth, name)
        })
        .collect()
}

fn take_socket(sockets: &mut ListenFd, nth: usize, name: String) -> Result<Handed, String> {
    let refused = |error: io::Error| {
        format!(
            "the service manager has handed over \"{name}\", which is no listening stream socket: {error}. {EDIT}"
        )
    };
    let socket = match sockets.take_tcp_listener(nth) {
        Ok(Some(listener)) => HandedSocket::Tcp(listener),
        _ => match sockets.take_unix_listener(nth).map_err(refused)? {
            Some(listener) => HandedSocket::Unix(listener),
            None => return Err(refused(ErrorKind::InvalidInput.into())),
        },
    };
    let place = socket.prepare().map_err(refused)?;
    Ok(Handed { name, place, socket })
}

const EDIT: &str = "Take everything but ListenStream= out of the socket unit";

impl HandedSocket {
    /// Makes sure that it listens and does not block, and tells where it is.
    fn prepare(&self) -> io::Result<Option<Place>> {
        let (socket, place) = match self {
            Self::Tcp(listener) => (SockRef::from(listener), Some(Place::Tcp(listener.local_addr()?))),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                (SockRef::from(listener), address.as_pathname().map(|path| Place::Unix(path.to_owned())))
            }
        };
        if !socket.is_listener()? {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "it does not listen (Accept=yes in the unit?)",
            ));
        }
        socket.set_nonblocking(true)?;
        Ok(place)
    }
}

/// The manager's ear. Without a manager nothing is told to anybody.
#[derive(Debug)]
pub struct Manager {
    /// Made once, so that a lack of descriptors cannot keep the watchdog from its food.
    socket: Option<UnixDatagram>,
    /// The time after which the manager takes us for dead.
    watchdog: Option<Duration>,
    fed: Option<Instant>,
    /// Lines that it must hear and has not taken yet.
    owed: String,
    status: String,
    status_told: Option<Instant>,
}

impl Manager {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`. A manager that cannot be reached hears
    /// nothing, and the log says so.
    pub fn from_env() -> Self {
        let address = env::var("NOTIFY_SOCKET").ok().filter(|address| !address.is_empty());
        let socket = address.and_then(|address| {
            let connected = connect(&address);
            connected
                .inspect_err(|error| log::warn!("NOTIFY_SOCKET={address} cannot be reached: {error}"))
                .ok()
        });
        let for_us = env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let micros = env::var("WATCHDOG_USEC").ok().and_then(|micros| micros.parse().ok());
        let watchdog = micros.filter(|&micros| for_us && micros > 0).map(Duration::from_micros);
        Self::new(socket, watchdog)
    }

    fn new(socket: Option<UnixDatagram>, watchdog: Option<Duration>) -> Self {
        let (owed, status) = (String::new(), String::new());
        Self { socket, watchdog, fed: None, owed, status, status_told: None }
    }

    /// Connections are accepted from now on; or a reload is over.
    pub fn ready(&mut self) {
        // What was not heard of a reload is no news any more.
        self.owed.clear();
        self.must_hear("READY=1\n");
    }

    /// The configuration is read again. `ready` says when that is over.
    pub fn reloading(&mut self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.owed.clear();
        self.must_hear(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// No more connections are accepted, and the end takes at most `time`.
    pub fn stopping(&mut self, time: Duration) {
        let micros = time.as_micros();
        self.must_hear(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={micros}\n"));
    }

    /// Once a turn: feeds the watchdog when it is time, and tells how things are when that has changed.
    pub fn turn(&mut self, now: Instant, status: impl FnOnce() -> String) {
        if self.socket.is_none() {
            return;
        }
        self.tell_owed();
        if self.food_is_due(now) && self.tell("WATCHDOG=1\n").is_ok() {
            self.fed = Some(now);
        }
        if self.status_told.is_none_or(|told| now >= told + STATUS_EVERY) {
            let status = status();
            if status != self.status && self.tell(&format!("STATUS={status}\n")).is_ok() {
                self.status = status;
            }
            self.status_told = Some(now);
        }
    }

    /// The process stood still: nobody knows how long the manager still waits.
    pub fn note_stall(&mut self) {
        self.fed = None;
    }

    /// When the next turn is wanted at the latest.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.socket.as_ref()?;
        let food = self.watchdog.map(|time| self.fed.map_or(now, |fed| fed + time / 4));
        // Something was told twice in vain, then it is tried again soon.
        let again = (!self.owed.is_empty() || food.is_some_and(|food| food <= now)).then_some(now + AGAIN);
        [food.filter(|food| *food > now), again].into_iter().flatten().min()
    }

    fn food_is_due(&self, now: Instant) -> bool {
        self.watchdog.is_some_and(|time| self.fed.is_none_or(|fed| now >= fed + time / 4))
    }

    fn must_hear(&mut self, lines: &str) {
        if self.socket.is_some() {
            self.owed.push_str(lines);
            self.tell_owed();
        }
    }

    fn tell_owed(&mut self) {
        if !self.owed.is_empty() && self.tell(&self.owed).is_ok() {
            self.owed.clear();
        }
    }

    /// Only a full socket is worth a repetition.
    fn tell(&self, lines: &str) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        match socket.send(lines.as_bytes()) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

/// A socket to the manager, whose address is a path or, after "@", abstract.
fn connect(address: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match address.strip_prefix('@') {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(address)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods)]
    fn start() -> Instant {
        Instant::now()
    }

    fn pair(watchdog: Option<Duration>) -> (UnixDatagram, Manager) {
        let (ear, mouth) = UnixDatagram::pair().unwrap();
        [&ear, &mouth].iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        (ear, Manager::new(Some(mouth), watchdog))
    }

    fn heard(ear: &UnixDatagram) -> Vec<String> {
        let mut bytes = [0; 4096];
        let next = || ear.recv(&mut bytes).ok().map(|n| String::from_utf8_lossy(&bytes[..n]).into_owned());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn the_watchdog_is_fed_by_turns_each_quarter_of_its_time() {
        let (ear, mut manager) = pair(Some(Duration::from_secs(10)));
        let start = start();
        let mut fed = Vec::new();
        for tenth in 0..101_u64 {
            let now = start + Duration::from_millis(100 * tenth);
            manager.turn(now, String::new);
            assert!(manager.next_deadline(now).is_some_and(|at| at <= now + Duration::from_millis(2500)));
            let meals = heard(&ear).into_iter().filter(|line| line == "WATCHDOG=1\n").count();
            fed.extend(std::iter::repeat_n(tenth, meals));
        }
        assert_eq!(fed, [0, 25, 50, 75, 100]);
        manager.note_stall();
        manager.turn(start + Duration::from_millis(10_100), String::new);
        assert_eq!(heard(&ear), ["WATCHDOG=1\n"], "at once, after a stand-still");
    }

    #[test]
    fn the_status_is_told_when_it_has_changed_and_not_too_often() {
        let (ear, mut manager) = pair(None);
        let start = start();
        let steps = [(0, "a", 1), (1, "b", 0), (5, "b", 1), (11, "b", 0), (17, "c", 1)];
        assert!(!steps.is_empty());
        for (secs, status, told) in steps {
            manager.turn(start + Duration::from_secs(secs), || status.to_owned());
            let lines = heard(&ear);
            assert_eq!(lines.len(), told, "at {secs}: {lines:?}");
            assert!(lines.iter().all(|line| *line == format!("STATUS={status}\n")), "{lines:?}");
        }
    }

    #[test]
    fn what_must_be_heard_is_repeated_until_it_is_taken() {
        let (ear, mut manager) = pair(None);
        let start = start();
        while manager.tell("X=1\n").is_ok() {}
        manager.stopping(Duration::from_secs(7));
        assert!(!manager.owed.is_empty());
        assert_eq!(manager.next_deadline(start), Some(start + AGAIN));
        assert!(heard(&ear).iter().all(|line| line == "X=1\n"));
        manager.turn(start + AGAIN, String::new);
        assert_eq!(heard(&ear), ["STOPPING=1\nEXTEND_TIMEOUT_USEC=7000000\n"]);
        assert_eq!(manager.next_deadline(start), None);
    }

    /// What goes beyond 4 KiB the manager throws away.
    #[test]
    fn what_is_owed_does_not_pile_up() {
        let (ear, mut manager) = pair(None);
        while manager.tell("X=1\n").is_ok() {}
        for _ in 0..1000 {
            manager.reloading();
            manager.ready();
        }
        manager.stopping(Duration::from_secs(7));
        assert!(heard(&ear).iter().all(|line| line == "X=1\n"));
        manager.turn(start(), String::new);
        assert_eq!(heard(&ear), ["READY=1\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=7000000\n"]);
    }

    #[test]
    fn a_manager_that_is_gone_is_no_reason_to_try_for_ever() {
        let (ear, mut manager) = pair(Some(Duration::from_secs(1)));
        drop(ear);
        manager.ready();
        manager.turn(start(), String::new);
        assert!(manager.owed.is_empty() && manager.fed.is_some());
    }

    #[test]
    fn without_a_manager_nothing_is_told_and_nobody_is_woken() {
        let mut manager = Manager::new(None, Some(Duration::from_secs(1)));
        manager.ready();
        manager.turn(start(), || panic!("nobody asked"));
        assert_eq!(manager.next_deadline(start()), None);
    }
}
