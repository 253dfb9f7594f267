//! An event stream as the HTML standard says that it is read (section 9.2.6, "Interpreting an event stream"), by somebody
//! who shares no code with the one who writes it.

use std::collections::VecDeque;

/// One event that was dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
    /// The reconnection time that holds.
    pub(crate) retry_millis: Option<u64>,
}

impl Event {
    /// The message that the relay meant by it, text or not; nothing if it is none.
    pub(crate) fn message(&self) -> Result<Option<(bool, Vec<u8>)>, String> {
        Ok(match self.name.as_str() {
            "message" => Some((true, self.data.clone().into_bytes())),
            "text-base64" => Some((true, from_base64(&self.data)?)),
            "binary" => Some((false, from_base64(&self.data)?)),
            _ => None,
        })
    }

    /// The last word: code and reason.
    pub(crate) fn close(&self) -> Option<(u16, String)> {
        if self.name != "close" {
            return None;
        }
        let (code, reason) = self.data.split_once(' ').unwrap_or((&self.data, ""));
        Some((code.parse().ok()?, reason.to_owned()))
    }
}

/// Reads a stream in whatever pieces it comes.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// What came and is not a whole line yet.
    bytes: Vec<u8>,
    /// The first line was read: a byte order mark means nothing any more.
    has_begun: bool,
    name: String,
    data: String,
    retry_millis: Option<u64>,
    events: VecDeque<Event>,
    comments: usize,
    /// Fields were read that no empty line has followed.
    is_within: bool,
}

impl Reader {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.bytes);
        let mut rest = all.as_slice();
        while let Some((line, after)) = split_line(rest) {
            let text = String::from_utf8_lossy(line).into_owned();
            let is_first = !std::mem::replace(&mut self.has_begun, true);
            let text = text.strip_prefix('\u{feff}').filter(|_| is_first).unwrap_or(&text);
            self.interpret(text);
            rest = after;
        }
        self.bytes = rest.to_vec();
    }

    pub(crate) fn next(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Comments so far.
    pub(crate) fn comments(&self) -> usize {
        self.comments
    }

    /// Whether nothing is begun that was not ended.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.bytes.is_empty() && !self.is_within
    }

    fn interpret(&mut self, line: &str) {
        match line.split_once(':') {
            _ if line.is_empty() => self.dispatch(),
            Some(("", _)) => self.comments += 1,
            Some((field, value)) => self.process(field, value.strip_prefix(' ').unwrap_or(value)),
            None => self.process(line, ""),
        }
    }

    fn process(&mut self, field: &str, value: &str) {
        self.is_within = true;
        match field {
            "event" => self.name = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry_millis = value.parse().ok();
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        self.is_within = false;
        let (name, mut data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if data.is_empty() {
            return;
        }
        data.pop();
        let name = if name.is_empty() { "message".to_owned() } else { name };
        self.events.push_back(Event { name, data, retry_millis: self.retry_millis });
    }
}

/// The first line without its end, and what follows. A CR that is the last byte may be half of an end.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&b| b == b'\n' || b == b'\r')?;
    let len = match &bytes[end..] {
        [b'\r', b'\n', ..] => 2,
        [b'\r'] => return None,
        _ => 1,
    };
    Some((&bytes[..end], &bytes[end + len..]))
}

/// RFC 4648 section 4, digit by digit.
fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bad = || format!("{text:?} is not base64");
    if !text.len().is_multiple_of(4) {
        return Err(bad());
    }
    let digits = text.trim_end_matches('=');
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = DIGITS.iter().position(|&known| known == digit).ok_or_else(bad)?;
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
        bits &= (1 << count) - 1;
    }
    let is_whole = text.len() - digits.len() == [0, 2, 1][out.len() % 3] && bits == 0;
    if is_whole { Ok(out) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &str) -> Vec<(String, String)> {
        let mut reader = Reader::default();
        reader.feed(stream.as_bytes());
        std::iter::from_fn(|| reader.next()).map(|event| (event.name, event.data)).collect()
    }

    /// The examples of the standard, and its corners.
    #[test]
    fn streams_are_read_as_the_standard_says() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("data: YHOO\ndata: +2\ndata: 10\n\n", &[("message", "YHOO\n+2\n10")]),
            (
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
                &[("message", "first event"), ("message", "second event")],
            ),
            ("data\n\ndata\ndata\n\ndata:", &[("message", ""), ("message", "\n")]),
            ("data:test\n\ndata: test\n\n", &[("message", "test"), ("message", "test")]),
            ("event: add\r\ndata: 7\r\n\r\nevent: lost\n\ndata: 8\r\r\n", &[("add", "7"), ("message", "8")]),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", &[("message", "a")]),
        ];
        assert!(!table.is_empty());
        for (stream, wanted) in table {
            let wanted = wanted.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned()));
            assert_eq!(read(stream), wanted.collect::<Vec<_>>(), "{stream:?}");
        }
    }

    #[test]
    fn a_retry_is_a_number_and_holds_from_then_on() {
        let mut reader = Reader::default();
        reader.feed(b"retry: 7000\nevent: close\ndata: 1012 retry-after=7\n\nretry: 1s\n: hm\ndata: x\n\nda");
        let close = reader.next().expect("an event");
        assert_eq!((close.close(), close.retry_millis), (Some((1012, "retry-after=7".into())), Some(7000)));
        let message = reader.next().expect("another");
        assert_eq!((message.close(), message.retry_millis), (None, Some(7000)));
        assert_eq!((reader.comments(), reader.is_at_boundary()), (1, false));
    }

    #[test]
    fn base64_is_read_whole_or_not_at_all() {
        let table = [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9vYmFy", Some(b"foobar")),
            ("Zg=", None),
            ("Zg", None),
            ("Zh==", None),
            ("Z===", None),
            ("Zm9v\n", None),
            ("====", None),
        ];
        assert!(!table.is_empty());
        for (text, wanted) in table {
            assert_eq!(from_base64(text).ok().as_deref(), wanted, "{text:?}");
        }
    }
}
