//! The shared backlog of a channel, and the cursors of its readers.
//!
//! Owns the encoded frames that some reader has yet to get, as an append-only run with absolute positions, in blocks
//! that each count the cursors standing in them. A message is encoded once, whatever the number of readers. A block
//! is freed when no cursor stands in it or before it; a cursor at the end stands in no block, so that a backlog which
//! everybody has read holds no memory. A reader's own messages are passed over; they are kept as runs, chained
//! through the frame index, so that nothing is stored per reader and message.
//!
//! Leaves to others: who may publish, when a reader is too slow, and the sum over all backlogs.

mod block;
mod cursor;
#[cfg(any(test, feature = "simulation"))]
pub(crate) mod model;
#[cfg(test)]
mod tests;

use crate::{
    canary::{self, Canary},
    slices::Slices,
};
use block::{Block, Run};
pub(crate) use cursor::Cursor;
use cursor::OwnRuns;
use std::{collections::VecDeque, mem::size_of};

/// The smallest and the largest block for ordinary messages; a larger message has a block of its own.
const BLOCK_MIN: usize = 1 << 10;
const BLOCK_MAX: usize = 64 << 10;

/// The frames that some reader of a channel has yet to get.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// In order and without gaps; each message lies wholly in one; the first has readers.
    blocks: VecDeque<Block>,
    /// The position after the last byte.
    end: u64,
    /// The number of the next message.
    next_number: u64,
    /// Cursors that stand at `end`: they pin nothing.
    readers_at_end: usize,
    /// Where the blocks began when there last were none: tells how much a burst brings.
    burst_start: u64,
    /// Capacity of the next block that follows no other.
    first_block: usize,
    /// Heap bytes of all blocks.
    blocks_heap: usize,
}

/// Positions that one message or run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u64,
    end: u64,
}

impl Backlog {
    pub(crate) fn new() -> Self {
        Self {
            blocks: VecDeque::new(),
            end: 0,
            next_number: 0,
            readers_at_end: 0,
            burst_start: 0,
            first_block: BLOCK_MIN,
            blocks_heap: 0,
        }
    }

    /// A new reader, who gets what is appended from now on.
    pub(crate) fn join(&mut self) -> Cursor {
        self.readers_at_end += 1;
        Cursor::new(self.end, self.next_number)
    }

    /// The place of one who reads nothing: it is counted nowhere and pins nothing.
    pub(crate) fn join_deaf(&self) -> Cursor {
        Cursor::deaf(self.end, self.next_number)
    }

    /// The reader is gone: what only it still needed is freed.
    pub(crate) fn leave(&mut self, cursor: Cursor) {
        if cursor.is_deaf() {
            return;
        }
        self.lift(cursor.pos);
        self.trim();
    }

    /// Appends one message, encoded, in two parts. `sender` is the cursor of the reader that does not get it, if there is
    /// one.
    pub(crate) fn append(&mut self, header: &[u8], payload: &[u8], sender: Option<&mut Cursor>) {
        let sender_at_end = sender.as_ref().is_some_and(|cursor| cursor.pos == self.end);
        let newcomers = self.readers_at_end - usize::from(sender_at_end);
        let number = self.next_number;
        let len = header.len() + payload.len();
        if newcomers > 0 || !self.blocks.is_empty() {
            let block = self.block_for(len);
            let heap = block.heap();
            block.readers += newcomers;
            block.push(header, payload);
            let grown = block.heap() - heap;
            self.blocks_heap += grown;
            self.readers_at_end -= newcomers;
        }
        self.end += len as u64;
        self.next_number += 1;
        match sender {
            Some(cursor) if sender_at_end => cursor.stand_at(self.end, self.next_number),
            Some(cursor) => self.chain(cursor, number, len),
            None => {}
        }
        if self.blocks.is_empty() {
            self.burst_start = self.end;
        }
    }

