//! Limits that change while the relay runs.

use super::slow::{big, gone_as_slow, pair, send};
use super::*;

fn gone_for_memory(relay: &Relay<Link>) -> u64 {
    relay.counters().disconnected(Disconnect::Memory)
}

/// Row 36: what is above a lower budget is given up in the next turn; a lower lag counts with the next message.
#[test]
fn lower_budgets_hold_from_the_next_turn_on() {
    let limits = Limits { max_message: 16 << 10, ..Limits::default() };
    let (mut relay, a, _, now) = pair(limits.clone(), 100);
    (0..20).for_each(|_| send(&mut relay, a, &big(15 << 10), now));
    assert_eq!((gone_for_memory(&relay), relay.peers()), (0, 2), "within all limits");

    let lower = Limits { max_backlog: 128 << 10, max_lag: 1 << 20, ..limits.clone() };
    relay.reconfigure(lower, now);
    assert_eq!(relay.peers(), 2, "nobody leaves within the reload");
    turn(&mut relay, now);
    assert_eq!(gone_for_memory(&relay), 1);
    assert!(relay.link_mut(a).is_some() && relay.backlog_bytes() <= 128 << 10);

    let (mut relay, a, _, now) = pair(limits.clone(), 100);
    (0..20).for_each(|_| send(&mut relay, a, &big(15 << 10), now));
    relay.reconfigure(Limits { max_lag: 64 << 10, soft_lag: 64 << 10, hold: 32 << 10, ..limits }, now);
    assert_eq!(gone_as_slow(&relay), 0);
    send(&mut relay, a, &big(200), now);
    assert_eq!(gone_as_slow(&relay), 1);
}

#[test]
fn a_nearer_ping_is_told_to_the_wheel_and_a_herd_stays_spread() {
    let (mut relay, now) = start();
    for _ in 0..50 {
        join(&mut relay, now);
    }
    let before = relay.next_deadline().unwrap();
    let second = Duration::from_secs(1);
    relay.reconfigure(Limits { ping_interval: second, pong_timeout: second / 2, ..Limits::default() }, now);
    assert!(before > now + 2 * second && relay.next_deadline().unwrap() <= now + second);
    let mut pings = Vec::new();
    for tenth in 1..=12 {
        let now = now + Duration::from_millis(100 * tenth);
        relay.expire(now);
        pings.push(relay.counters().pings);
        turn(&mut relay, now);
    }
    assert!(pings[4] < 25 && pings[11] >= 50, "{pings:?}");
    assert!(pings.windows(2).filter(|two| two[0] < two[1]).count() >= 4, "{pings:?}");
}
