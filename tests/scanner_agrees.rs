//! The scanner and tungstenite against each other: random streams, valid, invalid and mutated, in random pieces.
//!
//! On one side scanner and decoder, step by step; on the other tungstenite alone, over the whole stream. They must
//! agree on every message and on every error, except where the scanner is stricter or earlier on purpose:
//! - a length that is not minimal (in a control frame any long form), a surplus fragment, a forbidden close code:
//!   tungstenite lets these pass;
//! - any breach shown by bytes of a frame that never comes whole: tungstenite still waits;
//! - a frame that breaks two rules: the scanner names the one whose byte comes first. tungstenite looks at the size
//!   before reserved bits, mask and place in the message, and at the reason of a close frame but not at its code.

mod frames;

use frames::{Length, any_frame, plain, read_once, would_block};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use tungstenite::{Error, Message};
use wsrelayd::pipe::Decoder;
use wsrelayd::scanner::{Breach, FrameLimits, Scanner, Step};

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All was taken and more is expected.
    Open,
    /// With a close frame.
    Closed,
    /// With this close code; on our side, by this breach too.
    Refused(u16, Option<Breach>),
}

/// What came of a stream: messages, what was written, and the end.
#[derive(Debug)]
struct Outcome {
    messages: Vec<Message>,
    output: Vec<u8>,
    end: End,
    /// Bytes passed before the byte that was refused, when fed byte by byte; else all of them.
    passed: usize,
}

/// Scanner and decoder, over pieces of the lengths given, again and again.
fn ours(stream: &[u8], limits: FrameLimits, lengths: &[usize]) -> Outcome {
    let mut scanner = Scanner::default();
    let mut decoder = Decoder::new(limits.max_message);
    let mut outcome = Outcome { messages: vec![], output: vec![], end: End::Open, passed: 0 };
    for length in lengths.iter().cycle() {
        let end = stream.len().min(outcome.passed + length);
        while outcome.passed < end {
            let piece = &stream[outcome.passed..end];
            let (passed, step) = match scanner.scan(piece, limits) {
                Ok(step) => step,
                Err(breach) => return Outcome { end: End::Refused(breach.code(), Some(breach)), ..outcome },
            };
            let decoded = decoder.decode(&piece[..passed], &mut outcome.output);
            let message = decoded.expect("what the scanner passes, tungstenite takes");
            assert!(passed > 0 && is_same_kind(step, message.as_ref()), "{step:?} but {message:?}");
            outcome.messages.extend(message);
            outcome.passed += passed;
            if matches!(step, Step::Close(_)) {
                return Outcome { end: End::Closed, ..outcome };
            }
        }
        if end == stream.len() {
            break;
        }
    }
    assert!(!scanner.is_between_messages() || scanner.unfinished() == 0);
    outcome
}

fn is_same_kind(step: Step, message: Option<&Message>) -> bool {
    match (step, message) {
        (Step::More, None) | (Step::Message, Some(Message::Text(_) | Message::Binary(_))) => true,
        (Step::Ping, Some(Message::Ping(_))) | (Step::Pong, Some(Message::Pong(_))) => true,
        (Step::Close(None), Some(Message::Close(None))) => true,
        // tungstenite has not heard of 1014 and says 1002 instead.
        (Step::Close(Some(1014)), Some(Message::Close(Some(frame)))) => u16::from(frame.code) == 1002,
        (Step::Close(Some(code)), Some(Message::Close(Some(frame)))) => u16::from(frame.code) == code,
        _ => false,
    }
}

/// tungstenite alone, up to a close frame or an error.
fn theirs(stream: &[u8], limits: FrameLimits) -> Outcome {
    let mut context = plain(Some(limits.max_message));
    let (mut messages, mut output, mut left) = (vec![], vec![], stream.len());
    let end = loop {
        let (read, after) = read_once(&mut context, &stream[stream.len() - left..], &mut output);
        left = after;
        match read {
            Ok(message) => messages.push(message),
            Err(_) if would_block(&read) => break End::Open,
            Err(Error::Protocol(_)) => break End::Refused(1002, None),
            Err(Error::Utf8(_)) => break End::Refused(1007, None),
            Err(Error::Capacity(_)) => break End::Refused(1009, None),
            Err(error) => panic!("{error}"),
        }
        if matches!(messages.last(), Some(Message::Close(_))) {
            break End::Closed;
        }
    };
    Outcome { messages, output, end, passed: stream.len() }
}

