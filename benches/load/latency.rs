//! Delays as a histogram: 128 steps for each power of two, so that what is read from it is less than 1 % too high.

use serde_json::{Value, json};

/// Steps for each power of two, as a power of two.
const FINE: u32 = 7;

/// Delays in nanoseconds.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    most: u64,
}

impl Histogram {
    pub fn record(&mut self, delay_ns: u64) {
        self.record_many(delay_ns, 1);
    }

    /// So many of the same.
    pub fn record_many(&mut self, delay_ns: u64, count: u64) {
        let place = place_of(delay_ns);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += count;
        self.total += count;
        self.most = self.most.max(delay_ns);
    }

    /// The delay that `share` of all do not exceed.
    pub fn percentile_ns(&self, share: f64) -> u64 {
        let enough = (share * self.total as f64).ceil() as u64;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= enough.max(1)
        });
        reached.map_or(0, |place| end_of(place).min(self.most))
    }

    /// In microseconds; nothing if there was none.
    pub fn summary(&self) -> Value {
        if self.total == 0 {
            return Value::Null;
        }
        let us = |ns: u64| (ns as f64 / 100.0).round() / 10.0;
        let at = |share| us(self.percentile_ns(share));
        json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": us(self.most)})
    }
}

fn place_of(delay_ns: u64) -> usize {
    let coarse = (u64::BITS - delay_ns.leading_zeros()).saturating_sub(FINE + 1);
    // The steps below the first coarse power have a width of one, and stand twice as long.
    ((u64::from(coarse) << FINE) + (delay_ns >> coarse)) as usize
}

/// The largest delay that stands at a place.
fn end_of(place: usize) -> u64 {
    let place = place as u64;
    let coarse = (place >> FINE).saturating_sub(1);
    let fine = place - (coarse << FINE);
    ((fine + 1) << coarse) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_ends_where_the_next_begins_and_is_narrow() {
        for place in 0..4000 {
            let end = end_of(place);
            assert_eq!(place_of(end), place, "the end of {place}");
            assert_eq!(place_of(end + 1), place + 1, "behind the end of {place}");
            let width = end - place.checked_sub(1).map_or(0, end_of);
            assert!(width <= 1 + end / 100, "{place} is {width} wide and ends at {end}");
        }
    }

    #[test]
    fn percentiles_are_counted_from_below() {
        let of = |delays: &[u64]| {
            let mut histogram = Histogram::default();
            delays.iter().for_each(|&delay| histogram.record(delay));
            histogram
        };
        let hundred: Vec<u64> = (1..=100).collect();
        let table = [
            ("one", of(&[7]), 0.5, 7),
            ("one, at its end", of(&[7]), 0.999, 7),
            ("half of two", of(&[1, 9]), 0.5, 1),
            ("more than half of two", of(&[1, 9]), 0.51, 9),
            ("half of a hundred", of(&hundred), 0.5, 50),
            ("ninety-nine of a hundred", of(&hundred), 0.99, 99),
            ("999 of a thousand, of a hundred", of(&hundred), 0.999, 100),
            ("never above the most", of(&[1_000_003]), 0.5, 1_000_003),
            ("none", of(&[]), 0.5, 0),
        ];
        assert!(!table.is_empty());
        for (name, histogram, share, delay) in table {
            assert_eq!(histogram.percentile_ns(share), delay, "{name}");
        }
    }

    #[test]
    fn the_summary_is_in_microseconds() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.summary(), Value::Null);
        histogram.record(2_500);
        let expected = json!({"p50": 2.5, "p90": 2.5, "p99": 2.5, "p999": 2.5, "max": 2.5});
        assert_eq!(histogram.summary(), expected);
    }
}
