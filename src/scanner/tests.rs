//! Every breach at its byte, every chunking, and what the scanner says of itself at each byte.

use super::*;

const LIMITS: FrameLimits = FrameLimits { max_message: 0x1_0000, max_frames: 3 };
const MASK: [u8; 4] = [0x9A, 0x01, 0xC8, 0x7F];

/// A masked frame with the shortest length.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = match payload.len() {
        short @ 0..126 => vec![first, 0x80 | short as u8],
        long => [&[first, 0x80 | 126][..], &(long as u16).to_be_bytes()].concat(),
    };
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What came of a stream: each step with the position of its end, and the breach with the range of its piece.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    steps: Vec<(usize, Step)>,
    breach: Option<(std::ops::Range<usize>, Breach)>,
}

fn tell<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: FrameLimits) -> Told {
    let (mut scanner, mut told, mut at) = (Scanner::default(), Told::default(), 0);
    for mut piece in pieces {
        while !piece.is_empty() {
            match scanner.scan(piece, limits) {
                Err(breach) => return Told { breach: Some((at..at + piece.len(), breach)), ..told },
                Ok((passed, step)) => {
                    (at, piece) = (at + passed, &piece[passed..]);
                    if step != Step::More {
                        told.steps.push((at, step));
                    }
                }
            }
        }
    }
    told
}

/// The position of the byte that was refused, and why.
type ByteAndBreach = (usize, Breach);

/// Asserts that all cuts of the stream into three tell the same as byte by byte, and returns that.
fn tell_every_way(stream: &[u8], limits: FrameLimits) -> (Vec<(usize, Step)>, Option<ByteAndBreach>) {
    let by_byte = tell(stream.chunks(1), limits);
    let breach = by_byte.breach.map(|(range, breach)| (range.start, breach));
    for second in 0..=stream.len() {
        for first in 0..=second {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            let told = tell(pieces.into_iter(), limits);
            assert_eq!(told.steps, by_byte.steps, "cut at {first} and {second}");
            assert_eq!(told.breach.as_ref().map(|told| told.1), breach.map(|byte| byte.1));
            assert!(told.breach.is_none_or(|(range, _)| range.contains(&breach.unwrap().0)));
        }
    }
    (by_byte.steps, breach)
}

fn protocol(detail: &'static str) -> Breach {
    Breach::Protocol(detail)
}

#[test]
fn each_breach_is_seen_at_the_byte_that_shows_it() {
    let open = frame(0x01, b"ab");
    let after_open = |frame: &[u8]| [&open[..], frame].concat();
    let long = |length: u64| [&[0x82, 0xFF][..], &length.to_be_bytes(), &MASK].concat();
    let table = [
        (frame(0xC1, b""), 0, protocol("protocol: reserved bit")),
        (frame(0xA1, b""), 0, protocol("protocol: reserved bit")),
        (frame(0x91, b""), 0, protocol("protocol: reserved bit")),
        (frame(0x83, b""), 0, protocol("protocol: reserved opcode")),
        (frame(0x87, b""), 0, protocol("protocol: reserved opcode")),
        (frame(0x8B, b""), 0, protocol("protocol: reserved opcode")),
        (frame(0x0F, b""), 0, protocol("protocol: reserved opcode")),
        (frame(0x08, b""), 0, protocol("protocol: fragmented control frame")),
        (frame(0x09, b""), 0, protocol("protocol: fragmented control frame")),
        (frame(0x0A, b""), 0, protocol("protocol: fragmented control frame")),
        (frame(0x80, b""), 0, protocol("protocol: nothing to continue")),
        (frame(0x00, b""), 0, protocol("protocol: nothing to continue")),
        (after_open(&frame(0x81, b"")), 8, protocol("protocol: message within a message")),
        (after_open(&frame(0x02, b"")), 8, protocol("protocol: message within a message")),
        (vec![0x81, 0x01, b'a'], 1, protocol("protocol: not masked")),
        (vec![0x89, 0x00], 1, protocol("protocol: not masked")),
        (frame(0x89, &[0; 126]), 1, protocol("protocol: control frame too long")),
        (vec![0x88, 0xFF], 1, protocol("protocol: control frame too long")),
        (frame(0x88, b"\x03"), 1, protocol("protocol: close code cut short")),
        (vec![0x82, 0xFE, 0x00, 0x7D], 3, protocol("protocol: length not minimal")),
        (vec![0x82, 0xFE, 0x00, 0x00], 3, protocol("protocol: length not minimal")),
        (long(0), 7, protocol("protocol: length not minimal")),
        (long(0xFFFF), 7, protocol("protocol: length not minimal")),
        (long(1 << 63), 2, protocol("protocol: length above 63 bits")),
        (long(u64::MAX), 2, protocol("protocol: length above 63 bits")),
        (long(u64::MAX >> 1), 2, Breach::TooBig),
        (long((1 << 32) + 5), 5, Breach::TooBig),
        (long(0x1_0001), 9, Breach::TooBig),
        (after_open(&[0x00, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0]), 15, Breach::TooBig),
        (frame(0x88, b"\x03\xE7"), 7, protocol("protocol: close code not allowed")),
        (frame(0x88, b"\x00\x00"), 6, protocol("protocol: close code not allowed")),
        (frame(0x88, b"\x03\xE8ok\xC3("), 11, Breach::Utf8),
        (frame(0x88, b"\x03\xE8\xE2\x82"), 9, Breach::Utf8),
        (frame(0x81, b"ok \xED\xA0 and more"), 10, Breach::Utf8),
        (frame(0x81, b"ok \xC3"), 9, Breach::Utf8),
        ([frame(0x01, b"\xF0"), frame(0x89, b"\xFF"), frame(0x80, b"\x80")].concat(), 20, Breach::Utf8),
        ([frame(0x01, b"\xE2\x82"), frame(0x80, b"")].concat(), 13, Breach::Utf8),
        ([frame(0x02, b""), frame(0x00, b""), frame(0x00, b""), frame(0x80, b"")].concat(), 18, FLOOD),
    ];
    assert!(!table.is_empty());
    for (stream, at, breach) in table {
        let (_, told) = tell_every_way(&stream, LIMITS);
        assert_eq!(told, Some((at, breach)), "{stream:02x?}");
    }
}

