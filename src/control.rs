//! A peer's private output: the 101 or a refusal, pongs, pings, the close frame, the rest of a cut-off frame.
//!
//! Holds whole frames, the first of which may be gone in part. Ours and not tungstenite's, so that a close frame is
//! never lost to a full buffer. An empty one holds no memory.

/// Pending bytes above which a peer is plainly not reading its answers: no more are made. So a buffer stays below
/// this, one answer, and the rest of one frame.
const FULL: usize = 8 << 10;

/// Bytes for one peer alone, in the order in which they leave.
#[derive(Debug, Default)]
pub(crate) struct Control {
    bytes: Vec<u8>,
    /// How many of `bytes` are gone. `FULL` and the rest of a frame are far below what 32 bits hold.
    taken: u32,
    /// How many of those to come are the rest of a data frame.
    rest: u32,
}

impl Control {
    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.taken as usize..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.taken as usize == self.bytes.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending().len() - self.rest as usize > FULL
    }

    pub(crate) fn push(&mut self, frames: &[u8]) {
        self.bytes.extend_from_slice(frames);
    }

    /// The first output of all, which needs no copy.
    pub(crate) fn begin(&mut self, frames: Vec<u8>) {
        if self.is_empty() {
            *self = Self { bytes: frames, ..Self::default() };
        } else {
            self.push(&frames);
        }
    }

    /// Where a decoder appends its answers. Nothing but appending is allowed.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Puts the rest of a data frame that was partly written before everything else. Nothing of the buffer itself
    /// is partly gone then, since a frame is never cut (law 5).
    pub(crate) fn put_first(&mut self, rest: &[u8]) {
        debug_assert!(self.taken == 0 || self.is_empty());
        self.bytes.splice(..self.taken as usize, rest.iter().copied());
        self.taken = 0;
        self.rest += rest.len() as u32;
    }

    /// `len` bytes are gone.
    pub(crate) fn take(&mut self, len: usize) {
        self.taken += len as u32;
        self.rest = self.rest.saturating_sub(len as u32);
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_and_memory_with_the_last() {
        let mut control = Control::default();
        control.push(b"pong");
        control.buffer().extend_from_slice(b"ping");
        control.put_first(b"rest");
        assert_eq!((control.pending(), control.rest), (&b"restpongping"[..], 4));
        control.take(6);
        assert_eq!(control.rest, 0);
        assert_eq!(control.pending(), b"ngping");
        control.take(6);
        assert!(control.is_empty());
        assert_eq!(control.bytes.capacity(), 0);
    }
}
