//! What a good request may do: the rule that its path comes under, the page that it comes from, the token that it brings,
//! and for whom a proxy says that it is made.
//!
//! Owns where a token may stand in a request and who is believed about its user. Promises: a token that is brought where one
//! counts is good, or the request is refused for the token's own fault; where none counts, none is looked at; nothing of a
//! token stands in anything that goes out. Leaves to others: what makes a token good (`token/`), and a page (`origin`).

use std::time::Duration;

use super::{
    Fields, Name, Offer, path,
    refusal::Refusal::{self, BadRequest},
};
use crate::{
    limits::{Access, Limits},
    rules::{Pattern, RuleId},
    token::Grant,
};

/// Before a token in the list of subprotocols: a page can set no header, and a URL is written down on its way.
const BEARER_PROTOCOL: &[u8] = b"bearer.";

/// Bytes of a user's name, and of an origin that is told of, at most. A longer one is cut off.
const MAX_SHOWN: usize = 128;

/// How a request was let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// What its path comes under.
    pub rule: RuleId,
    /// It may listen.
    pub subscribe: bool,
    /// It may publish.
    pub publish: bool,
    /// When its token runs out, since 1970.
    pub ends: Option<Duration>,
    /// Its user, by the word of a trusted proxy, or of its token.
    pub user: Option<Box<str>>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A WebSocket, which may do either.
    Join,
    /// An event stream.
    Listen,
    /// One message.
    Post,
}

/// What was done about a request beyond reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Signatures that were looked at: each is as much work as many reads.
    pub signatures: usize,
    /// A user was named by somebody who is not believed.
    pub user_ignored: bool,
    /// The path, if the request is refused for what it asks there.
    pub refused_on: Option<Box<str>>,
    /// The page that sent it, if that is why.
    pub refused_origin: Option<Box<str>>,
}

/// A request whose target names a path.
#[derive(Clone, Copy)]
pub(super) struct Asked<'r> {
    pub(super) target: &'r [u8],
    pub(super) path: &'r str,
    pub(super) fields: &'r Fields<'r>,
}

/// The judgement of what is asked on the path of `target`: what is wished, the path, and how it is let in. Of a refusal
/// notes where and from which page, for whoever wants to know why.
pub(super) fn on_path<'h, W>(
    target: &'h [u8],
    fields: &Fields<'_>,
    effort: &mut Effort,
    judge: impl FnOnce(Asked<'_>, &mut Effort) -> Result<(W, Pass), Refusal>,
) -> Result<(W, &'h str, Pass), Refusal> {
    let path = path::channel(target)?;
    match judge(Asked { target, path, fields }, effort) {
        Ok((wish, pass)) => Ok((wish, path, pass)),
        Err(refusal) => {
            effort.refused_on = Some(path.into());
            let origin = fields.all(Name::Origin).next().filter(|_| refusal == Refusal::Origin);
            effort.refused_origin = origin.map(shown);
            Err(refusal)
        }
    }
}

/// What stands in a header line, cut off where it is long.
fn shown(value: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(value);
    text[..text.floor_char_boundary(MAX_SHOWN)].into()
}

/// What a path comes under, and what holds there.
pub(super) fn rule<'o>(path: &str, offer: &Offer<'o>) -> Result<(RuleId, &'o Limits), Refusal> {
    let rule = offer.limits.rule_for(path).ok_or(Refusal::Channel)?;
    Ok((rule, offer.limits.under(rule)))
}

/// Whether the request may do what it is for, and what else it may do.
pub(super) fn admit(
    asked: Asked<'_>,
    purpose: Purpose,
    rule: RuleId,
    offer: &Offer<'_>,
    effort: &mut Effort,
) -> Result<Pass, Refusal> {
    let limits = offer.limits.under(rule);
    check_origin(asked.fields, limits, offer)?;
    let grant = grant(asked, limits, offer, effort)?;
    let may = |access, paths: fn(&Grant) -> &[Pattern]| match access {
        Access::Anyone => true,
        Access::Nobody => false,
        Access::Token => {
            grant.as_ref().is_some_and(|grant| paths(grant).iter().any(|paths| paths.matches(asked.path)))
        }
    };
    let subscribe = may(limits.subscribe, |grant| &grant.subscribe);
    let publish = may(limits.publish, |grant| &grant.publish);
    let (is_let_in, access) = match purpose {
        Purpose::Join => (subscribe || publish, [limits.subscribe, limits.publish]),
        Purpose::Listen => (subscribe, [limits.subscribe; 2]),
        Purpose::Post => (publish, [limits.publish; 2]),
    };
    if !is_let_in {
        let is_wanting = grant.is_none() && access.contains(&Access::Token);
        return Err(if is_wanting { Refusal::TokenMissing } else { Refusal::Forbidden });
    }
    let named = named_user(asked.fields, offer, effort);
    let (ends, subject) = grant.map_or((None, None), |grant| (grant.ends, grant.subject));
    Ok(Pass { rule, subscribe, publish, ends, user: named.or(subject) })
}

