//! The compact form of a signed token (RFC 7515 section 7.1), taken apart and not yet believed.

use super::{Algorithm, TokenFault, object::Object};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

/// The longest token that is looked at. No request head is longer.
pub(crate) const MOST_BYTES: usize = 8 << 10;

/// A token's parts. Whoever wrote it may have written anything.
#[derive(Debug)]
pub(crate) struct Jws<'t> {
    /// What is signed: header and payload as they stand.
    pub(super) message: &'t str,
    /// In base64url.
    pub(super) signature: &'t str,
    /// As its header names it, if it is one of ours.
    pub(super) algorithm: Option<Algorithm>,
    /// The name of a key, for what it is worth.
    pub(super) key_id: Option<String>,
    pub(crate) header: Object,
    payload: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// # Errors
    /// `Malformed`: these are not three parts in base64url without padding, the first is no object, has no `alg`, or says
    /// something that must be understood and is not (`crit`, RFC 7515 section 4.1.11; `b64`, RFC 7797 section 7).
    pub(crate) fn read(token: &'t [u8]) -> Result<Self, TokenFault> {
        Self::taken_apart(token).ok_or(TokenFault::Malformed)
    }

    fn taken_apart(token: &'t [u8]) -> Option<Self> {
        let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= MOST_BYTES)?;
        let (message, signature) = token.rsplit_once('.')?;
        // A dot too many is no letter of the alphabet.
        let (header, payload) = message.split_once('.')?;
        let [header, payload, _] = [decode(header)?, decode(payload)?, decode(signature)?];
        let header = Object::read(&header)?;
        let (algorithm, key_id) = read_header(&header)?;
        Some(Self { message, signature, algorithm, key_id, header, payload })
    }

    /// # Errors
    /// `Malformed`: the payload is no object.
    pub(crate) fn claims(&self) -> Result<Object, TokenFault> {
        Object::read(&self.payload).ok_or(TokenFault::Malformed)
    }
}

/// The algorithm and the name of the key. Keys that a header brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) are no
/// keys of ours.
fn read_header(header: &Object) -> Option<(Option<Algorithm>, Option<String>)> {
    if header.get("crit").is_some() || header.get("b64").is_some_and(|b64| *b64 != Value::Bool(true)) {
        return None;
    }
    let algorithm = header.get("alg")?.as_str()?;
    let key_id = match header.get("kid") {
        None => None,
        Some(name) => Some(name.as_str()?.to_owned()),
    };
    Some((Algorithm::named(algorithm), key_id))
}

fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(part.as_bytes()).ok()
}
