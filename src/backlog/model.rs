//! The backlog against a naive model: a queue of whole frames per reader.

use super::{BLOCK_MIN, Backlog, Cursor};
use crate::{
    frame::{Header, Kind},
    slices::Slices,
};
use proptest::prelude::*;
use std::collections::VecDeque;

/// One reader, as simple as can be.
#[derive(Default)]
struct Naive {
    /// Frames to get; the first may be gone in part.
    frames: VecDeque<Vec<u8>>,
    /// Bytes of the first frame that it has.
    taken: usize,
    closed: bool,
}

impl Naive {
    fn bytes(&self) -> Vec<u8> {
        self.frames.iter().flatten().skip(self.taken).copied().collect()
    }

    fn take(&mut self, len: usize) -> u64 {
        self.taken += len;
        let mut whole = 0;
        while self.frames.front().is_some_and(|frame| frame.len() <= self.taken) {
            self.taken -= self.frames.pop_front().unwrap().len();
            whole += 1;
        }
        whole
    }

    fn skip(&mut self) -> u64 {
        let gone = self.frames.len().saturating_sub(1);
        self.frames.drain(..gone);
        gone as u64
    }
}

#[derive(Clone, Debug)]
enum Op {
    Join,
    Leave(usize),
    Publish { sender: usize, echo: bool, len: usize },
    Write { reader: usize, budget: usize, taken: usize },
    Skip(usize),
    SkipAfterFrame(usize),
    Close(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0..6usize;
    let len = prop_oneof![6 => 0..40usize, 2 => 900..1500usize, 1 => 60_000..70_000usize];
    prop_oneof![
        2 => Just(Op::Join),
        1 => who.clone().prop_map(Op::Leave),
        10 => (who.clone(), prop::bool::weighted(0.2), len)
            .prop_map(|(sender, echo, len)| Op::Publish { sender, echo, len }),
        12 => (who.clone(), 1..100_000usize, 0..100_000usize)
            .prop_map(|(reader, budget, taken)| Op::Write { reader, budget, taken }),
        1 => who.clone().prop_map(Op::Skip),
        1 => who.clone().prop_map(Op::SkipAfterFrame),
        1 => who.prop_map(Op::Close),
    ]
}

#[derive(Default)]
struct World {
    readers: Vec<(Cursor, Naive)>,
    published: u8,
}

impl World {
    fn apply(&mut self, backlog: &mut Backlog, op: Op) {
        let count = self.readers.len();
        let index = |n: usize| (count > 0).then(|| n % count.max(1));
        match op {
            Op::Join => self.readers.push((backlog.join(), Naive::default())),
            Op::Leave(n) => index(n).into_iter().for_each(|n| backlog.leave(self.readers.swap_remove(n).0)),
            Op::Publish { sender, echo, len } => self.publish(backlog, index(sender).filter(|_| !echo), len),
            Op::Write { reader, budget, taken } => {
                index(reader).into_iter().for_each(|n| self.write(backlog, n, budget, taken));
            }
            Op::Skip(n) => index(n).into_iter().for_each(|n| self.skip(backlog, n)),
            Op::SkipAfterFrame(n) => index(n).into_iter().for_each(|n| self.skip_after_frame(backlog, n)),
            Op::Close(n) => {
                if let Some(n) = index(n) {
                    let (cursor, naive) = &mut self.readers[n];
                    cursor.end_at(backlog.end());
                    naive.closed = true;
                }
            }
        }
    }

    fn publish(&mut self, backlog: &mut Backlog, sender: Option<usize>, len: usize) {
        let sender = sender.filter(|n| !self.readers[*n].1.closed);
        self.published = self.published.wrapping_add(1);
        let payload = vec![self.published; len];
        let header = Header::new(Kind::Binary, len);
        let frame = [header.as_bytes(), &payload].concat();
        for (n, (_, naive)) in self.readers.iter_mut().enumerate() {
            if !naive.closed && Some(n) != sender {
                naive.frames.push_back(frame.clone());
            }
        }
        backlog.append(&header, &payload, sender.map(|n| &mut self.readers[n].0));
    }

    fn write(&mut self, backlog: &mut Backlog, n: usize, budget: usize, taken: usize) {
        let (cursor, naive) = &mut self.readers[n];
        let mut slices = Slices::new(budget);
        backlog.gather(cursor, &mut slices);
        let offered = slices.as_slices().iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<_>>();
        assert!(naive.bytes().starts_with(&offered));
        assert_eq!(offered.is_empty(), !backlog.has_more(cursor));
        let taken = taken.min(offered.len());
        assert_eq!(backlog.advance(cursor, taken), naive.take(taken));
    }

