//! The roll: who is there and how they do, for operators; and the peer that one of them sends away.
//!
//! Owns nothing. What is asked here walks over all peers, so it is not for every turn. What a row says a peer lacks is
//! all that it has yet to get, whether its socket refuses it or its turn has only not come.

use super::Relay;
use crate::{
    address::Caller,
    counters::Disconnect,
    event_stream::Form,
    id::PeerId,
    news::Traffic,
    peer::{Peer, Stage},
    rules::Pattern,
};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The close code of a peer that an operator sends away: what it does is not wanted here.
const DISMISSED: u16 = 1008;

/// For how long at least, and for how much longer at most, an event stream that was sent away stays away: the browser brings
/// it back.
const STAY_AWAY_MILLIS: u32 = 30_000;

/// An open peer.
#[derive(Debug)]
pub struct PeerRow<'r, L> {
    /// Its name.
    pub id: PeerId,
    /// How the outside finds its socket.
    pub link: &'r L,
    /// Who it is.
    pub caller: Caller,
    /// The path of its channel.
    pub channel: &'r str,
    /// How it gets that channel.
    pub form: Form,
    /// Since it joined.
    pub age: Duration,
    /// What it said and was told.
    pub traffic: Traffic,
    /// Bytes that it has yet to get.
    pub lag: u64,
    /// Its socket takes bytes.
    pub takes_bytes: bool,
    /// Since its last sign of life.
    pub quiet: Duration,
    /// What it is found by, if it asked for that.
    pub tag: Option<u64>,
    /// Its user, if it is known.
    pub user: Option<&'r str>,
    /// It gets what others publish.
    pub subscribes: bool,
    /// It may publish.
    pub publishes: bool,
}

/// A channel with an open peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelRow<'r> {
    /// As received.
    pub path: &'r str,
    /// Open peers.
    pub peers: usize,
    /// How many of them get an event stream.
    pub event_streams: usize,
    /// Memory of its backlog, in all forms.
    pub backlog_bytes: usize,
    /// What the peer furthest behind has yet to get.
    pub lag_bytes: u64,
    /// Peers that lack something and whose socket refuses it.
    pub lagging_peers: usize,
    /// What it comes under.
    pub rule: Option<&'r Pattern>,
}

impl<L> Relay<L> {
    /// Open peers, those furthest behind first, at most `most` of them, and how many there are: of all channels or one,
    /// with any tag or one.
    pub fn roll(
        &self,
        channel: Option<&str>,
        tag: Option<u64>,
        most: usize,
        now: Instant,
    ) -> (Vec<PeerRow<'_, L>>, usize) {
        let is_tagged = |id: PeerId| tag.is_none_or(|tag| self.tags.get(&id) == Some(&tag));
        let is_there = |peer| channel.is_none_or(|path| self.path_of(peer) == Some(path));
        let open = self.roster.iter().filter(|(_, peer)| matches!(peer.stage, Stage::Open(_)));
        let meant = open.filter(|(id, peer)| is_tagged(*id) && is_there(*peer));
        let mut ranks = meant.map(|(id, peer)| (Reverse(self.lag_of(peer)), id)).collect::<Vec<_>>();
        let total = ranks.len();
        first(&mut ranks, most);
        (ranks.into_iter().filter_map(|(_, id)| self.row(id, now)).collect(), total)
    }

    /// Channels with open peers: the one with the peer furthest behind first, then those with the most peers; at most
    /// `most`, and how many there are.
    pub fn channel_rows(&self, most: usize) -> (Vec<ChannelRow<'_>>, usize) {
        let mut rows = BTreeMap::new();
        for (_, peer) in self.roster.iter() {
            if let Some(path) = self.path_of(peer) {
                self.add_to(rows.entry(path).or_default(), peer);
            }
        }
        let there = rows.into_iter().filter(|(_, row)| row.peers > 0);
        let rank = |row: &ChannelRow<'_>| (Reverse(row.lag_bytes), Reverse(row.peers));
        let mut ranks = there.map(|(path, row)| (rank(&row), path, row)).collect::<Vec<_>>();
        let total = ranks.len();
        ranks.sort_unstable_by_key(|(rank, path, _)| (*rank, *path));
        ranks.truncate(most);
        (ranks.into_iter().map(|(_, path, row)| self.named(path, row)).collect(), total)
    }

    fn named<'r>(&'r self, path: &'r str, row: ChannelRow<'r>) -> ChannelRow<'r> {
        let rule = self.limits.rule_for(path).and_then(|rule| self.limits.pattern_of(rule));
        ChannelRow { path, rule, ..row }
    }

    /// hear: an operator sends a peer away, with a word for it. Says whether it was there.
    pub fn dismiss(&mut self, id: PeerId, reason: &str, now: Instant) -> bool {
        let is_open = self.roster.get(id).is_some_and(|peer| matches!(peer.stage, Stage::Open(_)));
        if is_open {
            // Where a page would be back at once, of its own accord.
            let stay_away_millis = u64::from(STAY_AWAY_MILLIS + self.random.up_to(STAY_AWAY_MILLIS));
            self.close_for_a_while(id, Disconnect::Operator, DISMISSED, reason, stay_away_millis, now);
        }
        is_open
    }

    fn row(&self, id: PeerId, now: Instant) -> Option<PeerRow<'_, L>> {
        let peer = self.roster.get(id)?;
        let (Stage::Open(open), Some(seat)) = (&peer.stage, &peer.seat) else { return None };
        let since = |then: Instant| now.saturating_duration_since(then);
        Some(PeerRow {
            id,
            link: &peer.link,
            caller: peer.caller,
            channel: self.channels.path(seat.channel),
            form: peer.form,
            age: peer.joined_at.map_or(Duration::ZERO, since),
            traffic: peer.traffic,
            lag: self.lag_of(peer),
            takes_bytes: peer.writable,
            quiet: since(open.alive_at()),
            tag: self.tags.get(&id).copied(),
            user: self.user_of(id),
            subscribes: !seat.cursor.is_deaf(),
            publishes: peer.may_publish && peer.form == Form::Frames,
        })
    }

    fn add_to(&self, row: &mut ChannelRow<'_>, peer: &Peer<L>) {
        let Some(seat) = &peer.seat else { return };
        // Somebody stands at the first place of each form's backlog, be it one who is leaving.
        if seat.index == 0 {
            row.backlog_bytes += self.channels.backlog(seat.channel).allocated();
        }
        if matches!(peer.stage, Stage::Open(_)) {
            let lag = self.lag_of(peer);
            row.peers += 1;
            row.event_streams += usize::from(peer.form == Form::Events);
            row.lag_bytes = row.lag_bytes.max(lag);
            row.lagging_peers += usize::from(lag > 0 && !peer.writable);
        }
    }

    fn path_of(&self, peer: &Peer<L>) -> Option<&str> {
        peer.seat.as_ref().map(|seat| self.channels.path(seat.channel))
    }

    fn lag_of(&self, peer: &Peer<L>) -> u64 {
        peer.seat.as_ref().map_or(0, |seat| self.channels.backlog(seat.channel).lag(&seat.cursor))
    }
}

/// Leaves the `most` smallest, in their order.
fn first<T: Ord>(list: &mut Vec<T>, most: usize) {
    if most < list.len() {
        list.select_nth_unstable(most);
        list.truncate(most);
    }
    list.sort_unstable();
}
