//! The roll: who is on it, in which order; and who is sent away.

use super::*;
use crate::{event_stream::Form, relay::roll::ChannelRow};

fn names<L>(roll: &(Vec<super::super::roll::PeerRow<'_, L>>, usize)) -> Vec<PeerId> {
    roll.0.iter().map(|row| row.id).collect()
}

#[test]
fn the_slowest_stand_first_and_no_more_than_were_asked_for() {
    let (mut relay, start) = start();
    let speaker = join(&mut relay, start);
    let listeners = (0..5).map(|_| join(&mut relay, start)).collect::<Vec<_>>();
    let (slow, slower) = (listeners[3], listeners[1]);
    relay.link_mut(slower).unwrap().full = true;
    say(&mut relay, speaker, &masked(0x81, b"one"));
    settle(&mut relay, start);
    relay.link_mut(slow).unwrap().full = true;
    say(&mut relay, speaker, &masked(0x82, b"other"));
    settle(&mut relay, start);
    let now = start + Duration::from_secs(7);
    let roll = relay.roll(None, None, 3, now);
    let lags = roll.0.iter().map(|row| (row.lag, row.takes_bytes)).collect::<Vec<_>>();
    assert_eq!(
        (names(&roll), roll.1),
        (vec![slower, slow, speaker], 6),
        "the others in the order of their slots"
    );
    assert_eq!(lags, [(5 + 7, false), (7, false), (0, true)]);
    let row = &roll.0[2];
    assert_eq!((row.channel, row.form, row.age), ("/room", Form::Frames, Duration::from_secs(7)));
    assert_eq!((row.traffic.messages_in, row.traffic.bytes_in, row.traffic.messages_out), (2, 8, 0));
    assert_eq!((row.quiet, row.tag), (Duration::from_secs(7), None));
    assert_eq!(relay.roll(None, None, 100, now).0.len(), 6);
    assert_eq!(relay.roll(None, None, 6, now).0.len(), 6);
}

#[test]
fn a_channel_and_a_tag_choose_who_is_on_it() {
    let (mut relay, now) = start();
    let here = [join(&mut relay, now), join(&mut relay, now)];
    let there = join_at(&mut relay, "/other?wsrelayd-tag=fF", now);
    let asking = open(&mut relay, now).unwrap();
    let of = |relay: &Relay<Link>, channel, tag| names(&relay.roll(channel, tag, 10, now));
    assert_eq!(of(&relay, None, None), [here[0], here[1], there], "{asking} has not joined");
    assert_eq!(of(&relay, Some("/room"), None), here);
    assert_eq!(of(&relay, Some("/roo"), None), []);
    assert_eq!(of(&relay, None, Some(0xff)), [there]);
    assert_eq!(of(&relay, Some("/room"), Some(0xff)), []);
    assert_eq!(of(&relay, None, Some(1)), []);
    assert_eq!(relay.roll(Some("/other"), None, 1, now).0[0].tag, Some(0xff));
}

#[test]
fn channels_are_ranked_by_their_slowest_and_then_by_their_peers() {
    let (mut relay, now) = start();
    for path in ["/one", "/three", "/three", "/three", "/two", "/two"] {
        join_at(&mut relay, path, now);
    }
    let speaker = join(&mut relay, now);
    let stuck = [(); 2].map(|()| join(&mut relay, now));
    stuck.iter().for_each(|id| relay.link_mut(*id).unwrap().full = true);
    say(&mut relay, speaker, &masked(0x81, b"hello"));
    settle(&mut relay, now);
    let (rows, total) = relay.channel_rows(3);
    assert_eq!(
        (rows.iter().map(|row| row.path).collect::<Vec<_>>(), total),
        (vec!["/room", "/three", "/two"], 4)
    );
    let backlog_bytes = relay.backlog_bytes();
    let wanted = ChannelRow {
        path: "/room",
        peers: 3,
        event_streams: 0,
        backlog_bytes,
        lag_bytes: 7,
        lagging_peers: 2,
        rule: None,
    };
    assert_eq!(rows[0], wanted);
    assert_eq!(rows[1], ChannelRow { path: "/three", peers: 3, ..ChannelRow::default() });
}

#[test]
fn who_is_leaving_is_on_no_list_but_what_it_holds_is_counted() {
    let (mut relay, now) = start();
    let stuck = join(&mut relay, now);
    let speaker = join(&mut relay, now);
    relay.link_mut(stuck).unwrap().full = true;
    say(&mut relay, speaker, &masked(0x81, b"hello"));
    settle(&mut relay, now);
    assert!(relay.dismiss(stuck, "operator", now));
    turn(&mut relay, now);
    assert_eq!(names(&relay.roll(None, None, 10, now)), [speaker]);
    let (rows, total) = relay.channel_rows(10);
    assert_eq!((rows[0].peers, rows[0].lag_bytes, total), (1, 0, 1));
    assert!(relay.backlog_bytes() > 0 && rows[0].backlog_bytes == relay.backlog_bytes());
    say(&mut relay, speaker, &masked(0x88, b""));
    settle(&mut relay, now);
    assert_eq!(relay.channel_rows(10), (vec![], 0), "nobody is open any more");
}

#[test]
fn who_is_sent_away_has_its_messages_and_a_reason_and_is_counted() {
    let (mut relay, now) = start();
    let (speaker, guest) = (join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, speaker, &masked(0x81, b"hi"));
    let mut ends = Ends::default();
    relay.hear(now, &mut ends);
    assert!(relay.dismiss(guest, "too loud", now));
    assert!(!relay.dismiss(guest, "again", now), "it is leaving already");
    settle(&mut relay, now);
    let farewell = [&[0x88, 10][..], &1008u16.to_be_bytes(), b"too loud"].concat();
    assert_eq!(heard(&mut relay, guest), [&[0x81, 2, b'h', b'i'][..], &farewell].concat());
    assert!(!relay.link_mut(guest).unwrap().finished, "its own close frame is waited for");
    say(&mut relay, guest, &masked(0x88, &1008u16.to_be_bytes()));
    settle(&mut relay, now);
    assert!(relay.link_mut(guest).unwrap().finished);
    assert_eq!(relay.counters().disconnected(Disconnect::Operator), 1);
    let stranger = open(&mut relay, now).unwrap();
    let nobody = PeerId { slot: 70, serial: 70 };
    assert!(!relay.dismiss(stranger, "operator", now) && !relay.dismiss(nobody, "operator", now));
    assert_eq!(relay.counters().disconnects_total(), 1);
}
