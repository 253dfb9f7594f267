//! Channels: a path, the peers seated on it, and their backlog.
//!
//! Owns the look-up by path, the seats, the sum of all backlogs' memory, and how much of each channel has not yet
//! been offered to everybody who would take it. Promises: a channel is made with its first seat and nothing of it
//! stays after its last. Leaves to others: who is slow, who is read, and every write.

use crate::{
    backlog::Backlog,
    backlog::Cursor,
    event_stream::Form,
    frame::{Header, Kind},
    id::PeerId,
};
use slab::Slab;
use std::collections::{BTreeMap, VecDeque};

/// The name of a channel while it has members.
pub(crate) type ChannelId = u32;

/// A peer's place in a channel.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) channel: ChannelId,
    /// Where the peer stands among the channel's members.
    pub(crate) index: u32,
    pub(crate) cursor: Cursor,
}

/// One channel.
#[derive(Debug)]
pub(crate) struct Channel {
    path: Box<str>,
    members: Vec<PeerId>,
    /// How many of them get nothing of what comes from now on.
    ending: u32,
    backlog: Backlog,
    /// All before it was offered to every member whose socket takes bytes.
    offered: u64,
    /// On the list of those with news for their members.
    stirred: bool,
    /// On the list of those that are not `offered` to the end.
    unsettled: bool,
    /// Members that are not read until more is offered, the longest waiting first.
    waiting: VecDeque<PeerId>,
}

