//! The bytes of a request head up to the empty line that ends it.
//!
//! Owns the buffer, which is for heads that come in pieces, and the size limits. Looks at each byte once, when it comes,
//! and refuses at the first byte that no request can have there: whoever speaks TLS or anything else to this port is told
//! so at once and does not sit in a slot until the deadline. Lines end with CR LF and with nothing else, so that no proxy
//! in front of us sees other lines than we do. What the header lines say is left to `handshake`.

use std::borrow::Cow;

use super::{
    proxy_line,
    refusal::Refusal::{self, BadRequest},
};

/// Header lines of one request. Above it: 431.
pub(crate) const MAX_HEADERS: usize = 64;
/// Bytes of a head, the empty line included. Above it: 431.
const MAX_HEAD: usize = 8 << 10;
/// Bytes of the request line, its CR LF not included. Above it: 414.
const MAX_REQUEST_LINE: usize = 4 << 10;

/// The answer to bytes behind the head.
pub(super) const AFTER_HEAD: Refusal = BadRequest("bytes came after the request, before its answer");
const BAD_REQUEST_LINE: Refusal = BadRequest("the first line is not METHOD TARGET HTTP/1.1");

/// A head that is coming in.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// What came in reads that did not bring the end; never more than `MAX_HEAD`. Grows by doubling from nothing.
    bytes: Vec<u8>,
    /// Complete lines, the request line included; at most `MAX_HEADERS + 1`.
    lines: u8,
    /// Where the next byte stands.
    place: Place,
}

/// A head that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole<'b> {
    /// All of it; of the bytes that were given, if it came in one piece.
    pub(crate) head: Cow<'b, [u8]>,
    /// How many of the bytes given last belonged to it.
    pub(crate) used: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// First of a line.
    #[default]
    Start,
    /// Within a line.
    Within,
    /// Behind the CR that ends a line.
    AfterCr,
    /// Behind the CR of the empty line.
    AfterLastCr,
    /// Behind the head.
    End,
}

