//! How good the simulation is, as a number: each known bug is let loose, and must be found within so many seeds.

use super::*;
use crate::canary::{Canary, let_loose};

/// Seeds within which each bug must be found.
const SEEDS_MOST: u64 = 400;

/// The first seed that finds the bug, and what it says. With `audit_every` 0 the core does not audit itself, and only
/// what clients and sockets see can tell.
fn find(canary: Canary, audit_every: u64) -> Option<(u64, String)> {
    let_loose(Some(canary));
    let found = (0..SEEDS_MOST).find_map(|seed| Some((seed, try_run(seed, audit_every).1.err()?)));
    let_loose(None);
    found
}

#[test]
fn every_known_bug_is_found() {
    let mut missed = Vec::new();
    eprintln!("{:<22} {:>4} {:>7}  what the simulation says", "bug", "seed", "outside");
    for canary in Canary::ALL {
        let outside = find(canary, 0).map_or("-".into(), |(seed, _)| seed.to_string());
        match find(canary, 1) {
            Some((seed, said)) => {
                eprintln!(
                    "{:<22} {seed:>4} {outside:>7}  {:.100}",
                    format!("{canary:?}"),
                    said.lines().next().unwrap_or("")
                )
            }
            None => missed.push(canary),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS_MOST} seeds: {missed:?}");
}
