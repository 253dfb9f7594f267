//! A message that is posted, while its body comes in.
//!
//! Promises: no more is held than was announced, and memory grows with what comes; text is refused at the byte that
//! shows that it is none; what became of the body depends on its bytes and not on how they were cut, except that bytes
//! behind it are refused only together with it when they come with it.

use std::time::Instant;

use super::Inflight;
use crate::{
    frame::Kind,
    handshake::{Post, Refusal, head::append_within},
    limits::Limits,
    scanner::Utf8,
};

/// A body that is coming in.
#[derive(Debug)]
pub(crate) struct Posting {
    path: Box<str>,
    kind: Kind,
    /// Bytes that were announced.
    length: usize,
    body: Vec<u8>,
    utf8: Utf8,
    /// What the answer says to the page that sent it.
    allowed_origin: Option<Box<str>>,
    /// When the head was complete.
    since: Instant,
}

/// A message that has come whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) path: Box<str>,
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
    /// What the answer says to the page that sent it.
    pub(crate) allowed_origin: Option<Box<str>>,
}

const NOT_UTF8: Refusal = Refusal::BadRequest("the message is of a type text/* and not UTF-8");
const TOO_LONG: Refusal = Refusal::BadRequest("the body is longer than its Content-Length");

impl Posting {
    pub(crate) fn new(post: &Post<'_>, now: Instant) -> Self {
        let (path, kind, length) = ((*post.path).into(), post.kind, post.length);
        let allowed_origin = post.allowed_origin.clone();
        Self { path, kind, length, body: Vec::new(), utf8: Utf8::default(), allowed_origin, since: now }
    }

    /// Takes the next bytes of the body, and answers with the message when it is complete; then this is good for
    /// nothing more.
    ///
    /// # Errors
    /// 400 for what is no text although it should be, and for more bytes than were announced.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Posted>, Refusal> {
        let (own, behind) = bytes.split_at(bytes.len().min(self.length - self.body.len()));
        if self.kind == Kind::Text && !self.utf8.pass(own, [0; 4]) {
            return Err(NOT_UTF8);
        }
        append_within(&mut self.body, own, self.length);
        if self.body.len() < self.length {
            return Ok(None);
        }
        if self.kind == Kind::Text && !self.utf8.is_whole() {
            return Err(NOT_UTF8);
        }
        if !behind.is_empty() {
            return Err(TOO_LONG);
        }
        let (path, payload) = (std::mem::take(&mut self.path), std::mem::take(&mut self.body));
        Ok(Some(Posted { path, kind: self.kind, payload, allowed_origin: self.allowed_origin.take() }))
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    pub(crate) fn deadline(&self, limits: &Limits) -> Instant {
        self.since + limits.message_timeout
    }

    /// As announced: what has not come yet may come at once.
    pub(super) fn inflight(&self) -> Inflight {
        Inflight { message: self.length, ..Inflight::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleId;

    #[allow(clippy::disallowed_methods, reason = "a test begins somewhere")]
    fn posting(kind: Kind, length: usize) -> Posting {
        let (rule, allowed_origin) = (RuleId::default(), None);
        let post = Post {
            path: "/a".into(),
            length,
            expects_continue: false,
            body: b"",
            kind,
            allowed_origin,
            rule,
        };
        Posting::new(&post, Instant::now())
    }

    /// What becomes of a body in pieces of this length.
    fn feed(kind: Kind, length: usize, body: &[u8], piece: usize) -> Result<Option<Vec<u8>>, Refusal> {
        let mut posting = posting(kind, length);
        if body.is_empty() {
            return posting.receive(b"").map(|posted| posted.map(|posted| posted.payload));
        }
        for bytes in body.chunks(piece) {
            let came = posting.receive(bytes)?;
            assert!(posting.body.capacity() <= length, "more is held than was announced");
            if let Some(posted) = came {
                return Ok(Some(posted.payload));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_body_is_what_was_announced_however_it_is_cut() {
        type Row<'r> = (Kind, usize, &'r [u8], Result<bool, Refusal>);
        let table: &[Row] = &[
            (Kind::Binary, 0, b"", Ok(true)),
            (Kind::Text, 0, b"", Ok(true)),
            (Kind::Binary, 5, b"hello", Ok(true)),
            (Kind::Binary, 6, b"hello", Ok(false)),
            (Kind::Binary, 2, b"\xff\xfe", Ok(true)),
            (Kind::Text, 6, "h\u{e9}llo".as_bytes(), Ok(true)),
            (Kind::Text, 5, b"hell\xff", Err(NOT_UTF8)),
            (Kind::Text, 9, b"hell\xff", Err(NOT_UTF8)),
            (Kind::Text, 5, b"hell\xc3", Err(NOT_UTF8)),
            (Kind::Text, 6, b"hell\xc3", Ok(false)),
            (Kind::Text, 5, b"hell\xc3\xa9", Err(NOT_UTF8)),
        ];
        assert!(!table.is_empty());
        for &(kind, length, body, wanted) in table {
            for piece in 1..=body.len().max(1) {
                let whole = body[..length.min(body.len())].to_vec();
                let wanted = wanted.map(|is_whole| is_whole.then_some(whole));
                assert_eq!(feed(kind, length, body, piece), wanted, "{kind:?} {length} {body:?} by {piece}");
            }
        }
    }

    #[test]
    fn bytes_behind_the_body_that_come_with_it_are_refused_with_it() {
        assert_eq!(feed(Kind::Binary, 5, b"hello!", 6), Err(TOO_LONG));
        assert_eq!(feed(Kind::Binary, 0, b"!", 1), Err(TOO_LONG));
        assert_eq!(feed(Kind::Text, 5, b"hello\xff", 6), Err(TOO_LONG), "they are no part of the text");
        assert_eq!(
            feed(Kind::Binary, 5, b"hello!", 5),
            Ok(Some(b"hello".to_vec())),
            "and not if they come later"
        );
    }

    #[test]
    fn memory_grows_with_what_comes() {
        let mut posting = posting(Kind::Binary, 1 << 20);
        assert_eq!((posting.body.capacity(), posting.inflight().total()), (0, 1 << 20));
        let mut came = 0;
        for _ in 0..100 {
            assert_eq!(posting.receive(&[7; 1000]), Ok(None));
            came += 1000;
            assert!(posting.body.capacity() <= 2 * came, "{} for {came}", posting.body.capacity());
        }
    }
}
