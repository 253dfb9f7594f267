//! The roster: who is in which slot.
//!
//! Owns the slab and the serials. Nobody else indexes the slab: every look-up takes a `PeerId` and answers an
//! `Option`, so that an id of a peer that has left finds nobody (mio delivers events of the same batch to a key that
//! was given away again).

use crate::{
    canary::{self, Canary},
    id::PeerId,
};
use slab::Slab;

#[derive(Debug)]
struct Slot<P> {
    serial: u32,
    peer: P,
}

impl<P> Slot<P> {
    fn is_of(&self, id: PeerId) -> bool {
        self.serial == id.serial || canary::sings(Canary::LookupWithoutSerial)
    }
}

/// Peers by id.
#[derive(Debug)]
pub(crate) struct Roster<P> {
    slots: Slab<Slot<P>>,
    /// The serial of the next tenant of any slot.
    next_serial: u32,
}

impl<P> Roster<P> {
    pub(crate) fn new() -> Self {
        Self { slots: Slab::new(), next_serial: 0 }
    }

    /// Gives the peer a free slot and a fresh serial.
    pub(crate) fn insert(&mut self, peer: P) -> PeerId {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let slot = self.slots.insert(Slot { serial, peer });
        PeerId { slot: slot as u32, serial }
    }

    /// Frees the slot.
    pub(crate) fn remove(&mut self, id: PeerId) -> Option<P> {
        self.get(id)?;
        let peer = self.slots.remove(id.slot as usize).peer;
        if self.slots.is_empty() {
            // What a crowd needed is not kept for nobody.
            self.slots = Slab::new();
        }
        Some(peer)
    }

    pub(crate) fn get_mut(&mut self, id: PeerId) -> Option<&mut P> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.is_of(id)).map(|slot| &mut slot.peer)
    }

    pub(crate) fn get(&self, id: PeerId) -> Option<&P> {
        self.slots.get(id.slot as usize).filter(|slot| slot.is_of(id)).map(|slot| &slot.peer)
    }

    /// All peers in the order of their slots, which is the same in every replay.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerId, &P)> {
        self.slots
            .iter()
            .map(|(slot, entry)| (PeerId { slot: slot as u32, serial: entry.serial }, &entry.peer))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_former_tenant_finds_nobody() {
        let mut roster = Roster::new();
        let old = roster.insert("old");
        roster.insert("stays");
        assert_eq!(roster.remove(old), Some("old"));
        let new = roster.insert("new");
        assert_eq!(new.slot, old.slot, "the slot is used again");
        assert_eq!(roster.get(old), None);
        assert_eq!(roster.get_mut(old), None);
        assert_eq!(roster.remove(old), None, "the newcomer stays");
        assert_eq!(roster.get(new), Some(&"new"));
    }

    #[test]
    fn an_empty_roster_holds_no_memory() {
        let mut roster = Roster::new();
        let ids = (0..1000).map(|n| roster.insert(n)).collect::<Vec<_>>();
        assert!(roster.slots.capacity() >= 1000);
        assert!(ids.into_iter().all(|id| roster.remove(id).is_some()));
        assert_eq!(roster.slots.capacity(), 0);
    }

    #[test]
    fn serials_go_on_over_the_end_of_their_range() {
        let mut roster = Roster::new();
        roster.next_serial = u32::MAX;
        let last = roster.insert(1);
        let first = roster.insert(2);
        assert_eq!((last.serial, first.serial), (u32::MAX, 0));
        assert_eq!(roster.iter().map(|(id, _)| id).collect::<Vec<_>>(), [last, first]);
        assert_eq!(roster.len(), 2);
    }
}
