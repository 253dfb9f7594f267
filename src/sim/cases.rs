//! Directed cases: one situation each, in a world without faults.

use std::time::Duration;

use super::{
    client::{Client, End, Habits, Kind, Stage},
    core,
    swarm::Plan,
    verdict::TICK,
    world::World,
};
use crate::{
    counters::Disconnect,
    limits::{Limits, OnSlow, TurnBudget},
};

/// A socket that takes everything.
const ROOMY: usize = usize::MAX;

fn world(limits: Limits, channels: usize) -> World {
    World::new(Plan::calm(limits, channels), 1)
}

impl World {
    /// `count` clients that read all and say nothing by themselves.
    fn seat(&mut self, count: usize, channel: usize, down: usize) -> Vec<usize> {
        let seat = |_| self.join(Kind::Honest, channel, Habits::quiet(), down);
        (0..count).map(seat).collect()
    }

    fn settle(&mut self) {
        self.run_until("settling", Self::is_settled)
            .unwrap_or_else(|what| panic!("{what}\n{}", self.net.trace));
    }

    fn step_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let done = |world: &Self| if done(world) { Ok(()) } else { Err("not yet".into()) };
        self.run_until(what, done).unwrap_or_else(|what| panic!("{what}\n{}", self.net.trace));
    }

    fn say(&mut self, number: usize, size: usize, times: usize) {
        (0..times).for_each(|_| self.clients[number].say(false, size, 1));
    }

    /// The client reads no more, or again.
    fn read(&mut self, number: usize, reads: bool) {
        self.clients[number].habits.read_most = if reads { usize::MAX } else { 0 };
    }

    fn told(&self, number: usize) -> Option<(u16, &str)> {
        self.clients[number].told.as_ref().map(|(code, reason, _)| (*code, reason.as_str()))
    }

    fn disconnects(&self) -> u64 {
        core::counters(&self.core).disconnects_total()
    }

    /// Everybody leaves, and nothing stays behind.
    fn close(mut self) {
        self.end().unwrap_or_else(|what| panic!("{what}\n{}", self.net.trace));
    }
}

fn messages_read(client: &Client) -> usize {
    client.messages_read
}

#[test]
fn ten_thousand_empty_messages_in_one_segment_and_then_silence() {
    let mut world = world(Limits::default(), 1);
    let [sender, receiver] = world.seat(2, 0, ROOMY)[..] else { unreachable!() };
    world.settle();
    world.say(sender, 0, 10_000);
    world.step().expect("a good turn");
    let (sent, events_then) = (world.clients[sender].has_sent_all(), world.net.sockets[sender].arrivals);
    world.settle();
    assert!(sent, "one segment");
    assert_eq!(messages_read(&world.clients[receiver]), 10_000);
    assert_eq!(world.net.sockets[sender].arrivals, events_then, "no further event");
    world.close();
}

#[test]
fn a_lagging_peer_of_a_quiet_channel_gets_the_rest_when_it_becomes_writable() {
    let mut world = world(Limits::default(), 1);
    let [sender, receiver] = [world.seat(1, 0, ROOMY)[0], world.seat(1, 0, 1000)[0]];
    world.settle();
    world.read(receiver, false);
    world.say(sender, 100, 50);
    world.settle();
    assert!(world.net.sockets[receiver].refused > 0, "{}", world.net.trace);
    assert_eq!(messages_read(&world.clients[receiver]), 0);
    let (arrivals, since) = (world.net.sockets[sender].arrivals, world.now);
    world.read(receiver, true);
    world.settle();
    assert_eq!(messages_read(&world.clients[receiver]), 50);
    assert!(world.now - since < TICK, "by its own event, and not by a timer");
    assert_eq!(world.net.sockets[sender].arrivals, arrivals, "nothing else has happened");
    world.close();
}

