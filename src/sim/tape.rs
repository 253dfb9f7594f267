//! A world whose every decision is read from a tape: limits, faults, who comes, who says what and when.
//!
//! Promises: any bytes make a world; it is bounded, however the bytes wish it; and the same bytes make the same one.

use super::{live, rng::Rng, swarm::Plan, world::World};

/// Who may come, what each may say, and steps before the faults stop: few, as a tape's worlds are many.
const CLIENTS_MOST: usize = 6;
const WORDS_MOST: usize = 12;
const STEPS_MOST: usize = 250;

/// Lives the world of `tape` to its end; fails with everything that is needed to understand it.
pub(crate) fn live_by(tape: &[u8]) {
    let mut rng = Rng::on_tape(tape);
    let mut plan = Plan::draw(&mut rng);
    plan.clients = plan.clients.min(CLIENTS_MOST);
    plan.words = plan.words.min(WORDS_MOST);
    plan.steps = plan.steps.min(STEPS_MOST);
    let mut world = World::new(plan, 0);
    world.net.rng = rng.fork();
    world.rng = rng;
    if let Err(failure) = live(&mut world) {
        panic!("{failure}\n{:#?}\nthe last events:\n{}", world.plan, world.net.trace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tape_decides_and_is_read_on() {
        let told = |tape: &[u8]| {
            let mut rng = Rng::on_tape(tape);
            let plan = Plan::draw(&mut rng);
            (format!("{plan:?}"), rng.is_spent())
        };
        assert_eq!(told(&[0; 400]), told(&[0; 400]));
        assert_ne!(told(&[0; 400]).0, told(&[1; 400]).0);
        assert!(!told(&[0; 400]).1, "bytes are left for what happens then");
        live_by(&[]);
    }
}
