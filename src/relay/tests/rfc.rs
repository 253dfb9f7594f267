//! Clauses of RFC 6455 that need a whole relay to be shown; the table of all of them is tests/rfc6455.md.

use super::*;
use crate::{peer::Fault, scanner::Breach};

/// Masked with a key that changes every byte.
fn disguised(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let body = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
    [&[first, 0x80 | payload.len() as u8][..], &key].concat().into_iter().chain(body).collect()
}

/// 5.2, 5.3, 5.4: fragments and masks are the sender's own affair, and what leaves is one frame without a mask.
#[test]
fn fragments_with_any_masks_leave_as_one_bare_frame() {
    let (mut relay, now) = start();
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    for (opcode, last) in [(0x01, 0x81), (0x02, 0x82)] {
        let parts = [
            disguised(opcode, b"in ", [1, 2, 3, 4]),
            disguised(0x00, b"", [0xFF; 4]),
            disguised(0x00, b"three ", [0, 0, 0x80, 0]),
            disguised(0x80, b"parts", [9, 0, 9, 0]),
        ];
        for part in parts {
            assert_eq!(heard(&mut relay, b), [0_u8; 0], "nothing leaves before the message is whole");
            say(&mut relay, a, &part);
            turn(&mut relay, now);
        }
        assert_eq!(heard(&mut relay, b), [&[last, 14][..], b"in three parts"].concat());
    }
}

/// 5.4, 5.5, 5.5.2, 5.5.3: a ping amid a message is answered at once, with its own payload.
#[test]
fn a_ping_amid_a_message_is_answered_at_once_with_its_own_payload() {
    let (mut relay, now) = start();
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    say(&mut relay, a, &disguised(0x01, b"be", [5, 6, 7, 8]));
    say(&mut relay, a, &disguised(0x89, &[0xFE; 125], [1, 2, 4, 8]));
    turn(&mut relay, now);
    assert_eq!(heard(&mut relay, a), [&[0x8A, 125][..], &[0xFE; 125]].concat());
    say(&mut relay, a, &disguised(0x8A, b"an answer to nothing", [3, 1, 4, 1]));
    say(&mut relay, a, &disguised(0x80, b"fore", [0; 4]));
    turn(&mut relay, now);
    assert_eq!(heard(&mut relay, b), [&[0x81, 6][..], b"before"].concat(), "and the message is whole");
    assert_eq!(heard(&mut relay, a), [0_u8; 0], "a pong is not answered");
}

/// 1.4, 5.5.1, 6.1: after a close frame, its sender is not heard any more, and gets nothing more.
#[test]
fn after_a_close_frame_nothing_is_heard_and_nothing_is_said() {
    let (mut relay, now) = start();
    let (a, b) = (join(&mut relay, now), join(&mut relay, now));
    let close = masked(0x88, &1000u16.to_be_bytes());
    let behind = [masked(0x82, b"too late"), masked(0x89, b"hello?"), close.clone(), vec![0xFF; 9]].concat();
    say(&mut relay, a, &[close, behind.clone()].concat());
    say(&mut relay, b, &masked(0x82, b"news"));
    turn(&mut relay, now);
    say(&mut relay, a, &behind);
    settle(&mut relay, now);
    assert_eq!(heard(&mut relay, b), [0_u8; 0], "nothing that followed the close frame is relayed");
    let said = heard(&mut relay, a);
    assert!(said.ends_with(&[0x88, 2, 0x03, 0xE8]), "{said:02x?}");
    assert_eq!(
        said.iter().filter(|byte| **byte == 0x88).count(),
        1,
        "one close frame, and no pong: {said:02x?}"
    );
    assert_eq!(relay.counters().disconnected(Disconnect::PeerClosed), 1);
}

/// 7.1.7, 7.4.1: each way of failing has its code and its text, our own fault included.
#[test]
fn every_fault_is_told_with_its_code_and_counted() {
    let table = [
        (Fault::Breach(Breach::Protocol("protocol: x")), Disconnect::Protocol, 1002, "protocol: x"),
        (Fault::Breach(Breach::Utf8), Disconnect::Utf8, 1007, "invalid-utf8"),
        (Fault::Breach(Breach::TooBig), Disconnect::Size, 1009, "too-big"),
        (Fault::Breach(Breach::FragmentFlood), Disconnect::FragmentFlood, 1008, "fragment-flood"),
        (Fault::PingFlood, Disconnect::PingFlood, 1008, "ping-flood"),
        (Fault::Internal, Disconnect::Internal, 1011, "internal"),
    ];
    assert!(!table.is_empty());
    for (fault, why, code, text) in table {
        let (mut relay, now) = start();
        let a = join(&mut relay, now);
        let (reason, said, token) = fault.verdict();
        relay.close(a, reason, said, token, now);
        settle(&mut relay, now);
        assert_eq!(heard(&mut relay, a), crate::frame::close(code, text), "{fault:?}");
        assert_eq!((relay.counters().disconnected(why), relay.counters().disconnects_total()), (1, 1));
        assert!(relay.link_mut(a).unwrap().finished, "{fault:?}: our side ends at once");
    }
}
