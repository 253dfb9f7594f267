//! The relay: the whole product, without a socket.
//!
//! Owns the peers, the channels, the wheel and the lists that carry work from one phase of a turn to the next. The
//! caller goes through the phases in order (`hear`, `expire`, `deliver`, `bury`; the map in `lib.rs`), gives the
//! time with each, and does the reading and writing through `Wire`. Each kind of effect happens in one phase only:
//!
//! | file | phase | effect |
//! |---|---|---|
//! | `admit.rs` | 3 | who a newcomer is, and whether its address may have one more |
//! | `visitors.rs` | | connections and handshakes of each address |
//! | `hear.rs` | 3 | input is read, decoded and published |
//! | `rate.rs` | 3 | how much a peer and its address may send |
//! | `post.rs` | 3 | messages that come by HTTP |
//! | `expire.rs` | 4 | pings and deadlines |
//! | `deliver.rs` | 5 | the only writes; who is slow; the budgets for memory |
//! | `due.rs` | | the list that deliver works off |
//! | `roll.rs` | | who is there, for operators; and who is sent away |
//! | `end.rs` | all | how a peer comes to its end; `bury`, phase 6, frees the slots |

mod admit;
#[cfg(any(test, feature = "simulation"))]
mod audit;
mod deliver;
mod due;
mod end;
mod expire;
mod hear;
mod post;
mod rate;
mod roll;
#[cfg(test)]
mod tests;
mod visitors;

use crate::{
    address::{Arrival, Proxies},
    canary::{self, Canary},
    channel::{ChannelId, Channels},
    counters::{Counters, Disconnect},
    handshake::Refusal,
    id::PeerId,
    limits::{Limits, REFUSAL_SLOTS},
    news::{Event, News},
    origin::Desk,
    peer::{Inflight, Peer, Reading, Remark, Stage},
    random::Random,
    roster::Roster,
    rules::RuleId,
    token::Gate,
    token_bucket::TokenBucket,
    wheel::{Tick, Wheel},
};
#[cfg(any(test, feature = "simulation"))]
pub(crate) use audit::Published;
use due::Due;
pub use roll::{ChannelRow, PeerRow};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};
use visitors::Visitors;

/// Pieces of news that peers can cause: so many a second, and so many at once.
const NEWS_PER_SEC: u32 = 100;
const NEWS_AT_ONCE: u32 = 1000;

/// All peers and all that is between them. `L` is the link by which the outside finds a peer's socket.
#[derive(Debug)]
pub struct Relay<L> {
    limits: Limits,
    /// Of `limits`, which takes a walk over all rules.
    share_for_rests: usize,
    /// Peers that a reload has found beyond a lower `max_connections`, and their number of slots, which sinks as they go.
    kept: usize,
    roster: Roster<Peer<L>>,
    channels: Channels,
    wheel: Wheel<PeerId>,
    /// Those with something to write and a socket that takes it, or a writing side to end (law 10); and former ids.
    due: Due,
    /// Those who are owed a read and kept from it by nothing (law 10); and former ids.
    unread: VecDeque<PeerId>,
    /// Those to be buried.
    gone: Vec<PeerId>,
    /// How many are in the stages `Handshaking` and `Posting`.
    handshaking: usize,
    /// Connections and handshakes by address.
    visitors: Visitors,
    proxies: Proxies,
    /// What tokens are held against.
    gate: Gate,
    /// Whose pages are always taken from.
    desk: Desk,
    /// The time of day as of this turn, since 1970.
    unix: Duration,
    /// What those who asked for it are found by; of nobody else, and of nobody who is gone.
    tags: BTreeMap<PeerId, u64>,
    /// Whom a proxy or a token has named; of nobody else, and of nobody who is gone.
    users: BTreeMap<PeerId, Box<str>>,
    /// A proxy that names no client was seen, and told of.
    has_missed_a_client: bool,
    /// Unfinished input of all peers.
    inflight: Inflight,
    /// Rests of frames copied out of backlogs into control buffers, in bytes.
    copied: usize,
    random: Random,
    counters: Counters,
    /// What the log has yet to be told.
    news: Vec<News>,
    news_allowed: TokenBucket,
    /// Pieces of news that were too many since the last one that was not.
    news_suppressed: u64,
    /// When the shutdown is over for those who read, once it has begun.
    drain_ends: Option<Instant>,
    /// What the wheel gave in this turn; kept for its memory.
    expired: Vec<(PeerId, Tick)>,
    /// Whom the turn has yet to weigh or to release; kept for its memory.
    scratch: Vec<PeerId>,
    #[cfg(any(test, feature = "simulation"))]
    published: Vec<Published>,
}