#[test]
fn ten_thousand_peers_and_a_sender_at_line_rate() {
    let limits = Limits { max_connections: 10_001, hold: 2 << 10, ..Limits::default() };
    let mut world = world(limits, 1);
    world.audit_every = 200;
    let sender = world.seat(1, 0, ROOMY)[0];
    let receivers = world.seat(10_000, 0, ROOMY);
    world.settle();
    world.say(sender, 1000, 150);
    // The budgets are checked after every turn, and that nobody is closed for nothing at every end.
    world.settle();
    assert!(receivers.iter().all(|number| messages_read(&world.clients[*number]) == 150));
    let counters = core::counters(&world.core);
    assert_eq!((counters.disconnects_total(), counters.skipped_messages), (0, 0));
    assert!(counters.held > 0, "the sender was held back");
    assert!(counters.writes < 10_001 * 20, "{} writes for 1,500,000 messages", counters.writes);
    world.close();
}

#[test]
fn a_hundred_senders_in_one_turn() {
    let mut world = world(Limits::default(), 1);
    let peers = world.seat(100, 0, ROOMY);
    world.settle();
    let before = core::counters(&world.core).clone();
    peers.iter().for_each(|number| world.say(*number, 60, 1));
    world.settle();
    let after = core::counters(&world.core);
    assert_eq!(after.messages_in - before.messages_in, 100);
    assert_eq!(after.writes - before.writes, 100, "one write for each peer");
    assert!(peers.iter().all(|number| messages_read(&world.clients[*number]) == 99));
    world.close();
}

#[test]
fn eviction_and_skip_in_the_middle_of_a_frame_cut_no_frame() {
    let base = Limits { max_message: 5000, max_lag: 1 << 20, soft_lag: 1 << 20, ..Limits::default() };
    let short = Limits { max_lag: 12_000, soft_lag: 12_000, ..base.clone() };
    let table = [
        (Limits { max_backlog: 20_000, ..base.clone() }, Some((1013, "memory")), 1),
        (short.clone(), Some((1008, "slow-consumer")), 1),
        (Limits { on_slow: OnSlow::Skip, ..short }, None, 2),
    ];
    assert!(!table.is_empty());
    for (limits, told, least) in table {
        let mut world = world(limits.clone(), 1);
        let [sender, receiver] = [world.seat(1, 0, ROOMY)[0], world.seat(1, 0, 700)[0]];
        world.settle();
        world.read(receiver, false);
        world.say(sender, 5000, 6);
        world.settle();
        world.read(receiver, true);
        world.step_until(&format!("the slow one hears of {told:?}"), |world| {
            let client = &world.clients[receiver];
            !world.is_astir() && (client.is_over() || told.is_none() && client.messages_read >= least)
        });
        // The clients' decoder has objected to every cut frame on the way.
        assert_eq!(world.told(receiver), told, "{limits:?}");
        assert!((least..6).contains(&messages_read(&world.clients[receiver])), "{limits:?}");
        let skipped = core::counters(&world.core).skipped_messages;
        assert_eq!(skipped > 0, told.is_none());
        assert_eq!(world.disconnects(), u64::from(told.is_some()));
        world.close();
    }
}

#[test]
fn five_thousand_channels_of_two_peers_after_one_message_each() {
    let channels = 5000;
    let mut world = world(Limits::default(), channels);
    world.audit_every = 500;
    let pairs: Vec<_> = (0..channels).map(|channel| world.seat(2, channel, ROOMY)).collect();
    world.settle();
    pairs.iter().for_each(|pair| world.say(pair[0], 40, 1));
    world.settle();
    assert!(pairs.iter().all(|pair| messages_read(&world.clients[pair[1]]) == 1));
    assert_eq!(core::backlog_bytes(&world.core), 0);
    world.close();
}

