//! Publish and drain: some of a channel's peers speak in every turn, and each of the others gets all of it.

use std::time::Duration;

use wsrelayd::{
    limits::Limits,
    rules::{Rule, Rules},
};

use crate::{
    Checked, Start, Work, Workload,
    field::{Field, Next, compare},
    frames,
};

/// Who speaks to whom.
#[derive(Clone, Copy, Debug)]
struct Shape {
    channels: usize,
    /// Peers of each channel.
    peers: usize,
    /// The first so many peers of each channel speak, each in every turn.
    senders: usize,
    /// Messages that each of them sends in a turn.
    burst: usize,
    size: usize,
    /// Turns with input in a round.
    turns: usize,
    /// Whether its channels come under a rule with rates, far above what is sent.
    is_ruled: bool,
}

/// A rule with everything that is looked at for each message.
fn rule() -> Limits {
    let metered = Limits {
        messages_per_sec: 1_000_000,
        bytes_per_sec: 1 << 40,
        address_messages_per_sec: 1_000_000,
        address_bytes_per_sec: 1 << 40,
        rate_burst: Duration::from_secs(60 * 60),
        ..Limits::default()
    };
    let patterns = ["/feed/*", "/core/*", "/**"].into_iter().filter_map(|pattern| pattern.parse().ok());
    let rules = patterns.map(|pattern| Rule { pattern, limits: metered.clone() });
    Limits { rules: Rules::new(rules.collect()).unwrap_or_default(), ..Limits::default() }
}

impl Shape {
    fn limits(&self) -> Limits {
        if self.is_ruled { rule() } else { Limits::default() }
    }

    fn messages_per_turn(&self) -> usize {
        self.channels * self.senders * self.burst
    }

    fn deliveries_per_turn(&self) -> usize {
        self.messages_per_turn() * (self.peers - 1)
    }

    fn payload(&self, sender: usize, nth: usize) -> Vec<u8> {
        frames::payload(sender, nth, self.size)
    }

    /// What a sender says in a turn, each message put as `form` has it.
    fn burst(&self, sender: usize, form: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        (0..self.burst).flat_map(|nth| form(&self.payload(sender, nth))).collect()
    }

    /// What each peer gets of a turn: the messages of all others on its channel, in the order in which they were read.
    fn wanted(&self) -> impl Fn(usize) -> Vec<u8> + use<> {
        let Self { channels, senders, .. } = *self;
        let bursts: Vec<_> =
            (0..senders * channels).map(|sender| self.burst(sender, frames::relayed)).collect();
        move |peer| {
            let of_channel = (0..senders).map(|sender| sender * channels + peer % channels);
            let others = of_channel.filter(|sender| *sender != peer);
            others.map(|sender| bursts[sender].as_slice()).collect::<Vec<_>>().concat()
        }
    }
}

struct FanOut {
    field: Field,
    shape: Shape,
    /// The number of each sender's input.
    inputs: Vec<usize>,
    /// Turns with input so far.
    turns: u64,
    messages_before: u64,
    deliveries_before: u64,
}

impl FanOut {
    fn start(shape: Shape) -> Result<Self, String> {
        let mut field = Field::with_peers_under(&shape.limits(), shape.channels, shape.peers)?;
        let senders = 0..shape.senders * shape.channels;
        let inputs = senders.map(|sender| field.add_input(shape.burst(sender, frames::binary))).collect();
        let mut fan_out = Self { field, shape, inputs, turns: 0, messages_before: 0, deliveries_before: 0 };
        fan_out.try_out()?;
        Ok(fan_out)
    }

    /// One turn in which every byte is compared.
    fn try_out(&mut self) -> Checked {
        self.field.record();
        self.speak();
        self.field.check_record(self.shape.wanted())?;
        let counters = self.field.relay.counters();
        (self.messages_before, self.deliveries_before) = (counters.messages_in, counters.deliveries);
        (self.field.memory.taken, self.turns) = (0, 0);
        Ok(())
    }

    /// A turn with input, and what is put off to the next ones.
    fn speak(&mut self) {
        for nth in 0..self.inputs.len() {
            self.field.give(nth, Next::Input(self.inputs[nth]));
        }
        self.field.settle();
        self.turns += 1;
    }
}

impl Work for FanOut {
    fn run(&mut self) -> u64 {
        for _ in 0..self.shape.turns {
            self.speak();
        }
        (self.shape.turns * self.shape.deliveries_per_turn()) as u64
    }

    fn check(&mut self) -> Checked {
        let counters = self.field.relay.counters();
        let deliveries = self.turns * self.shape.deliveries_per_turn() as u64;
        let frame = frames::relayed(&self.shape.payload(0, 0)).len() as u64;
        let messages = self.turns * self.shape.messages_per_turn() as u64;
        compare("messages", counters.messages_in - self.messages_before, messages)?;
        compare("rests", counters.rested, 0)?;
        compare("deliveries", counters.deliveries - self.deliveries_before, deliveries)?;
        compare("bytes", self.field.memory.taken, deliveries * frame)
    }
}

const TO_1000: Shape =
    Shape { channels: 1, peers: 1001, senders: 1, burst: 1, size: 64, turns: 16, is_ruled: false };

/// What is allocated of a channel in a turn, however many messages it brings to however many peers: blocks, their index
/// and the list of them grow by doubling, and go when everybody has read.
const PER_TURN: usize = 8;

/// Beside that a message above 1 KiB has a decoder of its own.
const PER_LARGE_TURN: usize = 24;

const SHAPES: [(&str, Shape); 10] = [
    ("1 to 1000, 64 a turn", Shape { burst: 64, turns: 8, ..TO_1000 }),
    ("1 to 1000, 16 a turn", Shape { burst: 16, ..TO_1000 }),
    ("1 to 1000, 1 a turn", TO_1000),
    ("1 to 1000, 16 KiB, 4 a turn", Shape { burst: 4, size: 16 << 10, turns: 4, ..TO_1000 }),
    ("100 to 99 each, 1 a turn", Shape { peers: 100, senders: 100, ..TO_1000 }),
    ("1 to 1, 64 a turn", Shape { peers: 2, burst: 64, turns: 64, ..TO_1000 }),
    ("1 to 1, 1 a turn", Shape { peers: 2, turns: 1000, ..TO_1000 }),
    (
        "1 to 1, 64 a turn, ruled and metered",
        Shape { peers: 2, burst: 64, turns: 64, is_ruled: true, ..TO_1000 },
    ),
    ("1 to 1000, 16 a turn, ruled and metered", Shape { burst: 16, is_ruled: true, ..TO_1000 }),
    ("100 times 1 to 9, 1 a turn", Shape { channels: 100, peers: 10, ..TO_1000 }),
];

pub fn workloads() -> Vec<Workload> {
    let start = |shape| -> Start { Box::new(move || Ok(Box::new(FanOut::start(shape)?) as Box<dyn Work>)) };
    let workload = |(name, shape): (_, Shape)| {
        let per_turn = if shape.size > 1 << 10 { PER_LARGE_TURN } else { PER_TURN } * shape.channels;
        let most_allocations = per_turn as f64 / shape.deliveries_per_turn() as f64;
        Workload { name, unit: "delivery", rounds: 2, most_allocations, start: start(shape) }
    };
    SHAPES.map(workload).into()
}