/// What `bury` hands back of a peer.
#[derive(Debug)]
pub struct Buried<L> {
    /// The peer that was.
    pub id: PeerId,
    /// The link it had, to be closed now.
    pub link: L,
    /// The connection is to be reset (RST) and not closed in peace.
    pub reset: bool,
}

impl<L> Relay<L> {
    /// A relay without peers. `seed` spreads first pings and retry hints.
    pub fn new(limits: Limits, seed: u64, now: Instant) -> Self {
        Self {
            share_for_rests: limits.share_for_rests(),
            limits,
            kept: 0,
            roster: Roster::new(),
            channels: Channels::new(),
            wheel: Wheel::new(now),
            due: Due::default(),
            unread: VecDeque::new(),
            gone: Vec::new(),
            handshaking: 0,
            visitors: Visitors::new(now),
            proxies: Proxies::default(),
            gate: Gate::default(),
            desk: Desk::default(),
            unix: Duration::ZERO,
            tags: BTreeMap::new(),
            users: BTreeMap::new(),
            has_missed_a_client: false,
            inflight: Inflight::default(),
            copied: 0,
            random: Random::new(seed),
            counters: Counters::default(),
            news: Vec::new(),
            news_allowed: TokenBucket::new(NEWS_AT_ONCE, now),
            news_suppressed: 0,
            drain_ends: None,
            expired: Vec::new(),
            scratch: Vec::new(),
            #[cfg(any(test, feature = "simulation"))]
            published: Vec::new(),
        }
    }

    /// hear: a connection was accepted; its socket is taken for writable and not for readable. Over a limit the peer
    /// is refused at once, with 503, or with 429 where it is one of its address.
    ///
    /// # Errors
    /// The link, when there is not even a slot to refuse it in: to be dropped (it has been counted).
    pub fn open(&mut self, link: L, arrival: Arrival, now: Instant) -> Result<PeerId, L> {
        self.counters.opened += 1;
        if self.roster.len() >= self.limits.max_connections.max(self.kept) + REFUSAL_SLOTS {
            self.counters.refuse(Refusal::MaxConnections.label());
            return Err(link);
        }
        let refusal = self.surplus();
        let id = self.roster.insert(Peer::new(link, arrival, now + self.limits.handshake_timeout));
        self.handshaking += 1;
        if let Some(refusal) = refusal {
            self.refuse(id, refusal, now);
        } else if self.reckon_with(id, arrival.source, now) {
            self.arm(id);
        }
        Ok(id)
    }

    /// Why one more peer is too many.
    fn surplus(&self) -> Option<Refusal> {
        if self.drain_ends.is_some() {
            Some(Refusal::Draining)
        } else if self.roster.len() >= self.limits.max_connections {
            Some(Refusal::MaxConnections)
        } else if self.handshaking >= self.limits.max_handshakes {
            Some(Refusal::MaxHandshakes)
        } else {
            None
        }
    }

    /// hear: a readable edge came (bytes, the end, or an error to be read). `hear` does the reading.
    pub fn readable(&mut self, id: PeerId) {
        if let Some(peer) = self.roster.get_mut(id) {
            peer.edge = true;
            self.owe(id);
        }
    }

