//! The one place that names what the simulation asks of the core beyond its ordinary interface.

use super::net::SimLink;
use crate::{counters::Counters, counters::Disconnect, id::PeerId, relay::Relay};

pub(super) type Core = Relay<SimLink>;

/// A message that the core has accepted: its place in the list is its place in the channel's order.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) channel: String,
    pub(super) sender: PeerId,
    pub(super) text: bool,
    pub(super) payload: Vec<u8>,
}

/// What was accepted since the last call.
pub(super) fn accepted(core: &mut Core) -> Vec<Accepted> {
    let published = core.take_published().into_iter();
    let accept = |one: crate::relay::Published| Accepted {
        channel: one.channel.to_string(),
        sender: one.sender,
        text: one.text,
        payload: one.payload,
    };
    published.map(accept).collect()
}

/// Everything that the core can say about itself, recomputed from scratch.
pub(super) fn audit(core: &Core) -> Result<(), String> {
    core.audit()
}

/// Channels whose senders must not be read in the next turn.
pub(super) fn over_hold(core: &Core) -> Vec<Box<str>> {
    core.over_hold()
}

/// Members of a channel.
pub(super) fn crowd(core: &Core, path: &str) -> usize {
    core.crowd(path)
}

pub(super) fn counters(core: &Core) -> &Counters {
    core.counters()
}

/// What the core says it ended, by reason, and what it made others wait for.
pub(super) fn happenings(core: &Core) -> Vec<(String, u64)> {
    let counters = core.counters();
    let reason = |why: Disconnect| (format!("disconnected {}", why.label()), counters.disconnected(why));
    let mut all: Vec<_> = Disconnect::ALL.into_iter().map(reason).collect();
    all.extend([
        ("messages skipped".into(), counters.skipped_messages),
        ("senders held".into(), counters.held),
        ("reads deferred".into(), counters.deferred),
        ("close deadlines".into(), counters.close_timeouts),
        ("refused abandoned".into(), counters.refused("abandoned")),
        ("posted".into(), counters.posted),
        ("refused busy".into(), counters.refused("busy")),
        ("refused body_timeout".into(), counters.refused("body_timeout")),
        ("refused address_connections".into(), counters.refused("address_connections")),
        ("refused address_rate".into(), counters.refused("address_rate")),
        ("addresses ignored".into(), counters.ignored_addresses),
        ("heartbeats".into(), counters.heartbeats),
        ("rested".into(), counters.rested),
    ]);
    let labels =
        ["token_missing", "token_signature", "token_expired", "forbidden", "max_peers", "channel", "rate"];
    all.extend(labels.map(|label| (format!("refused {label}"), counters.refused(label))));
    all
}

/// What an empty relay still holds, which must be nothing.
pub(super) fn residue(core: &Core) -> Result<(), String> {
    match (core.backlog_bytes(), core.inflight_bytes(), core.channels()) {
        (0, 0, 0) => Ok(()),
        (backlog, inflight, channels) => Err(format!(
            "left behind: {backlog} backlog bytes, {inflight} bytes of input, {channels} channels"
        )),
    }
}

/// Memory of all backlogs.
pub(super) fn backlog_bytes(core: &Core) -> usize {
    core.backlog_bytes()
}
