//! The compact form of a signed token (RFC 7515 section 7.1), taken apart and not yet believed.

use super::{TokenFault, header::Header, object::Object};
use data_encoding::BASE64URL_NOPAD;

/// The longest token that is looked at. No request head is longer.
pub(crate) const MOST_BYTES: usize = 8 << 10;

/// A token's parts. Whoever wrote it may have written anything.
#[derive(Debug)]
pub(crate) struct Jws<'t> {
    /// What is signed: header and payload as they stand.
    pub(super) message: &'t str,
    /// In base64url.
    pub(super) signature: &'t str,
    pub(super) header: Header,
    header_text: Vec<u8>,
    payload: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// # Errors
    /// `Malformed`: these are not three parts in base64url without padding, of which the first is a header.
    pub(crate) fn read(token: &'t [u8]) -> Result<Self, TokenFault> {
        Self::taken_apart(token).ok_or(TokenFault::Malformed)
    }

    fn taken_apart(token: &'t [u8]) -> Option<Self> {
        if token.len() > MOST_BYTES {
            return None;
        }
        let (message, signature) = std::str::from_utf8(token).ok()?.rsplit_once('.')?;
        // A dot too many is no letter of the alphabet.
        let (header, payload) = message.split_once('.')?;
        let [header_text, payload, _] = [decode(header)?, decode(payload)?, decode(signature)?];
        let header = Header::read(&header_text)?;
        Some(Self { message, signature, header, header_text, payload })
    }

    /// All that the header says, to be shown; `None` where that is more than may be.
    pub(crate) fn whole_header(&self) -> Option<Object> {
        Object::read(&self.header_text)
    }

    /// # Errors
    /// `Malformed`: the payload is no object.
    pub(crate) fn claims(&self) -> Result<Object, TokenFault> {
        Object::read(&self.payload).ok_or(TokenFault::Malformed)
    }
}

fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(part.as_bytes()).ok()
}
