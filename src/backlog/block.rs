//! One stretch of a backlog: encoded frames, and the index that says where each begins.

use super::Span;
use crate::canary::{self, Canary};
use std::mem::size_of;

/// Frames, and how many cursors stand among them.
#[derive(Debug)]
pub(super) struct Block {
    /// Position of the first byte.
    pub(super) start: u64,
    /// Number of the first message.
    pub(super) first_number: u64,
    /// Cursors that stand in `start..end`.
    pub(super) readers: usize,
    /// Never grows beyond the capacity that it was made with.
    bytes: Vec<u8>,
    /// One for each message.
    marks: Vec<Mark>,
}

/// What the index knows of one message.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Where it begins in the block.
    offset: u32,
    /// When it begins a run of a lagging sender's own messages: how many.
    run: u32,
    /// And how many messages on that sender's next run begins; 0 when there is none yet.
    next_run: u32,
}

/// A run of one sender's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) len: u64,
    /// The same sender's next run.
    pub(super) next: Option<u64>,
}

impl Run {
    /// The number after the last message of the run.
    pub(super) fn end_number(&self) -> u64 {
        self.first + self.len
    }
}

impl Block {
    pub(super) fn new(start: u64, first_number: u64, capacity: usize) -> Self {
        Self { start, first_number, readers: 0, bytes: Vec::with_capacity(capacity), marks: Vec::new() }
    }

    /// Adds one message, for which there is room.
    pub(super) fn push(&mut self, header: &[u8], payload: &[u8]) {
        debug_assert!(header.len() + payload.len() <= self.room());
        self.marks.push(Mark { offset: self.bytes.len() as u32, run: 1, next_run: 0 });
        self.bytes.extend_from_slice(header);
        self.bytes.extend_from_slice(payload);
    }

    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Heap bytes of the block.
    pub(super) fn heap(&self) -> usize {
        if canary::sings(Canary::PayloadCounted) {
            return self.bytes.len();
        }
        self.measure()
    }

    /// What the block takes, whatever is counted for it.
    pub(super) fn measure(&self) -> usize {
        self.bytes.capacity() + self.marks.capacity() * size_of::<Mark>()
    }

    pub(super) fn bytes_of(&self, start: u64, end: u64) -> &[u8] {
        &self.bytes[(start - self.start) as usize..(end - self.start) as usize]
    }

    /// The message in which `pos` lies.
    pub(super) fn number_at(&self, pos: u64) -> u64 {
        let offset = (pos - self.start) as u32;
        self.first_number + self.marks.partition_point(|mark| mark.offset <= offset) as u64 - 1
    }

    /// The positions of a message of this block.
    pub(super) fn span_of(&self, number: u64) -> Span {
        let index = (number - self.first_number) as usize;
        let start = self.start + u64::from(self.marks[index].offset);
        let end = self.marks.get(index + 1).map_or(self.end(), |next| self.start + u64::from(next.offset));
        Span { start, end }
    }

    /// The run that begins with message `first`.
    pub(super) fn run(&self, first: u64) -> Run {
        let mark = &self.marks[(first - self.first_number) as usize];
        let next = (mark.next_run > 0).then(|| first + u64::from(mark.next_run));
        Run { first, len: u64::from(mark.run), next }
    }

    /// Adds message `number` to its sender's run that begins with `first`: says true when it lengthens the run, and
    /// false when it begins the next one.
    pub(super) fn extend_run(&mut self, first: u64, number: u64) -> bool {
        let mark = &mut self.marks[(first - self.first_number) as usize];
        let distance = (number - first) as u32;
        let lengthens = mark.run == distance;
        if lengthens {
            mark.run += 1;
        } else {
            mark.next_run = distance;
        }
        lengthens
    }
}