const FLOOD: Breach = Breach::FragmentFlood;

#[test]
fn what_is_allowed_ends_where_it_ends() {
    let text = frame(0x81, "Grüße, 世界 🌍".as_bytes());
    let fragmented = [
        frame(0x01, b"\xE4\xB8"),
        frame(0x89, b"\xFF\xFE"),
        frame(0x00, b""),
        frame(0x8A, &[0; 125]),
        frame(0x80, b"\x96"),
    ];
    let ends: Vec<usize> = fragmented.iter().scan(0, |end, f| Some((*end += f.len(), *end).1)).collect();
    let table = [
        (text.clone(), vec![(text.len(), Step::Message)]),
        (fragmented.concat(), vec![(ends[1], Step::Ping), (ends[3], Step::Pong), (ends[4], Step::Message)]),
        ([frame(0x82, b""), frame(0x81, b"")].concat(), vec![(6, Step::Message), (12, Step::Message)]),
        (frame(0x82, &[0xFF; 126]), vec![(134, Step::Message)]),
        (frame(0x88, b""), vec![(6, Step::Close(None))]),
        (frame(0x88, b"\x0B\xB8bye"), vec![(11, Step::Close(Some(3000)))]),
    ];
    assert!(!table.is_empty());
    for (stream, steps) in table {
        assert_eq!(tell_every_way(&stream, LIMITS), (steps, None), "{stream:02x?}");
    }
}

#[test]
fn every_possible_cutting_of_a_short_stream_tells_the_same() {
    let stream = [frame(0x01, b"\xC3"), frame(0x89, b""), frame(0x80, b"\xA9")].concat();
    let whole = tell([&stream[..]].into_iter(), LIMITS);
    assert_eq!(whole.steps, [(13, Step::Ping), (20, Step::Message)]);
    for cuts in 0..1u32 << (stream.len() - 1) {
        let (mut pieces, mut start) = (Vec::new(), 0);
        for end in (1..stream.len()).filter(|end| cuts >> (end - 1) & 1 == 1) {
            pieces.push(&stream[start..end]);
            start = end;
        }
        pieces.push(&stream[start..]);
        assert_eq!(tell(pieces.into_iter(), LIMITS), whole, "cuts {cuts:b}");
    }
}

#[test]
fn every_close_code_is_judged_and_never_by_its_first_byte_wrongly() {
    let forbidden = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
    let allowed = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4999];
    let judge = |code: u16| tell([&frame(0x88, &code.to_be_bytes())[..]].into_iter(), LIMITS);
    for code in forbidden {
        assert_eq!(judge(code).breach.map(|told| told.1), Some(BAD_CLOSE_CODE), "{code}");
    }
    for code in allowed {
        assert_eq!(judge(code).steps, [(8, Step::Close(Some(code)))], "{code}");
    }
    let all = (0..=u16::MAX).filter(|code| judge(*code).breach.is_none()).count();
    assert_eq!(all, 4 + 8 + 2000);
}

