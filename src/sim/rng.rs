//! The one source of chance in a simulated world: splitmix64, so that a seed replays on every machine; or a tape.
//!
//! A tape is bytes from outside, a fuzzer's as a rule, that decide what is drawn while they last, and after them the
//! seed does. A stream and all that are forked from it read the same tape, in the order of their draws. Each draw takes
//! as few bytes as its range needs, and a zero is the first choice and no fault, so that changing one byte changes one
//! decision. What decides nothing (masks, filler) is of the seed in any case and wastes no tape.

use std::{cell::Cell, rc::Rc};

/// A stream of numbers that its seed decides, or a tape first.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    seed: u64,
    tape: Option<Tape>,
}

#[derive(Clone, Debug)]
struct Tape {
    bytes: Rc<[u8]>,
    /// How many of the bytes are read.
    at: Rc<Cell<usize>>,
}

impl Tape {
    fn left(&self) -> &[u8] {
        &self.bytes[self.at.get()..]
    }

    /// The number in the next `width` bytes, or in as many as are left; nothing when none are.
    fn take(&self, width: usize) -> Option<u64> {
        let left = self.left();
        let piece = &left[..left.len().min(width)];
        self.at.set(self.at.get() + piece.len());
        (!left.is_empty()).then(|| piece.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, tape: None }
    }

    /// A stream that `bytes` decide while they last.
    pub(crate) fn on_tape(bytes: &[u8]) -> Self {
        let tape = Tape { bytes: bytes.into(), at: Rc::default() };
        Self { seed: 0, tape: Some(tape) }
    }

    /// Whether a tape has nothing more to say; a stream without one always says that.
    pub(crate) fn is_spent(&self) -> bool {
        self.tape.as_ref().is_none_or(|tape| tape.left().is_empty())
    }

    /// A stream of its own, so that draws in one room do not shift those in another; but a tape is shared.
    pub(super) fn fork(&mut self) -> Self {
        Self { seed: self.next(), tape: self.tape.clone() }
    }

    /// A number that decides nothing: never of the tape.
    pub(crate) fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.seed ^ self.seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ a >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ b >> 31
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let bits = usize::BITS - (end - 1).leading_zeros();
        let told = self.tape.as_ref().and_then(|tape| tape.take(bits.div_ceil(8) as usize));
        (told.unwrap_or_else(|| self.next()) % end as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True `permille` times in a thousand.
    pub(crate) fn chance(&mut self, permille: u32) -> bool {
        if permille == 0 {
            return false;
        }
        let told = self.tape.as_ref().and_then(|tape| tape.take(1));
        told.map_or_else(|| self.next(), |byte| (255 - byte) * 1000 / 256) % 1000 < u64::from(permille)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut rng = Rng::new(1234567);
        let first: Vec<u64> = (0..3).map(|_| rng.next()).collect();
        assert_eq!(first, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
        assert_eq!((Rng::new(1234567).below(1000), Rng::new(1234567).is_spent()), (317, true));
    }

    #[test]
    fn a_tape_decides_while_it_lasts_and_then_the_seed_does() {
        let mut rng = Rng::on_tape(&[7, 1, 2, 0, 255, 9]);
        let mut fork = rng.fork();
        assert_eq!(rng.below(1), 0, "no choice takes no tape");
        assert_eq!((rng.below(10), fork.below(1000)), (7, 258));
        assert!(!rng.chance(990) && fork.chance(1) && !rng.chance(0));
        assert_eq!((rng.next(), rng.is_spent()), (Rng { seed: 0, tape: None }.advanced(1).next(), false));
        assert_eq!(rng.below(1 << 20), 9, "the last byte alone");
        assert!(rng.is_spent() && fork.is_spent());
        assert_eq!(rng.below(1000), Rng::new(0).advanced(2).below(1000));
    }

    impl Rng {
        fn advanced(mut self, steps: usize) -> Self {
            (0..steps).for_each(|_| _ = self.next());
            self
        }
    }
}
