//! The line that the PROXY protocol, version 1, puts before everything else on a connection.
//!
//! Owns its form: `PROXY TCP4 SOURCE DESTINATION PORT PORT` or `TCP6` or `UNKNOWN`, with CR LF, 107 bytes at most.
//! Promises that it is the same however it is cut, that no byte behind it is taken, and that what can never become one
//! is refused at once. Leaves to others: whether it is believed.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::refusal::Refusal::{self, BadRequest};
use crate::address::Source;

/// The longest line, CR LF included, says the protocol.
const MAX_LINE: usize = 107;

pub(super) const START: &[u8] = b"PROXY ";

const NO_LINE: Refusal = BadRequest(
    "this listener expects a line of the PROXY protocol, version 1, before the request. Let the proxy in front send \
     it, or take proxy_protocol out of this entry of `listen`",
);
const VERSION_2: Refusal = BadRequest(
    "this is version 2 of the PROXY protocol, and version 1 is understood: let the proxy send that",
);
const BAD_LINE: Refusal = BadRequest(
    "the line of the PROXY protocol is not PROXY TCP4, TCP6 or UNKNOWN with two addresses and two ports of that kind",
);

/// The refusal of such a line where none is expected.
pub(super) const UNEXPECTED: Refusal = BadRequest(
    "it begins with a line of the PROXY protocol, and this listener expects none. Set proxy_protocol = true at its \
     entry of `listen`, or let the proxy in front not send it",
);

/// A line that is coming in.
#[derive(Debug, Default)]
pub(crate) struct ProxyLine {
    /// What came so far: the beginning of a line.
    bytes: Vec<u8>,
}

/// A line that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proxied {
    /// For whom the proxy asks; nothing where it does not say.
    pub(crate) source: Option<Source>,
    /// How many of the last bytes belonged to the line.
    pub(crate) used: usize,
}

impl ProxyLine {
    /// Takes bytes up to the end of the line. Nothing while it is not complete.
    ///
    /// # Errors
    /// 400. The line is good for nothing more then.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Proxied>, Refusal> {
        for (i, &byte) in bytes.iter().enumerate() {
            self.expect(byte)?;
            self.bytes.push(byte);
            if byte == b'\n' {
                let source = read(&self.bytes)?;
                return Ok(Some(Proxied { source, used: i + 1 }));
            }
        }
        Ok(None)
    }

    /// Whether the next byte can be part of a line.
    fn expect(&self, byte: u8) -> Result<(), Refusal> {
        match (self.bytes.len(), byte) {
            (0, b'\r') => Err(VERSION_2),
            (at, _) if at < START.len() && START[at] != byte => Err(NO_LINE),
            (at, _) if at == MAX_LINE => Err(BAD_LINE),
            (_, b'\n') if self.bytes.last() != Some(&b'\r') => Err(BAD_LINE),
            (_, byte) if byte != b'\n' && self.bytes.last() == Some(&b'\r') => Err(BAD_LINE),
            _ => Ok(()),
        }
    }

    /// Memory held.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.bytes.capacity()
    }
}

/// What a whole line says.
fn read(line: &[u8]) -> Result<Option<Source>, Refusal> {
    let line = std::str::from_utf8(line).map_err(|_| BAD_LINE)?;
    let mut words = line.trim_end_matches("\r\n").split(' ').skip(1);
    match words.next() {
        // What follows it is to be ignored, says the protocol.
        Some("UNKNOWN") => Ok(None),
        Some("TCP4") => addresses::<Ipv4Addr>(words).map(Some),
        Some("TCP6") => addresses::<Ipv6Addr>(words).map(Some),
        _ => Err(BAD_LINE),
    }
}

fn addresses<'l, A: FromStr + Into<IpAddr>>(words: impl Iterator<Item = &'l str>) -> Result<Source, Refusal> {
    let words: Vec<_> = words.collect();
    let &[source, destination, port, other_port] = &words[..] else { return Err(BAD_LINE) };
    let (Ok(source), Ok(_)) = (source.parse::<A>(), destination.parse::<A>()) else { return Err(BAD_LINE) };
    if is_port(port) && is_port(other_port) { Ok(source.into().into()) } else { Err(BAD_LINE) }
}

