//! What the channels keep for the relay: lists, and what was offered to whom.

use super::*;
use crate::limits::TurnBudget;

#[test]
fn a_channel_that_vanishes_takes_nobody_elses_news_along() {
    let (mut relay, now) = start();
    let [gone, other] = ["/gone", "/other"].map(|path| [(); 2].map(|()| join_at(&mut relay, path, now)));
    assert_eq!(relay.channels(), 2);
    say(&mut relay, gone[0], &masked(0x81, b"nobody"));
    say(&mut relay, other[0], &masked(0x81, b"you"));
    // Both have news for their members when the members of one are lost.
    relay.hear(now, &mut Ends::default());
    gone.into_iter().for_each(|id| relay.lose(id, now));
    relay.deliver(now, &mut Ends::default());
    assert_eq!(heard(&mut relay, other[1]), [0x81, 3, b'y', b'o', b'u']);
    relay.bury(drop);
    relay.audit().unwrap();
    assert_eq!(relay.channels(), 1);
}

#[test]
fn a_sender_waits_for_those_who_were_not_yet_offered_what_it_said() {
    let turn_budget = TurnBudget { writes: 1, ..TurnBudget::default() };
    let (mut relay, now) = start_with(Limits { hold: 100, turn: turn_budget, ..Limits::default() });
    let [sender, first, second, third] = [(); 4].map(|()| join(&mut relay, now));
    let word = masked(0x82, &[7; 120]);
    for turns in 1..=3 {
        say(&mut relay, sender, &word);
        turn(&mut relay, now);
        assert_eq!(relay.counters().messages_in, 1, "after {turns} turns one of the three is not served");
    }
    settle(&mut relay, now);
    assert_eq!(relay.counters().messages_in, 3);
    for id in [first, second, third] {
        assert_eq!(heard(&mut relay, id).len(), 3 * 122);
    }
}
