//! The one I/O floor: poller, listeners, sockets, and the turn.
//!
//! Owns the relay and everything that has a descriptor, and reads the clocks, once a turn. Promises: a fixed list of
//! phases, each kind of effect in exactly one of them; each socket is registered once, for both directions, and
//! never again, so that a connection costs one `epoll_ctl`; no error of one connection leaves the loop. Leaves to
//! others: everything that a peer means (`relay.rs`).

mod clock;
pub mod descriptors;
mod link;
mod listener;
mod office;
mod opening;
mod place;
mod reload;
mod report;
mod socket;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io, thread,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, event::Event};

use crate::{
    address::{Arrival, Source},
    config::{Config, ConfigSource, Place},
    id::PeerId,
    logging::Outlet,
    origin::Desk,
    relay::Relay,
    signals::Signals,
    systemd::{Handed, Manager},
};
pub use clock::unix;

use clock::Clock;
use link::{Link, Sockets};
use listener::{Doors, Guest};
use office::{Office, Surroundings};
use opening::Purpose;
use reload::Reload;

/// Events taken from the poller at once. More than that wait for the next turn, which does not block then.
const EVENTS: usize = 1024;

/// No wait is longer, whatever the deadlines say: a clock that jumped is noticed within it.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Failed waits in a row before the program gives up, and the rest after each. No failure of `epoll_wait` is
/// expected at all; this outlives one that passes and ends one that does not.
const MAX_FAILED_WAITS: u32 = 100;
const REST: Duration = Duration::from_millis(10);

/// The poll loop and all that it drives.
#[derive(Debug)]
pub struct Server {
    poll: Poll,
    signals: Signals,
    doors: Doors,
    sockets: Sockets,
    relay: Relay<Link>,
    office: Office,
    clock: Clock,
    manager: Manager,
    reload: Reload,
    /// Accepts per turn and listener.
    accepts: usize,
    /// SIGTERM or SIGINT came: the listeners are closed, and the loop ends with the last peer.
    draining: bool,
    /// It came twice: the loop ends now.
    stopped: bool,
}

/// Why the server did not start. Says what to do.
#[derive(Debug)]
pub enum StartError {
    /// A place could not be listened on.
    Listen {
        /// The key that names it.
        key: &'static str,
        /// Which.
        place: Place,
        /// Why.
        error: io::Error,
    },
    /// What the service manager has handed over and what the configuration says do not go together.
    Activation(String),
    /// The system refused the poller, the signals, or a descriptor for them.
    System(io::Error),
}

impl Server {
    /// Opens the listeners, or takes those that were handed over, and installs the signal handlers. Nobody is accepted
    /// before `run`.
    ///
    /// # Errors
    /// When a place cannot be listened on, or the system refuses something.
    pub fn start(config: &Config, source: ConfigSource, handed: Vec<Handed>) -> Result<Self, StartError> {
        let poll = Poll::new().map_err(StartError::System)?;
        let mut signals = Signals::install().map_err(StartError::System)?;
        signals.register(poll.registry(), Token(SIGNALS)).map_err(StartError::System)?;
        let manager = Manager::from_env();
        let doors = opening::open_all(config, handed)?;
        let doors = Doors::new(doors, config, poll.registry(), LISTENERS).map_err(StartError::System)?;
        let reload = Reload::new(config.clone(), source).map_err(StartError::System)?;
        let clock = Clock::new();
        let mut relay = Relay::new(config.limits.clone(), seed(), clock.last());
        relay.believe(config.proxies());
        relay.guard(config.gate.clone());
        relay.serve_desk(desk(&doors.places().map_err(StartError::System)?.1));
        let accepts = config.limits.turn.accepts;
        let plain = doors.plain_places().map_err(StartError::System)?;
        let office = Office::new(clock.last(), plain.iter().map(ToString::to_string).collect());
        Ok(Self {
            poll,
            signals,
            doors,
            sockets: Sockets::new(),
            relay,
            office,
            clock,
            manager,
            reload,
            accepts,
            draining: false,
            stopped: false,
        })
    }

    /// Where peers are heard, and where operators are, with the ports that were really given.
    ///
    /// # Errors
    /// Those of `getsockname`.
    pub fn places(&self) -> io::Result<(Vec<Place>, Vec<Place>)> {
        self.doors.places()
    }

    /// Those of the places for peers that a client can talk to by itself: where no line of the PROXY protocol is demanded.
    ///
    /// # Errors
    /// Those of `getsockname`.
    pub fn plain_places(&self) -> io::Result<Vec<Place>> {
        self.doors.plain_places()
    }

    /// From now on it tells operators how many lines of the log this has dropped.
    pub fn watch_log(&mut self, outlet: Outlet) {
        self.office.watch(outlet);
    }