/// All channels.
#[derive(Debug)]
pub(crate) struct Channels {
    slots: Slab<Channel>,
    by_path: BTreeMap<Box<str>, ChannelId>,
    stirred: Vec<ChannelId>,
    unsettled: Vec<ChannelId>,
    /// Memory of all backlogs.
    allocated: usize,
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slab::new(),
            by_path: BTreeMap::new(),
            stirred: Vec::new(),
            unsettled: Vec::new(),
            allocated: 0,
        }
    }

    /// Seats a peer at the end of the channel's backlog.
    pub(crate) fn join(&mut self, path: &str, id: PeerId) -> Seat {
        let channel = match self.by_path.get(path) {
            Some(channel) => *channel,
            None => self.make(path),
        };
        let slot = &mut self.slots[channel as usize];
        let index = slot.members.len() as u32;
        slot.members.push(id);
        Seat { channel, index, cursor: slot.backlog.join() }
    }

    fn make(&mut self, path: &str) -> ChannelId {
        let channel = self.slots.insert(Channel {
            path: path.into(),
            members: Vec::new(),
            ending: 0,
            backlog: Backlog::new(),
            offered: 0,
            stirred: false,
            unsettled: false,
            waiting: VecDeque::new(),
        }) as ChannelId;
        self.by_path.insert(path.into(), channel);
        channel
    }

    /// Gives up a seat. Answers with the member that moved to its index, if one did.
    pub(crate) fn leave(&mut self, seat: Seat) -> Option<PeerId> {
        let Seat { channel, index, cursor } = seat;
        self.edit(channel, |slot| {
            slot.ending -= u32::from(cursor.is_ending());
            slot.backlog.leave(cursor);
            slot.members.swap_remove(index as usize);
        });
        let members = &self.slots[channel as usize].members;
        let moved = members.get(index as usize).copied();
        if members.is_empty() {
            self.vanish(channel);
        }
        moved
    }

    fn vanish(&mut self, channel: ChannelId) {
        let gone = self.slots.remove(channel as usize);
        self.by_path.remove(&gone.path);
        if gone.stirred {
            self.stirred.retain(|other| *other != channel);
        }
        if gone.unsettled {
            self.unsettled.retain(|other| *other != channel);
        }
        if self.slots.is_empty() {
            *self = Self::new();
        }
    }

    /// Appends a message to the sender's channel.
    pub(crate) fn publish(&mut self, seat: &mut Seat, echo: bool, header: &Header, payload: &[u8]) {
        self.append(seat.channel, header, payload, (!echo).then_some(&mut seat.cursor));
    }

    /// Nothing of what comes from now on is for this member.
    pub(crate) fn end(&mut self, seat: &mut Seat) {
        let slot = &mut self.slots[seat.channel as usize];
        slot.ending += u32::from(!seat.cursor.is_ending());
        seat.cursor.end_at(slot.backlog.end());
    }

    /// The channel of this path, if it has members.
    pub(crate) fn find(&self, path: &str) -> Option<ChannelId> {
        self.by_path.get(path).copied()
    }

    /// Members of the channel of this path that get what comes from now on.
    pub(crate) fn open_members(&self, path: &str) -> usize {
        self.find(path).map_or(0, |channel| {
            let slot = &self.slots[channel as usize];
            slot.members.len() - slot.ending as usize
        })
    }

    /// Appends a message of nobody's to the channel of this path, if anybody is to get it. Says to how many slots.
    pub(crate) fn announce(&mut self, path: &str, kind: Kind, payload: &[u8]) -> usize {
        let Some(channel) = self.find(path).filter(|_| self.open_members(path) > 0) else { return 0 };
        self.append(channel, &Header::new(kind, payload.len()), payload, None);
        1
    }

    /// Appends a message, except for its sender, and notes that there is news.
    fn append(&mut self, channel: ChannelId, header: &Header, payload: &[u8], sender: Option<&mut Cursor>) {
        let (stirred, unsettled) = self.edit(channel, |slot| {
            slot.backlog.append(header, payload, sender);
            (std::mem::replace(&mut slot.stirred, true), std::mem::replace(&mut slot.unsettled, true))
        });
        if !stirred {
            self.stirred.push(channel);
        }
        if !unsettled {
            self.unsettled.push(channel);
        }
    }

    /// The peer got `len` more bytes of its channel. Says how many messages it now has wholly.
    pub(crate) fn advance(&mut self, seat: &mut Seat, len: usize) -> u64 {
        self.edit(seat.channel, |slot| slot.backlog.advance(&mut seat.cursor, len))
    }

    /// The rest of the peer's partly written frame comes from elsewhere.
    pub(crate) fn pass_rest(&mut self, seat: &mut Seat) {
        self.edit(seat.channel, |slot| slot.backlog.pass_rest(&mut seat.cursor));
    }

    /// Moves the peer on to the newest message. Says how many it will not get.
    pub(crate) fn skip(&mut self, seat: &mut Seat) -> u64 {
        self.edit(seat.channel, |slot| slot.backlog.skip(&mut seat.cursor))
    }

    /// Does something to a channel and keeps the sum of memory right.
    fn edit<R>(&mut self, channel: ChannelId, change: impl FnOnce(&mut Channel) -> R) -> R {
        let slot = &mut self.slots[channel as usize];
        let before = slot.backlog.allocated();
        let result = change(slot);
        self.allocated = self.allocated + slot.backlog.allocated() - before;
        result
    }

    pub(crate) fn backlog(&self, channel: ChannelId) -> &Backlog {
        &self.slots[channel as usize].backlog
    }

    /// The form in which the members of a slot get its messages.
    pub(crate) fn form(&self, _: ChannelId) -> Form {
        Form::Frames
    }

    pub(crate) fn path(&self, channel: ChannelId) -> &str {
        &self.slots[channel as usize].path
    }

    pub(crate) fn members(&self, channel: ChannelId) -> &[PeerId] {
        &self.slots[channel as usize].members
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Memory of all backlogs together.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated
    }

    /// Bytes that were not yet offered to somebody who would take them.
    pub(crate) fn unoffered(&self, channel: ChannelId) -> u64 {
        let slot = &self.slots[channel as usize];
        slot.backlog.end() - slot.offered
    }

    /// Whether a member lacks more than `limit` bytes of others' messages.
    pub(crate) fn lags_above(&self, seat: &Seat, limit: usize) -> bool {
        self.backlog(seat.channel).lag(&seat.cursor) > limit as u64
    }

    /// Whether a member stands before anything that nobody with a socket that takes bytes still needs. Good at the
    /// end of a turn, when `offered` is up to date.
    pub(crate) fn pins(&self, seat: &Seat) -> bool {
        seat.cursor.pos() < self.slots[seat.channel as usize].offered
    }

    /// A member is not read until more is offered.
    pub(crate) fn hold(&mut self, channel: ChannelId, id: PeerId) {
        self.slots[channel as usize].waiting.push_back(id);
    }

    /// The next channel with news for its members.
    pub(crate) fn next_stirred(&mut self) -> Option<ChannelId> {
        let channel = self.stirred.pop()?;
        self.slots[channel as usize].stirred = false;
        Some(channel)
    }

    /// Everything was offered to everybody in the unsettled channels, except as `lower_offered` says next.
    pub(crate) fn raise_offered(&mut self) {
        for channel in &self.unsettled {
            let slot = &mut self.slots[*channel as usize];
            slot.offered = slot.backlog.end();
        }
    }

    /// A member that would take bytes was not offered those from `pos` on.
    pub(crate) fn lower_offered(&mut self, channel: ChannelId, pos: u64) {
        let slot = &mut self.slots[channel as usize];
        slot.offered = slot.offered.min(pos);
        if !std::mem::replace(&mut slot.unsettled, true) {
            self.unsettled.push(channel);
        }
    }

    /// Takes the settled channels off their list. Gives those who waited for one with at most `hold` unoffered
    /// bytes to `release`, the longest waiting last.
    pub(crate) fn settle(&mut self, hold: u64, mut release: impl FnMut(PeerId)) {
        let slots = &mut self.slots;
        self.unsettled.retain(|channel| {
            let slot = &mut slots[*channel as usize];
            let unoffered = slot.backlog.end() - slot.offered;
            if unoffered <= hold {
                std::mem::take(&mut slot.waiting).into_iter().rev().for_each(&mut release);
            }
            slot.unsettled = unoffered > 0;
            slot.unsettled
        });
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Channels {
    /// Checks every count against the members' cursors (laws 7, 9, 11).
    pub(crate) fn audit<'a>(&'a self, seat_of: impl Fn(PeerId) -> Option<&'a Seat>) -> Result<(), String> {
        let mut allocated = 0;
        for (channel, slot) in &self.slots {
            if slot.members.is_empty() || self.by_path.get(&slot.path) != Some(&(channel as ChannelId)) {
                return Err(format!("channel {} has nobody or cannot be found", slot.path));
            }
            let mut cursors = Vec::new();
            for (index, id) in slot.members.iter().enumerate() {
                match seat_of(*id) {
                    Some(seat) if seat.channel == channel as ChannelId && seat.index as usize == index => {
                        cursors.push(&seat.cursor);
                    }
                    _ => return Err(format!("{id} is a member of {} without a seat there", slot.path)),
                }
            }
            let ending = cursors.iter().filter(|cursor| cursor.is_ending()).count();
            if ending != slot.ending as usize {
                return Err(format!("{ending} members of {} are ending, {} are counted", slot.path, slot.ending));
            }
            slot.backlog.audit(&cursors).map_err(|what| format!("{}: {what}", slot.path))?;
            allocated += slot.backlog.allocated();
            if slot.stirred || slot.unsettled != self.unsettled.contains(&(channel as ChannelId)) {
                return Err(format!("{} stands on the wrong lists", slot.path));
            }
        }
        if allocated != self.allocated || self.by_path.len() != self.slots.len() {
            return Err(format!("backlogs hold {allocated} bytes, {} are counted", self.allocated));
        }
        Ok(())
    }

    /// Paths of the channels of which more than `hold` bytes are unoffered.
    pub(crate) fn over(&self, hold: u64) -> Vec<Box<str>> {
        let over = self.slots.iter().filter(|(_, slot)| slot.backlog.end() - slot.offered > hold);
        over.map(|(_, slot)| slot.path.clone()).collect()
    }

    pub(crate) fn is_waiting(&self, channel: ChannelId, id: PeerId) -> bool {
        self.slots[channel as usize].waiting.contains(&id)
    }
}
