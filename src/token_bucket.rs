//! A token bucket: so many at once, and so many per second after that.
//!
//! Owns the credit and the time up to which it was paid. Counts in billionths of a token, so that a nanosecond at one
//! token per second is one unit: nothing is ever rounded and nothing drifts. Rate and burst are arguments, since they
//! belong to the configuration and there is a bucket in every peer. What happens when there is no token is left to the
//! caller.

use std::time::Instant;

const UNITS_PER_TOKEN: u64 = 1_000_000_000;

/// A bucket of tokens.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    /// Units in the bucket; at most the burst as of the last `take`. 2^32 tokens fit.
    credit: u64,
    /// The latest time ever seen: up to here the credit was paid. Never goes back, or time would be paid for twice.
    paid: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(burst: u32, now: Instant) -> Self {
        Self { credit: units(burst), paid: now }
    }

    /// Takes a token if there is one, after paying in what `per_sec` tokens per second make since the last call, up to
    /// `burst` tokens in all.
    pub fn take(&mut self, per_sec: u32, burst: u32, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.paid).as_nanos().saturating_mul(per_sec.into());
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        self.paid = self.paid.max(now);
        self.credit = self.credit.saturating_add(earned).min(units(burst));
        match self.credit.checked_sub(UNITS_PER_TOKEN) {
            Some(rest) => self.credit = rest,
            None => return false,
        }
        true
    }
}

fn units(tokens: u32) -> u64 {
    u64::from(tokens) * UNITS_PER_TOKEN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[allow(clippy::disallowed_methods)]
    fn start() -> Instant {
        Instant::now()
    }

    /// The same rule said in another way, by the earliest time at which the bucket would be full again. Times are in
    /// nanoseconds times the rate.
    struct Model {
        full_at: u128,
        latest: u128,
    }

    impl Model {
        fn take(&mut self, per_sec: u32, burst: u32, now_ns: u64) -> bool {
            self.latest = self.latest.max(u128::from(now_ns) * u128::from(per_sec));
            let full_at = self.full_at.max(self.latest) + 1_000_000_000;
            let is_granted = full_at - self.latest <= u128::from(burst) * 1_000_000_000;
            if is_granted {
                self.full_at = full_at;
            }
            is_granted
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_grants_what_the_model_grants_and_never_more_than_rate_and_burst(
            per_sec in prop_oneof![0u32..20, any::<u32>()],
            burst in prop_oneof![0u32..20, any::<u32>()],
            steps in proptest::collection::vec((any::<bool>(), prop_oneof![
                Just(0u64), 0u64..1000, 0u64..300_000_000, 0u64..3_000_000_000_000,
            ]), 1..300),
        ) {
            let start = start();
            let mut bucket = TokenBucket::new(burst, start);
            let mut model = Model { full_at: 0, latest: 0 };
            let (mut now_ns, mut latest_ns) = (0u64, 0u64);
            let mut granted_at = Vec::new();
            for (is_back, step) in steps {
                now_ns = if is_back { now_ns.saturating_sub(step) } else { now_ns + step };
                latest_ns = latest_ns.max(now_ns);
                let is_granted = bucket.take(per_sec, burst, start + Duration::from_nanos(now_ns));
                prop_assert_eq!(is_granted, model.take(per_sec, burst, now_ns));
                if is_granted {
                    granted_at.push(latest_ns);
                }
            }
            for (i, from) in granted_at.iter().enumerate() {
                for (n, to) in granted_at[i..].iter().enumerate() {
                    let earned = u128::from(to - from) * u128::from(per_sec) / 1_000_000_000;
                    prop_assert!((n as u128) < u128::from(burst) + earned);
                }
            }
        }
    }

    #[test]
    fn the_rate_is_exact_over_many_odd_steps() {
        let start = start();
        let mut bucket = TokenBucket::new(1, start);
        // Neither a step nor a seventh of a second divides the other, so every rounding would add up.
        let last_ns = 3_000_000 * 333_333;
        let times = (0..=last_ns).step_by(333_333).map(|now_ns| start + Duration::from_nanos(now_ns));
        let granted = times.filter(|&now| bucket.take(7, 2, now)).count() as u64;
        assert_eq!(granted, 1 + 7 * last_ns / 1_000_000_000);
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_grants_the_burst_and_no_more() {
        let start = start() + Duration::from_secs(1000);
        let mut bucket = TokenBucket::new(5, start);
        let granted = (0..1000).filter(|i| bucket.take(100, 5, start - Duration::from_secs(i % 10))).count();
        assert_eq!(granted, 5);
        assert!(!bucket.take(100, 5, start + Duration::from_nanos(9_999_999)));
        assert!(bucket.take(100, 5, start + Duration::from_millis(10)));
    }

    #[test]
    fn the_ends_of_the_number_line_do_not_panic() {
        let start = start();
        let far = start + Duration::from_secs(u64::from(u32::MAX) * 1000);
        let mut bucket = TokenBucket::new(u32::MAX, start);
        assert!(bucket.take(u32::MAX, u32::MAX, far));
        assert!(!bucket.take(u32::MAX, 0, far));
        assert!(!bucket.take(0, u32::MAX, far + Duration::from_secs(1)));
        assert!(bucket.take(1, 1, far + Duration::from_secs(2)));
    }

    #[test]
    fn a_smaller_burst_counts_at_once() {
        let start = start();
        let mut bucket = TokenBucket::new(100, start);
        assert!(bucket.take(1, 2, start));
        assert!(bucket.take(1, 2, start));
        assert!(!bucket.take(1, 2, start));
    }

    #[test]
    fn a_bucket_is_small() {
        assert!(size_of::<TokenBucket>() <= 24);
    }
}
