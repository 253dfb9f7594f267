//! What a signed token claims (RFC 7519 section 4.1), and whether it holds here and now.
//!
//! Promises: the clock is the one that is given; a claim of another type than it should have is a mistake of the whole
//! token, whether it is asked for or not. Leaves to others: whether anybody may claim so (`keys`).

use super::{
    Gate, Grant, TokenFault,
    object::{Object, SECOND, date},
};
use crate::rules::Pattern;
use serde_json::Value;
use std::time::Duration;

/// Patterns in one list at most.
pub(crate) const MOST_PATTERNS: usize = 64;

/// The longest name of a user, in bytes.
const LONGEST_SUBJECT: usize = 128;

/// Seconds since 1970 after which an end is none: sums with times that are this far off must not wrap.
pub(crate) const END_OF_TIME: i128 = 100_000_000_000;

/// What a grant is made of.
#[derive(Debug, PartialEq)]
pub(super) struct Claims {
    expires: Option<i128>,
    begins: Option<i128>,
    audience: Vec<String>,
    issuer: Option<String>,
    subscribe: Vec<Pattern>,
    publish: Vec<Pattern>,
    subject: Option<Box<str>>,
}

impl Claims {
    /// # Errors
    /// `Malformed`: one has another type than it should have, or is no list of at most 64 patterns.
    pub(super) fn read(claims: &Object) -> Result<Self, TokenFault> {
        Self::understood(claims).ok_or(TokenFault::Malformed)
    }

    fn understood(claims: &Object) -> Option<Self> {
        Some(Self {
            expires: optional(claims, "exp", date)?,
            begins: optional(claims, "nbf", date)?,
            audience: optional(claims, "aud", audience)?.unwrap_or_default(),
            issuer: optional(claims, "iss", text)?,
            subscribe: optional(claims, "subscribe", patterns)?.unwrap_or_default(),
            publish: optional(claims, "publish", patterns)?.unwrap_or_default(),
            subject: claims.get("sub").and_then(Value::as_str).and_then(subject),
        })
    }

    /// # Errors
    /// Run out, not yet good, for others, or from others: the first of these.
    pub(super) fn hold(self, gate: &Gate, unix: Duration) -> Result<Grant, TokenFault> {
        let [now, leeway] = [unix, gate.leeway].map(nanos);
        if self.expires.is_some_and(|expires| now >= expires + leeway) {
            return Err(TokenFault::Expired);
        }
        if self.begins.is_some_and(|begins| now + leeway < begins) {
            return Err(TokenFault::NotYet);
        }
        if !gate.audience.is_empty() && !self.audience.iter().any(|name| is_among(&gate.audience, name)) {
            return Err(TokenFault::Audience);
        }
        if !gate.issuers.is_empty() && !self.issuer.iter().any(|name| is_among(&gate.issuers, name)) {
            return Err(TokenFault::Issuer);
        }
        let ends = self.expires.and_then(|expires| end(expires + leeway));
        let Self { subscribe, publish, subject, .. } = self;
        Ok(Grant { subscribe, publish, ends, subject })
    }
}

fn nanos(duration: Duration) -> i128 {
    // A `Duration` has 64 bits of seconds.
    duration.as_nanos() as i128
}

/// A moment that is still to come, unless it never will.
fn end(at: i128) -> Option<Duration> {
    let seconds = u64::try_from(at / SECOND).ok().filter(|_| at < END_OF_TIME * SECOND)?;
    Some(Duration::new(seconds, (at % SECOND) as u32))
}

fn is_among(list: &[Box<str>], name: &str) -> bool {
    list.iter().any(|one| **one == *name)
}

/// Nothing of what is not there; `None` of what is there and cannot be read.
fn optional<T>(claims: &Object, name: &str, read: fn(&Value) -> Option<T>) -> Option<Option<T>> {
    match claims.get(name) {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

/// One name, or a list of names (RFC 7519 section 4.1.3).
fn audience(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(names) => names.iter().map(text).collect(),
        name => text(name).map(|name| vec![name]),
    }
}

fn patterns(value: &Value) -> Option<Vec<Pattern>> {
    let list = value.as_array().filter(|list| list.len() <= MOST_PATTERNS)?;
    list.iter().map(|pattern| pattern.as_str()?.parse().ok()).collect()
}

/// Shown and logged only: what cannot be is left out.
pub(crate) fn subject(name: &str) -> Option<Box<str>> {
    let can_be = (1..=LONGEST_SUBJECT).contains(&name.len()) && !name.contains(char::is_control);
    can_be.then(|| name.into())
}
