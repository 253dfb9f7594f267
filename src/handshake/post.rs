//! A message that is sent by HTTP: what the head of a POST must say before a byte of the body is read.
//!
//! Owns the rules for the header lines of a POST, in the order in which its faults count. A page of a browser may post
//! where it may open a WebSocket. The length is announced and nothing else says where the
//! body ends, so that no proxy sees another end than we do. Leaves to others: the body.

use std::borrow::Cow;

use super::{
    Fields, Name, Offer, methods,
    permit::{self, Asked, Effort, Pass, Purpose},
    refusal::Refusal::{self, BadRequest},
};
use crate::{frame::Kind, limits::Limits, rules::RuleId};

/// A message that is announced by a good request.
#[derive(Debug, PartialEq, Eq)]
pub struct Post<'b> {
    /// The request path, as received, without the query.
    pub path: Cow<'b, str>,
    /// Bytes of the body; no more than one message may have.
    pub length: usize,
    /// The sender waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// What of the body came with the end of the head, and perhaps more.
    pub body: &'b [u8],
    pub(crate) kind: Kind,
    /// What the answer says to the page that sent it, if one did.
    pub(crate) allowed_origin: Option<Box<str>>,
    /// What the path comes under.
    pub(crate) rule: RuleId,
}

/// What the head says of the message.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) kind: Kind,
    pub(super) length: usize,
    pub(super) expects_continue: bool,
    pub(super) allowed_origin: Option<Box<str>>,
}

/// The answer to a POST whose message is to come: the sender may go on.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The answer to a message that is due to so many peers, with what it says to the page that sent it.
pub(crate) fn accepted(peers: usize, allowed_origin: Option<&str>) -> Vec<u8> {
    let body = format!("{{\"peers\":{peers}}}\n");
    let (length, allowed_origin) = (body.len(), allowed_origin.unwrap_or_default());
    format!(
        "HTTP/1.1 202 Accepted\r\nConnection: close\r\n{allowed_origin}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The judgement of the head of a POST whose `Host` is good: what it announces, for which channel, and how it is let in.
pub(super) fn judge<'h>(
    target: &'h [u8],
    fields: &Fields<'_>,
    offer: &Offer<'_>,
    effort: &mut Effort,
) -> Result<(Announced, &'h str, Pass), Refusal> {
    if fields.has(Name::TransferEncoding) && fields.has(Name::ContentLength) {
        return Err(BadRequest("the request has a Transfer-Encoding and a Content-Length"));
    }
    permit::on_path(target, fields, effort, |asked, effort| publish(asked, offer, effort))
}

fn publish(asked: Asked<'_>, offer: &Offer<'_>, effort: &mut Effort) -> Result<(Announced, Pass), Refusal> {
    let (rule, limits) = permit::rule(asked.path, offer)?;
    if !limits.http_publish {
        return Err(Refusal::Method(methods(false)));
    }
    let pass = permit::admit(asked, Purpose::Post, rule, offer, effort)?;
    Ok((announced(asked.fields, limits)?, pass))
}

fn announced(fields: &Fields<'_>, limits: &Limits) -> Result<Announced, Refusal> {
    let length = length(fields)?;
    let expects_continue = expectation(fields)?;
    if length > limits.max_message {
        return Err(Refusal::BodyTooLarge);
    }
    let kind = kind(fields)?;
    if !limits.kinds.take(kind) {
        return Err(Refusal::Kind(limits.kinds));
    }
    Ok(Announced { kind, length, expects_continue, allowed_origin: permit::allowed_origin(fields, limits) })
}

/// Exactly one `Content-Length`, of digits only (RFC 9112 6.3). One that no word holds is too large, whatever it is.
fn length(fields: &Fields<'_>) -> Result<usize, Refusal> {
    if !fields.has(Name::ContentLength) {
        return Err(Refusal::LengthRequired);
    }
    let one = fields.only(Name::ContentLength).filter(|digits| !digits.is_empty());
    let digits = one.filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let digits = digits.ok_or(BadRequest("the request needs one Content-Length, a number"))?;
    let add = |sum: usize, digit: &u8| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
    Ok(digits.iter().fold(0, add))
}

/// Whether `100 Continue` is waited for, which is all that can be (RFC 9110 10.1.1).
fn expectation(fields: &Fields<'_>) -> Result<bool, Refusal> {
    let mut values = fields.others("expect");
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Refusal::Expectation),
    }
}

/// Text if the media type is `text/…`, in the one encoding that text frames have; anything else is binary.
fn kind(fields: &Fields<'_>) -> Result<Kind, Refusal> {
    let mut values = fields.others("content-type");
    match (values.next(), values.next()) {
        (None, _) => Ok(Kind::Binary),
        (Some(value), None) => kind_of(value),
        _ => Err(BadRequest("the request has more than one Content-Type")),
    }
}

fn kind_of(media_type: &[u8]) -> Result<Kind, Refusal> {
    let mut parts = media_type.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    let is_text = |media: &[u8]| media.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/"));
    if !parts.next().is_some_and(is_text) {
        return Ok(Kind::Binary);
    }
    if parts.filter_map(charset).all(is_utf8) { Ok(Kind::Text) } else { Err(Refusal::MediaType) }
}

/// The value of a parameter of a media type, if it is the charset.
fn charset(parameter: &[u8]) -> Option<&[u8]> {
    let at = parameter.iter().position(|&b| b == b'=')?;
    let (name, value) = (parameter[..at].trim_ascii(), parameter[at + 1..].trim_ascii());
    name.eq_ignore_ascii_case(b"charset").then_some(value)
}

fn is_utf8(charset: &[u8]) -> bool {
    let bare = charset.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(charset);
    bare.eq_ignore_ascii_case(b"utf-8")
        || bare.eq_ignore_ascii_case(b"utf8")
        || bare.eq_ignore_ascii_case(b"us-ascii")
}
