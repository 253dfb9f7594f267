//! Worlds with rules: what holds on each channel, who brings which token, and what it may then do there.
//!
//! What the relay must make of a request is worked out here once more, by somebody who shares no code with it.

use std::time::Duration;

use super::{
    client::{Kind, path},
    core,
    rng::Rng,
    swarm::heartbeat,
    world::World,
};
use crate::{
    limits::{Access, Kinds, Limits, OnRate, OnSlow},
    rules::{Rule, Rules},
    token::{Gate, Keys, crypto::Signer},
};

const SECRET: &[u8] = b"a secret of the simulation, of no use elsewhere";
const FORGER: &[u8] = b"a secret that the relay knows nothing about....";

/// The time of day when a world begins.
pub(super) const TODAY: Duration = Duration::from_secs(1_800_000_000);

/// Over how long after their end those are closed whose tokens run out.
pub(super) const SPREAD: Duration = Duration::from_secs(5);

/// What a client may do on its channel, once it is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) subscribe: bool,
    pub(super) publish: bool,
}

impl Rights {
    pub(super) const ALL: Self = Self { subscribe: true, publish: true };
}

/// A token, and what it is worth.
#[derive(Clone, Debug)]
pub(super) struct Paper {
    token: String,
    /// Nobody whom the relay knows has signed it.
    forged: bool,
    rights: Rights,
    /// When it runs out.
    pub(super) ends: Option<Duration>,
}

impl Paper {
    fn draw(channel: usize, now: Duration, rng: &mut Rng) -> Self {
        let rights = rng.pick(&[(true, true), (true, false), (false, true), (false, false), (true, true)]);
        let rights = Rights { subscribe: rights.0, publish: rights.1 };
        let secs = rng.pick(&[0, 1, 5, 20, 60]);
        let ends = rng.chance(500).then(|| now + Duration::from_secs(secs));
        let forged = rng.chance(100);
        let here = [path(channel), "/elsewhere".into(), "/*".into()];
        let paths = |may| if may { vec![here[2 * rng.below(2)].as_str()] } else { vec![here[1].as_str()] };
        let [subscribe, publish] = [rights.subscribe, rights.publish].map(paths);
        let mut claims = serde_json::json!({ "subscribe": subscribe, "publish": publish });
        if let Some(ends) = ends {
            claims["exp"] = (TODAY + ends).as_secs().into();
        }
        let signer = Signer::secret(if forged { FORGER } else { SECRET });
        let token = signer.sign(None, &claims).unwrap_or_default();
        Self { token, forged, rights, ends: ends.map(floor) }
    }

    fn has_ended(&self, now: Duration) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// The request with the token in it.
    fn stamp(&self, request: &[u8]) -> Vec<u8> {
        let at = request.windows(7).position(|bytes| bytes == b"\r\nHost:").unwrap_or_default();
        let line = format!("\r\nAuthorization: Bearer {}", self.token);
        [&request[..at], line.as_bytes(), &request[at..]].concat()
    }
}

/// A world begins on the second.
fn floor(at: Duration) -> Duration {
    Duration::from_secs(at.as_secs())
}

/// What the relay holds tokens against.
pub(super) fn gate() -> Gate {
    let mut keys = Keys::default();
    keys.add("sim", SECRET).expect("a secret that is long enough");
    Gate { keys, ..Gate::default() }
}

/// Whether a token is looked at.
fn counts(limits: &Limits) -> bool {
    [limits.subscribe, limits.publish].contains(&Access::Token)
}

/// What becomes of a good request: rights, or a status.
pub(super) fn verdict(
    limits: &Limits,
    kind: Kind,
    paper: Option<&Paper>,
    now: Duration,
) -> Result<Rights, u16> {
    match kind {
        Kind::Poster if !limits.http_publish => return Err(405),
        Kind::Listener | Kind::DeafListener if !limits.event_stream => return Err(426),
        _ => {}
    }
    let counts = counts(limits);
    let paper = paper.filter(|_| counts);
    if paper.is_some_and(|paper| paper.forged || paper.has_ended(now)) {
        return Err(401);
    }
    let may = |access, granted| access == Access::Anyone || access == Access::Token && granted;
    let granted = paper.map_or(Rights { subscribe: false, publish: false }, |paper| paper.rights);
    let rights = Rights {
        subscribe: may(limits.subscribe, granted.subscribe),
        publish: may(limits.publish, granted.publish),
    };
    let (is_enough, could_help) = match kind {
        Kind::Poster => (rights.publish, limits.publish == Access::Token),
        Kind::Listener | Kind::DeafListener => (rights.subscribe, limits.subscribe == Access::Token),
        _ => (rights.subscribe || rights.publish, counts),
    };
    match is_enough {
        true => Ok(rights),
        false if paper.is_none() && could_help => Err(401),
        false => Err(403),
    }
}

