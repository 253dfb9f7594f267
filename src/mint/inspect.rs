//! A token as it is, and as the relay would take it.

use std::{fmt::Write as _, time::Duration};

use serde_json::Value;

use super::{calendar, distance, shown};
use crate::{
    limits::{Access, Limits},
    rules::{Pattern, path},
    token::{
        Gate, Grant, TokenFault,
        claims::END_OF_TIME,
        jws::{Jws, MOST_BYTES},
        object::{Object, SECOND, date},
    },
};

/// What was found out about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// All of it, in lines.
    pub text: String,
    /// It is good now, and lets its bearer do something on the path, if one was named.
    pub is_good: bool,
}

/// Looks at a token: what it says, whether it is good now, and what it may do on `path`.
pub fn inspect(token: &str, gate: &Gate, limits: &Limits, path: Option<&str>, unix: Duration) -> Inspection {
    let mut text = String::new();
    let parts = Jws::read(token.as_bytes());
    let verdict = gate.judge(token.as_bytes(), unix).0;
    if let Ok(parts) = &parts {
        tell_contents(&mut text, parts, unix);
    }
    let parts = parts.ok();
    tell_verdict(&mut text, &verdict, gate, parts.as_ref(), unix);
    let mut is_good = verdict.is_ok();
    if let Some(path) = path {
        is_good = tell_rights(&mut text, verdict.as_ref().map_err(|fault| *fault), limits, path);
    }
    Inspection { text, is_good }
}

/// A line. A string takes everything.
macro_rules! line {
    ($text:expr, $($form:tt)*) => { let _ = writeln!($text, $($form)*); };
}

fn tell_contents(text: &mut String, parts: &Jws<'_>, unix: Duration) {
    line!(text, "header");
    match parts.whole_header() {
        Some(header) => tell_members(text, &header, unix),
        None => {
            line!(text, "  (more than is shown)");
        }
    }
    match parts.claims() {
        Ok(claims) => {
            line!(text, "claims");
            tell_members(text, &claims, unix);
        }
        Err(_) => {
            line!(text, "no claims: the part between the dots is no JSON object, or has a name twice");
        }
    }
}

fn tell_members(text: &mut String, object: &Object, unix: Duration) {
    for (name, value) in &object.0 {
        let when =
            if ["exp", "nbf", "iat"].contains(&&**name) { tell_date(value, unix) } else { String::new() };
        line!(text, "  {:<10} {}{when}", shown(name), shown(&value.to_string()));
    }
}

fn tell_date(value: &Value, unix: Duration) -> String {
    match date(value) {
        None => "  (no date: expected a number of seconds since 1970)".to_owned(),
        Some(at) if at < 0 => "  (before 1970)".to_owned(),
        Some(at) if at >= END_OF_TIME * SECOND => {
            "  (in thousands of years: are these milliseconds? expected seconds since 1970)".to_owned()
        }
        Some(at) => {
            let at = Duration::new((at / SECOND) as u64, (at % SECOND) as u32);
            format!("  ({}, {})", calendar(at), distance(unix, at))
        }
    }
}

fn tell_verdict(
    text: &mut String,
    verdict: &Result<Grant, TokenFault>,
    gate: &Gate,
    parts: Option<&Jws<'_>>,
    unix: Duration,
) {
    if let Some(Ok(key)) = parts.map(|parts| gate.signer(parts)) {
        line!(text, "signed by {}", shown(&key));
    }
    match verdict {
        Ok(grant) => {
            let ends = grant.ends.map_or("for ever: it has no end".to_owned(), |ends| {
                format!("until {}, {}", calendar(ends), distance(unix, ends))
            });
            line!(text, "good now, and {ends}");
            tell_paths(text, "may subscribe to", &grant.subscribe);
            tell_paths(text, "may publish to", &grant.publish);
        }
        Err(fault) => {
            line!(text, "refused: {}", reason(*fault, gate, parts));
        }
    }
}

fn tell_paths(text: &mut String, what: &str, paths: &[Pattern]) {
    let paths: Vec<_> = paths.iter().map(Pattern::to_string).collect();
    let paths = if paths.is_empty() { "nothing".to_owned() } else { paths.join(" ") };
    line!(text, "  {what} {paths}");
}