impl Head {
    /// Takes bytes up to the end of the head, and answers with it when it is complete. A head that comes in one piece
    /// is not copied.
    ///
    /// # Errors
    /// 400, 414, 431, or 505 for a request in the manner of HTTP/0.9. The head is good for `close` only then.
    pub(crate) fn receive<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<Whole<'b>>, Refusal> {
        if matches!(self.place, Place::End) && !bytes.is_empty() {
            return Err(AFTER_HEAD);
        }
        let before = self.bytes.len();
        let possible = &bytes[..bytes.len().min(MAX_HEAD - before)];
        let end = if before == 0 {
            self.follow(possible, 0)?
        } else {
            self.keep(possible);
            self.follow_kept(before)?
        };
        match end {
            Some(end) => Ok(Some(Whole { head: self.take(end, bytes), used: end - before })),
            None if possible.len() < bytes.len() => Err(Refusal::HeadTooLarge),
            None => {
                if before == 0 {
                    self.keep(possible);
                }
                Ok(None)
            }
        }
    }

    /// The head, which ends at `end`: of `bytes` if nothing came before.
    fn take<'b>(&mut self, end: usize, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.bytes.is_empty() {
            return Cow::Borrowed(&bytes[..end]);
        }
        let mut kept = std::mem::take(&mut self.bytes);
        kept.truncate(end);
        Cow::Owned(kept)
    }

    fn keep(&mut self, bytes: &[u8]) {
        append_within(&mut self.bytes, bytes, MAX_HEAD);
    }

    /// Gives the memory back and refuses every further byte.
    pub(super) fn close(&mut self) {
        *self = Self { place: Place::End, ..Self::default() };
    }

    /// Memory held.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    fn follow_kept(&mut self, from: usize) -> Result<Option<usize>, Refusal> {
        let bytes = std::mem::take(&mut self.bytes);
        let end = self.follow(&bytes, from);
        self.bytes = bytes;
        end
    }

    /// Looks at what came from `from` on, of all that came. Says where the head ends, if it does.
    fn follow(&mut self, bytes: &[u8], from: usize) -> Result<Option<usize>, Refusal> {
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if matches!(self.place, Place::Within) {
                let plain = self.plain_len(bytes, at);
                at += plain;
                if self.ends_as_usual(&bytes[at..]) {
                    self.lines += 1;
                    at += 3;
                    continue;
                }
                if plain > 0 {
                    continue;
                }
            }
            self.place = self.step(&bytes[..at], byte)?;
            at += 1;
            if matches!(self.place, Place::End) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Whether these bytes end a header line and begin the next, as `step` would find of one after the other.
    fn ends_as_usual(&self, rest: &[u8]) -> bool {
        let may_another_come = self.lines > 0 && usize::from(self.lines) < MAX_HEADERS;
        may_another_come && matches!(rest, [b'\r', b'\n', first, ..] if is_tchar(*first))
    }

    /// How many bytes from `at` on only continue the line that they stand in.
    fn plain_len(&self, bytes: &[u8], at: usize) -> usize {
        let limit = if self.lines == 0 { MAX_REQUEST_LINE } else { MAX_HEAD };
        let rest = bytes.get(at..bytes.len().min(limit)).unwrap_or_default();
        let (words, last) = rest.as_chunks::<8>();
        for (nth, word) in words.iter().enumerate() {
            let plain = plain_of_word(u64::from_le_bytes(*word));
            if plain < 8 {
                return 8 * nth + plain;
            }
        }
        let plain = last.iter().take_while(|&&b| is_plain(b)).count();
        rest.len() - last.len() + plain
    }

    /// The place after `byte`, which stands behind all of `before`.
    fn step(&mut self, before: &[u8], byte: u8) -> Result<Place, Refusal> {
        match (self.place, byte) {
            (Place::AfterCr, b'\n') => self.end_line(before),
            (Place::AfterLastCr, b'\n') => Ok(Place::End),
            (Place::End, _) => Err(AFTER_HEAD),
            (Place::AfterCr | Place::AfterLastCr, _) => Err(BadRequest("a CR stands without LF")),
            (_, b'\n') => Err(BadRequest("a LF stands without CR")),
            (Place::Start, _) => self.start_line(byte),
            (Place::Within, b'\r') => Ok(Place::AfterCr),
            (Place::Within, b'\t') if self.lines > 0 => Ok(Place::Within),
            (Place::Within, _) if !is_plain(byte) => {
                Err(BadRequest("a control character stands in the request"))
            }
            (Place::Within, _) if self.lines == 0 && before.len() == MAX_REQUEST_LINE => {
                Err(Refusal::TargetTooLong)
            }
            (Place::Within, _) => Ok(Place::Within),
        }
    }

    fn start_line(&self, byte: u8) -> Result<Place, Refusal> {
        match byte {
            _ if self.lines == 0 && !is_tchar(byte) => {
                Err(BadRequest("this is not HTTP (perhaps TLS, sent to a port without it)"))
            }
            b'\r' => Ok(Place::AfterLastCr),
            b' ' | b'\t' => Err(BadRequest("a header is continued on the next line")),
            _ if !is_tchar(byte) => Err(BadRequest("a header line cannot be read")),
            _ if usize::from(self.lines) > MAX_HEADERS => Err(Refusal::HeadTooLarge),
            _ => Ok(Place::Within),
        }
    }

    fn end_line(&mut self, before: &[u8]) -> Result<Place, Refusal> {
        if self.lines == 0 {
            // HTTP/0.9 has no header lines: who speaks it waits for an answer now.
            let line = before.strip_suffix(b"\r").unwrap_or(before);
            RequestLine::parse(line).map_err(|refusal| {
                if line.starts_with(proxy_line::START) { proxy_line::UNEXPECTED } else { refusal }
            })?;
        }
        self.lines += 1;
        Ok(Place::Start)
    }
}

