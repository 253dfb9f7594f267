//! Where one reader stands in a backlog.

use std::num::NonZeroU64;

/// A reader's place. Made by `Backlog::join`, moved and given up only through the backlog, which counts it.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Everything before it was handed over. Never at the start of a message of the reader's own.
    pub(super) pos: u64,
    /// The message in which `pos` lies or at whose start it stands.
    pub(super) number: u64,
    /// Where the partly written frame ends; equal to `pos` between frames.
    pub(super) finish_to: u64,
    /// Later bytes are not for this reader.
    pub(super) limit: u64,
    /// The reader's own messages from `pos` on.
    pub(super) own: Option<OwnRuns>,
    /// Their bytes.
    pub(super) own_bytes: u64,
    /// When the partly written frame is finished, go on to the newest message.
    pub(super) then_skip: bool,
    /// Nothing is for this reader, from the beginning.
    is_deaf: bool,
}

/// A reader's own messages ahead of it: runs of messages, each named by its first, chained through the frame index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnRuns {
    /// One more than the number, so that none of them takes no room of its own.
    after_first: NonZeroU64,
    pub(super) last: u64,
}

impl OwnRuns {
    pub(super) fn new(first: u64, last: u64) -> Self {
        Self { after_first: NonZeroU64::MIN.saturating_add(first), last }
    }

    pub(super) fn first(self) -> u64 {
        self.after_first.get() - 1
    }
}

impl Cursor {
    pub(super) fn new(pos: u64, number: u64) -> Self {
        let (limit, own, own_bytes, then_skip) = (u64::MAX, None, 0, false);
        Self { pos, number, finish_to: pos, limit, own, own_bytes, then_skip, is_deaf: false }
    }

    /// Of one who reads nothing: what is appended is behind its end.
    pub(super) fn deaf(pos: u64, number: u64) -> Self {
        Self { limit: pos, is_deaf: true, ..Self::new(pos, number) }
    }

    /// Whether nothing was ever for this reader.
    pub(crate) fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// Stands between frames.
    pub(super) fn stand_at(&mut self, pos: u64, number: u64) {
        self.pos = pos;
        self.number = number;
        self.finish_to = pos;
    }

    /// Whether a frame was written in part, so that nothing but its rest may follow (law 5).
    pub(crate) fn is_within_frame(&self) -> bool {
        self.finish_to > self.pos
    }

    /// Bytes that the partly written frame still lacks.
    pub(crate) fn rest_len(&self) -> usize {
        (self.finish_to - self.pos) as usize
    }

    /// Whether messages of the reader's own lie ahead of it.
    pub(crate) fn has_own(&self) -> bool {
        self.own.is_some()
    }

    pub(crate) fn pos(&self) -> u64 {
        self.pos
    }

    /// What is appended after `end` is not for this reader.
    pub(crate) fn end_at(&mut self, end: u64) {
        self.limit = self.limit.min(end);
        self.then_skip = false;
    }

    /// Whether the reader has a fixed end.
    pub(crate) fn is_ending(&self) -> bool {
        self.limit < u64::MAX
    }

    /// Whether the reader finishes its frame and then skips.
    pub(crate) fn is_skipping(&self) -> bool {
        self.then_skip
    }

    /// Finish the frame that was partly written, and then wait to be moved on.
    pub(crate) fn skip_after_frame(&mut self) {
        self.then_skip = true;
    }

    /// The skip was made.
    pub(crate) fn go_on(&mut self) {
        self.then_skip = false;
    }
}
