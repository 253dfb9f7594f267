//! What a seed draws: limits (absurdly small ones among them), faults, and who comes with which habits.

use std::time::Duration;

use super::{
    client::{Habits, Kind, Leave},
    letter::MIN_LETTER,
    net::Faults,
    permit,
    rng::Rng,
    speech::{REPLY, REQUEST},
};
use crate::limits::{Heartbeat, Limits, OnSlow, TurnBudget};

/// How narrow the budgets of a turn are, and with them how much may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Tiny,
    Small,
    Default,
}

/// Everything that a seed decides before its world begins.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) width: Width,
    pub(super) limits: Limits,
    /// What holds on each channel, if there are rules.
    pub(super) ruled: Vec<Limits>,
    pub(super) faults: Faults,
    pub(super) channels: usize,
    pub(super) clients: usize,
    pub(super) kinds: Vec<Kind>,
    /// Clients come within this time.
    pub(super) rush: Duration,
    /// Messages per client.
    pub(super) words: usize,
    pub(super) steps: usize,
    /// Capacity of the sockets, up and down, at most.
    pub(super) up_most: usize,
    pub(super) down_most: usize,
    /// Sockets that take everything at once, in thousandths.
    pub(super) roomy: u32,
    /// How often a client that could act does not, in thousandths.
    pub(super) laziness: u32,
    /// How long a turn takes that follows a busy one, at most.
    pub(super) turn_most: Duration,
    /// How long the relay has been running when the first client comes.
    pub(super) age: Duration,
    /// How many addresses there are, if any client has one.
    pub(super) addresses: usize,
    /// How often the relay is given other limits, in thousandths of all steps.
    pub(super) reloads: u32,
    /// The end comes with the relay's shutdown.
    pub(super) drains: bool,
    /// The stuck stay to the end, and the relay has to get rid of them.
    pub(super) stuck_stay: bool,
}

/// A day before the wheel's ticks end, which is long before `Instant` does.
const CLOCK_ENDS_SECS: u64 = (u64::MAX - 2048) / 10 - 86_400;

/// What the budget for unfinished input must have for each connection where rates are limited.
const PER_RESTING_PEER: usize = 8 << 10;

/// Messages per client where rates are limited, so that it does not take for ever.
const METERED_WORDS: usize = 40;

const KINDS: [Kind; 15] = [
    Kind::Honest,
    Kind::Slow,
    Kind::Silent,
    Kind::Stuck,
    Kind::Flooder,
    Kind::Liar,
    Kind::BadAsker,
    Kind::SlowAsker,
    Kind::Mute,
    Kind::HalfSender,
    Kind::Churner,
    Kind::PingFlooder,
    Kind::EmptyFlooder,
    Kind::Listener,
    Kind::DeafListener,
];

fn millis(rng: &mut Rng, from: &[u64]) -> Duration {
    Duration::from_millis(rng.pick(from))
}

