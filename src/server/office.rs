//! Where operators are answered: the desk on real sockets, what it may tell, and what it may have done.
//!
//! Owns the desk, the samples for rates, the chronicle, and the time of the start. Goes through the phases beside the
//! relay, and always after it: who relays comes first. Leaves to others: what visitors may do (`admin/`).

use std::time::{Instant, SystemTime};

use mio::{Registry, Token, event::Event};

use super::{
    VISITORS, clock,
    link::{Link, Sockets},
    listener::Guest,
};
use crate::{
    admin::{
        Chronicle, Desk, Entrance, Flow, House, Question, Rates, Tally, api, metrics,
        status::{self, Circumstances},
    },
    id::PeerId,
    logging::Outlet,
    relay::Relay,
};

/// The desk and what belongs to it.
#[derive(Debug)]
pub(super) struct Office {
    desk: Desk<Link>,
    rates: Rates,
    chronicle: Chronicle,
    started: Instant,
    started_at: SystemTime,
    /// Where peers are heard, or were before a shutdown.
    listen: Vec<String>,
    /// Whose dropped lines are told, if anybody's are.
    outlet: Option<Outlet>,
}

/// What the rest of the server knows in this turn.
#[derive(Debug)]
pub(super) struct Surroundings<'s> {
    pub(super) relay: &'s mut Relay<Link>,
    pub(super) draining: bool,
    /// Accepts that failed, and the pauses that followed.
    pub(super) accept_troubles: (u64, u64),
    /// Reloads that were applied, and those that were refused.
    pub(super) reloads: (u64, u64),
}

impl Office {
    pub(super) fn new(now: Instant, listen: Vec<String>) -> Self {
        let (desk, rates, chronicle) = (Desk::default(), Rates::new(now), Chronicle::default());
        Self { desk, rates, chronicle, started: now, started_at: clock::calendar(), listen, outlet: None }
    }

    /// From now on it tells how many lines this has dropped.
    pub(super) fn watch(&mut self, outlet: Outlet) {
        self.outlet = Some(outlet);
    }

    /// Lines of the log that nobody will see.
    pub(super) fn log_dropped(&self) -> u64 {
        self.outlet.as_ref().map_or(0, Outlet::dropped)
    }

    /// A turn begins: nothing was counted since the end of the one before.
    pub(super) fn begin(&mut self, now: Instant, relay: &Relay<Link>) {
        self.rates.note(now, Flow::of(relay.counters()));
    }

    /// Where news of peers are kept.
    pub(super) fn chronicle(&mut self) -> &mut Chronicle {
        &mut self.chronicle
    }

    /// Brings one connection to the desk. The desk comes first: the token of the socket is the visitor's id.
    pub(super) fn welcome(&mut self, registry: &Registry, guest: Guest, now: Instant) {
        let entrance = if guest.address.is_some() { Entrance::Tcp } else { Entrance::Unix };
        let link = Link::new(guest.socket, guest.address.map(|address| address.port()));
        // Err: there are enough. The desk has counted it; dropping the link closes it.
        let Ok(id) = self.desk.open(link, entrance, now) else { return };
        let Some(link) = self.desk.link_mut(id) else { return };
        if link.register(registry, Token(id.to_word() + VISITORS)).is_err() {
            self.desk.lose(id);
        }
    }

    pub(super) fn note(&mut self, id: PeerId, event: &Event) {
        // None: an event for a visitor who was buried after the poller had filed it.
        let Some(link) = self.desk.link_mut(id) else { return };
        link.note(event);
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.desk.readable(id);
        }
        if event.is_writable() {
            self.desk.writable(id);
        }
    }

    pub(super) fn hear(&mut self, now: Instant, sockets: &mut Sockets, surroundings: Surroundings<'_>) {
        let log_dropped = self.log_dropped();
        let Self { desk, rates, chronicle, started, started_at, listen, .. } = self;
        let mut view = View {
            surroundings,
            rates,
            chronicle,
            listen,
            log_dropped,
            now,
            started: *started,
            started_at: *started_at,
        };
        desk.hear(now, sockets, &mut view);
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.desk.expire(now);
    }

    pub(super) fn deliver(&mut self, sockets: &mut Sockets) {
        self.desk.deliver(sockets);
    }

    /// Says whether a descriptor came free.
    pub(super) fn bury(&mut self) -> bool {
        let before = self.desk.visitors();
        self.desk.bury(|buried| buried.link.close(buried.reset));
        self.desk.visitors() < before
    }

    pub(super) fn abandon(&mut self) {
        self.desk.abandon();
    }

    pub(super) fn is_busy(&self) -> bool {
        self.desk.is_busy()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.desk.next_deadline()
    }

    pub(super) fn tally(&self) -> &Tally {
        self.desk.tally()
    }
}

/// All that the desk can be asked for, in one turn.
struct View<'v> {
    surroundings: Surroundings<'v>,
    rates: &'v Rates,
    chronicle: &'v Chronicle,
    listen: &'v [String],
    log_dropped: u64,
    now: Instant,
    started: Instant,
    started_at: SystemTime,
}

impl View<'_> {
    fn circumstances<'c>(&'c self, desk: &'c Tally) -> Circumstances<'c> {
        let Surroundings { relay, draining, accept_troubles, reloads } = &self.surroundings;
        Circumstances {
            draining: *draining,
            pid: std::process::id(),
            started_at: self.started_at,
            uptime: self.now.saturating_duration_since(self.started),
            rates: self.rates.per_sec(self.now, Flow::of(relay.counters())),
            accept_troubles: *accept_troubles,
            reloads: *reloads,
            log_dropped: self.log_dropped,
            listen: self.listen,
            desk,
        }
    }
}

impl House for View<'_> {
    fn is_draining(&self) -> bool {
        self.surroundings.draining
    }

    fn find_out(&self, question: &Question, desk: &Tally) -> String {
        let relay = &*self.surroundings.relay;
        match question {
            Question::Status => status::body(relay, &self.circumstances(desk)),
            Question::Channels => api::channels(relay),
            Question::Peers(search) => api::peers(relay, search, self.now, Link::port),
            Question::Log => self.chronicle.to_json(),
            Question::Metrics(form) => metrics::text(relay, &self.circumstances(desk), *form),
        }
    }

    fn dismiss(&mut self, id: PeerId, reason: &str) -> bool {
        self.surroundings.relay.dismiss(id, reason, self.now)
    }
}
