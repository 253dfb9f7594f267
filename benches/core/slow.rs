//! Peers that do not take what they are offered: what one of them costs the others, and what it costs to catch up over
//! messages of its own.

use crate::{
    Checked, Work, Workload,
    field::{Field, Next, compare},
    frames,
};

const SIZE: usize = 64;

/// One of a thousand hears nothing for sixteen turns; then it gets all of them.
const RECEIVERS: usize = 1000;
const DEAF: usize = RECEIVERS;
const BURST: usize = 16;
const TURNS: usize = 16;

/// The backlog grows by blocks, which go when the deaf one has read them.
const PER_TURN: f64 = 8.0;

/// Messages of its own, and as many of the other's, that a peer has to catch up over.
const OWN: usize = 500;

/// A deaf peer among a thousand.
struct OneDeaf {
    field: Field,
    input: usize,
    rounds: u64,
    deliveries_before: u64,
}

impl OneDeaf {
    fn start() -> Result<Self, String> {
        let mut field = Field::with_peers(1, RECEIVERS + 1)?;
        let burst: Vec<_> = (0..BURST).map(|nth| frames::payload(0, nth, SIZE)).collect();
        let input = field.add_input(burst.iter().flat_map(|payload| frames::binary(payload)).collect());
        let deliveries_before = field.relay.counters().deliveries;
        let mut work = Self { field, input, rounds: 0, deliveries_before };
        work.field.record();
        work.run();
        let wanted =
            burst.iter().flat_map(|payload| frames::relayed(payload)).collect::<Vec<_>>().repeat(TURNS);
        work.field.check_record(|peer| if peer == 0 { Vec::new() } else { wanted.clone() })?;
        Ok(work)
    }
}

impl Work for OneDeaf {
    fn run(&mut self) -> u64 {
        self.field.deafen(DEAF);
        for _ in 0..TURNS {
            self.field.give(0, Next::Input(self.input));
            self.field.settle();
        }
        self.field.undeafen(DEAF);
        self.field.settle();
        self.rounds += 1;
        (TURNS * BURST * RECEIVERS) as u64
    }

    fn check(&mut self) -> Checked {
        let counters = self.field.relay.counters();
        let wanted = self.rounds * (TURNS * BURST * RECEIVERS) as u64;
        compare("refused writes", counters.refused_writes, self.rounds)?;
        compare("deliveries", counters.deliveries - self.deliveries_before, wanted)
    }
}

/// Two peers speak by turns while one of them is deaf; what is measured is how it catches up.
struct OwnBetween {
    field: Field,
    inputs: [usize; 2],
    rounds: u64,
    taken_before: u64,
}

impl OwnBetween {
    fn start() -> Result<Self, String> {
        let mut field = Field::with_peers(1, 2)?;
        let inputs = [0, 1].map(|sender| field.add_input(frames::binary(&frames::payload(sender, 0, SIZE))));
        let mut work = Self { field, inputs, rounds: 0, taken_before: 0 };
        work.field.record();
        work.prepare();
        work.run();
        let wanted = |peer| frames::relayed(&frames::payload(1 - peer, 0, SIZE)).repeat(OWN);
        work.field.check_record(wanted)?;
        Ok(work)
    }
}

impl Work for OwnBetween {
    fn prepare(&mut self) {
        self.field.deafen(0);
        for _ in 0..OWN {
            for nth in [0, 1] {
                self.field.give(nth, Next::Input(self.inputs[nth]));
                self.field.settle();
            }
        }
        self.taken_before = self.field.memory.taken;
    }

    fn run(&mut self) -> u64 {
        self.field.undeafen(0);
        self.field.settle();
        self.rounds += 1;
        OWN as u64
    }

    fn check(&mut self) -> Checked {
        let frame = frames::relayed(&[0; SIZE]).len();
        compare("bytes", self.field.memory.taken - self.taken_before, (OWN * frame) as u64)?;
        compare("deliveries", self.field.relay.counters().deliveries, self.rounds * 2 * OWN as u64)
    }
}

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "1 to 1000, 1 deaf, 16 a turn",
            unit: "delivery",
            rounds: 2,
            most_allocations: PER_TURN / (BURST * RECEIVERS) as f64,
            start: Box::new(|| Ok(Box::new(OneDeaf::start()?))),
        },
        Workload {
            name: "catching up over own messages",
            unit: "delivery",
            rounds: 20,
            most_allocations: 0.0,
            start: Box::new(|| Ok(Box::new(OwnBetween::start()?))),
        },
    ]
}
