//! The simulation: the real core in a world of simulated sockets, clients and time.
//!
//! One seed is one world, and the same seed is the same world on every machine: which limits, faults and clients it
//! draws (`swarm`), what its network does (`net`, `wire`), what its clients say (`client`, `speech`, `liar`) in their
//! own words (`frames`, `letter`). After every turn the core audits itself, and the world checks from outside what
//! was promised: order and completeness (`book`), causes and deadlines (`verdict`), work per turn (`world`), and in
//! the end that everything due has arrived and nothing is left (`finale`). A failed seed is replayed with
//! `WSRELAYD_SEED=n cargo test sim::replay -- --nocapture`.

mod book;
mod cases;
mod client;
mod core;
mod coverage;
mod finale;
mod frames;
mod letter;
mod liar;
mod net;
mod rng;
mod speech;
mod swarm;
mod trace;
mod verdict;
mod wire;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use coverage::Coverage;
use rng::Rng;
use swarm::Plan;
use world::World;

/// Seeds of an ordinary run.
const SEEDS: u64 = 2000;
const THREADS: u64 = 2;

/// Everybody who will come, and when.
fn invite(world: &mut World) {
    let (rush, kinds) = (world.plan.rush, world.plan.kinds.clone());
    for _ in 0..world.plan.clients {
        let at = Duration::from_micros(world.rng.below(rush.as_micros() as usize + 1) as u64);
        let kind = world.rng.pick(&kinds);
        world.to_come.push((at, kind));
    }
    world.to_come.sort_unstable_by(|a, b| b.cmp(a));
}

fn live(world: &mut World) -> Result<(), String> {
    invite(world);
    for _ in 0..world.plan.steps {
        world.step()?;
    }
    world.end()
}

/// Runs one seed; fails with everything that is needed to understand it.
fn run(seed: u64, coverage: &mut Coverage) {
    let mut world = World::new(Plan::draw(&mut Rng::new(seed ^ 0x5eed)), seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    let failure = match outcome {
        Ok(Ok(())) => return coverage.add(&world),
        Ok(Err(failure)) => failure,
        Err(_) => "the core panicked (see above)".into(),
    };
    panic!(
        "seed {seed} failed: {failure}\n{:#?}\nthe last events:\n{}\n\
         replay: WSRELAYD_SEED={seed} cargo test sim::replay -- --nocapture",
        world.plan, world.net.trace
    );
}

#[test]
#[allow(clippy::disallowed_methods)] // seconds of work, told at the end; no seed sees them
fn two_thousand_seeds() {
    let start = Instant::now();
    let share = |thread: u64| {
        let mut coverage = Coverage::default();
        (0..SEEDS).filter(|seed| seed % THREADS == thread).for_each(|seed| run(seed, &mut coverage));
        coverage
    };
    let coverage = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || share(thread))).collect();
        let shares = threads.into_iter().map(|thread| thread.join().expect("a seed failed, see above"));
        shares.fold(Coverage::default(), Coverage::merge)
    });
    let rate = SEEDS as f64 / start.elapsed().as_secs_f64();
    println!("{SEEDS} seeds, {rate:.0} seeds per second\n{coverage}");
    coverage.check();
}

/// Runs the seeds named by `WSRELAYD_SEED` (`n` or `from..to`), or one.
#[test]
fn replay() {
    let named = std::env::var("WSRELAYD_SEED").unwrap_or_else(|_| "0".into());
    let (from, to) = named.split_once("..").unwrap_or((&named, ""));
    let from: u64 = from.parse().expect("WSRELAYD_SEED is a number or from..to");
    let to =
        if to.is_empty() { from + 1 } else { to.parse().expect("WSRELAYD_SEED is a number or from..to") };
    assert!(to > from);
    let mut coverage = Coverage::default();
    (from..to).for_each(|seed| run(seed, &mut coverage));
    println!("{coverage}");
}

#[test]
fn the_same_seed_is_the_same_world() {
    let trace = |seed| {
        let mut world = World::new(Plan::draw(&mut Rng::new(seed ^ 0x5eed)), seed);
        live(&mut world).expect("a good seed");
        (world.turns, world.now, world.book.deliveries, world.net.trace.to_string())
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