    /// hear: an error came, and the connection is over in both directions. What the peer has sent is read to its end, unless
    /// that would take its time for its rate: nobody is there any more to wait.
    pub fn broken(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        if matches!(peer.stage, Stage::Open(_)) {
            peer.remark = Remark::Broken;
        }
        match peer.reading {
            Reading::Resting => self.lost(id, Disconnect::Reset, now),
            _ => self.readable(id),
        }
    }

    /// hear: a writable edge came. Stale and spurious ones do no harm.
    pub fn writable(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let refused_before = !std::mem::replace(&mut peer.writable, true);
        if let Stage::Open(open) = &mut peer.stage
            && refused_before
        {
            open.note_life(now);
            open.note_writable(now);
        }
        self.rouse(id);
    }

    /// hear: other limits hold from now on. All peers stay; what was begun under the old limits may go on under them
    /// where nothing hangs on it.
    pub fn reconfigure(&mut self, limits: Limits, now: Instant) {
        let ids = self.roster.iter().map(|(id, _)| id).collect::<Vec<_>>();
        let before = std::mem::replace(&mut self.limits, limits);
        let mut rules = BTreeMap::new();
        self.share_for_rests = self.limits.share_for_rests();
        self.kept = self.roster.len();
        self.visitors.renew_meters();
        for id in ids {
            self.come_under(id, &mut rules);
            if let Some(Peer { stage: Stage::Open(open), rule, .. }) = self.roster.get_mut(id) {
                open.adapt(&before, self.limits.under(*rule), now);
            }
            self.wake(id, now);
            if self.roster.get(id).is_some_and(|peer| !peer.writable) {
                self.weigh(id, now);
            }
            // A deadline may have come nearer.
            if !canary::sings(Canary::ReloadByHalf) {
                self.arm(id);
            }
        }
    }

