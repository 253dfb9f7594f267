//! The roster: who is in which slot.
//!
//! Owns the slabs and the serials. Nobody else indexes a slab: every look-up takes a `PeerId` and answers an `Option`, so
//! that an id of a peer that has left finds nobody (mio delivers events of the same batch to a key that was given away
//! again).
//!
//! The slots lie in pages, a slab each, that never grow: one slab of all would move everybody with each doubling, in one
//! turn, and would hold twice what its crowd needs, or needed. The lowest page with a free slot is filled first, and an
//! empty one holds no memory, so that what a crowd took is given back as it goes.

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

/// Slots of a page: large enough that their own costs do not count, small enough that the allocator reuses their memory.
const PAGE: usize = 64;

/// Peers by id.
#[derive(Debug)]
pub(crate) struct Roster<P> {
    /// The last one is not empty.
    pages: Vec<Slab<Slot<P>>>,
    /// All before it are full.
    first_with_room: usize,
    /// Peers in all pages.
    len: usize,
    /// The serial of the next tenant of any slot.
    next_serial: u32,
}

impl<P> Roster<P> {
    pub(crate) fn new() -> Self {
        Self { pages: Vec::new(), first_with_room: 0, len: 0, next_serial: 0 }
    }

    /// Gives the peer a free slot and a fresh serial.
    pub(crate) fn insert(&mut self, peer: P) -> PeerId {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let page = self.page_with_room();
        let slot = page * PAGE + self.pages[page].insert(Slot { serial, peer });
        self.len += 1;
        PeerId { slot: slot as u32, serial }
    }

    fn page_with_room(&mut self) -> usize {
        while self.pages.get(self.first_with_room).is_some_and(|page| page.len() == PAGE) {
            self.first_with_room += 1;
        }
        match self.pages.get_mut(self.first_with_room) {
            Some(page) if page.is_empty() => *page = Slab::with_capacity(PAGE),
            Some(_) => {}
            None => self.pages.push(Slab::with_capacity(PAGE)),
        }
        self.first_with_room
    }

    /// Frees the slot.
    pub(crate) fn remove(&mut self, id: PeerId) -> Option<P> {
        self.get(id)?;
        let (page, key) = place_of(id);
        let peer = self.pages[page].remove(key).peer;
        self.len -= 1;
        self.first_with_room = self.first_with_room.min(page);
        if self.pages[page].is_empty() {
            self.pages[page] = Slab::new();
            self.trim();
        }
        Some(peer)
    }

    fn trim(&mut self) {
        while self.pages.pop_if(|page| page.is_empty()).is_some() {}
        if self.pages.is_empty() {
            self.pages = Vec::new();
        }
    }

    pub(crate) fn get_mut(&mut self, id: PeerId) -> Option<&mut P> {
        let (page, key) = place_of(id);
        let slot = self.pages.get_mut(page)?.get_mut(key)?;
        slot.is_of(id).then_some(&mut slot.peer)
    }

    pub(crate) fn get(&self, id: PeerId) -> Option<&P> {
        let (page, key) = place_of(id);
        let slot = self.pages.get(page)?.get(key)?;
        slot.is_of(id).then_some(&slot.peer)
    }

    /// All peers in the order of their slots, which is the same in every replay.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerId, &P)> {
        self.pages.iter().enumerate().flat_map(|(page, slots)| {
            slots.iter().map(move |(key, entry)| {
                let slot = (page * PAGE + key) as u32;
                (PeerId { slot, serial: entry.serial }, &entry.peer)
            })
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// The page, and the key there.
fn place_of(id: PeerId) -> (usize, usize) {
    (id.slot as usize / PAGE, id.slot as usize % PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

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

    /// Slots for which there is memory.
    fn capacity<P>(roster: &Roster<P>) -> usize {
        roster.pages.iter().map(Slab::capacity).sum()
    }

    #[test]
    fn memory_goes_with_those_who_needed_it() {
        let mut roster = Roster::new();
        let mut ids = (0..1000).map(|n| roster.insert(n)).collect::<Vec<_>>();
        assert_eq!(capacity(&roster), 1000_usize.next_multiple_of(PAGE));
        let stays = ids.split_off(900);
        assert!(ids.into_iter().all(|id| roster.remove(id).is_some()));
        assert_eq!((roster.len(), capacity(&roster)), (100, 2 * PAGE), "those who stay have two pages");
        assert_eq!(roster.iter().map(|(id, _)| id).collect::<Vec<_>>(), stays);
        assert_eq!(roster.insert(0).slot, 0, "the lowest pages are filled first");
        assert!(
            roster
                .iter()
                .map(|(id, _)| id)
                .collect::<Vec<_>>()
                .into_iter()
                .all(|id| roster.remove(id).is_some())
        );
        assert_eq!((capacity(&roster), roster.pages.capacity()), (0, 0));
    }

    proptest! {
        #[test]
        fn slots_are_dense_and_ids_find_their_peers(script in vec(any::<(bool, u16)>(), 1..600)) {
            let (mut roster, mut there) = (Roster::new(), Vec::new());
            for (nth, (comes, whom)) in script.into_iter().enumerate() {
                if comes || there.is_empty() {
                    there.push((roster.insert(nth), nth));
                } else {
                    let (id, peer) = there.swap_remove(usize::from(whom) % there.len());
                    prop_assert_eq!(roster.remove(id), Some(peer));
                    prop_assert_eq!(roster.get(id), None);
                }
                prop_assert!(there.iter().all(|(id, peer)| roster.get(*id) == Some(peer)));
                prop_assert_eq!(roster.len(), there.len());
                let ids = roster.iter().map(|(id, _)| id.slot).collect::<Vec<_>>();
                prop_assert!(ids.is_sorted() && ids.len() == there.len());
                prop_assert!(capacity(&roster) <= there.len() * PAGE);
            }
        }
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