#[test]
fn who_takes_a_slot_hears_nothing_of_its_former_tenant() {
    let limits = Limits::default();
    let timeout = limits.handshake_timeout;
    let mut world = world(limits, 1);
    world.net.faults.stale = 1000;
    // As long as somebody is there, the timers of those who have gone are.
    let other = world.join(Kind::Mute, 0, Habits::quiet(), ROOMY);
    world.step_until("somebody is there", |world| world.clients[other].stage == Stage::Open);
    let former = world.join(Kind::Mute, 0, Habits::quiet(), ROOMY);
    world.clients[former].ask(Vec::new(), false);
    let is_open = |world: &World| world.net.sockets[former].name.is_some() && !world.is_astir();
    world.step_until("the former tenant is there", is_open);
    world.dismiss(former);
    let is_buried = move |world: &World| world.net.sockets[former].buried;
    world.step_until("the former tenant is gone", is_buried);
    world.now += Duration::from_secs(1);
    let newcomer = world.join(Kind::Mute, 0, Habits::quiet(), ROOMY);
    let request = std::mem::take(&mut world.clients[newcomer].out);
    // From here on every batch has an event of the former tenant, before and after the newcomer's own.
    world.step_until("the former tenant's timer has come up", |world| world.now >= timeout);
    assert!(world.now < timeout + TICK * 2);
    let [old, new] = [former, newcomer].map(|number| world.net.sockets[number].name.expect("was opened"));
    assert!(old.slot == new.slot && old.serial != new.serial);
    assert_eq!(world.clients[newcomer].stage, Stage::Asking, "its own time is not over");
    world.clients[newcomer].ask(request, true);
    world.settle();
    assert_eq!(world.clients[newcomer].stage, Stage::Open);
    assert!(world.net.stale_events > 3);
    world.close();
}

#[test]
fn a_dead_peer_is_noticed_in_time() {
    let limits = Limits::default();
    let (interval, timeout) = (limits.ping_interval, limits.pong_timeout);
    for answered_for in [Duration::ZERO, Duration::from_secs(70)] {
        let mut world = world(limits.clone(), 1);
        let peer = world.seat(1, 0, ROOMY)[0];
        world.settle();
        world.step_until("it answers for a while", |world| world.now >= answered_for);
        world.clients[peer].habits.answers = false;
        world.step_until("it is closed", |world| world.clients[peer].told.is_some());
        let client = &world.clients[peer];
        let pinged_at = client.unanswered_since.expect("there was a ping");
        let told_at = client.told.as_ref().expect("was told").2;
        assert_eq!(world.told(peer), Some((1001, "ping-timeout")));
        let wait = told_at - pinged_at;
        assert!(wait >= timeout - TICK && wait <= timeout + TICK * 2, "{wait:?} after the ping");
        let silence =
            told_at - world.fortunes[peer].opened_at.unwrap_or_default().max(world.silent_since(peer));
        assert!(silence <= interval + timeout + TICK * 2, "{silence:?} after the last sign of life");
        world.close();
    }
}

impl World {
    /// When the relay last heard of a client before the client was told that it is closed.
    fn silent_since(&self, number: usize) -> Duration {
        self.net.sockets[number].heard_at
    }
}

#[test]
fn a_closing_peer_gets_what_was_accepted_before_and_nothing_later() {
    let mut world = world(Limits::default(), 1);
    let [sender, leaver] = [world.seat(1, 0, ROOMY)[0], world.seat(1, 0, 300)[0]];
    world.settle();
    world.read(leaver, false);
    world.say(sender, 100, 10);
    world.settle();
    world.clients[leaver].say_close(1000);
    world.settle();
    world.say(sender, 100, 10);
    world.settle();
    world.read(leaver, true);
    world.step_until("it is closed", |world| world.clients[leaver].is_over());
    assert_eq!((messages_read(&world.clients[leaver]), world.told(leaver)), (10, Some((1000, ""))));
    world.close();
}

