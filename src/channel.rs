//! Channels: a path, the peers seated on it, and their backlog.
//!
//! A path that is read in both wire forms has a slot for each, with members and a backlog of its own; the two are twins,
//! and each message is appended to both. Owns the look-up by path, the seats, the sum of all backlogs' memory, and how
//! much of each slot has not yet been offered to everybody who would take it. Promises: a slot is made with its first
//! seat and nothing of it stays after its last, so that nothing is encoded in a form that nobody reads. Leaves to others:
//! who is slow, who is read, and every write.

use crate::{
    backlog::{Backlog, Cursor},
    canary::{self, Canary},
    event_stream::{self, Form},
    frame::{Header, Kind},
    id::PeerId,
};
use slab::Slab;
use std::collections::{BTreeMap, VecDeque};

/// The name of a channel's slot while it has members.
pub(crate) type ChannelId = u32;

/// A peer's place in a channel.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) channel: ChannelId,
    /// Where the peer stands among the channel's members.
    pub(crate) index: u32,
    pub(crate) cursor: Cursor,
}

/// One channel, in one form.
#[derive(Debug)]
pub(crate) struct Channel {
    path: Box<str>,
    form: Form,
    /// The same channel in the other form, while that has members.
    twin: Option<ChannelId>,
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
    /// The slots of each path, by form; at least one.
    by_path: BTreeMap<Box<str>, [Option<ChannelId>; 2]>,
    stirred: Vec<ChannelId>,
    unsettled: Vec<ChannelId>,
    /// Memory of all backlogs.
    allocated: usize,
    /// Bytes of all events that were encoded; begins anew when the last channel has gone.
    encoded: usize,
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slab::new(),
            by_path: BTreeMap::new(),
            stirred: Vec::new(),
            unsettled: Vec::new(),
            allocated: 0,
            encoded: 0,
        }
    }

    /// Seats a peer at the end of the channel's backlog in this form.
    /// Nothing is for one that does not `listen`.
    pub(crate) fn join(&mut self, path: &str, form: Form, listens: bool, id: PeerId) -> Seat {
        let known = self.by_path.get(path).and_then(|slots| slots[form as usize]);
        let channel = known.unwrap_or_else(|| self.make(path, form));
        let listens = listens || canary::sings(Canary::DeafHears);
        let slot = &mut self.slots[channel as usize];
        let index = slot.members.len() as u32;
        slot.members.push(id);
        slot.ending += u32::from(!listens);
        let cursor = if listens { slot.backlog.join() } else { slot.backlog.join_deaf() };
        Seat { channel, index, cursor }
    }

    fn make(&mut self, path: &str, form: Form) -> ChannelId {
        let slots = self.by_path.entry(path.into()).or_default();
        let twin = slots[form.other() as usize];
        let channel = self.slots.insert(Channel {
            path: path.into(),
            form,
            twin,
            members: Vec::new(),
            ending: 0,
            backlog: Backlog::new(),
            offered: 0,
            stirred: false,
            unsettled: false,
            waiting: VecDeque::new(),
        }) as ChannelId;
        slots[form as usize] = Some(channel);
        if let Some(twin) = twin {
            self.slots[twin as usize].twin = Some(channel);
        }
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
        if gone.stirred {
            self.stirred.retain(|other| *other != channel);
        }
        if gone.unsettled {
            self.unsettled.retain(|other| *other != channel);
        }
        match gone.twin {
            Some(twin) => self.bereave(twin, &gone),
            None => drop(self.by_path.remove(&gone.path)),
        }
        if self.slots.is_empty() {
            *self = Self::new();
        }
    }

    /// A twin is alone from now on. Who waited there for the other one is let go on when things are settled.
    fn bereave(&mut self, twin: ChannelId, gone: &Channel) {
        if let Some(slots) = self.by_path.get_mut(&gone.path) {
            slots[gone.form as usize] = None;
        }
        let slot = &mut self.slots[twin as usize];
        slot.twin = None;
        if !std::mem::replace(&mut slot.unsettled, true) {
            self.unsettled.push(twin);
        }
    }

    /// Nothing of what comes from now on is for this member.
    pub(crate) fn end(&mut self, seat: &mut Seat) {
        let slot = &mut self.slots[seat.channel as usize];
        slot.ending += u32::from(!seat.cursor.is_ending());
        seat.cursor.end_at(slot.backlog.end());
    }

    /// The slots of a path, one for each form in which it is read.
    pub(crate) fn slots_of(&self, path: &str) -> impl Iterator<Item = ChannelId> + use<> {
        self.by_path.get(path).copied().unwrap_or_default().into_iter().flatten()
    }

    /// One of the slots of this path, if it has members.
    pub(crate) fn find(&self, path: &str) -> Option<ChannelId> {
        self.slots_of(path).next()
    }

    /// Members of the channel of this path, in both forms, that get what comes from now on.
    pub(crate) fn open_members(&self, path: &str) -> usize {
        self.slots_of(path).map(|channel| self.slots[channel as usize].open()).sum()
    }

    /// Members of the channel of this path, in both forms, those included that are leaving.
    pub(crate) fn members_of(&self, path: &str) -> usize {
        self.slots_of(path).map(|channel| self.slots[channel as usize].members.len()).sum()
    }

    /// Appends a message to the sender's channel, and to its twin while somebody reads that.
    pub(crate) fn publish(&mut self, seat: &mut Seat, echo: bool, kind: Kind, payload: &[u8]) {
        let header = Header::new(kind, payload.len());
        let sender = (!echo && !seat.cursor.is_deaf()).then_some(&mut seat.cursor);
        let twin = self.append(seat.channel, header.as_bytes(), payload, sender);
        if let Some(twin) = twin {
            self.append_alone(twin, kind, payload);
        }
    }

    /// Appends a message of nobody's to the channel of this path, where anybody is to get it. Says to how many slots.
    pub(crate) fn announce(&mut self, path: &str, kind: Kind, payload: &[u8]) -> usize {
        self.slots_of(path).filter(|channel| self.append_alone(*channel, kind, payload)).count()
    }

    /// Appends a message of none of its members to one slot, in its form, unless nobody is to get it.
    fn append_alone(&mut self, channel: ChannelId, kind: Kind, payload: &[u8]) -> bool {
        if self.slots[channel as usize].open() == 0 {
            return false;
        }
        let header = Header::new(kind, payload.len());
        let event = (self.form(channel) == Form::Events).then(|| event_stream::event(kind, payload));
        self.encoded = self.encoded.wrapping_add(event.as_ref().map_or(0, Vec::len));
        let (header, payload) = match &event {
            Some(event) => (&[][..], &event[..]),
            None => (header.as_bytes(), payload),
        };
        self.append(channel, header, payload, None);
        true
    }

    /// Appends an encoded message, which comes in two parts, to one slot, except for its sender, and notes that there is
    /// news. Says which slot is its twin.
    #[inline(never)] // one piece for all who call it, with all of the backlog in it; hence no `edit`
    fn append(
        &mut self,
        channel: ChannelId,
        header: &[u8],
        payload: &[u8],
        sender: Option<&mut Cursor>,
    ) -> Option<ChannelId> {
        let slot = &mut self.slots[channel as usize];
        let before = slot.backlog.allocated();
        slot.backlog.append(header, payload, sender);
        self.allocated = self.allocated + slot.backlog.allocated() - before;
        let stirred = std::mem::replace(&mut slot.stirred, true);
        let unsettled = std::mem::replace(&mut slot.unsettled, true);
        let twin = slot.twin;
        let is_told = stirred || header.is_empty() && canary::sings(Canary::TwinNotStirred);
        if !is_told {
            self.stirred.push(channel);
        }
        if !unsettled {
            self.unsettled.push(channel);
        }
        twin
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
    pub(crate) fn form(&self, channel: ChannelId) -> Form {
        self.slots[channel as usize].form
    }

    pub(crate) fn path(&self, channel: ChannelId) -> &str {
        &self.slots[channel as usize].path
    }

    pub(crate) fn members(&self, channel: ChannelId) -> &[PeerId] {
        &self.slots[channel as usize].members
    }

    /// Paths that are read.
    pub(crate) fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Bytes of all events that were encoded since there are channels.
    pub(crate) fn encoded(&self) -> usize {
        self.encoded
    }

    /// Memory of all backlogs together.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated
    }

    /// Bytes that were not yet offered to somebody who would take them, in the form that has more of them.
    pub(crate) fn unoffered(&self, channel: ChannelId) -> u64 {
        let slot = &self.slots[channel as usize];
        match slot.twin.filter(|_| !canary::sings(Canary::TwinOverlooked)) {
            Some(twin) => slot.unoffered().max(self.slots[twin as usize].unoffered()),
            None => slot.unoffered(),
        }
    }

    /// Whether a member lacks more than `limit` bytes of others' messages.
    pub(crate) fn lags_above(&self, seat: &Seat, limit: usize) -> bool {
        self.backlog(seat.channel).lag(&seat.cursor) > limit as u64
    }

    /// Whether a member stands before anything that nobody with a socket that takes bytes still needs. Good at the
    /// end of a turn, when `offered` is up to date.
    pub(crate) fn pins(&self, seat: &Seat) -> bool {
        !seat.cursor.is_deaf() && seat.cursor.pos() < self.slots[seat.channel as usize].offered
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

    /// Takes the settled slots off their list. Gives those who waited for a channel with at most `hold` unoffered
    /// bytes in each form to `release`, the longest waiting last.
    pub(crate) fn settle(&mut self, hold: u64, mut release: impl FnMut(PeerId)) {
        let slots = &mut self.slots;
        self.unsettled.retain(|channel| {
            let slot = &mut slots[*channel as usize];
            let (unoffered, twin) = (slot.unoffered(), slot.twin);
            slot.unsettled = unoffered > 0;
            match twin {
                _ if unoffered > hold => {}
                None => slot.let_go(&mut release),
                Some(twin) if slots[twin as usize].unoffered() > hold => {}
                Some(twin) => {
                    [*channel, twin].into_iter().for_each(|one| slots[one as usize].let_go(&mut release))
                }
            }
            unoffered > 0
        });
    }
}

