//! The simulation: the real core in a world of simulated sockets, clients and time.
//!
//! One seed is one world, and the same seed is the same world on every machine: which limits, faults and clients it
//! draws (`swarm`), what its network does (`net`, `wire`), what its clients say (`client`, `speech`, `liar`, `poster`), how
//! they come (`road`), and what they may (`permit`), in their own words (`frames`, `events`, `letter`). After every turn the
//! core audits itself, and the world checks from outside what was promised: order and completeness (`book`), causes and
//! deadlines (`verdict`), rates (`rate`), work per turn (`world`), and in the end that everything due has arrived and
//! nothing is left (`finale`). A failed seed is replayed with
//! `WSRELAYD_SEED=n cargo test sim::tests::replay -- --nocapture`.

#![cfg_attr(not(test), allow(dead_code, reason = "which of it a build needs is for that build to say"))]

mod book;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod cases;
mod client;
#[cfg(test)]
mod conformance;
mod core;
mod coverage;
pub(crate) mod events;
mod finale;
mod frames;
mod letter;
mod liar;
mod net;
mod permit;
mod poster;
mod rate;
mod reload;
pub(crate) mod rng;
mod road;
mod speech;
mod swarm;
pub(crate) mod tape;
mod trace;
mod verdict;
mod wire;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use coverage::Coverage;
use rng::Rng;
use swarm::Plan;
use world::World;

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

/// The world of a seed: what it plans, and what chance makes of it.
fn world_of(seed: u64) -> World {
    World::new(Plan::draw(&mut Rng::new(seed ^ 0x5eed)), seed)
}

/// Lives one seed's world to its end, or to the first law that is broken.
fn try_run(seed: u64, audit_every: u64) -> (World, Result<(), String>) {
    let mut world = world_of(seed);
    world.audit_every = audit_every;
    let outcome = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    (world, outcome.unwrap_or_else(|_| Err("the core panicked (see above)".into())))
}

/// Runs one seed; fails with everything that is needed to understand it.
fn run(seed: u64, coverage: &mut Coverage) {
    let (world, outcome) = try_run(seed, 1);
    let Err(failure) = outcome else { return coverage.add(&world) };
    panic!(
        "seed {seed} failed: {failure}\n{:#?}\nthe last events:\n{}\n\
         replay: WSRELAYD_SEED={seed} cargo test sim::tests::replay -- --nocapture",
        world.plan, world.net.trace
    );
}

#[cfg(test)]
mod tests;
