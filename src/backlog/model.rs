//! The backlog against a naive model: a queue of whole frames per reader, told by a tape what happens.
//!
//! Checked after every step: each reader is offered exactly what its own queue holds, lag and place agree, every count
//! of the backlog is right, and it holds no more memory than what its furthest reader pins allows.

use super::{BLOCK_MAX, Backlog, Cursor};
use crate::{
    frame::{Header, Kind},
    sim::rng::Rng,
    slices::{SLICES_MAX, Slices},
};
use std::{collections::VecDeque, io::IoSlice, rc::Rc};

/// Readers at once.
const READERS_MOST: usize = 8;

/// Heap bytes that the index takes for one message, when its list has just doubled.
const INDEX_MOST: usize = 32;

/// One reader, as simple as can be.
#[derive(Default)]
struct Naive {
    /// Frames to get; the first may be gone in part.
    frames: VecDeque<Rc<[u8]>>,
    /// Bytes of the first frame that it has.
    taken: usize,
    closed: bool,
}

impl Naive {
    /// The first `len` bytes that it has not got, or as many as there are.
    fn bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        let mut skipped = self.taken;
        for frame in &self.frames {
            let rest = &frame[skipped..];
            bytes.extend_from_slice(&rest[..rest.len().min(len - bytes.len())]);
            skipped = 0;
        }
        bytes
    }

    fn lag(&self) -> usize {
        self.frames.iter().map(|frame| frame.len()).sum::<usize>() - self.taken
    }

    fn take(&mut self, len: usize) -> u64 {
        self.taken += len;
        let before = self.frames.len();
        while let Some(frame) = self.frames.pop_front_if(|frame| frame.len() <= self.taken) {
            self.taken -= frame.len();
        }
        (before - self.frames.len()) as u64
    }

    fn skip(&mut self) -> u64 {
        let gone = self.frames.len().saturating_sub(1);
        self.frames.drain(..gone);
        gone as u64
    }
}

#[derive(Default)]
struct World {
    readers: Vec<(Cursor, Naive)>,
    /// Positions at which messages began, in order.
    starts: Vec<u64>,
    longest: usize,
}

/// Does what the tape says, to the backlog and to its model, and checks both after every step.
pub(crate) fn play(tape: &[u8]) {
    let mut rng = Rng::on_tape(tape);
    let (mut backlog, mut world) = (Backlog::new(), World::default());
    while !rng.is_spent() {
        world.step(&mut backlog, &mut rng);
        world.check(&backlog);
    }
    for (cursor, _) in world.readers.drain(..) {
        backlog.leave(cursor);
    }
    assert_eq!(backlog.allocated(), 0, "nobody is left");
}

impl World {
    fn step(&mut self, backlog: &mut Backlog, rng: &mut Rng) {
        let deed = rng.below(28);
        if self.readers.is_empty() || deed < 2 && self.readers.len() < READERS_MOST {
            return self.readers.push((backlog.join(), Naive::default()));
        }
        let who = rng.below(self.readers.len());
        match deed {
            0..=2 => backlog.leave(self.readers.swap_remove(who).0),
            3..=12 => self.publish(backlog, Some(who).filter(|_| !rng.chance(200)), length(rng)),
            13..=24 => self.write(backlog, who, 1 + rng.below(100_000), rng.below(100_000)),
            25 => self.skip(backlog, who),
            26 => self.skip_after_frame(backlog, who),
            _ => {
                let (cursor, naive) = &mut self.readers[who];
                cursor.end_at(backlog.end());
                naive.closed = true;
            }
        }
    }

    fn publish(&mut self, backlog: &mut Backlog, sender: Option<usize>, len: usize) {
        let sender = sender.filter(|n| !self.readers[*n].1.closed);
        let payload = vec![self.starts.len() as u8; len];
        let header = Header::new(Kind::Binary, len);
        let frame: Rc<[u8]> = [header.as_bytes(), &payload].concat().into();
        self.starts.push(backlog.end());
        self.longest = self.longest.max(frame.len());
        for (n, (_, naive)) in self.readers.iter_mut().enumerate() {
            if !naive.closed && Some(n) != sender {
                naive.frames.push_back(Rc::clone(&frame));
            }
        }
        backlog.append(header.as_bytes(), &payload, sender.map(|n| &mut self.readers[n].0));
    }

