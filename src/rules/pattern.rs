//! Patterns of paths: exact, with `*` for one segment, with `**` at the end for any rest.

use std::{fmt, str::FromStr};

/// A pattern of paths. The order has the more specific ones first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    segments: Vec<Box<str>>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern(pub &'static str);

impl Pattern {
    /// Whether this path comes under the pattern.
    pub fn matches(&self, path: &str) -> bool {
        let mut path = path.split('/');
        for (nth, segment) in self.segments.iter().enumerate() {
            let Some(own) = path.next() else { return false };
            if &**segment == "**" && nth > 0 {
                return true;
            }
            if !(&**segment == "*" && !own.is_empty() || **segment == *own) {
                return false;
            }
        }
        path.next().is_none()
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        if !text.starts_with('/') {
            return Err(BadPattern("a pattern begins with a slash"));
        }
        Ok(Self { segments: text.split('/').map(Into::into).collect() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("/"))
    }
}