/// The one `Origin`, if there is any, must be of a page from which requests are taken. Of two, a proxy may have judged the
/// other one.
fn check_origin(fields: &Fields<'_>, limits: &Limits, offer: &Offer<'_>) -> Result<(), Refusal> {
    if !fields.has(Name::Origin) {
        return Ok(());
    }
    let host = fields.only(Name::Host).unwrap_or_default();
    let is_allowed =
        fields.only(Name::Origin).is_some_and(|origin| limits.origins.allow(origin, host, offer.desk));
    is_allowed.then_some(()).ok_or(Refusal::Origin)
}

/// What the answer to an allowed page says about it, so that the page may read that answer (Fetch 3.2).
pub(super) fn allowed_origin(fields: &Fields<'_>, limits: &Limits) -> Option<Box<str>> {
    let origin = fields.only(Name::Origin)?;
    // Any at all need not be repeated, and may hold anything.
    let said = if limits.origins.any { "*" } else { str::from_utf8(origin).ok()? };
    Some(format!("Access-Control-Allow-Origin: {said}\r\nVary: Origin\r\n").into())
}

/// What the token of the request grants, where one counts and one is brought.
fn grant(
    asked: Asked<'_>,
    limits: &Limits,
    offer: &Offer<'_>,
    effort: &mut Effort,
) -> Result<Option<Grant>, Refusal> {
    if !limits.looks_at_tokens() {
        return Ok(None);
    }
    let Some(token) = token(asked, offer)? else { return Ok(None) };
    let (verdict, signatures) = offer.gate.judge(token, offer.unix);
    effort.signatures += signatures;
    verdict.map(Some).map_err(Refusal::Token)
}

/// The token of a request; of two, a proxy may have judged the other one.
fn token<'h>(asked: Asked<'h>, offer: &Offer<'_>) -> Result<Option<&'h [u8]>, Refusal> {
    // RFC 6750 2.3. A token needs no escapes.
    let query = offer.gate.query.as_deref().map(|name| path::in_query(asked.target, name));
    let query = query.into_iter().flatten();
    let mut tokens = in_header(asked.fields)?.into_iter().chain(in_protocols(asked.fields)).chain(query);
    match (tokens.next(), tokens.next()) {
        (token, None) => Ok(token),
        _ => Err(BadRequest("the request brings more than one token")),
    }
}

/// RFC 6750 2.1. What another scheme holds is for somebody else.
fn in_header<'h>(fields: &Fields<'h>) -> Result<Option<&'h [u8]>, Refusal> {
    let mut values = fields.others("authorization");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BadRequest("the request has more than one Authorization"));
    }
    let is_bearer = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    Ok(is_bearer.then(|| value[7..].trim_ascii()))
}

fn in_protocols<'h>(fields: &Fields<'h>) -> impl Iterator<Item = &'h [u8]> {
    fields
        .items(Name::SecWebSocketProtocol)
        .filter(|item| is_token_protocol(item))
        .map(|item| &item[BEARER_PROTOCOL.len()..])
}

/// The subprotocols that are offered, less the tokens among them.
pub(super) fn offered_protocols<'h>(fields: &Fields<'h>) -> impl Iterator<Item = &'h [u8]> {
    fields.items(Name::SecWebSocketProtocol).filter(|item| !is_token_protocol(item))
}

/// In any case, as the scheme of the header is: what could be taken for a token is in no answer.
fn is_token_protocol(item: &[u8]) -> bool {
    item.get(..BEARER_PROTOCOL.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEARER_PROTOCOL))
}

/// The user whom a trusted proxy names; whoever else names one is not believed.
fn named_user(fields: &Fields<'_>, offer: &Offer<'_>, effort: &mut Effort) -> Option<Box<str>> {
    let mut values = fields.others(offer.gate.identity_header.as_deref()?);
    let value = values.next().filter(|value| !value.is_empty())?;
    let is_believed = offer.source.is_some_and(|source| offer.proxies.trusted.trusts(source));
    if !is_believed || values.next().is_some() {
        effort.user_ignored = true;
        return None;
    }
    Some(shown(value))
}