impl Plan {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let width = match rng.below(10) {
            0 => Width::Tiny,
            1..=4 => Width::Small,
            _ => Width::Default,
        };
        let crowd = width == Width::Default && rng.chance(20);
        let mut limits = limits(width, rng);
        let mut kinds = vec![Kind::Honest; 2];
        kinds.extend(KINDS.into_iter().filter(|_| rng.chance(350)));
        let words = match width {
            Width::Tiny => 3,
            _ if crowd => 2,
            Width::Small => rng.between(1, 20),
            Width::Default => rng.between(1, 150),
        };
        let most = if width == Width::Tiny { 300 } else { 100_000 };
        let mut plan = Self {
            width,
            faults: faults(rng),
            channels: rng.pick(&[1, 1, 2, 3]),
            clients: if crowd { rng.between(150, 300) } else { rng.between(3, 14) },
            kinds,
            rush: millis(rng, &[0, 100, 3000, 20_000]),
            words,
            steps: if crowd { 150 } else { 1500 },
            up_most: rng.pick(&[120, 1000, 100_000]).min(most),
            down_most: rng.pick(&[60, 300, 2000, 100_000]).min(most),
            roomy: rng.pick(&[0, 200, 500]),
            laziness: rng.pick(&[0, 100, 500]),
            turn_most: Duration::from_micros(if width == Width::Default { 1000 } else { 10 }),
            drains: rng.chance(300),
            stuck_stay: rng.chance(500),
            age: age(rng),
            reloads: if rng.chance(250) { rng.pick(&[2, 20]) } else { 0 },
            addresses: 0,
            limits: limits.clone(),
            ruled: Vec::new(),
        };
        if rng.chance(300) {
            plan.addresses = rng.pick(&[1, 2, 4]);
            limits.max_connections_per_address = rng.pick(&[0, 1, 2, 64]);
            limits.handshakes_per_address_per_sec = rng.pick(&[0, 1, 20]);
            plan.limits = limits;
        }
        if rng.chance(400) {
            plan.limits.http_publish = true;
            plan.kinds.extend(vec![Kind::Poster; plan.kinds.len()]);
        }
        plan.draw_rules(rng);
        plan
    }

    /// In some worlds there are rules, and in some there are rates.
    fn draw_rules(&mut self, rng: &mut Rng) {
        let crowd = self.clients > 100;
        if rng.chance(400) {
            self.ruled = (0..self.channels).map(|_| permit::draw_rule(&self.limits, rng)).collect();
        }
        if !crowd && rng.chance(270) {
            self.words = self.words.min(METERED_WORDS);
            // The least that the configuration accepts: what all who rest may keep is half of it.
            let least = PER_RESTING_PEER * self.limits.max_connections;
            self.limits.max_inflight_read = self.limits.max_inflight_read.max(least);
            let room = self.limits.max_inflight_read;
            self.ruled.iter_mut().for_each(|limits| limits.max_inflight_read = room);
            if self.addresses == 0 && rng.chance(400) {
                self.addresses = rng.pick(&[1, 2]);
            }
            let has_addresses = self.addresses > 0 && rng.chance(800);
            match &mut self.ruled[..] {
                [] => permit::draw_rates(&mut self.limits, has_addresses, rng),
                ruled => ruled.iter_mut().for_each(|limits| permit::draw_rates(limits, has_addresses, rng)),
            }
        }
        self.limits = permit::with_rules(self.limits.clone(), &self.ruled);
    }

    /// What holds on a channel; of limits that have changed, the most lenient.
    pub(super) fn at(&self, channel: usize) -> &Limits {
        self.ruled.get(channel).unwrap_or(&self.limits)
    }

    /// A world without faults and with these limits, for the directed cases.
    pub(super) fn calm(limits: Limits, channels: usize) -> Self {
        Self {
            width: Width::Default,
            limits,
            ruled: Vec::new(),
            faults: Faults::default(),
            channels,
            clients: 0,
            kinds: Vec::new(),
            rush: Duration::ZERO,
            words: 0,
            steps: 0,
            up_most: 100_000,
            down_most: 100_000,
            roomy: 0,
            laziness: 0,
            turn_most: Duration::from_micros(10),
            age: Duration::ZERO,
            addresses: 0,
            reloads: 0,
            drains: false,
            stuck_stay: false,
        }
    }

    /// The habits of one client of a kind.
    pub(super) fn habits(&self, kind: Kind, channel: usize, rng: &mut Rng) -> Habits {
        let limits = self.at(channel);
        let mut habits = Habits {
            words_left: rng.below(self.words + 1),
            say_pause: millis(rng, &[0, 1, 20, 300]),
            largest: rng.pick(&[64, 130, 5000, 1 << 20]).min(limits.max_message).max(MIN_LETTER),
            empties: limits.on_slow == OnSlow::Disconnect,
            leave: leave(rng),
            ..Habits::quiet()
        };
        if self.width != Width::Default {
            habits.largest = habits.largest.min(if self.width == Width::Tiny { 40 } else { 300 });
        }
        match kind {
            Kind::Slow => {
                habits.read_most = rng.pick(&[1, 10, 200]);
                habits.read_pause = millis(rng, &[0, 5, 100, 2000]);
            }
            Kind::Silent => (habits.words_left, habits.answers, habits.leave) = (0, false, Leave::Stay),
            Kind::Stuck => (habits.read_messages, habits.leave) = (rng.below(4), Leave::Stay),
            Kind::Flooder => (habits.words_left, habits.say_pause) = (self.words * 4, Duration::ZERO),
            Kind::Liar | Kind::HalfSender => {
                (habits.words_left, habits.leave) = (1 + rng.below(4), Leave::Stay);
            }
            Kind::Poster => {
                habits.send_most = rng.pick(&[50, 1000, usize::MAX]);
                habits.send_pause = millis(rng, &[0, 1]);
                // So that it takes far less time than there is.
                let most = 40 * habits.send_most.min(self.up_most);
                habits.largest = habits.largest.min(most).max(MIN_LETTER);
                habits.words_left = 0;
            }
            Kind::SlowAsker => (habits.send_most, habits.send_pause) = (1, millis(rng, &[200, 1000])),
            Kind::Churner => {
                habits.words_left = rng.below(3);
                habits.leave = rng.pick(&[Leave::Close(1001), Leave::Vanish, Leave::Reset]);
            }
            Kind::Listener | Kind::DeafListener => listener(kind, &mut habits, rng),
            Kind::PingFlooder | Kind::EmptyFlooder => {
                (habits.words_left, habits.say_pause, habits.leave) = (200, Duration::ZERO, Leave::Stay);
            }
            _ => {}
        }
        habits
    }
}