fn reason(fault: TokenFault, gate: &Gate, parts: Option<&Jws<'_>>) -> String {
    let keys = gate.keys.names().collect::<Vec<_>>().join(", ");
    let claim = |name| {
        let claims = parts?.claims().ok()?;
        claims.get(name).map(|value| shown(&value.to_string()))
    };
    let claimed = |name| {
        claim(name).map_or_else(|| format!("it has no {name}"), |value| format!("its {name} is {value}"))
    };
    match fault {
        TokenFault::Malformed if parts.is_none() => format!(
            "this is no token: expected three parts in base64url, a dot between each two, no more than {MOST_BYTES} \
             bytes; the first an object in JSON with an alg, and without crit"
        ),
        TokenFault::Malformed => {
            "a claim is not what it should be: exp and nbf are numbers, iss is text, aud text or a \
             list, subscribe and publish are lists of at most 64 patterns, and no name stands twice"
                .to_owned()
        }
        TokenFault::Algorithm if gate.keys.is_empty() => {
            "there are no keys: name the files that hold them in token_keys".to_owned()
        }
        TokenFault::Algorithm => format!("no key is for its algorithm; there are {}", shown(&keys)),
        TokenFault::Signature => {
            format!("its signature is by no key that was tried; there are {}", shown(&keys))
        }
        TokenFault::Expired => {
            "it has run out (exp; a leeway of ".to_owned() + &leeway(gate) + " is allowed)"
        }
        TokenFault::NotYet => {
            "it is not good yet (nbf; a leeway of ".to_owned() + &leeway(gate) + " is allowed)"
        }
        TokenFault::Audience => {
            format!("{}; token_audience asks for {}", claimed("aud"), list(&gate.audience))
        }
        TokenFault::Issuer => format!("{}; token_issuers asks for {}", claimed("iss"), list(&gate.issuers)),
    }
}

fn leeway(gate: &Gate) -> String {
    humantime::format_duration(gate.leeway).to_string()
}

fn list(names: &[Box<str>]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or ")
}

/// What a bearer may do on a path; whether that is anything.
fn tell_rights(text: &mut String, verdict: Result<&Grant, TokenFault>, limits: &Limits, path: &str) -> bool {
    if !path::is_visible(path) || path.contains('?') || path::check(path).is_err() {
        line!(text, "on {}: nothing, as no request can name such a path (400)", shown(path));
        return false;
    }
    let Some(rule) = limits.rule_for(path) else {
        line!(text, "on {}: nothing, as no [[channel]] matches it (404)", shown(path));
        return false;
    };
    let under = limits.under(rule);
    let of =
        limits.pattern_of(rule).map_or("the general settings".to_owned(), |of| format!("[[channel]] {of}"));
    line!(text, "on {}, under {of}", shown(path));
    let is_looked_at = under.looks_at_tokens();
    if is_looked_at && verdict.is_err() {
        line!(text, "  nothing, with this token (401)");
        return false;
    }
    let grant = verdict.ok();
    let subscribe = right(under.subscribe, grant.map(|grant| &*grant.subscribe), path);
    let publish = right(under.publish, grant.map(|grant| &*grant.publish), path);
    line!(text, "  subscribe: {}", subscribe.1);
    line!(text, "  publish:   {}", publish.1);
    if !is_looked_at {
        line!(text, "  no token is looked at here");
    }
    subscribe.0 || publish.0
}

fn right(access: Access, paths: Option<&[Pattern]>, path: &str) -> (bool, String) {
    let by = paths.and_then(|paths| paths.iter().find(|paths| paths.matches(path)));
    match (access, by) {
        (Access::Anyone, _) => (true, "yes, as anyone may".to_owned()),
        (Access::Nobody, _) => (false, "no, as nobody may".to_owned()),
        (Access::Token, Some(by)) => (true, format!("yes, by its {by}")),
        (Access::Token, None) => (false, "no: none of its patterns matches".to_owned()),
    }
}