/// The three parts of a request line: a token, anything without a space, and `HTTP/` with two digits.
#[derive(Debug)]
pub(crate) struct RequestLine<'h> {
    pub(crate) method: &'h [u8],
    pub(crate) target: &'h [u8],
    pub(crate) version: &'h [u8],
}

impl<'h> RequestLine<'h> {
    /// The request line of a complete head, and the header lines with the empty one that ends them.
    pub(crate) fn split_off(head: &'h [u8]) -> Result<(Self, &'h [u8]), Refusal> {
        let end = head.iter().position(|&b| b == b'\r').ok_or(BAD_REQUEST_LINE)?;
        let rest = head.get(end + 2..).unwrap_or_default();
        Ok((Self::parse(&head[..end])?, rest))
    }

    fn parse(line: &'h [u8]) -> Result<Self, Refusal> {
        let mut parts = line.split(|&b| b == b' ');
        let (method, target, version) = (parts.next(), parts.next(), parts.next());
        match (method, target, version, parts.next()) {
            (Some(method), Some([b'/', ..]), None, None) if is_token(method) => Err(Refusal::HttpVersion),
            (Some(method), Some(target @ [_, ..]), Some(version), None)
                if is_token(method) && is_version(version) =>
            {
                Ok(Self { method, target, version })
            }
            _ => Err(BAD_REQUEST_LINE),
        }
    }
}

/// Visible, a space, or beyond ASCII.
fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f
}

/// How many bytes of a word are plain before the first that is not, all eight looked at at once. A borrow goes only from
/// a byte that is marked to later ones, so the first mark is right.
fn plain_of_word(word: u64) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    let marks = |minuend: u64, below: u64| minuend.wrapping_sub(ONES * below) & !minuend & (ONES * 0x80);
    let is_control = marks(word, b' '.into());
    let is_delete = marks(word ^ (ONES * 0x7f), 1);
    (is_control | is_delete).trailing_zeros() as usize / 8
}

fn is_version(bytes: &[u8]) -> bool {
    matches!(bytes, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
}

/// A token of RFC 9110 5.6.2.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_tchar(b))
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Appends to what will never hold more than `most`: memory grows by doubling, which would go beyond that in the end.
pub(crate) fn append_within(kept: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let (len, room) = (kept.len(), kept.capacity());
    if bytes.len() > room - len {
        let wanted = (2 * room).max(len + bytes.len()).min(most);
        kept.reserve_exact(wanted - len);
    }
    kept.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_what_comes_to_8_kib_and_goes_with_the_verdict() {
        for step in [1, 7, 1000, 5000, 64 << 10] {
            let mut head = Head::default();
            let bytes = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(64 << 10)).into_bytes();
            let mut came = 0;
            for piece in bytes.chunks(step) {
                let is_over = head.receive(piece).is_err();
                came += piece.len();
                assert!(
                    head.bytes.len() <= MAX_HEAD && head.bytes.capacity() <= MAX_HEAD.min(2 * came).max(64)
                );
                assert_eq!(is_over, came > MAX_HEAD);
                if is_over {
                    break;
                }
            }
            head.close();
            assert_eq!(head.bytes.capacity(), 0);
            assert_eq!(head.receive(b"G"), Err(AFTER_HEAD));
        }
    }

    #[test]
    fn a_word_is_looked_at_as_its_bytes_are() {
        let mut words = 0;
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                for around in [*b"abcdefgh", [0xff; 8], [0x80; 8], [b' '; 8], *b"ab\0\0\x7fd \x1f"] {
                    let mut word = around;
                    word[at] = byte;
                    let one_by_one = word.iter().take_while(|&&b| is_plain(b)).count();
                    assert_eq!(plain_of_word(u64::from_le_bytes(word)), one_by_one, "{word:?}");
                    words += 1;
                }
            }
        }
        assert_eq!(words, 8 * 256 * 5);
    }

    #[test]
    fn a_head_that_cannot_be_takes_no_memory() {
        let mut head = Head::default();
        assert!(head.receive(&[0x16; 64 << 10]).is_err());
        assert_eq!(head.bytes.capacity(), 0);
    }
}
