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
    assert_eq!((gone_as_slow(&relay), relay.audit()), (1, Ok(())), "a lower lag is a reason at once");
}

/// The surplus is told so while the crowd that was let in before is still there.
#[test]
fn beyond_a_lower_number_of_connections_newcomers_are_told_so() {
    let (mut relay, now) = start();
    let crowd: Vec<_> = (0..200).map(|_| join(&mut relay, now)).collect();
    relay.reconfigure(Limits { max_connections: 50, ..Limits::default() }, now);
    let told = (0..100).map_while(|_| open(&mut relay, now).ok()).collect::<Vec<_>>();
    turn(&mut relay, now);
    assert_eq!(told.len(), REFUSAL_SLOTS);
    assert!(told.iter().all(|id| heard(&mut relay, *id).starts_with(b"HTTP/1.1 503 ")));
    // Their slots are not for others once they have gone.
    crowd.iter().chain(&told).for_each(|id| relay.lose(*id, now));
    turn(&mut relay, now);
    assert_eq!((0..200).map_while(|_| open(&mut relay, now).ok()).count(), 50 + REFUSAL_SLOTS);
}

#[test]
fn a_higher_lag_forgives_those_who_are_below_it() {
    let limits = Limits { soft_lag: 64 << 10, max_message: 16 << 10, ..Limits::default() };
    let (mut relay, a, b, now) = pair(limits.clone(), 100);
    (0..10).for_each(|_| send(&mut relay, a, &big(15 << 10), now));
    let second = Duration::from_secs(1);
    relay.reconfigure(Limits { soft_lag: 1 << 20, ..limits.clone() }, now + second);
    relay.expire(now + second * 20);
    turn(&mut relay, now + second * 20);
    assert!(relay.link_mut(b).is_some() && gone_as_slow(&relay) == 0);
    relay.reconfigure(limits, now + second * 20);
    relay.expire(now + second * 29);
    turn(&mut relay, now + second * 29);
    assert_eq!(gone_as_slow(&relay), 0);
    relay.expire(now + second * 31);
    turn(&mut relay, now + second * 31);
    assert_eq!(gone_as_slow(&relay), 1, "ten seconds of the lower limit");
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
