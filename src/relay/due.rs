//! The `due` list: who is to be written to, in the order in which they are served.
//!
//! Owns two queues that are served by turns, so that each has at least half of every turn's writes: one for the first
//! few of each channel that wait, and for those who have no channel yet or any more; the other for the rest of crowded
//! channels. So a channel of ten thousand peers, served in slices over many turns, does not keep a pair on another one
//! waiting, and thousands of pairs do not keep the crowd waiting, nor newcomers: nobody waits more than twice as long
//! as in one queue of all. Leaves to others: who belongs on the list (law 10), and the budgets.

use crate::{channel::ChannelId, id::PeerId};
use std::collections::VecDeque;

/// So many of one channel may wait among the few.
const FEW: u32 = 4;

/// The peers that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Each with its channel's place in `waiting`.
    few: VecDeque<(PeerId, Option<ChannelId>)>,
    crowd: VecDeque<PeerId>,
    /// How many of each channel stand among the few.
    waiting: Vec<u32>,
    /// How many of each queue are to be served in this turn, at most: those who were there when it began.
    left: (usize, usize),
    /// The crowd comes next.
    crowd_next: bool,
}

impl Due {
    pub(super) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.crowd.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PeerId> {
        self.few.iter().map(|(id, _)| id).chain(&self.crowd)
    }

    /// Puts a peer behind the others.
    pub(super) fn push(&mut self, channel: Option<ChannelId>, id: PeerId) {
        match self.waiting_of(channel) {
            Some(waiting) if *waiting == FEW => self.crowd.push_back(id),
            waiting => {
                waiting.into_iter().for_each(|waiting| *waiting += 1);
                self.few.push_back((id, channel));
            }
        }
    }

    fn waiting_of(&mut self, channel: Option<ChannelId>) -> Option<&mut u32> {
        let place = channel? as usize;
        if place >= self.waiting.len() {
            self.waiting.resize(place + 1, 0);
        }
        self.waiting.get_mut(place)
    }

    /// From here on `pop` gives those who are there now, each once, however often it is put back.
    pub(super) fn begin(&mut self) {
        self.left = (self.few.len(), self.crowd.len());
    }

    /// The next one of this turn.
    pub(super) fn pop(&mut self) -> Option<PeerId> {
        self.crowd_next = !self.crowd_next;
        if self.left.1 > 0 && (self.crowd_next || self.left.0 == 0) {
            self.left.1 -= 1;
            return self.crowd.pop_front();
        }
        self.left.0 = self.left.0.checked_sub(1)?;
        let (id, channel) = self.few.pop_front()?;
        self.waiting_of(channel).into_iter().for_each(|waiting| *waiting -= 1);
        Some(id)
    }

    /// Nobody is left anywhere: nothing is kept for nobody.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(due: &mut Due, channel: Option<ChannelId>, slots: std::ops::Range<u32>) {
        slots.for_each(|slot| due.push(channel, PeerId { slot, serial: 0 }));
    }

    fn popped(due: &mut Due, most: usize) -> Vec<u32> {
        due.begin();
        std::iter::from_fn(|| due.pop()).take(most).map(|id| id.slot).collect()
    }

    #[test]
    fn the_first_of_each_channel_and_the_crowd_are_served_by_turns() {
        let mut due = Due::default();
        push(&mut due, Some(7), 0..10);
        push(&mut due, Some(0), 20..22);
        push(&mut due, None, 30..31);
        assert_eq!(due.iter().count(), 13);
        assert_eq!(popped(&mut due, 8), [4, 0, 5, 1, 6, 2, 7, 3]);
        // There is room among the few again, behind those who were there before.
        push(&mut due, Some(7), 40..45);
        assert_eq!(popped(&mut due, 20), [8, 20, 9, 21, 44, 30, 40, 41, 42, 43]);
        assert!(due.is_empty());
    }

    #[test]
    fn who_is_put_back_while_others_are_served_comes_in_the_next_turn() {
        let mut due = Due::default();
        push(&mut due, Some(0), 0..7);
        due.begin();
        let first = [due.pop(), due.pop()].map(Option::unwrap);
        first.into_iter().for_each(|id| due.push(Some(0), id));
        let rest = std::iter::from_fn(|| due.pop()).map(|id| id.slot).collect::<Vec<_>>();
        assert_eq!((first.map(|id| id.slot), rest), ([4, 0], vec![5, 1, 6, 2, 3]));
        assert_eq!(popped(&mut due, 9).len(), 2);
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let mut due = Due::default();
        push(&mut due, Some(5000), 0..10_000);
        assert_eq!(popped(&mut due, 10_000).len(), 10_000);
        due.forget();
        assert_eq!((due.waiting.capacity(), due.few.capacity(), due.crowd.capacity()), (0, 0, 0));
    }
}