/// The frame that the byte at `at` belongs to: whether it is whole, and the length that it declares. Reads frames
/// in one piece, like nobody else here.
fn frame_around(stream: &[u8], at: usize) -> (bool, u64) {
    let mut start = 0u128;
    loop {
        let Some(&[_, second, ref rest @ ..]) = stream.get(start as usize..) else { return (false, 0) };
        let width = match second & 0x7F {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        let Some(field) = rest.get(..width) else { return (false, 0) };
        let long = field.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
        let length = if width == 0 { u64::from(second & 0x7F) } else { long };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let end = start + 2 + width as u128 + mask + u128::from(length);
        if (at as u128) < end.max(start + 2) {
            return (end <= stream.len() as u128, length);
        }
        start = end;
    }
}

/// Asserts that both agree, as far as they should, and names the case.
fn compare(
    stream: &[u8],
    limits: FrameLimits,
    ours: &Outcome,
    theirs: &Outcome,
) -> Result<String, TestCaseError> {
    prop_assert!(theirs.messages.starts_with(&ours.messages), "{ours:?} {theirs:?}");
    prop_assert!(theirs.output.starts_with(&ours.output) || ours.output.starts_with(&theirs.output));
    let End::Refused(code, Some(breach)) = ours.end else {
        prop_assert_eq!((&ours.messages, ours.end), (&theirs.messages, theirs.end));
        return Ok(format!("{:?}", ours.end));
    };
    let (is_whole, declared) = frame_around(stream, ours.passed);
    let is_oversize = declared > limits.max_message as u64;
    let is_passed_by_theirs = match breach.token() {
        "fragment-flood" | "protocol: length not minimal" => true,
        "protocol: control frame too long" => declared <= 125,
        _ => false,
    };
    let is_close_code = breach.token() == "protocol: close code not allowed";
    let agreed = match theirs.end {
        _ if is_passed_by_theirs => true,
        End::Closed => is_close_code,
        _ if theirs.messages.len() > ours.messages.len() => false,
        End::Refused(theirs, _) if theirs == code => true,
        End::Refused(1009, _) => code == 1002 && is_oversize,
        End::Refused(1007, _) => is_close_code,
        End::Open => !is_whole,
        End::Refused(..) => false,
    };
    prop_assert!(agreed, "{:?} against {:?}, frame whole: {}", ours, theirs, is_whole);
    Ok(format!("{} {:?}", breach.token(), theirs.end))
}

fn texts() -> impl Strategy<Value = Vec<u8>> {
    let valid = "[a-z é世🌍\u{7ff}\u{800}\u{ffff}\u{10000}]{0,40}".prop_map(String::into_bytes);
    let long = "[a-z]{120,140}".prop_map(String::into_bytes);
    let broken = (valid.clone(), vec(any::<u8>(), 1..4), any::<prop::sample::Index>()).prop_map(
        |(mut text, bad, at)| {
            let at = at.index(text.len() + 1);
            text.splice(at..at, bad);
            text
        },
    );
    prop_oneof![8 => valid, 1 => long, 1 => broken]
}

fn close_payloads() -> impl Strategy<Value = Vec<u8>> {
    let codes = prop_oneof![
        Just(1000u16),
        Just(1005),
        Just(1014),
        Just(1015),
        1000..1016u16,
        3000..5000u16,
        any::<u16>()
    ];
    let with_code = (codes, texts()).prop_map(|(code, mut reason)| {
        reason.truncate(123);
        [&code.to_be_bytes()[..], &reason].concat()
    });
    prop_oneof![1 => Just(vec![]), 1 => Just(vec![3]), 6 => with_code]
}

fn lengths() -> impl Strategy<Value = Length> {
    prop_oneof![60 => Just(Length::Minimal), 1 => Just(Length::Two), 1 => Just(Length::Eight)]
}

fn control_frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![20 => vec(any::<u8>(), 0..8), 1 => vec(any::<u8>(), 124..127)];
    (prop_oneof![Just(0x89), Just(0x8A)], any::<[u8; 4]>(), payload)
        .prop_map(|(first, mask, payload)| any_frame(first, Length::Minimal, Some(mask), &payload))
}

