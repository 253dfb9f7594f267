//! Now and then the relay is given other limits while it runs, as an operator would with a reload.
//!
//! The judges go by the most lenient of all limits that held in a world.

use std::time::Duration;

use super::{core, permit, rng::Rng, swarm::Plan, world::World};
use crate::limits::{Limits, OnRate};

impl World {
    pub(super) fn reload(&mut self) {
        if !self.rng.chance(self.plan.reloads) {
            return;
        }
        let mut limits = other(&self.limits, &mut self.rng);
        let rng = &mut self.rng;
        self.ruled = std::mem::take(&mut self.ruled).iter().map(|now| under(&limits, now, rng)).collect();
        if self.ruled.is_empty() {
            change_rates(&mut limits, rng);
        }
        let limits = permit::with_rules(limits, &self.ruled);
        self.reloads += 1;
        let Plan { limits: lenient, ruled, .. } = &mut self.plan;
        for lenient in ruled.iter_mut().chain([&mut *lenient]) {
            lenient.ping_interval = lenient.ping_interval.max(limits.ping_interval);
        }
        let most = &mut lenient.max_connections_per_address;
        *most = limits.max_connections_per_address.max(*most);
        let rate = &mut lenient.handshakes_per_address_per_sec;
        *rate = limits.handshakes_per_address_per_sec.max(*rate);
        self.core.reconfigure(limits.clone(), self.clock());
        self.limits = limits;
        self.forget_debts();
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

/// What a rule may set after `now`, under other general limits. Who may do what stays, so that it is known of everybody.
fn under(general: &Limits, now: &Limits, rng: &mut Rng) -> Limits {
    let two = 2 * (now.max_message + 10);
    let max_lag = rng.pick(&[two, two * 4, 1 << 20]);
    let mut limits = Limits {
        max_connections_per_address: general.max_connections_per_address,
        handshakes_per_address_per_sec: general.handshakes_per_address_per_sec,
        hold: general.hold,
        ping_interval: general.ping_interval,
        max_lag,
        soft_lag: rng.pick(&[1, max_lag / 4, max_lag]),
        ..now.clone()
    };
    change_rates(&mut limits, rng);
    limits
}

/// Other rates where there are any. Those of addresses stay limited: who is counted under one is so from the beginning.
fn change_rates(limits: &mut Limits, rng: &mut Rng) {
    if !limits.meters() {
        return;
    }
    limits.messages_per_sec = rng.pick(&[0, 2, 5, 50]);
    if limits.address_messages_per_sec > 0 {
        limits.address_messages_per_sec = rng.pick(&[10, 50, 200]);
    }
    limits.rate_burst = Duration::from_secs(rng.pick(&[1, 2, 5]));
    limits.on_rate = rng.pick(&[OnRate::Wait, OnRate::Wait, OnRate::Disconnect]);
}
