//! When each message of an open loop is due, whatever the server does.

/// A fixed number of messages, evenly spread over time and, by turns, over the senders.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub start_ns: u64,
    per_second: f64,
    /// Messages in all.
    pub total: u64,
    /// The number of each sender's first message.
    first: Vec<u32>,
}

impl Schedule {
    pub fn new(start_ns: u64, per_second: f64, seconds: f64, first: Vec<u32>) -> Self {
        // So many are due before the end; 10 a second for a second are 10.
        let total = (per_second * seconds).ceil() as u64;
        Self { start_ns, per_second, total, first }
    }

    /// When the nth message of all is due.
    pub fn due_ns(&self, nth: u64) -> u64 {
        self.start_ns + (nth as f64 * 1e9 / self.per_second) as u64
    }

    /// Who sends the nth message of all.
    pub fn sender_of(&self, nth: u64) -> u32 {
        (nth % self.first.len() as u64) as u32
    }

    /// Which of all messages this one of a sender's is.
    pub fn nth_of(&self, sender: u32, number: u32) -> u64 {
        u64::from(number - self.first[sender as usize]) * self.first.len() as u64 + u64::from(sender)
    }

    /// The most messages that one sender has.
    pub fn most_of_one(&self) -> u32 {
        self.total.div_ceil(self.first.len() as u64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_spread_over_time_without_drift() {
        let schedule = Schedule::new(1_000, 3.0, 2.0, vec![0]);
        let due: Vec<u64> = (0..schedule.total).map(|nth| schedule.due_ns(nth)).collect();
        let expected = [1_000, 333_334_333, 666_667_666, 1_000_001_000, 1_333_334_333, 1_666_667_666];
        assert_eq!(due, expected);
        let long = Schedule::new(0, 7.0, 7e5, vec![0]);
        assert_eq!(long.due_ns(7 * 500_000), 500_000_000_000_000);
    }

    #[test]
    fn all_that_are_due_before_the_end_are_there() {
        let table = [(10.0, 1.0, 10), (0.5, 3.0, 2), (3.0, 0.5, 2), (1000.0, 0.0, 0)];
        assert!(!table.is_empty());
        for (per_second, seconds, total) in table {
            let schedule = Schedule::new(5, per_second, seconds, vec![0]);
            assert_eq!(schedule.total, total, "{per_second} a second for {seconds} s");
            let end = 5 + (seconds * 1e9) as u64;
            assert!(total == 0 || schedule.due_ns(total - 1) < end, "{per_second} a second for {seconds} s");
            assert!(schedule.due_ns(total) >= end, "{per_second} a second for {seconds} s");
        }
    }

    #[test]
    fn senders_take_turns_and_messages_are_found_again() {
        let schedule = Schedule::new(0, 10.0, 1.0, vec![5, 0, 7]);
        let mut next = [5, 0, 7];
        for nth in 0..schedule.total {
            let sender = schedule.sender_of(nth);
            assert_eq!(u64::from(sender), nth % 3);
            assert_eq!(schedule.nth_of(sender, next[sender as usize]), nth);
            next[sender as usize] += 1;
        }
        assert_eq!(schedule.most_of_one(), 4);
    }
}
