//! A bound on lines that the outside can cause at will.

use std::time::{Duration, Instant};

/// Lets through one line a second and counts the rest, for what the outside can cause at will.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Before this time nothing passes.
    closed_until: Option<Instant>,
    /// What did not pass since the last that did.
    held_back: u64,
}

impl Throttle {
    /// Whether a line may be written now, and if so, how many were held back before it.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.closed_until.is_some_and(|until| now < until) {
            self.held_back += 1;
            return None;
        }
        self.closed_until = now.checked_add(Duration::from_secs(1));
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)] // any instant will do for a start
    fn a_throttle_passes_one_a_second_and_counts_the_rest() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let table = [(0, Some(0)), (1, None), (999, None), (1000, Some(2)), (1500, None), (9000, Some(1))];
        assert!(!table.is_empty());
        for (at_ms, passed) in table {
            assert_eq!(throttle.pass(start + Duration::from_millis(at_ms)), passed, "at {at_ms} ms");
        }
    }
}
