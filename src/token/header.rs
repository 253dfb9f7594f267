//! The header of a token (RFC 7515 section 4), read before anybody knows who wrote it: what matters of it and no more.

use super::Algorithm;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Members at most. More only make work.
const MOST_MEMBERS: usize = 32;

/// What of a header is looked at. Keys that it brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) are no keys of ours.
#[derive(Debug)]
pub(super) struct Header {
    /// If it is one of ours.
    pub(super) algorithm: Option<Algorithm>,
    /// The name of a key, for what it is worth.
    pub(super) key_id: Option<String>,
}

impl Header {
    /// `None`: it is no object, or has a name twice; it has no `alg`; it says something that must be understood and is not
    /// (`crit`, RFC 7515 section 4.1.11; `b64`, RFC 7797 section 7).
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        // Not all of it is read as text below.
        serde_json::from_str(std::str::from_utf8(json).ok()?).ok()
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Header, A::Error> {
        let (mut names, mut algorithm, mut key_id) = (Vec::<String>::new(), None::<String>, None);
        while let Some(name) = members.next_key::<String>()? {
            if names.len() == MOST_MEMBERS || names.contains(&name) {
                return Err(A::Error::custom("a name that stands twice, or too many of them"));
            }
            match &*name {
                "alg" => algorithm = Some(members.next_value()?),
                "kid" => key_id = Some(members.next_value()?),
                "crit" => return Err(A::Error::custom("what must be understood")),
                "b64" if !members.next_value::<bool>()? => return Err(A::Error::custom("no base64")),
                "b64" => {}
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
            names.push(name);
        }
        let algorithm = algorithm.ok_or_else(|| A::Error::missing_field("alg"))?;
        Ok(Header { algorithm: Algorithm::named(&algorithm), key_id })
    }
}
