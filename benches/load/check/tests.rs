//! Whatever could be wrong with what comes, and whatever is right, in one piece and byte by byte.

use super::*;
use crate::wire::{BINARY, CLOSE, LEAST_SIZE, PING, PONG, TEXT};

/// Each sender has sent so many; the receiver has the first two of each already.
const SENT: u32 = 9;
const HAD: u32 = 2;

/// The sizes whose headers differ.
const SIZES: [usize; 4] = [LEAST_SIZE, 64, 300, 70_000];

/// A channel with some senders, of which the first has number 1, and a receiver.
struct Room {
    wire: Wire,
    said: Vec<Said>,
    reader: Reader,
    answers: Vec<u8>,
    arrived: Vec<(u32, u32)>,
}

impl Room {
    fn new(protocol: Protocol, size: usize, senders: u32, own: Option<u32>) -> Self {
        let wire = Wire::new(protocol, size);
        let mut said: Vec<Said> = (0..=senders).map(|_| Said::default()).collect();
        if senders == 1 {
            said[1].ring = vec![0; wire.length() * (SENT - HAD) as usize];
        }
        let put = |said: &mut [Said], count| {
            (1..=senders).for_each(|nth| (0..count).for_each(|_| said[nth as usize].put(&wire, nth)));
        };
        put(&mut said, HAD);
        let reader = Reader::new(1, &said[1..], own);
        put(&mut said, SENT - HAD);
        Self { wire, said, reader, answers: Vec::new(), arrived: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        let Self { wire, said, reader, answers, arrived } = self;
        reader.take(wire, said, bytes, answers, &mut |Arrival { sender, first, count }| {
            arrived.extend((first..first + count).map(|number| (sender, number)));
        })
    }

    fn message(&self, sender: u32, number: u32) -> Vec<u8> {
        let mut bytes = vec![0; self.wire.length()];
        self.wire.write_received(&mut bytes, sender, number);
        bytes
    }

    fn messages(&self, ids: &[(u32, u32)]) -> Vec<u8> {
        ids.iter().flat_map(|&(sender, number)| self.message(sender, number)).collect()
    }
}

/// Bytes for a room with two senders, by what is wrong with them; nothing, if they are right.
fn cases(room: &Room, sender: u32) -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let of =
        |numbers: &[u32]| room.messages(&numbers.iter().map(|&number| (sender, number)).collect::<Vec<_>>());
    let message = room.message(sender, 2);
    let split = |at: usize, inside: &[u8]| [&message[..at], inside, &message[at..]].concat();
    let wrong = |at: usize| {
        let mut bytes = of(&[2, 3]);
        bytes[at] ^= 1;
        bytes
    };
    let length = room.wire.length();
    vec![
        ("all", of(&[2, 3, 4, 5, 6, 7, 8]), None),
        ("pings between", [of(&[2]), vec![PING, 0, PING, 2, 7, 8], of(&[3])].concat(), None),
        ("a pong", [vec![PONG, 1, 9], of(&[2])].concat(), None),
        ("one lost", of(&[2, 4]), Some("came where 3 was due")),
        ("the first lost", of(&[3]), Some("came where 2 was due")),
        ("one twice", of(&[2, 2]), Some("came where 3 was due")),
        ("all twice", of(&[2, 3, 4, 5, 6, 7, 8].repeat(2)), Some("came where 9 was due")),
        ("one from before", of(&[1]), Some("came where 2 was due")),
        ("two exchanged", of(&[3, 2]), Some("came where 2 was due")),
        ("one too many", of(&[2, 3, 4, 5, 6, 7, 8, 9]), Some("which nobody sent")),
        ("a wrong byte in the header", wrong(0), Some("no message of ours")),
        ("a wrong byte in the sender", wrong(length - room.wire.size + 1), Some("not in this channel")),
        ("a wrong byte in the number", wrong(length - room.wire.size + 7), Some("was due")),
        ("a wrong byte in the filling", wrong(room.wire.head_length()), Some("wrong bytes")),
        ("a wrong byte at the end", wrong(length - 1), Some("wrong bytes")),
        ("a wrong byte in the second", wrong(2 * length - 1), Some("wrong bytes")),
        ("a ping in the filling", split(length - 5, &[PING, 0]), Some("wrong bytes")),
        ("a close frame", [of(&[2]), vec![CLOSE, 2, 3, 0xE8]].concat(), Some("said goodbye")),
        ("a text", [of(&[2]), vec![TEXT, 70], vec![b'x'; 70]].concat(), Some("no message of ours")),
        ("a message of another size", [vec![BINARY, 3], of(&[2])].concat(), Some("no message of ours")),
        ("another sender", room.messages(&[(3, 2)]), Some("not in this channel")),
        ("another channel's sender", room.messages(&[(0, 0)]), Some("not in this channel")),
    ]
}

