//! The scanner and tungstenite against each other: random streams, valid, invalid and mutated, in random pieces.
//!
//! What they must agree on, and where the scanner is stricter on purpose, is said where they are compared.

#[allow(dead_code, reason = "the fuzz target needs more of it")]
#[path = "../src/fuzz/agree.rs"]
mod agree;
mod frames;

use frames::{Length, any_frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use wsrelayd::scanner::FrameLimits;

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
    let seen = RefCell::new(BTreeMap::<String, u32>::new());
    let config = Config { cases: 8000, failure_persistence: None, ..Config::default() };
    let limits =
        (prop_oneof![2 => Just(10_000usize), 1 => 0..150usize], prop_oneof![3 => Just(100u32), 1 => 1..5u32]);
    TestRunner::new(config)
        .run(&(streams(), limits, vec(1..40usize, 1..5)), |(stream, (max_message, max_frames), lengths)| {
            let (case, _) = agree::check(&stream, FrameLimits { max_message, max_frames }, &lengths);
            *seen.borrow_mut().entry(case).or_default() += 1;
            Ok(())
        })
        .unwrap();
    let seen = seen.into_inner();
    for case in MUST_BE_SEEN {
        assert!(seen.keys().any(|key| key.starts_with(case)), "never met: {case}; met: {seen:#?}");
    }
}