/// The limits with a rule for each channel: one of its own, and the last one under all that is left. Beyond them all lie
/// rules for paths on which there is nobody.
pub(super) fn with_rules(general: Limits, ruled: &[Limits]) -> Limits {
    if ruled.is_empty() {
        return general;
    }
    let last = ruled.len() - 1;
    let pattern = |channel| if channel == last { "/*".into() } else { path(channel) };
    let nobody = Limits { rules: Rules::default(), ..general.clone() };
    let mut rules: Vec<_> = vec![("/x/**".into(), nobody)];
    rules.extend(ruled.iter().enumerate().map(|(channel, limits)| (pattern(channel), limits.clone())));
    let rule =
        |(pattern, limits): (String, Limits)| Rule { pattern: pattern.parse().expect("a pattern"), limits };
    let rules = Rules::new(rules.into_iter().map(rule).collect()).expect("each is for paths of its own");
    Limits { rules, ..general }
}

/// What holds on one channel, where these limits hold in general.
pub(super) fn draw_rule(general: &Limits, rng: &mut Rng) -> Limits {
    let max_message = rng.pick(&[24, 126, 300, general.max_message]).min(general.max_message);
    let two = 2 * (max_message + 10);
    let on_slow = rng.pick(&[OnSlow::Disconnect, OnSlow::Skip]);
    let max_lag = rng.pick(&[two, two * 4, 1 << 20]);
    let max_lag = if on_slow == OnSlow::Skip { max_lag.min(two * 4) } else { max_lag };
    Limits {
        max_message,
        on_slow,
        max_lag,
        soft_lag: rng.pick(&[1, max_lag / 4, max_lag]),
        soft_lag_time: Duration::from_millis(rng.pick(&[100, 1000, 10_000])),
        stall_timeout: Duration::from_millis(rng.pick(&[300, 2000, 30_000])),
        echo: rng.chance(250),
        heartbeat: rng.chance(500).then(heartbeat),
        kinds: rng.pick(&[Kinds::Both, Kinds::Both, Kinds::Text, Kinds::Binary]),
        max_peers: rng.pick(&[0, 0, 0, 2, 5]),
        subscribe: rng.pick(&[Access::Anyone, Access::Anyone, Access::Token, Access::Nobody]),
        publish: rng.pick(&[Access::Anyone, Access::Anyone, Access::Token, Access::Token, Access::Nobody]),
        event_stream: rng.chance(850),
        http_publish: general.http_publish && rng.chance(850),
        ..general.clone()
    }
}

/// Rates, so that the largest message is paid for within seconds. Those of addresses only where there are any.
pub(super) fn draw_rates(limits: &mut Limits, has_addresses: bool, rng: &mut Rng) {
    let whole = limits.max_message;
    limits.messages_per_sec = rng.pick(&[0, 2, 5, 50]);
    limits.bytes_per_sec = rng.pick(&[0, 0, whole / 3 + 1, whole * 10]);
    if has_addresses {
        limits.address_messages_per_sec = rng.pick(&[10, 50]);
        limits.address_bytes_per_sec = rng.pick(&[0, whole / 6 + 1, whole / 2 + 1, whole * 10]);
    }
    limits.rate_burst = Duration::from_secs(rng.pick(&[1, 1, 2, 5]));
    limits.on_rate = rng.pick(&[OnRate::Wait, OnRate::Wait, OnRate::Disconnect]);
}

impl World {
    /// No channel has more peers than its rule allows.
    pub(super) fn check_crowds(&self) -> Result<(), String> {
        for (channel, limits) in self.ruled.iter().enumerate().filter(|(_, limits)| limits.max_peers > 0) {
            let crowd = core::crowd(&self.core, &path(channel));
            if crowd > limits.max_peers {
                return Err(format!("law 9: {crowd} peers of channel {channel}, of {}", limits.max_peers));
            }
        }
        Ok(())
    }

    /// A client that has just come gets what it brings, and knows what it may do: its request is made anew.
    pub(super) fn equip(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let limits = self.plan.at(client.channel);
        if self.plan.ruled.is_empty() {
            return;
        }
        let is_bad = client.kind == Kind::BadAsker;
        if !is_bad && self.rng.chance(700) {
            client.paper = Some(Paper::draw(client.channel, self.now, &mut self.rng));
        }
        client.counts_paper = counts(limits);
        // One of its requests is a good one, but for its method.
        let kind = if is_bad { Kind::Poster } else { client.kind };
        match verdict(limits, kind, client.paper.as_ref(), self.now) {
            Ok(rights) => client.may = rights,
            Err(status) => client.refusal = Some(status),
        }
        if !client.may.publish && self.rng.chance(700) {
            client.habits.words_left = 0;
        }
    }
}

/// A request as its client brings it, with its token.
pub(super) fn stamp(paper: Option<&Paper>, request: Vec<u8>) -> Vec<u8> {
    match paper {
        Some(paper) => paper.stamp(&request),
        None => request,
    }
}