    fn write(&mut self, backlog: &mut Backlog, n: usize, budget: usize, taken: usize) {
        let (cursor, naive) = &mut self.readers[n];
        let mut places = [IoSlice::new(&[]); SLICES_MAX];
        let mut slices = Slices::new(&mut places[..1 + budget % SLICES_MAX], budget);
        backlog.gather(cursor, &mut slices);
        let offered = slices.as_slices().iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
        assert!(offered.len() <= budget);
        assert!(naive.bytes(offered.len()) == offered, "other bytes than its own queue has");
        assert_eq!(offered.is_empty(), !backlog.has_more(cursor));
        let taken = taken.min(offered.len());
        assert_eq!(backlog.advance(cursor, taken), naive.take(taken));
    }

    fn skip(&mut self, backlog: &mut Backlog, n: usize) {
        let (cursor, naive) = &mut self.readers[n];
        // Not among a closed reader's fates: the model cannot tell what it would miss.
        if naive.closed {
            return;
        }
        let rest = backlog.rest(cursor).to_vec();
        backlog.pass_rest(cursor);
        assert_eq!(naive.bytes(rest.len()), rest);
        naive.take(rest.len());
        assert_eq!(backlog.skip(cursor), naive.skip());
    }

    fn skip_after_frame(&mut self, backlog: &mut Backlog, n: usize) {
        let (cursor, naive) = &mut self.readers[n];
        if naive.closed || !cursor.is_within_frame() {
            return;
        }
        cursor.skip_after_frame();
        let mut places = [IoSlice::new(&[]); SLICES_MAX];
        let mut slices = Slices::new(&mut places, usize::MAX);
        backlog.gather(cursor, &mut slices);
        assert_eq!(backlog.lag(cursor), naive.lag() as u64, "what it will skip it still lacks");
        let rest = slices.as_slices().iter().map(|slice| slice.len()).sum();
        assert_eq!(rest, backlog.rest(cursor).len(), "only the rest of the frame");
        assert_eq!((backlog.advance(cursor, rest), naive.take(rest)), (1, 1));
        cursor.go_on();
        assert_eq!(backlog.skip(cursor), naive.skip());
    }

    fn check(&self, backlog: &Backlog) {
        let cursors = self.readers.iter().map(|(cursor, _)| cursor).collect::<Vec<_>>();
        backlog.audit(&cursors).unwrap_or_else(|fault| panic!("{fault}"));
        for (cursor, naive) in &self.readers {
            assert_eq!(backlog.lag(cursor), naive.lag() as u64);
            assert_eq!(cursor.is_within_frame(), naive.taken > 0);
        }
        self.check_memory(backlog);
    }

    /// A block may be half empty behind one message and before the next, and partly read before the first cursor.
    fn check_memory(&self, backlog: &Backlog) {
        let pinned = self.readers.iter().map(|(cursor, _)| backlog.pinned(cursor)).max().unwrap_or(0);
        if pinned == 0 {
            return assert_eq!(backlog.allocated(), 0, "everybody has read everything");
        }
        let from = backlog.end() - pinned;
        let messages = self.starts.len() - self.starts.partition_point(|start| *start < from) + 1;
        let block = BLOCK_MAX.max(self.longest) + BLOCK_MAX / 2 * INDEX_MOST;
        let most = 2 * pinned as usize + 2 * block + messages * 8 * INDEX_MOST;
        assert!(backlog.allocated() <= most, "{} of {most} for {pinned}", backlog.allocated());
    }
}

/// Most messages are small; some take more than a block.
fn length(rng: &mut Rng) -> usize {
    match rng.below(9) {
        0..=5 => rng.below(40),
        6..=7 => 900 + rng.below(600),
        _ => 60_000 + rng.below(10_000),
    }
}