impl Channel {
    /// Members that get what comes from now on.
    fn open(&self) -> usize {
        self.members.len() - self.ending as usize
    }

    fn unoffered(&self) -> u64 {
        self.backlog.end() - self.offered
    }

    fn let_go(&mut self, release: impl FnMut(PeerId)) {
        std::mem::take(&mut self.waiting).into_iter().rev().for_each(release);
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Channels {
    /// Checks every count against the members' cursors (laws 7, 9, 11).
    pub(crate) fn audit<'a>(&'a self, seat_of: impl Fn(PeerId) -> Option<&'a Seat>) -> Result<(), String> {
        let mut allocated = 0;
        for (channel, slot) in &self.slots {
            self.audit_names(channel as ChannelId, slot)?;
            let mut cursors = Vec::new();
            for (index, id) in slot.members.iter().enumerate() {
                match seat_of(*id) {
                    Some(seat) if seat.channel == channel as ChannelId && seat.index as usize == index => {
                        cursors.push(&seat.cursor);
                    }
                    _ => return Err(format!("{id} is a member of {} without a seat there", slot.path)),
                }
            }
            let lacks = |cursor: &&Cursor| slot.backlog.lag(cursor) > 0 || slot.backlog.has_more(cursor);
            if cursors.iter().any(|cursor| cursor.is_deaf() && lacks(cursor)) {
                return Err(format!("a member of {} lacks what is not for it", slot.path));
            }
            let ending = cursors.iter().filter(|cursor| cursor.is_ending()).count();
            if ending != slot.ending as usize {
                return Err(format!(
                    "{ending} members of {} are ending, {} are counted",
                    slot.path, slot.ending
                ));
            }
            slot.backlog.audit(&cursors).map_err(|what| format!("{}: {what}", slot.path))?;
            allocated += slot.backlog.allocated();
            if slot.stirred || slot.unsettled != self.unsettled.contains(&(channel as ChannelId)) {
                return Err(format!("{} stands on the wrong lists", slot.path));
            }
        }
        let named = self.by_path.values().flatten().flatten().count();
        if allocated != self.allocated || named != self.slots.len() {
            return Err(format!("backlogs hold {allocated} bytes, {} are counted", self.allocated));
        }
        Ok(())
    }

    /// Whether a slot is found under its path, and its twin too.
    fn audit_names(&self, channel: ChannelId, slot: &Channel) -> Result<(), String> {
        let slots = self.by_path.get(&slot.path).copied().unwrap_or_default();
        if slot.members.is_empty() || slots[slot.form as usize] != Some(channel) {
            return Err(format!("channel {} has nobody or cannot be found", slot.path));
        }
        if slot.twin != slots[slot.form.other() as usize] {
            return Err(format!("channel {} has another twin than {:?}", slot.path, slot.twin));
        }
        Ok(())
    }

    /// Paths of the channels of which more than `hold` bytes are unoffered, in either form.
    pub(crate) fn over(&self, hold: u64) -> Vec<Box<str>> {
        let over = self.slots.iter().filter(|(_, slot)| slot.unoffered() > hold);
        over.map(|(_, slot)| slot.path.clone()).collect()
    }

    pub(crate) fn is_waiting(&self, channel: ChannelId, id: PeerId) -> bool {
        self.slots[channel as usize].waiting.contains(&id)
    }
}
