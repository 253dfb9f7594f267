//! Fairness (P7): senders who always have more to say get equal shares, whatever it is that keeps them waiting.

use super::*;
use crate::limits::TurnBudget;

/// How often a sender was held, and the messages of each of `count` senders that the receiver got in `turns` turns, while all had more to say all the time.
fn shares(count: u8, payload: usize, limits: Limits, turns: usize) -> (u64, Vec<usize>) {
    let (mut relay, now) = start_with(limits);
    let senders = (0..count).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    let receiver = join(&mut relay, now);
    let mut got = Vec::new();
    for _ in 0..turns {
        for (n, id) in senders.iter().enumerate() {
            // More than a turn takes, so that nobody is ever waited for.
            let (pending, read) = (relay.link_mut(*id).unwrap().input.len(), relay.limits.turn.read_per_peer);
            if pending <= read {
                say(&mut relay, *id, &frame_of(n as u8, payload).repeat(2 + 2 * read / payload));
            }
            relay.link_mut(*id).unwrap().output.clear();
        }
        turn(&mut relay, now);
        got.extend(heard(&mut relay, receiver));
    }
    assert_eq!(relay.counters().disconnects_total(), 0);
    let mut count_of = vec![0; count.into()];
    let mut rest = &got[..];
    let len = payload + if payload < 126 { 2 } else { 4 };
    while let Some((frame, behind)) = rest.split_at_checked(len) {
        count_of[usize::from(frame[len - 1])] += 1;
        rest = behind;
    }
    (relay.counters().held, count_of)
}

/// A message that consists of its sender's number.
fn frame_of(sender: u8, payload: usize) -> Vec<u8> {
    let body = vec![sender; payload];
    match payload {
        0..126 => masked(0x82, &body),
        _ => [&[0x82, 0xFE][..], &(payload as u16).to_be_bytes(), &[0; 4], &body].concat(),
    }
}

#[test]
fn equal_senders_get_equal_shares() {
    let few = |reads, frames| TurnBudget { reads, frames, read_per_peer: 4 << 10, ..TurnBudget::default() };
    let unbound = few(1000, 16 << 10);
    let table = [
        ("the hold", 10, 60_000, Limits::default()),
        (
            "the hold, small messages",
            10,
            100,
            Limits { hold: 4 << 10, turn: unbound.clone(), ..Limits::default() },
        ),
        ("reads of a turn", 10, 100, Limits { turn: few(3, 16 << 10), ..Limits::default() }),
        ("frames of a turn", 10, 10, Limits { turn: few(1000, 300), ..Limits::default() }),
        ("nothing", 10, 1000, Limits { hold: 100 << 20, turn: unbound, ..Limits::default() }),
    ];
    assert!(!table.is_empty());
    for (kept_by, count, payload, limits) in table {
        let (held, shares) = shares(count, payload, limits, 400);
        let fair = shares.iter().sum::<usize>() / shares.len();
        assert_eq!(held > 0, kept_by.starts_with("the hold"), "kept by {kept_by}: held {held} times");
        assert!(fair >= 40, "kept by {kept_by}: {shares:?}");
        let is_fair = |share: &usize| (fair * 9 / 10..=fair * 11 / 10).contains(share);
        assert!(shares.iter().all(is_fair), "kept by {kept_by}: {shares:?}");
    }
}