/// Says little; half of them read little at a time.
fn listener(kind: Kind, habits: &mut Habits, rng: &mut Rng) {
    habits.words_left = rng.below(3);
    if matches!(habits.leave, Leave::Close(_)) {
        habits.leave = Leave::Shut;
    }
    if kind == Kind::DeafListener {
        (habits.read_messages, habits.leave) = (rng.below(4), Leave::Stay);
    } else if rng.chance(500) {
        habits.read_most = rng.pick(&[1, 10, 200]);
        habits.read_pause = millis(rng, &[0, 5, 100, 2000]);
    }
}

/// Mostly none; else some seconds before an end that counting time in too few bits would have: of 32 bits of
/// milliseconds, of ticks, of seconds, and of the wheel itself (less a day, in which every world ends).
fn age(rng: &mut Rng) -> Duration {
    if rng.chance(800) {
        return Duration::ZERO;
    }
    let end_secs = rng.pick(&[(1 << 32) / 1000, (1 << 32) / 10, 1 << 32, CLOCK_ENDS_SECS]);
    Duration::from_secs(end_secs - rng.below(30) as u64)
}

fn leave(rng: &mut Rng) -> Leave {
    match rng.below(20) {
        0 => Leave::Close(1000),
        1 => Leave::Close(3999),
        2 => Leave::Close(1005),
        3 => Leave::Shut,
        4 => Leave::Vanish,
        5 => Leave::Reset,
        _ => Leave::Stay,
    }
}

