//! A token as it was ordered.

use std::{path::Path, time::Duration};

use serde_json::{Map, Value};

use super::{Mistake, read_file};
use crate::{
    rules::Pattern,
    token::{claims, jws, keys},
};

/// What a token is to claim.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Where its bearer may listen.
    pub subscribe: Vec<Pattern>,
    /// Where its bearer may publish.
    pub publish: Vec<Pattern>,
    /// The name of its bearer.
    pub subject: Option<String>,
    /// For whom it is.
    pub audience: Vec<String>,
    /// From whom it is.
    pub issuer: Option<String>,
    /// How long it is good.
    pub lasts: Duration,
    /// The name of the key that it asks to be held against.
    pub key_id: Option<String>,
}

/// A token with these claims, signed with the key of a file: a secret, or a private key in PEM.
///
/// # Errors
/// The file cannot be read or is no such key; the token would not be looked at.
pub fn make(key: &Path, order: &Order, unix: Duration) -> Result<String, Mistake> {
    let bytes = read_file(key, keys::LONGEST_FILE)?;
    let signer = keys::signer(&bytes).map_err(|fault| Mistake::Key(key.to_owned(), fault))?;
    if order.subscribe.len().max(order.publish.len()) > claims::MOST_PATTERNS {
        return Err(Mistake::Paths);
    }
    let token = signer.sign(order.key_id.as_deref(), &order.claims(unix)).ok_or(Mistake::Signing)?;
    if token.len() > jws::MOST_BYTES { Err(Mistake::Long) } else { Ok(token) }
}

impl Order {
    fn claims(&self, unix: Duration) -> Value {
        let audience = match &*self.audience {
            [one] => Some(Value::from(one.as_str())),
            list => (!list.is_empty()).then(|| Value::from(list)),
        };
        let paths = |list: &[Pattern]| {
            let texts: Vec<_> = list.iter().map(|pattern| Value::from(pattern.to_string())).collect();
            (!texts.is_empty()).then_some(Value::Array(texts))
        };
        let claims = [
            ("iss", self.issuer.as_deref().map(Value::from)),
            ("sub", self.subject.as_deref().map(Value::from)),
            ("aud", audience),
            ("iat", Some(unix.as_secs().into())),
            ("exp", Some(unix.saturating_add(self.lasts).as_secs().into())),
            ("subscribe", paths(&self.subscribe)),
            ("publish", paths(&self.publish)),
        ];
        let claims = claims.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(claims.collect::<Map<_, _>>())
    }
}

/// The name of a bearer, if it can be shown.
///
/// # Errors
/// What was expected.
pub fn subject(text: &str) -> Result<String, String> {
    let subject = claims::subject(text).map(String::from);
    subject.ok_or_else(|| "expected 1 to 128 bytes of text without control characters".to_owned())
}