    fn skip(&mut self, backlog: &mut Backlog, n: usize) {
        let (cursor, naive) = &mut self.readers[n];
        let rest = backlog.rest(cursor).to_vec();
        backlog.pass_rest(cursor);
        assert!(naive.bytes().starts_with(&rest));
        naive.take(rest.len());
        assert_eq!(backlog.skip(cursor), if naive.closed { 0 } else { naive.skip() });
    }

    fn skip_after_frame(&mut self, backlog: &mut Backlog, n: usize) {
        let (cursor, naive) = &mut self.readers[n];
        if naive.closed || !cursor.is_within_frame() {
            return;
        }
        cursor.skip_after_frame();
        let mut slices = Slices::new(usize::MAX);
        backlog.gather(cursor, &mut slices);
        assert_eq!(backlog.lag(cursor), naive.bytes().len() as u64, "what it will skip it still lacks");
        let rest = slices.bytes();
        assert_eq!(rest, backlog.rest(cursor).len(), "only the rest of the frame");
        assert_eq!((backlog.advance(cursor, rest), naive.take(rest)), (1, 1));
        cursor.go_on();
        assert_eq!(backlog.skip(cursor), naive.skip());
    }

    fn check(&self, backlog: &Backlog) {
        backlog.audit(&self.readers.iter().map(|(cursor, _)| cursor).collect::<Vec<_>>()).unwrap();
        for (cursor, naive) in &self.readers {
            assert_eq!(backlog.lag(cursor), naive.bytes().len() as u64);
            assert_eq!(cursor.is_within_frame(), naive.taken > 0);
        }
        // A reader at its limit stands there until it leaves, which the relay has it do at once.
        if self.readers.iter().all(|(_, naive)| naive.frames.is_empty() && !naive.closed) {
            assert_eq!(backlog.allocated(), 0, "everybody has read everything");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn readers_get_what_a_queue_of_their_own_would_give_them(ops in prop::collection::vec(op(), 1..120)) {
        let mut backlog = Backlog::new();
        let mut world = World::default();
        for op in ops {
            // Skipping a closed reader's messages is not among its fates: the model cannot tell what it would miss.
            if let Op::Skip(n) = &op
                && world.readers.get(n % world.readers.len().max(1)).is_none_or(|(_, naive)| naive.closed)
            {
                continue;
            }
            world.apply(&mut backlog, op);
            world.check(&backlog);
        }
        for (cursor, _) in world.readers.drain(..) {
            backlog.leave(cursor);
        }
        prop_assert_eq!(backlog.allocated(), 0);
    }
}

#[test]
fn a_message_is_stored_once_whatever_the_number_of_readers() {
    let mut backlog = Backlog::new();
    let cursors = (0..1000).map(|_| backlog.join()).collect::<Vec<_>>();
    let header = Header::new(Kind::Text, 500);
    backlog.append(&header, &[b'x'; 500], None);
    let allocated = backlog.allocated();
    assert!((BLOCK_MIN..2 * BLOCK_MIN).contains(&allocated), "{allocated}: counted as allocated, once");
    cursors.into_iter().for_each(|cursor| backlog.leave(cursor));
    assert_eq!(backlog.allocated(), 0);
}

#[test]
fn nobody_to_read_means_nothing_is_stored() {
    let mut backlog = Backlog::new();
    let mut alone = backlog.join();
    backlog.append(&Header::new(Kind::Text, 5), b"hello", Some(&mut alone));
    assert_eq!((backlog.allocated(), backlog.has_more(&alone)), (0, false));
    assert_eq!(backlog.end(), 7, "positions go on all the same");
}

#[test]
fn one_read_after_a_burst_frees_all_but_what_the_last_reader_needs() {
    let mut backlog = Backlog::new();
    let (mut quick, slow) = (backlog.join(), backlog.join());
    for _ in 0..1000 {
        backlog.append(&Header::new(Kind::Binary, 1000), &[7; 1000], None);
    }
    let full = backlog.allocated();
    backlog.advance(&mut quick, 1004 * 1000);
    assert_eq!(backlog.allocated(), full, "the slow one pins it all");
    backlog.leave(slow);
    assert_eq!(backlog.allocated(), 0);
    assert!(!backlog.has_more(&quick));
}

#[test]
fn alternating_senders_keep_nothing_per_reader_and_message() {
    let mut backlog = Backlog::new();
    let (mut a, mut b, mut idle) = (backlog.join(), backlog.join(), backlog.join());
    for n in 0..10_000 {
        let sender = if n % 2 == 0 { &mut a } else { &mut b };
        backlog.append(&Header::new(Kind::Binary, 1), &[n as u8], Some(sender));
    }
    assert_eq!((backlog.lag(&a), backlog.lag(&b), backlog.lag(&idle)), (15_000, 15_000, 30_000));
    assert_eq!(backlog.skip(&mut a), 4999);
    assert_eq!(
        backlog.skip(&mut b),
        4999,
        "its own last message is not the newest for it, the one before is"
    );
    assert_eq!(backlog.skip(&mut idle), 9999);
}