    /// Whether the reader has something to get.
    pub(crate) fn has_more(&self, cursor: &Cursor) -> bool {
        cursor.pos < self.stop(cursor)
    }

    /// Bytes that the reader has yet to get, its own messages not counted.
    pub(crate) fn lag(&self, cursor: &Cursor) -> u64 {
        if cursor.is_deaf() && canary::sings(Canary::DeafWeighed) {
            return self.end - cursor.pos;
        }
        self.end.min(cursor.limit) - cursor.pos - cursor.own_bytes
    }

    /// Bytes of the backlog that stand because of this reader, if nobody is further back.
    pub(crate) fn pinned(&self, cursor: &Cursor) -> u64 {
        self.end - cursor.pos
    }

    /// The position after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Heap bytes that the backlog holds: what was allocated, not what was written.
    pub(crate) fn allocated(&self) -> usize {
        self.blocks_heap + self.blocks.capacity() * size_of::<Block>()
    }

    /// Adds what the reader gets next.
    pub(crate) fn gather<'a>(&'a self, cursor: &Cursor, out: &mut Slices<'_, 'a>) {
        if cursor.own.is_none() {
            // The common case.
            let span = Span { start: cursor.pos, end: self.stop(cursor) };
            if span.start < span.end {
                self.gather_span(span, out);
            }
            return;
        }
        for span in self.spans(cursor) {
            if !self.gather_span(span, out) {
                return;
            }
        }
    }

    /// Adds the rest of the frame that was partly written, if there is one.
    pub(crate) fn gather_rest<'a>(&'a self, cursor: &Cursor, out: &mut Slices<'_, 'a>) -> bool {
        out.push(self.rest(cursor))
    }

    /// The rest of the frame that was partly written, or nothing.
    pub(crate) fn rest(&self, cursor: &Cursor) -> &[u8] {
        if !cursor.is_within_frame() {
            return &[];
        }
        let block = &self.blocks[self.block_at(cursor.pos)];
        block.bytes_of(cursor.pos, cursor.finish_to)
    }

    /// The reader got `len` more bytes. Says how many messages it now has wholly that it had not before.
    pub(crate) fn advance(&mut self, cursor: &mut Cursor, len: usize) -> u64 {
        if cursor.own.is_none() {
            debug_assert!(cursor.pos + len as u64 <= self.stop(cursor), "more was written than was offered");
            return self.place(cursor, cursor.pos + len as u64);
        }
        let mut left = len as u64;
        let mut pos = cursor.pos;
        for span in self.spans(cursor) {
            let take = left.min(span.end - span.start);
            pos = span.start + take;
            left -= take;
            if left == 0 {
                break;
            }
        }
        debug_assert_eq!(left, 0, "more was written than was offered");
        self.place(cursor, pos)
    }

    /// The reader has the rest of its partly written frame from elsewhere: it stands after that frame.
    pub(crate) fn pass_rest(&mut self, cursor: &mut Cursor) {
        cursor.go_on();
        if cursor.is_within_frame() {
            self.place(cursor, cursor.finish_to);
        }
    }

    /// Moves a reader that stands between frames on to the newest message that is not its own. Says how many
    /// messages it will not get.
    pub(crate) fn skip(&mut self, cursor: &mut Cursor) -> u64 {
        debug_assert!(!cursor.is_within_frame(), "a frame is never cut");
        let Some(newest) = self.newest_for(cursor).filter(|newest| *newest > cursor.number) else { return 0 };
        let newest_span = self.span_of(newest);
        let target = if canary::sings(Canary::SkipTooFar) { newest_span.end } else { newest_span.start };
        self.place(cursor, target)
    }

    /// The number of the newest message that is not the reader's own; none when nothing is left for it.
    fn newest_for(&self, cursor: &Cursor) -> Option<u64> {
        if !self.has_more(cursor) {
            return None;
        }
        match &cursor.own {
            Some(own) if self.run(own.last).end_number() == self.next_number => own.last.checked_sub(1),
            _ => Some(self.next_number - 1),
        }
    }

    /// Where the reader must stop: the end, its own limit, or the end of the frame after which it skips.
    fn stop(&self, cursor: &Cursor) -> u64 {
        if cursor.then_skip { cursor.finish_to } else { self.end.min(cursor.limit) }
    }

    /// Moves a cursor to `pos`, past its own messages there, and frees what nobody needs. Says how many messages
    /// of others it passed.
    fn place(&mut self, cursor: &mut Cursor, pos: u64) -> u64 {
        let from = (cursor.pos, cursor.number);
        let mut pos = pos;
        let mut own_passed = 0;
        while let Some(own) = cursor.own {
            let (run, span) = self.stretch(own.first());
            if span.start > pos {
                break;
            }
            pos = pos.max(span.end);
            own_passed += run.len;
            cursor.own_bytes -= span.end - span.start;
            cursor.own = run.next.map(|first| OwnRuns::new(first, own.last));
        }
        self.stand(cursor, pos);
        self.lift(from.0);
        self.trim();
        cursor.number - from.1 - own_passed
    }

    /// Puts the cursor down at `pos`, and counts it there.
    fn stand(&mut self, cursor: &mut Cursor, pos: u64) {
        if pos == self.end {
            self.readers_at_end += 1;
            return cursor.stand_at(pos, self.next_number);
        }
        let index = self.block_at(pos);
        let block = &mut self.blocks[index];
        block.readers += 1;
        let number = block.number_at(pos);
        let span = block.span_of(number);
        cursor.stand_at(pos, number);
        if span.start < pos {
            cursor.finish_to = span.end;
        }
    }

    /// Takes a cursor away from `pos`.
    fn lift(&mut self, pos: u64) {
        if pos == self.end {
            self.readers_at_end -= 1;
        } else {
            let index = self.block_at(pos);
            self.blocks[index].readers -= 1;
        }
    }

    /// Frees the blocks that no cursor stands in or before.
    fn trim(&mut self) {
        let keep = if canary::sings(Canary::BlockFreedEarly) { 1 } else { 0 };
        while let Some(block) = self.blocks.pop_front_if(|block| block.readers <= keep) {
            self.blocks_heap -= block.heap();
        }
        if self.blocks.is_empty() && self.blocks.capacity() > 0 {
            self.blocks = VecDeque::new();
            let burst = (self.end - self.burst_start).min(BLOCK_MAX as u64) as usize;
            self.first_block = burst.next_power_of_two().max(BLOCK_MIN);
            self.burst_start = self.end;
        }
    }

    /// The last block, if a message of `len` bytes fits, or a new one.
    fn block_for(&mut self, len: usize) -> &mut Block {
        let capacity = match self.blocks.back() {
            Some(last) if last.room() >= len => 0,
            Some(last) => last.capacity().saturating_mul(2).clamp(BLOCK_MIN, BLOCK_MAX),
            None => self.first_block,
        };
        if capacity > 0 {
            let block = Block::new(self.end, self.next_number, capacity.max(len));
            self.blocks_heap += block.heap();
            self.blocks.push_back(block);
        }
        let last = self.blocks.len() - 1;
        &mut self.blocks[last]
    }

    /// Notes message `number` as the lagging reader's own.
    fn chain(&mut self, cursor: &mut Cursor, number: u64, len: usize) {
        cursor.own_bytes += len as u64;
        let Some(own) = &mut cursor.own else {
            cursor.own = Some(OwnRuns::new(number, number));
            return;
        };
        let index = self.block_of(own.last);
        let lengthens = self.blocks[index].extend_run(own.last, number);
        if !lengthens {
            own.last = number;
        }
    }

    fn spans<'a>(&'a self, cursor: &Cursor) -> Spans<'a> {
        Spans { backlog: self, pos: cursor.pos, stop: self.stop(cursor), own: cursor.own }
    }

    /// Adds the bytes of `span`; says whether all of them went in.
    fn gather_span<'a>(&'a self, span: Span, out: &mut Slices<'_, 'a>) -> bool {
        let mut pos = span.start;
        for block in self.blocks.range(self.block_at(pos)..) {
            let end = span.end.min(block.end());
            if !out.push(block.bytes_of(pos, end)) {
                return false;
            }
            pos = end;
            if pos == span.end {
                break;
            }
        }
        true
    }

    /// The block in which `pos` lies, which is not the end.
    fn block_at(&self, pos: u64) -> usize {
        self.last_where(|block| block.start <= pos)
    }

    /// The block in which message `number` lies.
    fn block_of(&self, number: u64) -> usize {
        self.last_where(|block| block.first_number <= number)
    }

    /// Most cursors stand in the first block or the last one.
    fn last_where(&self, holds: impl Fn(&Block) -> bool) -> usize {
        match self.blocks.len() {
            1 => 0,
            len if holds(&self.blocks[len - 1]) => len - 1,
            len if !holds(&self.blocks[1.min(len - 1)]) => 0,
            _ => self.blocks.partition_point(holds) - 1,
        }
    }

    fn span_of(&self, number: u64) -> Span {
        self.blocks[self.block_of(number)].span_of(number)
    }

    fn run(&self, first: u64) -> Run {
        as_known(self.blocks[self.block_of(first)].run(first))
    }

    /// The run that begins with message `first`, and where it lies: nearly always in one block.
    fn stretch(&self, first: u64) -> (Run, Span) {
        let block = &self.blocks[self.block_of(first)];
        let run = as_known(block.run(first));
        let Span { start, mut end } = block.span_of(first);
        let last = run.end_number() - 1;
        if last > first {
            end = self.span_of(last).end;
        }
        (run, Span { start, end })
    }
}

