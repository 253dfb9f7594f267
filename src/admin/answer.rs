//! The pages of the desk, and the bytes of every answer.
//!
//! Owns the table of paths. Promises: an answer has its length, says that the connection ends, is stored by nobody, is
//! taken by no browser for anything else than what it is, and holds nothing that the visitor sent.

use super::{request::Denial, tally::Outcome};
use std::fmt::Write as _;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// Whether the loop turns; also while draining.
    Alive,
    /// Whether new peers are welcome.
    Ready,
    /// How the relay does.
    Status,
}

/// Every page with its path.
const ROUTES: [(&str, Page); 3] =
    [("/healthz", Page::Alive), ("/readyz", Page::Ready), ("/api/status", Page::Status)];

/// The same for people.
pub(super) const ROUTES_LINE: &str = "There is no such page. There are /healthz (is it alive), /readyz (does it take new peers) and /api/status (JSON).";

/// The page at `path`.
pub(super) fn page(path: &[u8]) -> Option<Page> {
    ROUTES.iter().find(|(route, _)| route.as_bytes() == path).map(|(_, page)| *page)
}

/// In how many seconds to ask again whether peers are welcome: a restart takes about so long.
const RETRY_SECS: u32 = 5;

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) media: &'static str,
    pub(super) body: String,
    /// Leave the body out: the method was HEAD.
    pub(super) without_body: bool,
    pub(super) outcome: Outcome,
}

impl Answer {
    pub(super) fn text(status: u16, body: impl Into<String>) -> Self {
        let (media, outcome) = ("text/plain; charset=utf-8", Outcome::Answered);
        Self { status, media, body: body.into(), without_body: false, outcome }
    }

    pub(super) fn json(body: String) -> Self {
        Self { media: "application/json", ..Self::text(200, body) }
    }

    pub(super) fn readiness(is_draining: bool) -> Self {
        if is_draining { Self::text(503, "draining\n") } else { Self::text(200, "ready\n") }
    }

    pub(super) fn refusal(denial: Denial) -> Self {
        let outcome = Outcome::Refused(denial.why);
        Self { outcome, ..Self::text(denial.status, format!("{}\n", denial.line)) }
    }

    /// As it goes over the wire.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Self { status, media, body, without_body, .. } = self;
        let (reason, fields, length) = (reason(*status), self.fields(), body.len());
        let mut text = format!("HTTP/1.1 {status} {reason}\r\nConnection: close\r\n{fields}");
        // A string takes everything.
        let _ = write!(
            text,
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nContent-Type: {media}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        if !without_body {
            text.push_str(body);
        }
        text.into_bytes()
    }

    fn fields(&self) -> String {
        match self.status {
            405 => "Allow: GET, HEAD\r\n".into(),
            503 => format!("Retry-After: {RETRY_SECS}\r\n"),
            _ => String::new(),
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
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
    fn every_route_is_found_and_named() {
        assert!(!ROUTES.is_empty());
        for (path, wanted) in ROUTES {
            assert_eq!(page(path.as_bytes()), Some(wanted));
            assert!(ROUTES_LINE.contains(path), "{path}");
        }
        assert_eq!(page(b"/"), None);
    }

    #[test]
    fn an_answer_to_head_is_the_one_to_get_without_its_body() {
        let whole = String::from_utf8(Answer::json("{}".into()).to_bytes()).unwrap();
        let answer = Answer { without_body: true, ..Answer::json("{}".into()) };
        let headers = String::from_utf8(answer.to_bytes()).unwrap();
        assert_eq!(whole, format!("{headers}{{}}"));
        assert!(headers.contains("\r\nContent-Length: 2\r\n") && headers.ends_with("\r\n\r\n"), "{headers}");
    }

    #[test]
    fn every_status_has_a_reason() {
        let table = [200, 400, 403, 404, 405, 414, 421, 431, 503, 505];
        assert!(!table.is_empty());
        table.iter().for_each(|status| assert_ne!(reason(*status), "", "{status}"));
    }
}
