//! Patterns of paths: exact, with `*` for one segment, with `**` at the end for any rest.
//!
//! Owns their form and what they match. Promises: matching allocates nothing, and tells most patterns apart from a path by
//! one comparison; that of two patterns that match the same path the one that is inside the other comes first in the order.

use std::{cmp::Ordering, error::Error, fmt, str::FromStr};

use super::path::{self, MOST_BYTES, PathFault};

/// One segment, which is not empty.
const ONE: &str = "*";

/// All segments from here on, of which there is at least one; it may be empty. Stands last.
const REST: &str = "**";

/// A pattern of paths. Segments that are not `*` or `**` are compared byte by byte. The order has the more specific ones
/// first: segment by segment from the left, a text before `*` before `**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    /// Bytes before the first star; all of them if there is none.
    fixed_len: usize,
}

/// How two patterns that have a path in common stand to each other, as far as the first of them is concerned. With both it is
/// the same as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Relation {
    /// Its paths all come under the other.
    is_within: bool,
    /// The other's all come under it.
    is_around: bool,
}

/// Why a text is no pattern: what is expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern(pub &'static str);

impl Pattern {
    /// Whether this path comes under the pattern.
    pub fn matches(&self, path: &str) -> bool {
        let (fixed, open) = self.text.as_bytes().split_at(self.fixed_len);
        match path.as_bytes().strip_prefix(fixed) {
            Some(rest) => {
                if open.is_empty() {
                    rest.is_empty()
                } else {
                    match_segments(open, rest)
                }
            }
            None => false,
        }
    }

    /// Whether every path that comes under this one comes under the other too, and the two are not the same.
    pub fn is_more_specific_than(&self, other: &Self) -> bool {
        self.relate(other) == Some(Relation { is_within: true, is_around: false })
    }

    /// Whether neither of two is more specific, and some path may come under both.
    pub(super) fn is_at_odds_with(&self, other: &Self) -> bool {
        self.relate(other).is_some_and(|Relation { is_within, is_around }| is_within == is_around)
    }

    /// A path that comes under both.
    pub fn overlap(&self, other: &Self) -> Option<String> {
        let (mut own, mut others, mut path) = (self.segments(), other.segments(), Vec::new());
        loop {
            match (own.next(), others.next()) {
                (None, None) => break,
                (Some(REST), Some(first)) => return finish(path, first, others),
                (Some(first), Some(REST)) => return finish(path, first, own),
                (Some(one), Some(another)) => path.push(common(one, another)?),
                (None, Some(_)) | (Some(_), None) => return None,
            }
        }
        join(&path)
    }

    /// How it stands to another, unless no path comes under both.
    fn relate(&self, other: &Self) -> Option<Relation> {
        let (fixed, others_fixed) = (&self.text[..self.fixed_len], &other.text[..other.fixed_len]);
        if !fixed.starts_with(others_fixed) && !others_fixed.starts_with(fixed) {
            return None;
        }
        let (mut own, mut others) = (self.segments(), other.segments());
        let mut relation = Relation { is_within: true, is_around: true };
        loop {
            match (own.next(), others.next()) {
                (None, None) => return Some(relation),
                (None, Some(_)) | (Some(_), None) => return None,
                (Some(one), Some(another)) if one == another => {}
                (Some(REST), Some(_)) => return Some(Relation { is_within: false, ..relation }),
                (Some(_), Some(REST)) => return Some(Relation { is_around: false, ..relation }),
                (Some(ONE), Some(text)) if !text.is_empty() => relation.is_within = false,
                (Some(text), Some(ONE)) if !text.is_empty() => relation.is_around = false,
                (Some(_), Some(_)) => return None,
            }
        }
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/')
    }
}

/// Holds segments against those of a pattern; both begin at the beginning of one.
fn match_segments(pattern: &[u8], path: &[u8]) -> bool {
    let mut path = path.split(|&b| b == b'/');
    for segment in pattern.split(|&b| b == b'/') {
        let is_match = match (path.next(), segment) {
            (Some(_), b"**") => return true,
            (Some(text), b"*") => !text.is_empty(),
            (text, segment) => text == Some(segment),
        };
        if !is_match {
            return false;
        }
    }
    path.next().is_none()
}

/// A segment that comes under both, neither of which is `**`.
fn common<'p>(one: &'p str, another: &'p str) -> Option<&'p str> {
    match (one, another) {
        (ONE, text) | (text, ONE) if !text.is_empty() => Some(sample(text)),
        (one, another) => (one == another).then_some(one),
    }
}

/// The shortest that comes under a segment.
fn sample(segment: &str) -> &str {
    match segment {
        ONE => "x",
        REST => "",
        text => text,
    }
}

/// The path that goes on as the other pattern does where the one says `**`.
fn finish<'p>(
    mut path: Vec<&'p str>,
    first: &'p str,
    others: impl Iterator<Item = &'p str>,
) -> Option<String> {
    path.push(sample(first));
    path.extend(others.map(sample));
    join(&path)
}

/// These segments, if a request can name so long a path.
fn join(segments: &[&str]) -> Option<String> {
    let path = segments.join("/");
    (path.len() <= MOST_BYTES).then_some(path)
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.segments().map(rank).cmp(other.segments().map(rank))
    }
}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn rank(segment: &str) -> (u8, &str) {
    match segment {
        ONE => (1, ""),
        REST => (2, ""),
        text => (0, text),
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        if !path::is_visible(text) || text.contains('?') {
            return Err(NOT_ASCII);
        }
        let shortest = text.strip_suffix(REST).filter(|text| text.ends_with('/')).unwrap_or(text);
        path::check(shortest).map_err(expected)?;
        check_stars(shortest)?;
        Ok(Self { text: text.into(), fixed_len: text.find('*').unwrap_or(text.len()) })
    }
}

/// Stars but one `**` at the end, which is not looked at here.
fn check_stars(text: &str) -> Result<(), BadPattern> {
    for segment in text.split('/').filter(|segment| segment.contains('*')) {
        match segment {
            ONE => {}
            REST => return Err(REST_TOO_SOON),
            _ => return Err(STAR_AND_TEXT),
        }
    }
    Ok(())
}

const NOT_ASCII: BadPattern = BadPattern(
    "a pattern of visible ASCII without ? and #; other characters stand in it as browsers send them, such as %C3%A9 for \u{e9}",
);
const REST_TOO_SOON: BadPattern =
    BadPattern("\"**\" in the last place only, such as \"/feed/**\"; for one segment write \"*\"");
const STAR_AND_TEXT: BadPattern = BadPattern(
    "a star in the place of a whole segment, such as \"/feed/*\" or \"/feed/**\"; a part of a segment cannot be left open",
);

fn expected(fault: PathFault) -> BadPattern {
    BadPattern(match fault {
        PathFault::NoSlash => "a pattern that begins with a slash, such as \"/feed/*\"",
        PathFault::DotSegment => {
            "a pattern without segments \".\" and \"..\", which no path has that is let in"
        }
        PathFault::TwoSlashes => "a pattern without two slashes in a row, which no path has that is let in",
        PathFault::BrokenEscape => "two hex digits behind each \"%\"; a percent sign itself is %25",
        PathFault::HiddenSlash => "a pattern without %00 and %2F, which no path has that is let in",
        PathFault::NeedlessEscape => {
            "letters, digits and - . _ ~ as they are, not as %XX: a path that escapes them is not let in"
        }
        PathFault::TooLong => "a pattern of at most 255 bytes: no longer path is let in",
    })
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl Error for BadPattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
pub(super) mod tests;