    /// Finds out what the peer's channel comes under; under nothing but the general limits, if that is no channel any more.
    /// `rules` are those of the channels that were asked for already.
    fn come_under(&mut self, id: PeerId, rules: &mut BTreeMap<ChannelId, RuleId>) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        peer.rule = match (&peer.seat, &peer.stage) {
            (Some(seat), _) => *rules.entry(seat.channel).or_insert_with(|| {
                self.limits.rule_for(self.channels.path(seat.channel)).unwrap_or_default()
            }),
            (None, Stage::Posting(posting)) => self.limits.rule_for(posting.path()).unwrap_or_default(),
            _ => RuleId::default(),
        };
    }

    /// The user of a peer that is still there, if it is known.
    pub fn user_of(&self, id: PeerId) -> Option<&str> {
        self.users.get(&id).map(|user| &**user)
    }

    /// From now on tokens are held against this; who is here already keeps what it was granted.
    pub fn guard(&mut self, gate: Gate) {
        self.gate = gate;
    }

    /// From now on the pages of this desk are taken from, whatever the origins that a rule allows.
    pub fn serve_desk(&mut self, desk: Desk) {
        self.desk = desk;
    }

    /// The time of day, since 1970: tokens are good for a time that is told so. To be told in each turn in which anybody may bring one.
    pub fn tell_time(&mut self, unix: Duration) {
        self.unix = unix;
    }

    /// hear: the outside has lost the connection (its registration failed, say).
    pub fn lose(&mut self, id: PeerId, now: Instant) {
        self.lost(id, Disconnect::Io, now);
    }

    /// The link of a peer that is still there.
    pub fn link_mut(&mut self, id: PeerId) -> Option<&mut L> {
        self.roster.get_mut(id).map(|peer| &mut peer.link)
    }

    /// Whether the next turn has work of its own, so that the wait must not block.
    pub fn is_busy(&self) -> bool {
        !self.due.is_empty() || !self.unread.is_empty()
    }

    /// When `expire` is wanted next at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next()
    }

    /// Whether no peer is left.
    pub fn is_empty(&self) -> bool {
        self.roster.len() == 0
    }

    /// Peers in all stages.
    pub fn peers(&self) -> usize {
        self.roster.len()
    }

    /// Peers that have not finished their handshake.
    pub fn handshaking(&self) -> usize {
        self.handshaking
    }

    /// The limits that hold.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The most bytes that a peer lacks whose socket refuses bytes, and how many such peers lack any. Walks over all
    /// peers, so it is not for every turn.
    pub fn lag(&self) -> (u64, usize) {
        let refusing = self.roster.iter().filter(|(_, peer)| !peer.writable);
        let seats = refusing.filter_map(|(_, peer)| peer.seat.as_ref());
        let lags = seats.map(|seat| self.channels.backlog(seat.channel).lag(&seat.cursor));
        lags.filter(|lag| *lag > 0).fold((0, 0), |(worst, peers), lag| (lag.max(worst), peers + 1))
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Memory that the backlogs hold, in bytes; bounded by `max_backlog`.
    pub fn backlog_bytes(&self) -> usize {
        self.channels.allocated() + self.copied
    }

    /// Unfinished input, in bytes; bounded by `max_inflight_read`.
    pub fn inflight_bytes(&self) -> usize {
        self.inflight.total()
    }

    /// What happened since the last call, for the log. To be taken before `bury`, while the peers can be found.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Channels with at least one peer.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Counts a turn that took `length`, and `cpu` of processor time.
    pub fn note_turn(&mut self, length: Duration, cpu: Duration) {
        self.counters.end_turn(length, cpu);
    }

    /// Counts a stop of the world.
    pub fn note_stall(&mut self) {
        self.counters.stalls += 1;
    }

    /// Puts the peer on `due` if it belongs there.
    fn rouse(&mut self, id: PeerId) {
        if let Some(peer) = self.roster.get_mut(id) {
            Self::put_on(&mut self.due, id, peer, &self.channels);
        }
    }

    fn put_on(due: &mut Due, id: PeerId, peer: &mut Peer<L>, channels: &Channels) {
        if !peer.due && peer.is_due(channels) {
            peer.due = true;
            due.push(peer.seat.as_ref().map(|seat| seat.channel), id);
        }
    }

    /// Puts the peer on `unread` if it is owed a read and stands on no list for it yet.
    fn owe(&mut self, id: PeerId) {
        if let Some(peer) = self.roster.get_mut(id)
            && peer.reading == Reading::Idle
            && peer.is_owed_a_read()
        {
            peer.reading = Reading::Unread;
            self.unread.push_back(id);
        }
    }

    /// Sees to it that the wheel comes by in time (law 6).
    fn arm(&mut self, id: PeerId) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        let Some(deadline) = peer.deadline(&self.limits) else { return };
        if self.wheel.tick_of(deadline) < peer.armed {
            peer.armed = self.wheel.insert(id, deadline);
        }
    }

    /// Notes a piece of news, unless there are too many.
    fn tell(&mut self, id: PeerId, now: Instant, event: impl FnOnce(&Self) -> Event) {
        if self.news_allowed.take(NEWS_PER_SEC, NEWS_AT_ONCE, now) {
            let suppressed = std::mem::take(&mut self.news_suppressed);
            let event = event(self);
            self.news.push(News { id, event, suppressed });
        } else {
            self.news_suppressed += 1;
            self.counters.news_suppressed += 1;
        }
    }

    /// Brings the count of unfinished input up to date.
    fn recount_inflight(&mut self, id: PeerId) {
        if let Some(peer) = self.roster.get_mut(id) {
            let (before, after) = (peer.inflight.unpacked(), peer.count_inflight());
            peer.inflight = after.packed();
            self.inflight.message = self.inflight.message + after.message - before.message;
            self.inflight.left_over = self.inflight.left_over + after.left_over - before.left_over;
            self.inflight.resting = self.inflight.resting + after.resting - before.resting;
        }
    }
}
