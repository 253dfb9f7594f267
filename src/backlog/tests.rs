//! The backlog against its model, and what it holds in the end.

use super::*;
use crate::frame::{Header, Kind};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_get_what_a_queue_of_their_own_would_give_them(tape in prop::collection::vec(any::<u8>(), 0..500)) {
        model::play(&tape);
    }
}

/// Found once: a closed reader that is alone stands before the end.
#[test]
fn a_message_after_a_readers_end_is_not_for_it() {
    let mut backlog = Backlog::new();
    let mut closed = backlog.join();
    closed.end_at(backlog.end());
    backlog.append(Header::new(Kind::Binary, 0).as_bytes(), &[], None);
    assert!(!backlog.has_more(&closed) && backlog.lag(&closed) == 0);
    backlog.leave(closed);
    assert_eq!(backlog.allocated(), 0);
}

#[test]
fn a_message_is_stored_once_whatever_the_number_of_readers() {
    let mut backlog = Backlog::new();
    let cursors = (0..1000).map(|_| backlog.join()).collect::<Vec<_>>();
    let header = Header::new(Kind::Text, 500);
    backlog.append(header.as_bytes(), &[b'x'; 500], None);
    let allocated = backlog.allocated();
    // The block, its index, and the list of blocks; all of them as allocated.
    let least = BLOCK_MIN + 12 + size_of::<Block>();
    assert!((least..2 * BLOCK_MIN).contains(&allocated), "{allocated}: counted as allocated, once");
    cursors.into_iter().for_each(|cursor| backlog.leave(cursor));
    assert_eq!(backlog.allocated(), 0);
}

#[test]
fn nobody_to_read_means_nothing_is_stored() {
    let mut backlog = Backlog::new();
    let mut alone = backlog.join();
    backlog.append(Header::new(Kind::Text, 5).as_bytes(), b"hello", Some(&mut alone));
    assert_eq!((backlog.allocated(), backlog.has_more(&alone)), (0, false));
    assert_eq!(backlog.end(), 7, "positions go on all the same");
}

#[test]
fn one_read_after_a_burst_frees_all_but_what_the_last_reader_needs() {
    let mut backlog = Backlog::new();
    let (mut quick, slow) = (backlog.join(), backlog.join());
    for _ in 0..1000 {
        backlog.append(Header::new(Kind::Binary, 1000).as_bytes(), &[7; 1000], None);
    }
    let full = backlog.allocated();
    backlog.advance(&mut quick, 1004 * 1000);
    assert_eq!(backlog.allocated(), full, "the slow one pins it all");
    backlog.leave(slow);
    assert_eq!(backlog.allocated(), 0);
    assert!(!backlog.has_more(&quick));
}

#[test]
fn alternating_senders_keep_nothing_per_reader_and_message() {
    let mut backlog = Backlog::new();
    let (mut a, mut b, mut idle) = (backlog.join(), backlog.join(), backlog.join());
    for n in 0..10_000 {
        let sender = if n % 2 == 0 { &mut a } else { &mut b };
        backlog.append(Header::new(Kind::Binary, 1).as_bytes(), &[n as u8], Some(sender));
    }
    assert_eq!((backlog.lag(&a), backlog.lag(&b), backlog.lag(&idle)), (15_000, 15_000, 30_000));
    assert_eq!(backlog.skip(&mut a), 4999);
    assert_eq!(
        backlog.skip(&mut b),
        4999,
        "its own last message is not the newest for it, the one before is"
    );
    assert_eq!(backlog.skip(&mut idle), 9999);
}

#[test]
fn the_next_burst_finds_a_block_as_large_as_the_last_one_was() {
    let mut backlog = Backlog::new();
    let mut reader = backlog.join();
    let mut burst = |messages: usize| {
        (0..messages)
            .for_each(|_| backlog.append(Header::new(Kind::Binary, 998).as_bytes(), &[7; 998], None));
        let first = backlog.blocks[0].capacity();
        backlog.advance(&mut reader, 1002 * messages);
        first
    };
    assert_eq!([burst(10), burst(10), burst(1), burst(1)], [1 << 10, 16 << 10, 16 << 10, 1 << 10]);
}