#[test]
fn a_peer_that_waits_to_skip_may_have_messages_of_its_own_ahead() {
    let mut skipped = 0;
    // With some of these budgets there is room for the backlog and none for a copy of the frame at hand.
    for max_backlog in (20_000..50_000).step_by(1000) {
        let (max_message, max_lag) = (5000, 10_000);
        let on_slow = OnSlow::Skip;
        let limits =
            Limits { max_message, max_lag, soft_lag: max_lag, max_backlog, on_slow, ..Limits::default() };
        let mut world = world(limits, 1);
        let [sender, slow] = [world.seat(1, 0, ROOMY)[0], world.seat(1, 0, 700)[0]];
        world.settle();
        world.read(slow, false);
        for (who, times) in [(sender, 1), (slow, 1), (sender, 2), (sender, 1)] {
            world.say(who, 5000, times);
            world.settle();
        }
        world.read(slow, true);
        world.settle();
        skipped += core::counters(&world.core).skipped_messages;
        world.close();
    }
    assert!(skipped > 0);
}

#[test]
fn pings_of_a_peer_that_skips_are_no_flood() {
    let limits = Limits {
        max_message: 60_000,
        max_lag: 130_000,
        soft_lag: 130_000,
        on_slow: OnSlow::Skip,
        ..Limits::default()
    };
    let mut world = world(limits, 1);
    let [sender, slow] = [world.seat(1, 0, ROOMY)[0], world.seat(1, 0, 700)[0]];
    world.settle();
    world.read(slow, false);
    world.say(sender, 60_000, 4);
    world.settle();
    // The rest of the frame at hand was copied for it, and stands where pongs stand too.
    assert!(core::counters(&world.core).skipped_messages > 0);
    world.clients[slow].ping();
    world.settle();
    world.read(slow, true);
    world.settle();
    assert_eq!((world.told(slow), world.disconnects()), (None, 0));
    world.close();
}

#[test]
fn senders_are_held_back_and_receivers_not_punished() {
    let turn = TurnBudget { frames_per_peer: 5, writes: 3, write_per_peer: 300, ..TurnBudget::default() };
    let limits = Limits { max_message: 200, max_lag: 420, soft_lag: 1, hold: 100, turn, ..Limits::default() };
    let mut world = world(limits, 1);
    let receivers = world.seat(10, 0, ROOMY);
    let senders = world.seat(3, 0, ROOMY);
    world.settle();
    senders.iter().for_each(|number| world.say(*number, 200, 100));
    world.settle();
    assert!(receivers.iter().all(|number| messages_read(&world.clients[*number]) == 300));
    let counters = core::counters(&world.core);
    assert!(counters.held > 20, "{} times held", counters.held);
    assert_eq!((counters.disconnects_total(), counters.skipped_messages), (0, 0));
    world.close();
}

#[test]
fn at_shutdown_everybody_is_told() {
    let limits = Limits::default();
    let (drain, close_timeout) = (limits.drain, limits.close_timeout);
    let mut world = world(limits, 2);
    let peers = [world.seat(20, 0, ROOMY), world.seat(20, 1, 1000)].concat();
    let stuck = world.seat(1, 0, 200)[0];
    world.settle();
    world.read(stuck, false);
    world.say(peers[0], 1000, 5);
    world.settle();
    let begun = world.now;
    world.drain();
    let late = world.seat(1, 0, ROOMY)[0];
    world.step_until("everybody is gone", |world| world.core.is_empty() && !world.is_astir());
    let lasted = world.now - begun;
    assert!(lasted > drain / 2 && lasted <= drain + close_timeout + TICK * 2, "{lasted:?}");
    let moments = peers.iter().map(|number| world.clients[*number].told.as_ref().expect("was told").2);
    let early = moments.filter(|at| *at < begun + drain / 2).count();
    assert!((8..=32).contains(&early), "{early} of 40 in the first half");
    for number in &peers {
        let (code, reason) = world.told(*number).expect("was told");
        let secs: u64 = reason.strip_prefix("retry-after=").and_then(|secs| secs.parse().ok()).expect(reason);
        assert!(code == 1012 && (1..=2 * drain.as_secs()).contains(&secs), "{reason}");
    }
    assert_eq!(world.clients[late].end, Some(End::Refused(503)));
    assert_eq!(core::counters(&world.core).disconnected(Disconnect::Shutdown), 41);
    world.check_nothing_is_left().expect("nothing is left");
}