fn is_port(text: &str) -> bool {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    is_plain && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Answer = Result<Option<Proxied>, Refusal>;

    /// The first answer that is not "more" to pieces of these bytes, and how many bytes had come in the pieces before.
    fn feed(bytes: &[u8], chunk: usize) -> (Answer, usize) {
        let mut line = ProxyLine::default();
        let mut came = 0;
        for piece in bytes.chunks(chunk) {
            match line.receive(piece) {
                Ok(None) => came += piece.len(),
                answer => return (answer, came),
            }
            assert!(line.held() <= 2 * MAX_LINE, "{}", line.held());
        }
        (Ok(None), came)
    }

    fn said(bytes: &[u8]) -> Result<Option<Option<Source>>, Refusal> {
        feed(bytes, bytes.len().max(1)).0.map(|done| done.map(|done| done.source))
    }

    fn source(text: &str) -> Option<Source> {
        Some(text.parse::<IpAddr>().unwrap().into())
    }

    #[test]
    fn lines_say_who_asks_or_are_refused() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_LINE - 16));
        let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_LINE - 15));
        let v6 = "ffff:f:f:f:f:f:f:fff0";
        let full = format!("PROXY TCP6 {v6} {v6} 65535 65535\r\n");
        let table = [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", Ok(source("192.0.2.1"))),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 0 65535\r\nGET / HTTP/1.1", Ok(source("192.0.2.1"))),
            ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", Ok(source("2001:db8::1"))),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Ok(source("192.0.2.1"))),
            (&full, Ok(source(v6))),
            ("PROXY UNKNOWN\r\n", Ok(None)),
            ("PROXY UNKNOWN whatever this is\r\n", Ok(None)),
            (&longest, Ok(None)),
            (&too_long, Err(BAD_LINE)),
            ("PROXY UNKNOWN\n", Err(BAD_LINE)),
            ("PROXY UNKNOWN\rx", Err(BAD_LINE)),
            ("PROXY UNKNOWN\r\r\n", Err(BAD_LINE)),
            ("PROXY UNKNOWNS\r\n", Err(BAD_LINE)),
            ("PROXY \r\n", Err(BAD_LINE)),
            ("PROXY TCP4\r\n", Err(BAD_LINE)),
            ("PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n", Err(BAD_LINE)),
            ("PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 192.0.2.1 ::1 1 2\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 2001:db8::1 ::1 1 2\r\n", Err(BAD_LINE)),
            ("PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 localhost 198.51.100.1 1 2\r\n", Err(BAD_LINE)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 \u{e9}\r\n", Err(BAD_LINE)),
            ("proxy UNKNOWN\r\n", Err(NO_LINE)),
            ("PROXYUNKNOWN\r\n", Err(NO_LINE)),
            ("GET / HTTP/1.1\r\n", Err(NO_LINE)),
            ("\u{16}\u{3}\u{1}", Err(NO_LINE)),
            ("\r\n\r\n\0\r\nQUIT\n", Err(VERSION_2)),
        ];
        assert!(!table.is_empty());
        assert_eq!(longest.len(), MAX_LINE);
        for (line, expected) in table {
            assert_eq!(said(line.as_bytes()), expected.map(Some), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_line_is_refused_at_its_first_byte() {
        assert_eq!(said(b"G"), Err(NO_LINE));
        assert_eq!(said(b"PROXz"), Err(NO_LINE));
        assert_eq!(said(b"PROXY UNKNOW"), Ok(None), "not complete");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_cut_gives_the_same_answer_and_takes_nothing_behind_the_line(
            start in prop_oneof![Just("PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n"), Just("PROXY UNKNOWN"), Just("PROX"), Just("")],
            rest in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b' ')], 0..200),
            chunk in 1usize..50,
        ) {
            let bytes = [start.as_bytes(), &rest].concat();
            let (whole, pieces) = (feed(&bytes, bytes.len().max(1)), feed(&bytes, chunk));
            let place = |(answer, came): (Answer, usize)| answer.map(|done| done.map(|done| (done.source, came + done.used)));
            let (whole, pieces) = (place(whole), place(pieces));
            prop_assert_eq!(whole, pieces);
            if let Ok(Some((_, end))) = whole {
                prop_assert_eq!(bytes[..end].iter().position(|&b| b == b'\n'), Some(end - 1));
            }
        }
    }
}
