//! What the channels keep for the relay: lists, and what was offered to whom.

use super::*;
use crate::{limits::TurnBudget, news::Event};

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
    say_thrice_and_wait(&mut relay, sender, &word, now);
    for id in [first, second, third] {
        assert_eq!(heard(&mut relay, id).len(), 3 * 122);
    }
}

/// P6 and P7 from the other side: nobody waits more than twice as long as in one queue of all, whoever else is busy.
#[test]
fn many_busy_pairs_keep_neither_a_crowd_nor_newcomers_waiting() {
    let turn_budget = TurnBudget { writes: 10, ..TurnBudget::default() };
    let (mut relay, now) = start_with(Limits { turn: turn_budget, ..Limits::default() });
    let crowd = (0..100).map(|_| join_at(&mut relay, "/crowd", now)).collect::<Vec<_>>();
    let pairs = (0..50).flat_map(|n| [(); 2].map(|()| format!("/pair{n}")));
    let pairs = pairs.map(|path| join_at(&mut relay, &path, now)).collect::<Vec<_>>();
    let newcomers = (0..100).map(|_| open(&mut relay, now).unwrap()).collect::<Vec<_>>();
    newcomers.iter().for_each(|id| say(&mut relay, *id, REQUEST));
    say(&mut relay, crowd[0], &masked(0x82, b"all"));
    // 300 are due, ten a turn: a fair round has thirty turns.
    for _ in 0..60 {
        pairs.iter().for_each(|id| say(&mut relay, *id, &masked(0x82, b"you")));
        turn(&mut relay, now);
    }
    let waits = |relay: &mut Relay<Link>, ids: &[PeerId]| {
        ids.iter().filter(|id| relay.link_mut(**id).unwrap().output.is_empty()).count()
    };
    let waiting = [&crowd[1..], &pairs, &newcomers].map(|ids| waits(&mut relay, ids));
    assert_eq!(waiting, [0, 0, 0], "of the crowd, the pairs, the newcomers");
}

/// Law 9: what is copied for those who were cut off counts against the budget, however many there are.
#[test]
fn the_rests_of_those_who_were_cut_off_stay_within_their_share() {
    let max_backlog = 8 << 20;
    let limits = Limits { max_backlog, max_lag: 512 << 10, soft_lag: 512 << 10, ..Limits::default() };
    let (mut relay, now) = start_with(limits);
    let word = super::slow::big(60 << 10);
    let speak = |relay: &mut Relay<Link>, id: PeerId, times: usize| {
        for _ in 0..times {
            say(relay, id, &word);
            settle(relay, now);
            assert!(relay.backlog_bytes() <= max_backlog, "{} bytes", relay.backlog_bytes());
        }
    };
    let sender = join_at(&mut relay, "/one", now);
    for _ in 0..140 {
        let stuck = join_at(&mut relay, "/one", now);
        relay.link_mut(stuck).unwrap().room = Some(100);
    }
    speak(&mut relay, sender, 10);
    assert!(relay.counters().disconnected(Disconnect::SlowConsumer) == 140 && relay.copied > 0);
    for n in 0..40 {
        let [from, to] = [(); 2].map(|()| join_at(&mut relay, &format!("/two{n}"), now));
        relay.link_mut(to).unwrap().room = Some(0);
        speak(&mut relay, from, 8);
    }
    assert!(relay.counters().disconnected(Disconnect::Memory) > 0);
}

#[test]
fn what_everybody_has_holds_no_sender() {
    let turn_budget = TurnBudget { writes: 1, ..TurnBudget::default() };
    let (mut relay, now) = start_with(Limits { hold: 1000, turn: turn_budget, ..Limits::default() });
    let [sender, ..] = [(); 4].map(|()| join(&mut relay, now));
    let word = masked(0x82, &[7; 100]);
    for _ in 0..20 {
        say(&mut relay, sender, &word);
        settle(&mut relay, now);
    }
    // More than `hold` lies behind them; what lies before the three who are served one a turn is little.
    for said in 21..=23 {
        say(&mut relay, sender, &word);
        turn(&mut relay, now);
        assert_eq!((relay.counters().messages_in, relay.counters().held), (said, 0));
    }
}

#[test]
fn news_are_told_once_and_those_that_are_too_many_are_counted() {
    let (mut relay, now) = start();
    let id = join(&mut relay, now);
    say(&mut relay, id, &masked(0x88, b""));
    settle(&mut relay, now);
    relay.lose(id, now);
    let told = relay.take_news().into_iter().map(|news| (news.id, news.event)).collect::<Vec<_>>();
    assert!(matches!(&told[..], [(a, Event::Opened { .. }), (b, Event::Ended(_))] if *a == id && *b == id));
    relay.bury(drop);
    // A thousand at once, two of them spent.
    for _ in 0..1100 {
        let id = open(&mut relay, now).unwrap();
        relay.lose(id, now);
        relay.bury(drop);
    }
    assert_eq!((relay.take_news().len(), relay.counters().news_suppressed), (998, 102));
    let later = now + Duration::from_secs(1);
    join(&mut relay, later);
    let news = relay.take_news();
    assert_eq!((news.len(), news[0].suppressed), (1, 102));
}

#[test]
fn nothing_is_kept_for_nobody() {
    let (mut relay, now) = start();
    let crowd: Vec<_> = (0..300).map(|_| join(&mut relay, now)).collect();
    assert!(relay.wheel.len() >= crowd.len());
    say(&mut relay, crowd[0], &masked(0x82, b"to all"));
    turn(&mut relay, now);
    crowd.iter().for_each(|id| relay.lose(*id, now));
    turn(&mut relay, now);
    assert!(relay.is_empty() && relay.wheel.is_empty() && relay.next_deadline().is_none());
    let kept = [relay.unread.capacity(), relay.expired.capacity(), relay.scratch.capacity()];
    assert_eq!(kept, [0; 3]);
}

#[test]
fn former_peers_on_the_list_cost_nobody_a_write() {
    let (mut relay, now) =
        start_with(Limits { turn: TurnBudget { writes: 4, ..TurnBudget::default() }, ..Limits::default() });
    let crowd: Vec<_> = (0..50).map(|_| join(&mut relay, now)).collect();
    (0..50).for_each(|_| turn(&mut relay, now));
    crowd.iter().for_each(|id| drop(heard(&mut relay, *id)));
    say(&mut relay, crowd[0], &masked(0x82, b"x"));
    turn(&mut relay, now);
    crowd[1..49].iter().for_each(|id| relay.lose(*id, now));
    turn(&mut relay, now);
    turn(&mut relay, now);
    assert_eq!(heard(&mut relay, crowd[49]), [0x82, 1, b'x'], "whoever is left is next");
}
