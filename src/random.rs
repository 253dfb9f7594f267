//! Numbers that need only be spread, not secret: from a seed that comes in as an argument, so that runs replay.

use std::time::Duration;

/// Steele, Lea and Flood's SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 1 to `max`.
    pub(crate) fn up_to(&mut self, max: u32) -> u32 {
        1 + (self.next() % u64::from(max.max(1))) as u32
    }

    /// More than nothing, at most `whole`.
    pub(crate) fn part_of(&mut self, whole: Duration) -> Duration {
        whole / 1024 * self.up_to(1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_in_range_and_spreads() {
        let mut random = Random::new(7);
        let second = Duration::from_secs(1);
        let parts = (0..1000).map(|_| random.part_of(second)).collect::<Vec<_>>();
        assert!(parts.iter().all(|part| !part.is_zero() && *part <= second));
        let early = parts.iter().filter(|part| **part < second / 2).count();
        assert!((400..600).contains(&early), "{early} of 1000 in the first half");
        assert!((0..100).all(|_| (1..=10).contains(&random.up_to(10))));
    }
}