fn as_known(run: Run) -> Run {
    let len = if canary::sings(Canary::OwnRunOneShort) { (run.len - 1).max(1) } else { run.len };
    Run { len, ..run }
}

/// The stretches of the backlog that are for one reader, in order; none is empty.
struct Spans<'a> {
    backlog: &'a Backlog,
    pos: u64,
    stop: u64,
    own: Option<OwnRuns>,
}

impl Iterator for Spans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        while self.pos < self.stop {
            let start = self.pos;
            let Some(own) = self.own else {
                self.pos = self.stop;
                return Some(Span { start, end: self.stop });
            };
            let (run, passed) = self.backlog.stretch(own.first());
            if start < passed.start {
                self.pos = passed.start.min(self.stop);
                return Some(Span { start, end: self.pos });
            }
            self.pos = passed.end;
            self.own = run.next.map(|first| OwnRuns::new(first, own.last));
        }
        None
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Backlog {
    /// Recomputes every count from the cursors of all readers (laws 7 and 9).
    pub(crate) fn audit(&self, cursors: &[&Cursor]) -> Result<(), String> {
        let cursors = cursors.iter().filter(|cursor| !cursor.is_deaf()).collect::<Vec<_>>();
        let at_end = cursors.iter().filter(|cursor| cursor.pos == self.end).count();
        if at_end != self.readers_at_end {
            return Err(format!("{at_end} cursors stand at the end, {} are counted", self.readers_at_end));
        }
        for block in &self.blocks {
            let inside = cursors.iter().filter(|c| c.pos >= block.start && c.pos < block.end()).count();
            if inside != block.readers {
                return Err(format!("{inside} cursors stand in a block that counts {}", block.readers));
            }
        }
        if self.blocks.front().is_some_and(|block| block.readers == 0) {
            return Err("the first block has no reader".into());
        }
        let heap: usize = self.blocks.iter().map(Block::measure).sum();
        if heap != self.blocks_heap {
            return Err(format!("blocks hold {heap} bytes, {} are counted", self.blocks_heap));
        }
        Ok(())
    }
}