/// Takes the bytes in pieces of a length; what was wrong.
fn verdict(mut room: Room, bytes: &[u8], piece: usize) -> Result<Room, String> {
    for some in bytes.chunks(piece) {
        room.take(some)?;
    }
    Ok(room)
}

#[test]
fn only_what_was_sent_is_taken_and_once_and_in_order() {
    let mut judged = 0;
    for protocol in [Protocol::Ws, Protocol::Socketio] {
        for (size, senders) in SIZES.iter().flat_map(|&size| [(size, 1), (size, 2)]) {
            let room = || Room::new(protocol, size, senders, None);
            for (name, bytes, wrong) in cases(&room(), senders) {
                for piece in
                    [bytes.len(), 1, 3, 1000, size].into_iter().filter(|&piece| piece < 4 || size < 70_000)
                {
                    let what = format!("{name}: {protocol:?}, {size} bytes, {senders} senders, by {piece}");
                    let got = verdict(room(), &bytes, piece).map(|room| room.arrived.len());
                    match wrong {
                        None => assert!(got.as_ref().is_ok_and(|&count| count > 0), "{what}: {got:?}"),
                        Some(why) => {
                            assert!(got.as_ref().is_err_and(|said| said.contains(why)), "{what}: {got:?}")
                        }
                    }
                    judged += 1;
                }
            }
        }
    }
    assert!(judged > 1000, "{judged}");
}

#[test]
fn what_arrives_is_told_message_by_message() {
    for piece in [1, 7, 64, 66, 100, 1 << 20] {
        let room = Room::new(Protocol::Ws, 64, 2, None);
        let ids = [(2, 2), (1, 2), (1, 3), (2, 3), (2, 4)];
        let bytes = room.messages(&ids);
        assert_eq!(verdict(room, &bytes, piece).map(|room| room.arrived), Ok(ids.to_vec()), "by {piece}");
    }
}

#[test]
fn a_message_arrives_with_its_last_byte() {
    let mut room = Room::new(Protocol::Ws, 64, 1, None);
    let bytes = room.messages(&[(1, 2), (1, 3)]);
    room.take(&bytes[..room.wire.length() * 2 - 1]).unwrap();
    assert_eq!(room.arrived, [(1, 2)]);
    room.take(&bytes[bytes.len() - 1..]).unwrap();
    assert_eq!(room.arrived, [(1, 2), (1, 3)]);
}

#[test]
fn what_was_sent_before_somebody_came_is_not_for_him() {
    let mut room = Room::new(Protocol::Ws, 64, 2, None);
    room.said[1].put(&room.wire, 1);
    room.reader = Reader::new(1, &room.said[1..], None);
    room.said[1].put(&room.wire, 1);
    let early = room.message(1, SENT);
    assert!(room.take(&early).is_err());
    let due = room.message(1, SENT + 1);
    assert_eq!(room.take(&due), Ok(()));
}

#[test]
fn nobody_gets_his_own_unless_the_server_echoes() {
    for senders in [1, 2] {
        let bytes = Room::new(Protocol::Ws, 64, senders, None).messages(&[(1, 2)]);
        let own = verdict(Room::new(Protocol::Ws, 64, senders, Some(1)), &bytes, bytes.len());
        assert!(own.is_err_and(|why| why.contains("its own")), "{senders} senders");
        let echoed = verdict(Room::new(Protocol::Ws, 64, senders, None), &bytes, bytes.len());
        assert!(echoed.is_ok(), "{senders} senders");
    }
}

#[test]
fn signs_of_life_are_answered() {
    let masked = |opcode: u8, payload: &[u8]| {
        let mut frame = Vec::new();
        wire::append_client_frame(&mut frame, opcode, payload);
        frame
    };
    let table = [
        ("a ping", Protocol::Ws, vec![PING, 3, 1, 2, 3], masked(PONG, &[1, 2, 3])),
        ("an empty ping", Protocol::Ws, vec![PING, 0], masked(PONG, &[])),
        ("a pong", Protocol::Ws, vec![PONG, 1, 5], vec![]),
        ("engine.io's ping", Protocol::Socketio, vec![TEXT, 1, b'2'], masked(TEXT, b"3")),
    ];
    assert!(!table.is_empty());
    for (name, protocol, bytes, answer) in table {
        for piece in [1, bytes.len()] {
            let room = verdict(Room::new(protocol, 64, 1, None), &bytes, piece);
            assert_eq!(room.map(|room| room.answers), Ok(answer.clone()), "{name}, by {piece}");
        }
    }
    let plain = verdict(Room::new(Protocol::Ws, 64, 1, None), &[&[TEXT, 1, b'2'][..], &[0; 64]].concat(), 99);
    assert!(plain.is_err(), "engine.io's ping where nobody speaks it");
}
