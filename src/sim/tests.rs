//! The seeds of an ordinary run, and any that is asked for.

use super::*;
use std::time::Instant;

/// Seeds of an ordinary run.
const SEEDS: u64 = 2000;
const THREADS: u64 = 2;

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
        let mut world = world_of(seed);
        live(&mut world).expect("a good seed");
        (world.turns, world.now, world.book.deliveries, world.net.trace.to_string())
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
