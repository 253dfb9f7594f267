//! The `due` list: who is to be written to, in the order in which they are served.
//!
//! Owns one queue for each channel, the lanes, and serves them in rotation: a channel of ten thousand peers, served in
//! slices over many turns, delays those of another channel by one write at a time and not by all of its own. Within a
//! lane the longest waiting come first. Leaves to others: who belongs on the list (law 10), and the budgets.

use crate::{channel::ChannelId, id::PeerId};
use std::collections::VecDeque;

/// A lane that has room for more gives its memory back when it is empty.
const KEEP: usize = 64;

/// The peers that are due, by lane.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// One for those without a channel, then one for each channel that ever was in its place.
    lanes: Vec<VecDeque<PeerId>>,
    /// The lanes that hold somebody, each once, in the order in which they are served.
    rotation: VecDeque<usize>,
    /// Between `begin` and `end`: who came meanwhile, for the next turn.
    later: Option<Vec<(usize, PeerId)>>,
}

impl Due {
    pub(super) fn is_empty(&self) -> bool {
        self.rotation.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PeerId> {
        self.rotation.iter().flat_map(|lane| &self.lanes[*lane])
    }

    /// Puts a peer behind the others of its channel.
    pub(super) fn push(&mut self, channel: Option<ChannelId>, id: PeerId) {
        let lane = channel.map_or(0, |channel| channel as usize + 1);
        match &mut self.later {
            Some(later) => later.push((lane, id)),
            None => self.enter(lane, id),
        }
    }

    fn enter(&mut self, lane: usize, id: PeerId) {
        if lane >= self.lanes.len() {
            self.lanes.resize_with(lane + 1, VecDeque::new);
        }
        if self.lanes[lane].is_empty() {
            self.rotation.push_back(lane);
        }
        self.lanes[lane].push_back(id);
    }

    /// From here to `end`, `pop` gives each peer once at most, however often it is put back.
    pub(super) fn begin(&mut self) {
        self.later = Some(Vec::new());
    }

    pub(super) fn end(&mut self) {
        for (lane, id) in self.later.take().unwrap_or_default() {
            self.enter(lane, id);
        }
    }

    /// The next one of the next lane.
    pub(super) fn pop(&mut self) -> Option<PeerId> {
        let lane = self.rotation.pop_front()?;
        let queue = &mut self.lanes[lane];
        let id = queue.pop_front();
        if !queue.is_empty() {
            self.rotation.push_back(lane);
        } else if queue.capacity() > KEEP {
            *queue = VecDeque::new();
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(slot: u32) -> PeerId {
        PeerId { slot, serial: 0 }
    }

    fn popped(due: &mut Due, most: usize) -> Vec<u32> {
        std::iter::from_fn(|| due.pop()).take(most).map(|id| id.slot).collect()
    }

    #[test]
    fn channels_are_served_in_rotation_and_their_peers_in_order() {
        let mut due = Due::default();
        (0..5).for_each(|slot| due.push(Some(7), peer(slot)));
        (10..12).for_each(|slot| due.push(Some(0), peer(slot)));
        due.push(None, peer(20));
        assert_eq!(due.iter().count(), 8);
        assert_eq!(popped(&mut due, 4), [0, 10, 20, 1]);
        // Those who come later wait for no more than one of each other channel.
        due.push(Some(3), peer(30));
        assert_eq!(popped(&mut due, 9), [11, 2, 30, 3, 4]);
        assert!(due.is_empty());
    }

    #[test]
    fn who_is_put_back_while_others_are_served_comes_in_the_next_turn() {
        let mut due = Due::default();
        (0..3).for_each(|slot| due.push(Some(0), peer(slot)));
        due.begin();
        let first = due.pop().unwrap();
        due.push(Some(0), first);
        due.push(Some(1), peer(9));
        assert_eq!(popped(&mut due, 9), [1, 2]);
        due.end();
        assert_eq!(popped(&mut due, 9), [0, 9]);
    }

    #[test]
    fn a_long_lane_gives_its_memory_back() {
        let mut due = Due::default();
        (0..10_000).for_each(|slot| due.push(None, peer(slot)));
        assert_eq!(popped(&mut due, 10_000).len(), 10_000);
        assert_eq!(due.lanes[0].capacity(), 0);
    }
}
