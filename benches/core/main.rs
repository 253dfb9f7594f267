//! The core alone: its parts, and the relay between ends in memory, without a socket, a system call or a clock of its
//! own.
//!
//! Owns the two ways of measuring: the wall clock, for a table of nanoseconds, and one counted run of a single
//! workload under callgrind, of which only what `counted_part` does is taken (`benches/counts` does that). Promises:
//! the work of a round is fixed and the same on every machine, and a result comes only of work that brought exactly
//! what it had to. The workloads stand in the other files; what the kernel, the poller and the log cost is for
//! `benches/run`.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark has to read the clock")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result and the failure go there")]

mod decode;
mod fanout;
mod field;
mod frames;
mod handshake;
mod life;
mod slow;
mod wheel;

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;

/// Runs of each workload by the wall clock, each with a start of its own.
const RUNS: usize = 5;

/// Nothing is promised of a unit's heap allocations.
const ANY: f64 = f64::INFINITY;

/// Puts prepared work through the core and prints what each unit of it took.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds of each run by the wall clock
    #[arg(long, default_value_t = 0.2)]
    seconds: f64,
    /// Print the names of all workloads
    #[arg(long)]
    list: bool,
    /// Go through one counted run of one workload, for callgrind
    #[arg(long)]
    count: bool,
    /// Only the workloads whose names hold one of these words; all of them by default
    words: Vec<String>,
}

/// What came out was wrong.
type Checked = Result<(), String>;

/// A piece of work that can be done again and again.
trait Work {
    /// What a round needs and is not measured.
    fn prepare(&mut self) {}

    /// One round, measured. Says how many units it did.
    fn run(&mut self) -> u64;

    /// Whether all rounds so far brought exactly what they had to.
    fn check(&mut self) -> Checked;
}

/// A way to begin some work; fails when the beginning goes wrong.
type Start = Box<dyn Fn() -> Result<Box<dyn Work>, String>>;

struct Workload {
    name: &'static str,
    /// What is counted of it.
    unit: &'static str,
    /// Rounds of a counted run.
    rounds: usize,
    /// Heap allocations that a unit may make at most: a promise of the design, and no measurement.
    most_allocations: f64,
    start: Start,
}

fn workloads() -> Vec<Workload> {
    [fanout::workloads(), slow::workloads(), decode::workloads(), wheel::workloads(), handshake::workloads()]
        .into_iter()
        .flatten()
        .chain(life::workloads())
        .collect()
}

/// Where callgrind begins to count anew.
#[inline(never)]
fn counted_part(work: &mut dyn Work) -> u64 {
    // Not a tail call, or the function would be over before its work.
    black_box(work.run())
}

/// Where callgrind writes down what it has counted.
#[inline(never)]
fn counted_end(units: u64) -> u64 {
    black_box(units)
}

/// Work that was started and has gone through its first round, so that lists and buffers have grown to their size.
fn warm(workload: &Workload) -> Result<Box<dyn Work>, String> {
    let mut work = (workload.start)()?;
    work.prepare();
    work.run();
    Ok(work)
}

/// How many units were counted.
fn count(workload: &Workload) -> Result<u64, String> {
    let mut work = warm(workload)?;
    let mut units = 0;
    for _ in 0..workload.rounds {
        work.prepare();
        units += counted_end(counted_part(&mut *work));
    }
    work.check().map(|()| units)
}

/// Nanoseconds per unit, over as many rounds as `span` has room for.
fn time(workload: &Workload, span: Duration) -> Result<f64, String> {
    let mut work = warm(workload)?;
    let (mut spent, mut units) = (Duration::ZERO, 0);
    while spent < span {
        work.prepare();
        let begun = Instant::now();
        units += work.run();
        spent += begun.elapsed();
    }
    work.check().map(|()| spent.as_nanos() as f64 / units as f64)
}

/// The median of the runs, and (most - least) / median.
fn summarise(workload: &Workload, span: Duration) -> Result<(f64, f64), String> {
    let mut runs = (0..RUNS).map(|_| time(workload, span)).collect::<Result<Vec<_>, _>>()?;
    runs.sort_unstable_by(f64::total_cmp);
    let (least, median, most) = (runs[0], runs[RUNS / 2], runs[RUNS - 1]);
    Ok((median, (most - least) / median))
}

fn print_counted(chosen: &[Workload]) -> Checked {
    let [workload] = chosen else { return Err(format!("{} workloads are chosen, not one", chosen.len())) };
    count(workload).map(|units| println!("{units}"))
}

fn print_timed(chosen: &[Workload], span: Duration) -> Checked {
    println!("  {:<44} {:>12} {:>9}", "", "ns", "spread");
    for workload in chosen {
        let (unit_ns, spread) =
            summarise(workload, span).map_err(|what| format!("{}: {what}", workload.name))?;
        let name = format!("{}, per {}", workload.name, workload.unit);
        println!("  {name:<44} {unit_ns:>12.2} {:>7.1} %", spread * 100.0);
    }
    Ok(())
}

fn print_list(chosen: &[Workload]) {
    for Workload { name, unit, most_allocations, .. } in chosen {
        println!("{name}\t{unit}\t{most_allocations}");
    }
}

fn perform(arguments: &Arguments) -> Checked {
    let span = Duration::try_from_secs_f64(arguments.seconds).map_err(|what| what.to_string())?;
    let words = &arguments.words;
    let is_chosen = |name: &str| match arguments.count {
        true => words.iter().any(|word| name == word),
        false => words.is_empty() || words.iter().any(|word| name.contains(word.as_str())),
    };
    let chosen: Vec<_> = workloads().into_iter().filter(|workload| is_chosen(workload.name)).collect();
    match arguments {
        _ if chosen.is_empty() => Err("no such workload".into()),
        Arguments { list: true, .. } => {
            print_list(&chosen);
            Ok(())
        }
        Arguments { count: true, .. } => print_counted(&chosen),
        _ => print_timed(&chosen, span),
    }
}

fn main() -> ExitCode {
    match perform(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("core: no result: {what}");
            ExitCode::FAILURE
        }
    }
}
