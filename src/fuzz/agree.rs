//! The scanner and tungstenite against each other, over one stream of bytes.
//!
//! On one side scanner and decoder, step by step; on the other tungstenite alone, over the whole stream. They must
//! agree on every message and on every error, except where the scanner is stricter or earlier on purpose:
//! - a length that is not minimal (in a control frame any long form), a surplus fragment, a forbidden close code:
//!   tungstenite lets these pass;
//! - any breach shown by bytes of a frame that never comes whole: tungstenite still waits;
//! - a frame that breaks two rules: the scanner names the one whose byte comes first. tungstenite looks at the size
//!   before reserved bits, mask and place in the message, and at the reason of a close frame but not at its code.
//!
//! Names the crate from outside, since `tests/scanner_agrees.rs` takes this file too.

use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};
use wsrelayd::pipe::{Decoder, Pipe};
use wsrelayd::scanner::{Breach, FrameLimits, Scanner, Step};

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All was taken and more is expected.
    Open,
    /// With a close frame.
    Closed,
    /// With this close code; on our side, by this breach too.
    Refused(u16, Option<Breach>),
}

/// What came of a stream: messages, what was written, and the end.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) messages: Vec<Message>,
    pub(super) output: Vec<u8>,
    pub(super) end: End,
    /// The code of the close frame, on our side.
    pub(super) close_code: Option<u16>,
    /// Bytes passed before the byte that was refused, when fed byte by byte; else all of them.
    passed: usize,
}

/// Asserts that the cut into pieces of the lengths given, again and again, changes nothing, and that both sides agree.
/// Names the case, with what came of the stream.
pub(super) fn check(stream: &[u8], limits: FrameLimits, lengths: &[usize]) -> (String, Outcome) {
    let by_byte = ours(stream, limits, &[1]);
    let by_piece = ours(stream, limits, lengths);
    assert_eq!((&by_piece.messages, by_piece.end), (&by_byte.messages, by_byte.end));
    assert_eq!(by_piece.output, by_byte.output);
    (compare(stream, limits, &by_byte, &theirs(stream, limits)), by_byte)
}

/// Scanner and decoder, over pieces of the lengths given, none of them 0.
fn ours(stream: &[u8], limits: FrameLimits, lengths: &[usize]) -> Outcome {
    let mut scanner = Scanner::default();
    let mut decoder = Decoder::new(limits.max_message);
    let mut outcome =
        Outcome { messages: vec![], output: vec![], end: End::Open, close_code: None, passed: 0 };
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
            assert!(step != Step::More || outcome.passed + passed == end, "stopped at nothing");
            outcome.messages.extend(message);
            outcome.passed += passed;
            if let Step::Close(close_code) = step {
                return Outcome { end: End::Closed, close_code, ..outcome };
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

/// tungstenite alone, as anybody would set it up, up to a close frame or an error. Control frames always have room.
fn theirs(stream: &[u8], limits: FrameLimits) -> Outcome {
    let most = limits.max_message;
    let config = WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most.max(125)));
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let (mut messages, mut output) = (vec![], vec![]);
    let mut pipe = Pipe { input: stream, output: &mut output };
    let end = loop {
        match context.read(&mut pipe) {
            Ok(message) => messages.push(message),
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => break End::Open,
            Err(Error::Protocol(_)) => break End::Refused(1002, None),
            Err(Error::Utf8(_)) => break End::Refused(1007, None),
            Err(Error::Capacity(_)) => break End::Refused(1009, None),
            Err(error) => panic!("{error}"),
        }
        if matches!(messages.last(), Some(Message::Close(_))) {
            break End::Closed;
        }
    };
    Outcome { messages, output, end, close_code: None, passed: stream.len() }
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
fn compare(stream: &[u8], limits: FrameLimits, ours: &Outcome, theirs: &Outcome) -> String {
    assert!(theirs.messages.starts_with(&ours.messages), "{ours:?} {theirs:?}");
    assert!(theirs.output.starts_with(&ours.output) || ours.output.starts_with(&theirs.output));
    let End::Refused(code, Some(breach)) = ours.end else {
        assert_eq!((&ours.messages, ours.end), (&theirs.messages, theirs.end));
        return format!("{:?}", ours.end);
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
    assert!(agreed, "{ours:?} against {theirs:?}, frame whole: {is_whole}");
    format!("{} {:?}", breach.token(), theirs.end)
}