    /// Runs until SIGTERM or SIGINT and the last peer is gone, or a second such signal.
    ///
    /// # Errors
    /// When the poller is broken for good.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        self.manager.ready();
        self.manager.turn(self.clock.last(), || report::status(&self.relay, self.draining));
        while !self.is_over() {
            let waited = self.wait(&mut events)?;
            let now = self.now(waited);
            self.manager.turn(now, || report::status(&self.relay, self.draining));
            self.office.begin(now, &self.relay);
            self.hear(now, &events);
            self.relay.expire(now);
            self.office.expire(now);
            self.relay.deliver(now, &mut self.sockets);
            self.office.deliver(&mut self.sockets);
            self.bury();
            self.relay.note_turn(self.clock.elapsed(), self.clock.cpu());
        }
        // Asked a second time, somebody may be left.
        self.relay.abandon(self.clock.last());
        self.office.abandon();
        self.bury();
        log::info!("stopped: {}", self.relay.counters());
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.stopped || self.draining && self.relay.is_empty()
    }

    /// Phase 1. Says how long it would have waited. That is reckoned from the turn before, and so may be too long by
    /// that turn, some milliseconds.
    fn wait(&mut self, events: &mut Events) -> io::Result<Duration> {
        let busy = self.relay.is_busy() || self.doors.is_busy() || self.office.is_busy();
        let timeout = if busy { Duration::ZERO } else { self.longest_wait(self.clock.last()) };
        let mut failed = 0;
        while let Err(error) = self.poll.poll(events, Some(timeout)) {
            if error.kind() == io::ErrorKind::Interrupted {
                // A turn without events: to wait for the whole time again would put deadlines off for ever.
                break;
            }
            failed += 1;
            if failed == MAX_FAILED_WAITS {
                return Err(error);
            }
            thread::sleep(REST);
        }
        Ok(timeout)
    }

    /// Phase 2.
    fn now(&mut self, waited: Duration) -> Instant {
        let (now, stood) = self.clock.turn(waited);
        if !stood.is_zero() {
            self.relay.note_stall();
            self.manager.note_stall();
            log::warn!("stood still for {stood:.1?}: all deadlines move on by that");
        }
        now
    }

    fn longest_wait(&self, then: Instant) -> Duration {
        let deadlines = [
            self.relay.next_deadline(),
            self.doors.next_deadline(),
            self.manager.next_deadline(then),
            self.office.next_deadline(),
        ];
        let waits = deadlines.into_iter().flatten().map(|deadline| deadline.saturating_duration_since(then));
        waits.fold(MAX_WAIT, Duration::min)
    }

    /// Phase 3.
    fn hear(&mut self, now: Instant, events: &Events) {
        let mut signalled = false;
        for event in events {
            match Origin::of(event.token()) {
                Origin::Peer(id) => self.note(id, event, now),
                Origin::Visitor(id) => self.office.note(id, event),
                Origin::Listener(nth) => self.doors.knocked(nth),
                Origin::Signals => signalled = true,
            }
        }
        self.accept(now);
        if signalled {
            self.heed_signals(now);
        }
        // After a reload, which may bring the first key.
        if !self.reload.config().gate.keys.is_empty() {
            self.relay.tell_time(clock::unix());
        }
        self.relay.hear(now, &mut self.sockets);
        let Self { relay, draining, doors, reload, sockets, office, .. } = self;
        let (accept_troubles, reloads) = (doors.troubles(), reload.counts());
        office.hear(now, sockets, Surroundings { relay, draining: *draining, accept_troubles, reloads });
    }

    fn note(&mut self, id: PeerId, event: &Event, now: Instant) {
        // None: an event for a peer that was buried after the poller had filed it.
        let Some(link) = self.relay.link_mut(id) else { return };
        link.note(event);
        if event.is_error() {
            self.relay.broken(id, now);
        } else if event.is_readable() || event.is_read_closed() {
            self.relay.readable(id);
        }
        if event.is_writable() {
            self.relay.writable(id, now);
        }
    }

    fn accept(&mut self, now: Instant) {
        let Self { doors, relay, office, poll, accepts, .. } = self;
        doors.accept(now, *accepts, |guest| match guest.purpose {
            Purpose::Relay { proxy_protocol } => welcome(relay, poll, guest, proxy_protocol, now),
            Purpose::Admin => office.welcome(poll.registry(), guest, now),
        });
    }

    fn heed_signals(&mut self, now: Instant) {
        let caught = self.signals.take();
        if caught.reload {
            self.reload(now);
        }
        if caught.report {
            self.report();
        }
        if caught.stop {
            self.stop(now);
        }
    }

    fn reload(&mut self, now: Instant) {
        if self.draining {
            log::info!("SIGHUP: the configuration is not read again while stopping");
            return;
        }
        self.manager.reloading();
        if let Some(config) = self.reload.read() {
            self.accepts = config.limits.turn.accepts;
            if let Err(error) = self.doors.set_buffers(config) {
                log::warn!("send_buffer, receive_buffer: the listeners do not take them: {error}");
            }
            self.relay.reconfigure(config.limits.clone(), now);
            self.relay.believe(config.proxies());
            self.relay.guard(config.gate.clone());
        }
        self.manager.ready();
    }

    fn report(&self) {
        let (relay, counters) = (&self.relay, self.relay.counters());
        let (peers, channels, backlog) = (relay.peers(), relay.channels(), relay.backlog_bytes());
        let inflight = relay.inflight_bytes();
        let (accept_errors, accept_pauses) = self.doors.troubles();
        let (reloads, reload_failures) = self.reload.counts();
        log::info!(
            "peers={peers} channels={channels} backlog={backlog} inflight={inflight} {counters} \
             accept_errors={accept_errors} accept_pauses={accept_pauses} reloads={reloads} \
             reload_failures={reload_failures} log_dropped={} {}",
            self.office.log_dropped(),
            self.office.tally()
        );
    }

    fn stop(&mut self, now: Instant) {
        if self.draining {
            log::info!("stopping at once: asked a second time");
            self.stopped = true;
            return;
        }
        log::info!(
            "stopping: no more connections are accepted, every peer is closed with 1012 within the time `drain`"
        );
        self.draining = true;
        self.manager.stopping(self.reload.config().limits.stop_time());
        self.doors.close(self.poll.registry());
        self.relay.drain(now);
    }

    /// Phase 6.
    fn bury(&mut self) {
        report::tell(&mut self.relay, self.office.chronicle());
        let mut freed = self.office.bury();
        self.relay.bury(|buried| {
            freed = true;
            buried.link.close(buried.reset);
        });
        if freed {
            self.doors.retry();
        }
    }
}

