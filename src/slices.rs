//! A bounded list of byte slices for one vectored write, on the stack.

use std::io::IoSlice;

/// Slices in one write. A peer needs more only when its own messages lie thick among the others'; the rest goes
/// with its next write. Far below the system's limit (1024).
const SLICES_MAX: usize = 64;

/// What one write offers.
#[derive(Debug)]
pub(crate) struct Slices<'a> {
    list: [IoSlice<'a>; SLICES_MAX],
    len: usize,
    /// Bytes that may still be added.
    room: usize,
    bytes: usize,
}

impl<'a> Slices<'a> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { list: [IoSlice::new(&[]); SLICES_MAX], len: 0, room: bytes_max, bytes: 0 }
    }

    /// Adds as much of `slice` as there is room for; says whether all of it went in.
    pub(crate) fn push(&mut self, slice: &'a [u8]) -> bool {
        if slice.is_empty() {
            return true;
        }
        let take = slice.len().min(self.room);
        if take == 0 || self.len == SLICES_MAX {
            return false;
        }
        self.list[self.len] = IoSlice::new(&slice[..take]);
        self.len += 1;
        self.room -= take;
        self.bytes += take;
        take == slice.len()
    }

    pub(crate) fn as_slices(&self) -> &[IoSlice<'a>] {
        &self.list[..self.len]
    }

    /// Bytes offered.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_than_its_bytes_and_its_places() {
        let mut slices = Slices::new(5);
        assert!(slices.push(b"abc"));
        assert!(slices.push(b""));
        assert!(!slices.push(b"def"), "two of three went in");
        assert!(!slices.push(b"g"));
        assert_eq!((slices.bytes(), slices.as_slices().len()), (5, 2));

        let mut many = Slices::new(usize::MAX);
        let taken = (0..SLICES_MAX + 9).filter(|_| many.push(b"x")).count();
        assert_eq!((taken, many.bytes()), (SLICES_MAX, SLICES_MAX));
    }
}
