//! The pages of the desk, and the bytes of every answer.
//!
//! Owns the table of paths. Promises: an answer has its length, says that the connection ends, is taken by no browser
//! for anything else than what it is, and is read by no page of another site. It is stored by nobody, except that a
//! browser may keep a file and ask whether it is still the same. Nothing that the visitor sent stands in it.

use super::{
    pages::{self, File},
    question::{Exposition, Question, Search},
    request::Denial,
    tally::Outcome,
};
use crate::id::PeerId;
use std::sync::Arc;

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// Whether the loop turns; also while draining.
    Alive,
    /// Whether new peers are welcome.
    Ready,
    /// A part of the console.
    File {
        file: &'static File,
        /// The visitor has it.
        is_known: bool,
    },
    /// What is costly to find out.
    Costly(Question),
    /// That a peer is sent away.
    Dismissal { id: PeerId, reason: Box<str> },
}

/// The same for people.
pub(super) const ROUTES_LINE: &str = "There is no such page. There are / (the console), /healthz (is it alive), /readyz \
     (does it take new peers), /metrics (for Prometheus), /api/status, /api/channels, /api/peers and /api/log (JSON).";

/// The page at `path`, before anything else of the request is looked at.
pub(super) fn page(path: &[u8]) -> Option<Page> {
    Some(match path {
        b"/healthz" => Page::Alive,
        b"/readyz" => Page::Ready,
        b"/metrics" => Page::Costly(Question::Metrics(Exposition::Plain)),
        b"/api/status" => Page::Costly(Question::Status),
        b"/api/channels" => Page::Costly(Question::Channels),
        b"/api/peers" => Page::Costly(Question::Peers(Search { channel: None, tag: None, most: 0 })),
        b"/api/log" => Page::Costly(Question::Log),
        _ => Page::File { file: pages::at(path)?, is_known: false },
    })
}

/// In how many seconds to ask again whether peers are welcome: a restart takes about so long.
const RETRY_SECS: u32 = 5;

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) media: &'static str,
    pub(super) body: Body,
    /// Leave the body out: the method was HEAD, or it is known.
    pub(super) without_body: bool,
    pub(super) outcome: Outcome,
    /// Header lines that not every answer has.
    pub(super) fields: String,
}

/// The bytes behind the head.
#[derive(Debug)]
pub(super) enum Body {
    /// A line or two.
    Line(String),
    /// What others are told too.
    Shared(Arc<str>),
    /// A file.
    File(&'static [u8]),
}

impl Body {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Line(line) => line.as_bytes(),
            Self::Shared(text) => text.as_bytes(),
            Self::File(bytes) => bytes,
        }
    }
}

/// For what changes from one moment to the next.
const NOT_STORED: &str = "Cache-Control: no-store\r\n";
/// For what changes with the program only: the browser asks whether it did.
const ASKED_AGAIN: &str = "Cache-Control: no-cache\r\n";

impl Answer {
    pub(super) fn text(status: u16, body: impl Into<String>) -> Self {
        let (media, outcome) = ("text/plain; charset=utf-8", Outcome::Answered);
        let body = Body::Line(body.into());
        Self { status, media, body, without_body: false, outcome, fields: NOT_STORED.into() }
    }

    pub(super) fn found(question: &Question, body: Arc<str>) -> Self {
        Self { media: question.media(), body: Body::Shared(body), ..Self::text(200, "") }
    }

    pub(super) fn file(file: &'static File, is_known: bool) -> Self {
        let status = if is_known { 304 } else { 200 };
        let fields = format!("{ASKED_AGAIN}{}", file.fields());
        let body = Body::File(file.bytes);
        Self { media: file.media, body, without_body: is_known, fields, ..Self::text(status, "") }
    }

    pub(super) fn dismissed(id: PeerId) -> Self {
        let media = "application/json";
        Self { media, ..Self::text(200, format!("{{\"dismissed\":\"{id}\"}}\n")) }
    }

    pub(super) fn readiness(is_draining: bool) -> Self {
        if is_draining {
            let fields = format!("{NOT_STORED}Retry-After: {RETRY_SECS}\r\n");
            Self { fields, ..Self::text(503, "draining\n") }
        } else {
            Self::text(200, "ready\n")
        }
    }

    pub(super) fn refusal(denial: Denial) -> Self {
        let outcome = Outcome::Refused(denial.why);
        let fields = format!("{NOT_STORED}{}", denial.fields);
        Self { outcome, fields, ..Self::text(denial.status, format!("{}\n", denial.line)) }
    }

    /// All before the body.
    pub(super) fn head(&self) -> String {
        let Self { status, media, fields, .. } = self;
        let (reason, length) = (reason(*status), self.body.bytes().len());
        format!(
            "HTTP/1.1 {status} {reason}\r\nConnection: close\r\n{fields}X-Content-Type-Options: nosniff\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n"
        )
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_that_people_are_told_of_is_there() {
        let words = ROUTES_LINE.split([' ', ',']).filter(|word| word.starts_with('/'));
        let paths = words.collect::<Vec<_>>();
        assert_eq!(paths.len(), 8, "{paths:?}");
        paths.iter().for_each(|path| assert!(page(path.as_bytes()).is_some(), "{path}"));
        assert_eq!((page(b""), page(b"/healthz/"), page(b"/console.html")), (None, None, None));
    }

    #[test]
    fn an_answer_says_how_long_it_is_also_where_its_body_is_left_out() {
        let found = Answer::found(&Question::Status, "{}".into());
        assert!(found.head().contains("\r\nContent-Length: 2\r\n") && found.head().ends_with("\r\n\r\n"));
        let Some(Page::File { file, .. }) = page(b"/") else { panic!("no page at the top") };
        let (whole, known) = (Answer::file(file, false), Answer::file(file, true));
        assert_eq!((whole.without_body, known.without_body), (false, true));
        let lengths = [&whole, &known].map(|answer| answer.head().lines().last().map(str::to_owned));
        assert_eq!(lengths[0], lengths[1]);
        for answer in [whole, known] {
            let head = answer.head();
            assert!(
                head.contains("\r\nCache-Control: no-cache\r\n") && head.contains("\r\nETag: \""),
                "{head}"
            );
            assert!(head.contains("\r\nContent-Security-Policy: default-src 'self'; "), "{head}");
            assert!(!head.contains("unsafe"), "{head}");
        }
    }

    #[test]
    fn every_status_has_a_reason() {
        let table = [200, 304, 400, 403, 404, 405, 414, 421, 431, 503, 505];
        assert!(!table.is_empty());
        table.iter().for_each(|status| assert_ne!(reason(*status), "", "{status}"));
    }
}