/// Where the pages of the desk come from.
fn desk(operators: &[Place]) -> Desk {
    let address = |place: &Place| match place {
        Place::Tcp(address) => Some(*address),
        _ => None,
    };
    Desk { places: operators.iter().filter_map(address).collect() }
}

/// Brings one connection into the relay. The relay comes first: the token of the socket is the peer's id.
fn welcome(relay: &mut Relay<Link>, poll: &Poll, guest: Guest, proxy_protocol: bool, now: Instant) {
    let source = guest.address.map_or(Source::Unix, |address| address.ip().into());
    let link = Link::new(guest.socket, guest.address.map(|address| address.port()));
    // Err: no slot, not even for a refusal. The relay has counted it; dropping the link closes it.
    let Ok(id) = relay.open(link, Arrival { source, proxy_protocol }, now) else { return };
    let Some(link) = relay.link_mut(id) else { return };
    if link.register(poll.registry(), Token(id.to_word())).is_err() {
        relay.lose(id, now);
    }
}

/// Whom a token stands for.
#[derive(Debug, PartialEq, Eq)]
enum Origin {
    Peer(PeerId),
    Visitor(PeerId),
    Listener(usize),
    Signals,
}

/// The low half of a token is a slot. From here on it is not: no slot comes near, as each needs a descriptor.
const VISITORS: usize = 0xFFFF_FE00;
const LISTENERS: usize = 0xFFFF_FF00;
const SIGNALS: usize = 0xFFFF_FFFF;

impl Origin {
    fn of(Token(word): Token) -> Self {
        match word & 0xFFFF_FFFF {
            SIGNALS => Self::Signals,
            nth @ LISTENERS.. => Self::Listener(nth - LISTENERS),
            VISITORS.. => Self::Visitor(PeerId::from_word(word - VISITORS)),
            _ => Self::Peer(PeerId::from_word(word)),
        }
    }
}

/// Random enough to spread pings and hints; std draws its hash keys from the system.
fn seed() -> u64 {
    RandomState::new().hash_one("wsrelayd")
}

impl StartError {
    /// Whether another start would end alike as long as nobody edits the configuration.
    pub fn is_of_configuration(&self) -> bool {
        use io::ErrorKind as Kind;
        match self {
            Self::Listen { error, .. } => matches!(
                error.kind(),
                Kind::PermissionDenied
                    | Kind::NotFound
                    | Kind::NotADirectory
                    | Kind::AlreadyExists
                    | Kind::InvalidInput
                    | Kind::Unsupported
            ),
            Self::Activation(_) => true,
            Self::System(_) => false,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { key, place, error } => {
                write!(f, "cannot listen on {place}: {error}. {}", advice(key, place, error.kind()))
            }
            Self::Activation(message) => f.write_str(message),
            Self::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

fn advice(key: &str, place: &Place, kind: io::ErrorKind) -> String {
    match (kind, place) {
        (io::ErrorKind::AddrInUse, _) => format!(
            "Another program listens there, perhaps another wsrelayd: stop it, or choose another place with --{key} or \
             the key `{key}`."
        ),
        (io::ErrorKind::AlreadyExists, _) => {
            format!("Take it away, or choose another place with the key `{key}`.")
        }
        (io::ErrorKind::AddrNotAvailable, _) => {
            "No interface of this machine has this address: choose one that it has.".to_owned()
        }
        (io::ErrorKind::PermissionDenied, Place::Tcp(_)) => {
            "Ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose a higher one.".to_owned()
        }
        (io::ErrorKind::PermissionDenied, _) => {
            "Whoever runs the relay must own the directory, and be a member of the \
             group (SupplementaryGroups= in the unit)."
                .to_owned()
        }
        (io::ErrorKind::NotFound, Place::Unix(_)) => {
            format!("The directory must be there: make it, or choose another place with the key `{key}`.")
        }
        _ => format!("If it stays so, choose another address with --{key} or the key `{key}`."),
    }
}

#[cfg(test)]
mod tests;
