//! The record of what was accepted, in order, and of how far each receiver's own record agrees with it.
//!
//! Law 7 and law 11 as seen from outside: what a sender said is accepted as a prefix of what it said, bit for bit;
//! what a receiver got is one run of its channel's sequence, less its own messages. An empty message names nobody, so
//! a receiver may stand at several places at once; the record keeps them all until only true ones are left.

use std::collections::BTreeMap;

use super::{
    client::{Client, path},
    core::Accepted,
    letter::{Letter, Message},
    swarm::Plan,
};
use crate::{
    frame,
    id::PeerId,
    limits::{Kinds, Limits, OnSlow},
};

/// One accepted message: its sender, and which of the sender's it is.
#[derive(Clone, Copy, Debug)]
struct Entry {
    sender: usize,
    n: usize,
}

/// A place in the sequence at which a receiver may stand, and how many messages it has missed before it.
#[derive(Clone, Copy, Debug)]
struct Place {
    next: usize,
    missed: u64,
}

#[derive(Debug, Default)]
struct Receiver {
    /// Length of the sequence before the relay could know the request.
    joined_from: Option<usize>,
    /// Where the receiver may stand; empty until its 101 is on the way.
    places: Vec<Place>,
    received: u64,
}

/// What holds on a channel.
#[derive(Clone, Copy, Debug)]
struct Manners {
    echo: bool,
    /// Gaps are allowed, as long as the relay counts them.
    skip: bool,
    kinds: Kinds,
}

impl Manners {
    fn of(limits: &Limits) -> Self {
        Self { echo: limits.echo, skip: limits.on_slow == OnSlow::Skip, kinds: limits.kinds }
    }
}

/// All channels' sequences.
#[derive(Debug)]
pub(super) struct Book {
    /// What holds in each.
    manners: Vec<Manners>,
    channels: Vec<Vec<Entry>>,
    /// Lengths at the start of the turn.
    before: Vec<usize>,
    receivers: Vec<Receiver>,
    /// Messages accepted of each client.
    pub(super) accepted: Vec<usize>,
    pub(super) names: BTreeMap<PeerId, usize>,
    pub(super) deliveries: u64,
}

impl Book {
    pub(super) fn new(plan: &Plan) -> Self {
        let channels = plan.channels;
        Self {
            manners: (0..channels).map(|channel| Manners::of(plan.at(channel))).collect(),
            channels: vec![Vec::new(); channels],
            before: vec![0; channels],
            receivers: Vec::new(),
            accepted: Vec::new(),
            names: BTreeMap::new(),
            deliveries: 0,
        }
    }

    /// One more client.
    pub(super) fn enter(&mut self) {
        self.receivers.push(Receiver::default());
        self.accepted.push(0);
    }

    pub(super) fn begin_turn(&mut self) {
        self.before.iter_mut().zip(&self.channels).for_each(|(before, channel)| *before = channel.len());
    }

    /// Takes down what the relay accepted.
    pub(super) fn record(&mut self, one: &Accepted, clients: &[Client]) -> Result<(usize, usize), String> {
        let sender = *self.names.get(&one.sender).ok_or_else(|| format!("{} is nobody", one.sender))?;
        let client = &clients[sender];
        let n = self.accepted[sender];
        if one.channel != path(client.channel) {
            return Err(format!("law 11: client {sender} of {} spoke in {}", client.channel, one.channel));
        }
        let kind = if one.text { frame::Kind::Text } else { frame::Kind::Binary };
        if !client.may.publish || !self.manners[client.channel].kinds.take(kind) {
            return Err(format!("client {sender} published {kind:?}, which it may not: {:?}", client.may));
        }
        match client.sent.get(n) {
            Some(sent) if sent.text == one.text && sent.payload == one.payload => {}
            _ => return Err(format!("law 11: client {sender}'s message {n} is not what it sent")),
        }
        self.accepted[sender] += 1;
        self.channels[client.channel].push(Entry { sender, n });
        Ok((sender, n))
    }

    /// Notes where a client may have joined: `asked` when the relay has read its request, `answered` when it wrote.
    pub(super) fn place(&mut self, client: &Client, asked: bool, answered: bool) {
        let receiver = &mut self.receivers[client.number];
        if asked && receiver.joined_from.is_none() {
            receiver.joined_from = Some(self.before[client.channel]);
        }
        if let (true, true, Some(from)) = (answered, receiver.places.is_empty(), receiver.joined_from) {
            let places = from..=self.channels[client.channel].len();
            receiver.places = places.map(|next| Place { next, missed: 0 }).collect();
        }
    }

    pub(super) fn is_placed(&self, client: usize) -> bool {
        !self.receivers[client].places.is_empty()
    }

    /// Compares one received message with the sequence.
    pub(super) fn receive(&mut self, by: usize, got: &Message, clients: &[Client]) -> Result<(), String> {
        let sequence = &self.channels[clients[by].channel];
        let manners = self.manners[clients[by].channel];
        if !clients[by].may.subscribe {
            return Err(format!("client {by} may not listen, and got {} bytes", got.payload.len()));
        }
        let receiver = &mut self.receivers[by];
        let follow = |place: &Place| follow(*place, sequence, got, by, clients, manners);
        let mut places: Vec<Place> = receiver.places.iter().filter_map(follow).collect();
        places.sort_unstable_by_key(|place| (place.next, place.missed));
        places.dedup_by_key(|place| place.next);
        if places.is_empty() {
            let (count, stood) = (receiver.received, &receiver.places);
            let letter = Letter::read(&got.payload);
            let what = format!("{} bytes, text {}, {letter:?}", got.payload.len(), got.text);
            let due = stood.first().and_then(|place| sequence.get(place.next));
            return Err(format!("law 7: client {by} got {what} after {count}; due was {due:?} at {stood:?}"));
        }
        receiver.places = places;
        receiver.received += 1;
        self.deliveries += 1;
        Ok(())
    }

    /// Whether the client got everything that was accepted for it so far.
    pub(super) fn is_complete(&self, client: &Client) -> bool {
        let sequence = &self.channels[client.channel];
        let echo = self.manners[client.channel].echo;
        if !client.may.subscribe {
            return true;
        }
        let is_due = |entry: &Entry| echo || entry.sender != client.number;
        let is_end = |place: &Place| !sequence[place.next..].iter().any(is_due);
        self.receivers[client.number].places.iter().any(is_end)
    }

    /// Messages that receivers are known to have missed.
    pub(super) fn missed(&self) -> u64 {
        let least = |receiver: &Receiver| receiver.places.iter().map(|place| place.missed).min();
        self.receivers.iter().filter_map(least).sum()
    }

    pub(super) fn published(&self) -> u64 {
        self.channels.iter().map(|channel| channel.len() as u64).sum()
    }
}

/// Where a receiver stands that stood at `place` and got `got`; nowhere, if that cannot be.
fn follow(
    place: Place,
    sequence: &[Entry],
    got: &Message,
    by: usize,
    clients: &[Client],
    manners: Manners,
) -> Option<Place> {
    let Place { next, mut missed } = place;
    for (at, entry) in sequence.iter().enumerate().skip(next) {
        if !manners.echo && entry.sender == by {
            continue;
        }
        if clients[entry.sender].sent[entry.n] == *got {
            return Some(Place { next: at + 1, missed });
        }
        if !manners.skip {
            return None;
        }
        missed += 1;
    }
    None
}
