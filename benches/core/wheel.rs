//! The timer wheel alone, and the pings of a crowd.

use std::time::{Duration, Instant};

use wsrelayd::{
    limits::Limits,
    wheel::{Tick, Wheel},
};

use crate::{
    Checked, Work, Workload,
    field::{Field, Next, compare},
    frames,
};

const TICK: Duration = Duration::from_millis(100);
const ENTRIES: u64 = 10_000;

/// Entries at times all over the wheel's round.
struct Insert {
    wheel: Wheel<u64>,
    now: Instant,
    due: Vec<(u64, Tick)>,
    inserted: u64,
    came_up: u64,
}

impl Insert {
    #[allow(clippy::disallowed_methods, reason = "there is no first moment but the clock's")]
    fn start() -> Self {
        let now = Instant::now();
        Self { wheel: Wheel::new(now), now, due: Vec::new(), inserted: 0, came_up: 0 }
    }

    /// All entries come up.
    fn empty(&mut self) {
        self.now += Duration::from_secs(110);
        self.due.clear();
        self.wheel.advance(self.now, &mut self.due);
        self.came_up += self.due.len() as u64;
    }
}

impl Work for Insert {
    fn prepare(&mut self) {
        self.empty();
    }

    fn run(&mut self) -> u64 {
        for entry in 0..ENTRIES {
            // Whole seconds: what an addition takes must not hang on the moment at which the program began.
            self.wheel.insert(entry, self.now + Duration::from_secs(1 + entry * 7919 % 100));
        }
        self.inserted += ENTRIES;
        ENTRIES
    }

    fn check(&mut self) -> Checked {
        compare("entries", self.wheel.len() as u64, ENTRIES)?;
        self.empty();
        compare("entries that came up", self.came_up, self.inserted)
    }
}

/// Entries that come up every 25 seconds and are put back; a round is five times that.
struct Around {
    wheel: Wheel<u64>,
    now: Instant,
    due: Vec<(u64, Tick)>,
    rounds: u64,
    visits: u64,
}

const INTERVAL: Duration = Duration::from_secs(25);
const ROUND_TICKS: u64 = 1250;
const ROUND_VISITS: u64 = ENTRIES * ROUND_TICKS / 250;

impl Around {
    #[allow(clippy::disallowed_methods, reason = "there is no first moment but the clock's")]
    fn start() -> Self {
        let now = Instant::now();
        let mut wheel = Wheel::new(now);
        for entry in 0..ENTRIES {
            wheel.insert(entry, now + Duration::from_micros(1 + entry * 2500));
        }
        Self { wheel, now, due: Vec::new(), rounds: 0, visits: 0 }
    }
}

impl Work for Around {
    fn run(&mut self) -> u64 {
        for _ in 0..ROUND_TICKS {
            self.now += TICK;
            self.wheel.advance(self.now, &mut self.due);
            self.visits += self.due.len() as u64;
            for (entry, _) in self.due.drain(..) {
                self.wheel.insert(entry, self.now + INTERVAL);
            }
        }
        self.rounds += 1;
        ROUND_VISITS
    }

    fn check(&mut self) -> Checked {
        compare("visits", self.visits, self.rounds * ROUND_VISITS)
    }
}

/// A crowd that says nothing but pongs.
struct Pings {
    field: Field,
    pong: usize,
    pings_before: u64,
    rounds: u64,
}

/// A round is a whole number of ping intervals.
const ROUND_PINGS: u64 = 2;

impl Pings {
    fn start() -> Result<Self, String> {
        let mut field = Field::with_peers(1, ENTRIES as usize)?;
        let pong = field.add_input(frames::pong());
        field.memory.takers = Some(Vec::new());
        let mut work = Self { field, pong, pings_before: 0, rounds: 0 };
        // After its first ping each peer is pinged in step with the round.
        work.go_through(1);
        work.pings_before = work.field.relay.counters().pings;
        Ok(work)
    }

    fn go_through(&mut self, intervals: u64) {
        let interval = Limits::default().ping_interval;
        for _ in 0..interval.as_millis() as u64 * intervals / TICK.as_millis() as u64 {
            self.field.pass(TICK);
            self.field.turn();
            self.answer();
            self.field.settle();
        }
    }

    /// Everybody who got a ping says a pong.
    fn answer(&mut self) {
        let mut takers = self.field.memory.takers.take().unwrap_or_default();
        for nth in takers.drain(..) {
            self.field.give(nth, Next::Input(self.pong));
        }
        self.field.memory.takers = Some(takers);
    }
}

impl Work for Pings {
    fn run(&mut self) -> u64 {
        self.go_through(ROUND_PINGS);
        self.rounds += 1;
        ROUND_PINGS * ENTRIES
    }

    fn check(&mut self) -> Checked {
        let counters = self.field.relay.counters();
        compare("pings", counters.pings - self.pings_before, self.rounds * ROUND_PINGS * ENTRIES)?;
        compare("pongs", counters.frames, counters.pings)?;
        compare("peers", self.field.relay.peers() as u64, ENTRIES)
    }
}

/// Most allocations: a slot's memory goes when its entries come up, and grows again by doubling; and a ping stands in a
/// buffer of its peer's until it is written.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "wheel: an entry put in",
            unit: "entry",
            rounds: 4,
            most_allocations: 0.1,
            start: Box::new(|| Ok(Box::new(Insert::start()))),
        },
        Workload {
            name: "wheel: 10,000 entries, every 25 s",
            unit: "visit",
            rounds: 2,
            most_allocations: 0.15,
            start: Box::new(|| Ok(Box::new(Around::start()))),
        },
        Workload {
            name: "10,000 peers' pings",
            unit: "ping",
            rounds: 1,
            most_allocations: 1.2,
            start: Box::new(|| Ok(Box::new(Pings::start()?))),
        },
    ]
}