fn limits(width: Width, rng: &mut Rng) -> Limits {
    let most = if width == Width::Default { 64 << 10 } else { 300 };
    let max_message = rng.pick(&[24, 125, 126, 300, 5000, 64 << 10]).min(most);
    // The least that the configuration accepts: two of the largest message with its header.
    let two = 2 * (max_message + 10);
    let on_slow = rng.pick(&[OnSlow::Disconnect, OnSlow::Skip]);
    let max_lag = rng.pick(&[two, two * 4, 1 << 20]);
    // Whoever may lag far behind is seldom made to skip.
    let max_lag = if on_slow == OnSlow::Skip { max_lag.min(two * 4) } else { max_lag };
    let turn = budget(width, rng);
    let input = 3 * max_message + 2 * turn.read_per_peer;
    // The longest is beyond the rim of the wheel.
    let ping_interval = millis(rng, &[2000, 25_000, 25_000, 150_000]);
    Limits {
        echo: rng.chance(250),
        http_publish: false,
        event_stream: true,
        heartbeat: rng.chance(500).then(heartbeat),
        max_connections: rng.pick(&[2, 5, 10_000, 10_000, 10_000, 10_000]),
        max_handshakes: rng.pick(&[1, 3, 1024, 1024, 1024, 1024]),
        max_connections_per_address: 0,
        handshakes_per_address_per_sec: 0,
        max_message,
        max_frames: rng.pick(&[1, 2, 8, 64, 4096]),
        control_frames_per_sec: rng.pick(&[4, 10]),
        max_inflight_read: rng.pick(&[input, input * 2, 128 << 20]),
        max_backlog: rng.pick(&[two + 8192, two * 4 + 8192, 256 << 20]),
        max_lag,
        soft_lag: rng.pick(&[1, max_lag / 4, max_lag]),
        soft_lag_time: millis(rng, &[100, 1000, 10_000]),
        stall_timeout: millis(rng, &[300, 2000, 30_000]),
        on_slow,
        hold: rng.pick(&[1, 100, 256 << 10]),
        ping_interval,
        // A ping is answered before the next one, which the configuration demands.
        pong_timeout: millis(rng, &[1000, 10_000]).min(ping_interval / 2),
        handshake_timeout: millis(rng, &[1500, 10_000]),
        close_timeout: millis(rng, &[500, 5000]),
        message_timeout: millis(rng, &[2000, 30_000]),
        drain: millis(rng, &[200, 5000]),
        turn,
        ..Limits::default()
    }
}

pub(super) fn heartbeat() -> Heartbeat {
    let word = |bytes| String::from_utf8_lossy(bytes).into();
    Heartbeat { request: word(REQUEST), reply: word(REPLY) }
}

fn budget(width: Width, rng: &mut Rng) -> TurnBudget {
    let default = TurnBudget::default();
    match width {
        Width::Default => default,
        Width::Small => {
            let (read_per_peer, write_per_peer) = (rng.pick(&[50, 1000]), rng.pick(&[50, 1000]));
            TurnBudget {
                accepts: rng.pick(&[1, 16]),
                read_per_peer,
                frames_per_peer: rng.pick(&[1, 10]),
                reads: rng.pick(&[1, 3, 1000]),
                read_bytes: read_per_peer * rng.pick(&[1, 3]),
                frames: rng.pick(&[1, 10, 1000]),
                write_per_peer,
                writes: rng.pick(&[1, 3, 1000]),
                write_bytes: write_per_peer * rng.pick(&[1, 3]),
            }
        }
        Width::Tiny => TurnBudget {
            accepts: 1,
            read_per_peer: rng.pick(&[1, 7]),
            frames_per_peer: 1,
            reads: rng.pick(&[1, 3]),
            read_bytes: 7,
            frames: 1,
            write_per_peer: rng.pick(&[1, 7]),
            writes: rng.pick(&[1, 3]),
            write_bytes: 7,
        },
    }
}

fn faults(rng: &mut Rng) -> Faults {
    let mut one = || if rng.chance(400) { rng.pick(&[5, 50, 250]) } else { 0 };
    Faults {
        stale: one(),
        spurious: one(),
        duplicate: one(),
        late: one(),
        reorder: one(),
        short_read: one(),
        short_write: one(),
        block_read: one(),
        block_write: one(),
        undrained: one(),
        purge: one(),
        both: one() * 4,
        reset: if rng.chance(200) { 5 } else { 0 },
        lose: if rng.chance(100) { 50 } else { 0 },
        jump: if rng.chance(150) { 20 } else { 0 },
    }
}
