//! The second wire form of a channel's messages: an event stream, as a browser's `EventSource` reads it (HTML standard,
//! section 9.2).
//!
//! Owns the encoding of messages, the comment that keeps a connection alive, and the last event. Promises: what a reader
//! that keeps to the standard takes out is the message, byte for byte, and which type it was of; an event is at most
//! twice as long as its message, and a kilobyte. Leaves to others: the answer's head, and who reads.

use crate::frame::Kind;
use data_encoding::BASE64;

/// In which form a peer gets its channel's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Frames of a WebSocket. Who gets these may also say something.
    Frames,
    /// An event stream.
    Events,
}

impl Form {
    /// The one beside it.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Frames => Self::Events,
            Self::Events => Self::Frames,
        }
    }
}

/// A comment: no reader makes anything of it, and every proxy sees that there is life.
pub(crate) const COMMENT: &[u8] = b":\n\n";

/// By how much the lines of a text may be longer than twice the text.
const LINES_SLACK: usize = 1 << 10;

/// Bytes of the event of a message of this length at most.
pub(crate) fn most(message: usize) -> usize {
    message.saturating_mul(2).saturating_add(LINES_SLACK)
}

/// What stands around each line.
const LINE: &[u8] = b"data: ";

/// One message as an event. Text stands as it is, a `data:` line for each of its own. A CR would come out as LF, and the
/// line ends of a text that has little else would make it seven times as long: such text is base64, as binary is.
pub(crate) fn event(kind: Kind, payload: &[u8]) -> Vec<u8> {
    match kind {
        Kind::Text if payload.contains(&b'\r') => in_base64(b"event: text-base64\n", payload),
        Kind::Text if lines_len(payload) > 2 * payload.len() + LINES_SLACK => {
            in_base64(b"event: text-base64\n", payload)
        }
        Kind::Text => in_lines(payload),
        Kind::Binary => in_base64(b"event: binary\n", payload),
    }
}

/// The last event: why the connection ends, and, where it should come back, in how many milliseconds.
pub(crate) fn close(code: u16, reason: &str, retry_millis: Option<u64>) -> Vec<u8> {
    // A line of its own would be another field.
    let reason = reason.split(['\r', '\n']).next().unwrap_or_default();
    let retry = retry_millis.map_or_else(String::new, |millis| format!("retry: {millis}\n"));
    format!("{retry}event: close\ndata: {}\n\n", format!("{code} {reason}").trim_end()).into_bytes()
}

/// Bytes of `in_lines`.
fn lines_len(payload: &[u8]) -> usize {
    let breaks = payload.iter().filter(|&&b| b == b'\n').count();
    payload.len() + (breaks + 1) * LINE.len() + 2
}

fn in_lines(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines_len(payload));
    for line in payload.split(|&b| b == b'\n') {
        out.extend_from_slice(LINE);
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    out
}

fn in_base64(name: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + LINE.len() + BASE64.encode_len(payload.len()) + 2);
    out.extend_from_slice(name);
    out.extend_from_slice(LINE);
    let start = out.len();
    out.resize(start + BASE64.encode_len(payload.len()), 0);
    BASE64.encode_mut(payload, &mut out[start..]);
    out.extend_from_slice(b"\n\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::events::{Event, Reader};
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn messages_are_written_so() {
        let table: &[(Kind, &[u8], &str)] = &[
            (Kind::Text, b"hello", "data: hello\n\n"),
            (Kind::Text, b"", "data: \n\n"),
            (Kind::Text, b"\n", "data: \ndata: \n\n"),
            (Kind::Text, b"a\n b\n\n", "data: a\ndata:  b\ndata: \ndata: \n\n"),
            (Kind::Text, b":data: x", "data: :data: x\n\n"),
            (Kind::Text, "\u{feff}\0é".as_bytes(), "data: \u{feff}\0é\n\n"),
            (Kind::Text, b"a\rb", "event: text-base64\ndata: YQ1i\n\n"),
            (Kind::Text, b"\r\n", "event: text-base64\ndata: DQo=\n\n"),
            (Kind::Binary, b"", "event: binary\ndata: \n\n"),
            (Kind::Binary, b"\x00\xff\n", "event: binary\ndata: AP8K\n\n"),
        ];
        assert!(!table.is_empty());
        for (kind, payload, wanted) in table {
            assert_eq!(String::from_utf8(event(*kind, payload)).unwrap(), *wanted, "{payload:?}");
        }
    }

    #[test]
    fn line_ends_cannot_make_an_event_much_longer_than_its_message() {
        for (payload, is_plain) in [(vec![b'\n'; 200], true), (vec![b'\n'; 205], false)] {
            let event = event(Kind::Text, &payload);
            assert_eq!(event.starts_with(b"data: "), is_plain, "{}", payload.len());
            assert!(event.len() <= 2 * payload.len() + LINES_SLACK, "{}", event.len());
        }
    }

    #[test]
    fn the_last_event_says_why_and_when_to_come_back() {
        let table = [
            (close(1008, "slow-consumer", None), "event: close\ndata: 1008 slow-consumer\n\n"),
            (
                close(1012, "retry-after=7", Some(7000)),
                "retry: 7000\nevent: close\ndata: 1012 retry-after=7\n\n",
            ),
            (close(1000, "", None), "event: close\ndata: 1000\n\n"),
            (close(1008, "a\ndata: b", None), "event: close\ndata: 1008 a\n\n"),
            (close(1008, "a\rdata: b", None), "event: close\ndata: 1008 a\n\n"),
        ];
        assert!(!table.is_empty());
        for (found, wanted) in table {
            assert_eq!(String::from_utf8(found).unwrap(), wanted);
        }
    }

    /// Bytes that mean something to somebody on the way.
    fn text() -> impl Strategy<Value = String> {
        let signs = prop_oneof![
            Just('\r'),
            Just('\n'),
            Just('\0'),
            Just('\u{feff}'),
            Just(':'),
            Just(' '),
            Just('a'),
            any::<char>(),
        ];
        prop_oneof![
            vec(signs, 0..40).prop_map(String::from_iter),
            (0..3000usize).prop_map(|n| "\n".repeat(n)),
            vec(any::<char>(), 0..20).prop_map(String::from_iter),
        ]
    }

    fn message() -> impl Strategy<Value = (Kind, Vec<u8>)> {
        prop_oneof![
            text().prop_map(|text| (Kind::Text, text.into_bytes())),
            vec(any::<u8>(), 0..300).prop_map(|bytes| (Kind::Binary, bytes)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_a_reader_takes_out_is_what_was_published(
            messages in vec((message(), any::<bool>()), 0..12),
            cut in 1..200usize,
        ) {
            let mut stream = COMMENT.to_vec();
            for ((kind, payload), is_kept_alive) in &messages {
                let event = event(*kind, payload);
                prop_assert!(event.len() <= 2 * payload.len() + LINES_SLACK, "{}", event.len());
                stream.extend_from_slice(&event);
                if *is_kept_alive {
                    stream.extend_from_slice(COMMENT);
                }
            }
            let mut reader = Reader::default();
            stream.chunks(cut).for_each(|piece| reader.feed(piece));
            for ((kind, payload), _) in &messages {
                let event = reader.next().expect("as many events as messages");
                prop_assert_eq!(event.message(), Ok(Some((*kind == Kind::Text, payload.clone()))));
            }
            prop_assert_eq!(reader.next(), None::<Event>);
            prop_assert!(reader.is_at_boundary());
        }
    }
}
