//! Now and then the relay is given other limits while it runs, as an operator would with a reload.
//!
//! The judges go by the most lenient of all limits that held in a world.

use std::time::Duration;

use super::{core, rng::Rng, world::World};
use crate::limits::Limits;

impl World {
    pub(super) fn reload(&mut self) {
        if !self.rng.chance(self.plan.reloads) {
            return;
        }
        let limits = other(&self.limits, &mut self.rng);
        self.reloads += 1;
        let lenient = &mut self.plan.limits;
        lenient.ping_interval = lenient.ping_interval.max(limits.ping_interval);
        let most = &mut lenient.max_connections_per_address;
        *most = limits.max_connections_per_address.max(*most);
        let rate = &mut lenient.handshakes_per_address_per_sec;
        *rate = limits.handshakes_per_address_per_sec.max(*rate);
        self.core.reconfigure(limits.clone(), self.clock());
        self.limits = limits;
        self.full = core::over_hold(&self.core);
    }
}

/// Limits that the configuration would accept after these.
fn other(now: &Limits, rng: &mut Rng) -> Limits {
    let two = 2 * (now.max_message + 10);
    let max_lag = rng.pick(&[two, two * 4, 1 << 20]);
    // No limit stays no limit, so that the others are the stricter ones.
    let (most, rate) = (now.max_connections_per_address, now.handshakes_per_address_per_sec);
    Limits {
        max_connections_per_address: if most == 0 { 0 } else { rng.pick(&[1, 2, 64]) },
        handshakes_per_address_per_sec: if rate == 0 { 0 } else { rng.pick(&[1, 20]) },
        max_lag,
        soft_lag: rng.pick(&[1, max_lag / 4, max_lag]),
        hold: rng.pick(&[1, 100, 256 << 10]),
        ping_interval: rng.pick(&[1, 2, 6]) * now.pong_timeout.max(Duration::from_millis(1000)) * 2,
        ..now.clone()
    }
}
