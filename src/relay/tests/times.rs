//! Bounded time (P9): each deadline strikes when it is due, never before it and at most a tick of the wheel after it.

use super::*;

/// A tick of the wheel, and the step of this clock.
const TICK: Duration = Duration::from_millis(100);
const STEP: Duration = Duration::from_millis(7);

/// A scene that runs into a deadline: whom it strikes, and when it is due, counted from the start.
struct Scene {
    what: &'static str,
    prepare: fn(&mut Relay<Link>, Instant) -> PeerId,
    due: Duration,
    /// What has happened when it has struck.
    counter: fn(&Relay<Link>) -> u64,
}

fn is_open(relay: &Relay<Link>, id: PeerId) -> bool {
    relay.roster.get(id).is_some_and(|peer| matches!(peer.stage, Stage::Open(_)))
}

fn count(relay: &Relay<Link>, why: Disconnect) -> u64 {
    relay.counters().disconnected(why)
}

/// A peer whose socket takes nothing, and that lacks `bytes`.
fn behind(relay: &mut Relay<Link>, now: Instant, bytes: usize) -> PeerId {
    let (a, b) = (join(relay, now), join(relay, now));
    relay.link_mut(b).unwrap().full = true;
    let payload = [0; 100];
    say(relay, a, &masked(0x82, &payload).repeat(bytes / (payload.len() + 2) + 1));
    settle(relay, now);
    b
}

fn scenes() -> Vec<Scene> {
    let limits = Limits::default();
    vec![
        Scene {
            what: "a request that does not come",
            prepare: |relay, now| open(relay, now).unwrap(),
            due: limits.handshake_timeout,
            counter: |relay| relay.counters().refused("handshake_timeout"),
        },
        Scene {
            what: "a message that is not finished",
            prepare: |relay, now| {
                let a = join(relay, now);
                say(relay, a, &masked(0x01, b"half"));
                turn(relay, now);
                a
            },
            due: limits.message_timeout,
            counter: |relay| count(relay, Disconnect::IdleMessage),
        },
        Scene {
            what: "a socket that takes nothing",
            prepare: |relay, now| behind(relay, now, 1000),
            due: limits.stall_timeout,
            counter: |relay| count(relay, Disconnect::SlowConsumer),
        },
        Scene {
            what: "a lag above the soft limit",
            prepare: |relay, now| behind(relay, now, Limits::default().soft_lag),
            due: limits.soft_lag_time,
            counter: |relay| count(relay, Disconnect::SlowConsumer),
        },
        Scene {
            what: "a close that is not answered",
            prepare: |relay, now| {
                let a = join(relay, now);
                relay.close(a, Disconnect::Shutdown, 1012, "", now);
                turn(relay, now);
                a
            },
            due: limits.close_timeout,
            counter: |relay| relay.counters().close_timeouts,
        },
    ]
}

#[test]
fn every_deadline_strikes_when_it_is_due() {
    let scenes = scenes();
    assert!(!scenes.is_empty());
    for Scene { what, prepare, due, counter } in scenes {
        let (mut relay, now) = start();
        let id = prepare(&mut relay, now);
        assert_eq!(counter(&relay), 0, "{what}: not yet");
        let mut then = now;
        while counter(&relay) == 0 {
            then += STEP;
            assert!(then - now <= due + TICK + STEP, "{what}: late");
            // An open peer shows life, so that it is this deadline that strikes and not that of a ping.
            if is_open(&relay, id) && (then - now).as_millis() % 1000 < STEP.as_millis() {
                say(&mut relay, id, &masked(0x8A, b""));
            }
            turn(&mut relay, then);
        }
        assert!(then - now >= due, "{what}: {:?} early", due - (then - now));
    }
}

/// Interval and timeout from the last sign of life, and a tick for each of the two.
#[test]
fn a_peer_that_falls_silent_is_gone_after_interval_and_timeout() {
    let limits = Limits::default();
    let most = limits.ping_interval + limits.pong_timeout + (TICK + STEP) * 2;
    for silent_after in [Duration::ZERO, Duration::from_secs(40), Duration::from_secs(61)] {
        let (mut relay, now) = start();
        let a = join(&mut relay, now);
        let (mut then, mut alive_at) = (now, now);
        while count(&relay, Disconnect::PingTimeout) == 0 {
            then += STEP;
            if heard(&mut relay, a).ends_with(&PING_FRAME) && then - now < silent_after {
                say(&mut relay, a, &masked(0x8A, b""));
                alive_at = then;
            }
            turn(&mut relay, then);
            assert!(then - alive_at <= most, "{:?} after the last sign of life", then - alive_at);
        }
        assert!(then - alive_at >= limits.pong_timeout);
    }
}

/// What a kernel says of a socket that never refused a byte proves nothing of its peer.
#[test]
fn edges_of_a_socket_that_did_not_refuse_are_no_sign_of_life() {
    let limits = Limits::default();
    let (mut relay, now) = start_with(limits.clone());
    let silent = join(&mut relay, now);
    let mut then = now;
    while relay.counters().disconnected(Disconnect::PingTimeout) == 0 {
        then += Duration::from_secs(1);
        assert!(then <= now + limits.ping_interval + limits.pong_timeout + Duration::from_secs(1));
        relay.writable(silent, then);
        turn(&mut relay, then);
    }
}
