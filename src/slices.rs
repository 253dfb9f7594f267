//! A bounded list of byte slices for one vectored write, in places that lie on the caller's stack.

use std::io::IoSlice;

/// Slices in one write to a peer with messages of its own among the others', which lie around them. The rest goes with
/// its next write. Far below the system's limit (1024).
pub(crate) const SLICES_MAX: usize = 64;

/// And to any other peer: a write's worth of blocks, which double from the smallest to the largest, and control frames.
pub(crate) const SLICES_FEW: usize = 12;

/// What one write offers.
#[derive(Debug)]
pub(crate) struct Slices<'p, 'a> {
    places: &'p mut [IoSlice<'a>],
    len: usize,
    /// Bytes that may still be added.
    room: usize,
}

impl<'p, 'a> Slices<'p, 'a> {
    pub(crate) fn new(places: &'p mut [IoSlice<'a>], bytes_max: usize) -> Self {
        Self { places, len: 0, room: bytes_max }
    }

    /// Adds as much of `slice` as there is room for; says whether all of it went in.
    pub(crate) fn push(&mut self, slice: &'a [u8]) -> bool {
        if slice.is_empty() {
            return true;
        }
        let take = slice.len().min(self.room);
        let Some(place) = self.places.get_mut(self.len).filter(|_| take > 0) else { return false };
        *place = IoSlice::new(&slice[..take]);
        self.len += 1;
        self.room -= take;
        take == slice.len()
    }

    pub(crate) fn as_slices(&self) -> &[IoSlice<'a>] {
        &self.places[..self.len]
    }

    /// Bytes offered.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.as_slices().iter().map(|slice| slice.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_than_its_bytes_and_its_places() {
        let mut places = [IoSlice::new(&[]); 3];
        let mut slices = Slices::new(&mut places, 5);
        assert!(slices.push(b"abc"));
        assert!(slices.push(b""));
        assert!(!slices.push(b"def"), "two of three went in");
        assert!(!slices.push(b"g"));
        assert_eq!((slices.bytes(), slices.as_slices().len()), (5, 2));

        let mut many = Slices::new(&mut places, usize::MAX);
        let taken = (0..9).filter(|_| many.push(b"x")).count();
        assert_eq!((taken, many.bytes()), (3, 3));
    }
}