/// A message in fragments, with control frames between them.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let fragment = (any::<prop::sample::Index>(), any::<[u8; 4]>(), lengths(), vec(control_frames(), 0..2));
    let payload = prop_oneof![3 => texts().prop_map(|text| (1, text)), 1 => vec(any::<u8>(), 0..80).prop_map(|b| (2, b))];
    (payload, vec(fragment, 1..6)).prop_map(|((opcode, mut rest), fragments)| {
        let last = fragments.len() - 1;
        let mut stream = Vec::new();
        for (i, (cut, mask, length, control)) in fragments.into_iter().enumerate() {
            let after = rest.split_off(if i == last { rest.len() } else { cut.index(rest.len() + 1) });
            let first = if i == 0 { opcode } else { 0 } | if i == last { 0x80 } else { 0 };
            stream.extend(any_frame(first, length, Some(mask), &rest));
            stream.extend(control.concat());
            rest = after;
        }
        stream
    })
}

/// A frame that may break any rule.
fn wild_frames() -> impl Strategy<Value = Vec<u8>> {
    let mask = prop_oneof![3 => any::<[u8; 4]>().prop_map(Some), 1 => Just(None)];
    let first =
        prop_oneof![any::<u8>(), prop::sample::select(vec![0x00, 0x01, 0x80, 0x82, 0x08, 0x09, 0x0A])];
    (first, lengths(), mask, vec(any::<u8>(), 0..10))
        .prop_map(|(first, length, mask, payload)| any_frame(first, length, mask, &payload))
}

fn streams() -> impl Strategy<Value = Vec<u8>> {
    let close =
        close_payloads().prop_map(|payload| any_frame(0x88, Length::Minimal, Some([1, 2, 3, 4]), &payload));
    let part = prop_oneof![12 => messages(), 4 => control_frames(), 1 => close, 1 => wild_frames()];
    let flips = prop_oneof![2 => Just(vec![]), 1 => vec((any::<prop::sample::Index>(), any::<u8>()), 1..3)];
    (vec(part, 1..6), flips, 0..8usize).prop_map(|(parts, flips, cut)| {
        let mut stream = parts.concat();
        flips.into_iter().for_each(|(at, flip)| *at.get_mut(&mut stream) ^= flip);
        stream.truncate(stream.len() - cut.saturating_sub(5).min(stream.len()));
        stream
    })
}

fn check(
    stream: &[u8],
    limits: FrameLimits,
    lengths: &[usize],
    seen: &RefCell<BTreeMap<String, u32>>,
) -> TestCaseResult {
    let by_byte = ours(stream, limits, &[1]);
    let by_piece = ours(stream, limits, lengths);
    prop_assert_eq!((&by_piece.messages, by_piece.end), (&by_byte.messages, by_byte.end));
    prop_assert_eq!(&by_piece.output, &by_byte.output);
    let case = compare(stream, limits, &by_byte, &theirs(stream, limits))?;
    *seen.borrow_mut().entry(case).or_default() += 1;
    Ok(())
}

/// Cases that a run must have met, or it has proved nothing.
const MUST_BE_SEEN: [&str; 12] = [
    "Open",
    "Closed",
    "invalid-utf8 Refused(1007, None)",
    "invalid-utf8 Open",
    "too-big Refused(1009, None)",
    "fragment-flood",
    "protocol: reserved bit Refused(1002, None)",
    "protocol: reserved opcode Refused(1002, None)",
    "protocol: not masked Refused(1002, None)",
    "protocol: nothing to continue Refused(1002, None)",
    "protocol: length not minimal",
    "protocol: close code not allowed Closed",
];

#[test]
fn scanner_and_tungstenite_agree_on_every_stream() {
    let seen = RefCell::new(BTreeMap::new());
    let config = Config { cases: 8000, failure_persistence: None, ..Config::default() };
    let limits =
        (prop_oneof![2 => Just(10_000usize), 1 => 0..150usize], prop_oneof![3 => Just(100u32), 1 => 1..5u32]);
    TestRunner::new(config)
        .run(&(streams(), limits, vec(1..40usize, 1..5)), |(stream, (max_message, max_frames), lengths)| {
            check(&stream, FrameLimits { max_message, max_frames }, &lengths, &seen)
        })
        .unwrap();
    let seen = seen.into_inner();
    for case in MUST_BE_SEEN {
        assert!(seen.keys().any(|key| key.starts_with(case)), "never met: {case}; met: {seen:#?}");
    }
}