#[test]
fn the_largest_message_passes_and_one_byte_more_does_not() {
    let limits = FrameLimits { max_message: 300, max_frames: 2 };
    let parts =
        |last: usize| [frame(0x02, &[0; 200]), frame(0x89, &[0; 125]), frame(0x80, &vec![0; last])].concat();
    assert_eq!(tell([&parts(100)[..]].into_iter(), limits).steps.len(), 2);
    let breach = tell([&parts(101)[..]].into_iter(), limits).breach;
    assert_eq!(breach.map(|told| told.1), Some(Breach::TooBig));
}

#[test]
fn a_control_frame_passes_when_messages_may_be_only_empty() {
    let limits = FrameLimits { max_message: 0, max_frames: 1 };
    let stream = [frame(0x89, &[0; 125]), frame(0x82, b"")].concat();
    assert_eq!(tell([&stream[..]].into_iter(), limits).steps, [(131, Step::Ping), (137, Step::Message)]);
}

#[test]
fn a_limit_lowered_within_a_message_holds_from_the_next_frame_on() {
    let mut scanner = Scanner::default();
    scanner.scan(&frame(0x02, &[0; 100]), LIMITS).unwrap();
    let lower = FrameLimits { max_message: 99, max_frames: 3 };
    assert_eq!(scanner.scan(&frame(0x80, b""), lower), Err(Breach::TooBig));
}

#[test]
fn it_knows_at_each_byte_what_is_unfinished() {
    // Per frame: the bytes of its header, payload unfinished before it, during it, and after it.
    let frames = [
        (frame(0x01, b"abc"), 0, 3, 3),
        (frame(0x89, b"12345"), 3, 8, 3),
        (frame(0x00, b""), 3, 3, 3),
        (frame(0x80, b"defg"), 3, 7, 0),
        (frame(0x8A, b"123"), 0, 3, 0),
    ];
    let mut scanner = Scanner::default();
    for (number, (bytes, before, during, after)) in frames.iter().enumerate() {
        assert_eq!(scanner.is_between_messages(), *before == 0, "before frame {number}");
        for (i, byte) in bytes.iter().enumerate() {
            assert_eq!(scanner.is_between_frames(), i == 0, "frame {number}, byte {i}");
            assert_eq!(scanner.unfinished(), if i < 2 { *before } else { *during });
            assert_eq!(scanner.frame_remaining(), if i < 6 { 0 } else { bytes.len() - i });
            scanner.scan(&[*byte], LIMITS).unwrap();
        }
        assert!(scanner.is_between_frames());
        assert_eq!((scanner.unfinished(), scanner.frame_remaining()), (*after, 0), "after frame {number}");
        assert_eq!(scanner.is_between_messages(), *after == 0, "after frame {number}");
    }
}

#[test]
fn an_empty_fragment_is_not_between_messages() {
    let mut scanner = Scanner::default();
    scanner.scan(&frame(0x01, b""), LIMITS).unwrap();
    assert!(scanner.is_between_frames() && !scanner.is_between_messages());
    assert_eq!(scanner.unfinished(), 0);
}

#[test]
fn it_is_small_enough_for_every_slot() {
    assert!(size_of::<Scanner>() <= 40, "{} bytes", size_of::<Scanner>());
}

#[test]
fn every_breach_has_a_code_a_token_and_a_label() {
    let table = [
        (BAD_CLOSE_CODE, 1002, "protocol: close code not allowed", "protocol"),
        (Breach::Utf8, 1007, "invalid-utf8", "utf8"),
        (Breach::TooBig, 1009, "too-big", "size"),
        (Breach::FragmentFlood, 1008, "fragment-flood", "fragment_flood"),
    ];
    assert!(!table.is_empty());
    for (breach, code, token, label) in table {
        assert_eq!((breach.code(), breach.token(), breach.label()), (code, token, label));
    }
}

#[test]
fn what_decoding_may_take_is_three_times_as_much_in_fragments() {
    let limits = FrameLimits { max_message: 1000, max_frames: 10 };
    let mut scanner = Scanner::default();
    let mut after = |mut bytes: &[u8]| {
        while !bytes.is_empty() {
            let (used, _) = scanner.scan(bytes, limits).unwrap();
            bytes = &bytes[used..];
        }
        scanner.footprint()
    };
    let [whole, first, second, last] =
        [(0x82, 100), (0x02, 100), (0x00, 50), (0x80, 0)].map(|(byte, len)| frame(byte, &vec![7; len]));
    assert_eq!([after(&whole[..20]), after(&whole[20..])], [100, 0]);
    assert_eq!([after(&first[..20]), after(&first[20..])], [100, 300]);
    assert_eq!([after(&second[..20]), after(&second[20..])], [450, 450]);
    assert_eq!(after(&last), 0);
}
