//! How often a quantity was how large: counts by size, so that a rare large value is not lost in a mean.
//!
//! Owns the counts. The bounds of the sizes are whoever counts' own, a constant, and given with each value: a histogram
//! is nothing but numbers. A value costs a search among a dozen bounds.

/// Counts of values by size. `BOUNDS` sizes have an upper bound, which belongs to them; one more has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<const BOUNDS: usize> {
    counts: [u64; BOUNDS],
    beyond: u64,
    sum: u64,
}

impl<const BOUNDS: usize> Default for Histogram<BOUNDS> {
    fn default() -> Self {
        Self { counts: [0; BOUNDS], beyond: 0, sum: 0 }
    }
}

impl<const BOUNDS: usize> Histogram<BOUNDS> {
    /// Counts one value. `bounds` rise, and are the same in every call.
    pub(crate) fn note(&mut self, bounds: &[u64; BOUNDS], value: u64) {
        let nth = bounds.partition_point(|bound| *bound < value);
        *self.counts.get_mut(nth).unwrap_or(&mut self.beyond) += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Values of each size that has a bound.
    pub fn counts(&self) -> &[u64; BOUNDS] {
        &self.counts
    }

    /// Values above all bounds.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// All values, added up.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_counts_once_up_to_its_bound_and_that_included() {
        let table: [(&[u64], [u64; 3], u64); 6] = [
            (&[], [0, 0, 0], 0),
            (&[0, 1, 9, 10], [4, 0, 0], 0),
            (&[11, 20], [0, 2, 0], 0),
            (&[21, 30, 30], [0, 0, 3], 0),
            (&[31, u64::MAX], [0, 0, 0], 2),
            (&[10, 11, 30, 31], [1, 1, 1], 1),
        ];
        assert!(!table.is_empty());
        for (values, counts, beyond) in table {
            let mut histogram = Histogram::default();
            values.iter().for_each(|value| histogram.note(&[10, 20, 30], *value));
            assert_eq!((histogram.counts(), histogram.beyond()), (&counts, beyond), "{values:?}");
            let sum = values.iter().fold(0, |sum: u64, value| sum.saturating_add(*value));
            assert_eq!(histogram.sum(), sum, "{values:?}");
        }
    }
}
