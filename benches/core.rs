//! The core alone: the relay between two ends in memory, without a socket, a system call or a clock of its own.
//!
//! Measures decoding, publishing, the lists and the gathering of each peer's slices; the time that the relay is given
//! stands still, so nobody is pinged. Promises: a result is printed only if the relay's counters and the bytes that
//! came out are exactly those of every message to every receiver; that they are the right bytes is for the tests.
//! One line for each workload: the median of five runs, each with a relay of its own, and their spread.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark has to read the clock")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result and the failure go there")]

use std::{
    hint::black_box,
    io::{self, IoSlice},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use wsrelayd::{
    address::Source,
    id::PeerId,
    limits::Limits,
    relay::Relay,
    wire::{Heard, Wire},
};

const RUNS: usize = 5;
const SEED: u64 = 9310;
const PAYLOAD: usize = 64;

/// What a receiver gets of one message: two bytes of header, no mask.
const FRAME: usize = 2 + PAYLOAD;

const REQUEST: &[u8] =
    b"GET /core HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Puts messages through the core and prints what each took.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds of each run
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

/// Who speaks to whom.
#[derive(Debug)]
struct Workload {
    name: &'static str,
    peers: usize,
    /// The first so many of the peers speak, each in every turn.
    senders: usize,
    /// Messages that each of them sends in a turn.
    burst: usize,
}

const WORKLOADS: [Workload; 2] = [
    Workload { name: "1 to 1000, 64 a turn", peers: 1001, senders: 1, burst: 64 },
    Workload { name: "100 to 99 each, 1 a turn", peers: 100, senders: 100, burst: 1 },
];

/// What the next read of a peer brings.
#[derive(Clone, Copy, Debug, Default)]
enum Next {
    #[default]
    Nothing,
    Request,
    Burst,
}

/// The outside: prepared bytes go in, and whatever comes out is taken.
#[derive(Debug)]
struct Memory {
    burst: Vec<u8>,
    taken: u64,
}

impl Wire<Next> for Memory {
    fn read<'w>(&'w mut self, next: &mut Next, _max: usize) -> Heard<'w> {
        match std::mem::take(next) {
            Next::Nothing => Heard::WouldBlock,
            Next::Request => Heard::Bytes { bytes: REQUEST, drained: true },
            Next::Burst => Heard::Bytes { bytes: &self.burst, drained: true },
        }
    }

    fn write(&mut self, _next: &mut Next, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = black_box(slices).iter().map(|slice| slice.len()).sum();
        self.taken += len as u64;
        Ok(len)
    }

    fn finish(&mut self, _next: &mut Next) {}
}

/// The relay, its peers, and the one moment in which all happens.
struct Bench {
    relay: Relay<Next>,
    peers: Vec<PeerId>,
    memory: Memory,
    now: Instant,
}

impl Bench {
    fn start(workload: &Workload) -> Option<Self> {
        let now = Instant::now();
        let mut relay = Relay::new(Limits { max_handshakes: workload.peers, ..Limits::default() }, SEED, now);
        let peers: Vec<_> = (0..workload.peers)
            .map_while(|_| relay.open(Next::Nothing, Source::Unix.into(), now).ok())
            .collect();
        let mut bench = Self { relay, peers, memory: Memory { burst: burst(workload.burst), taken: 0 }, now };
        bench.give(workload.peers, Next::Request);
        bench.settle();
        bench.memory.taken = 0;
        (bench.relay.counters().joined == workload.peers as u64).then_some(bench)
    }

    /// The first `count` peers have something to be read.
    fn give(&mut self, count: usize, next: Next) {
        for &id in self.peers.iter().take(count) {
            if let Some(link) = self.relay.link_mut(id) {
                *link = next;
                self.relay.readable(id);
            }
        }
    }

    fn turn(&mut self) {
        self.relay.hear(self.now, &mut self.memory);
        self.relay.expire(self.now);
        self.relay.deliver(self.now, &mut self.memory);
        self.relay.bury(drop);
    }

    fn settle(&mut self) {
        while self.relay.is_busy() {
            self.turn();
        }
    }
}

/// Messages as a client sends them, in one piece.
fn burst(messages: usize) -> Vec<u8> {
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![0x82, 0x80 | PAYLOAD as u8];
    frame.extend(mask);
    frame.extend((0..PAYLOAD).map(|nth| nth as u8 ^ mask[nth % 4]));
    frame.repeat(messages)
}

/// Nanoseconds per message, if every receiver got every message.
fn run(workload: &Workload, span: Duration) -> Option<f64> {
    let mut bench = Bench::start(workload)?;
    let begun = Instant::now();
    let mut turns = 0;
    while begun.elapsed() < span {
        bench.give(workload.senders, Next::Burst);
        bench.settle();
        turns += 1;
    }
    let spent = begun.elapsed();
    let messages = turns * (workload.senders * workload.burst) as u64;
    let deliveries = messages * (workload.peers as u64 - 1);
    let counters = bench.relay.counters();
    let complete = counters.messages_in == messages
        && counters.deliveries == deliveries
        && bench.memory.taken == deliveries * FRAME as u64;
    complete.then(|| spent.as_nanos() as f64 / messages as f64)
}

/// The median of the runs, and (most - least) / median.
fn summarise(workload: &Workload, span: Duration) -> Option<(f64, f64)> {
    let mut runs = (0..RUNS).map(|_| run(workload, span)).collect::<Option<Vec<_>>>()?;
    runs.sort_unstable_by(f64::total_cmp);
    let (least, median, most) = (runs[0], runs[RUNS / 2], runs[RUNS - 1]);
    Some((median, (most - least) / median))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Ok(span) = Duration::try_from_secs_f64(arguments.seconds) else { return ExitCode::FAILURE };
    println!("  {:<26} {:>15} {:>15} {:>9}", "", "ns per delivery", "ns per message", "spread");
    for workload in &WORKLOADS {
        let Some((message_ns, spread)) = summarise(workload, span) else {
            eprintln!("core: no result: not every message of \"{}\" reached every peer", workload.name);
            return ExitCode::FAILURE;
        };
        let delivery_ns = message_ns / (workload.peers - 1) as f64;
        let name = workload.name;
        println!("  {name:<26} {delivery_ns:>15.2} {message_ns:>15.1} {:>7.1} %", spread * 100.0);
    }
    ExitCode::SUCCESS
}
