//! The keys that tokens are held against.
//!
//! Owns what a key file may hold and which keys are tried for a token. Promises: the type of a key decides what it verifies,
//! never the token; nothing that is public is taken for a secret; nobody is shown a key. Leaves to others: reading files.

use super::{
    Algorithm, BadKey, TokenFault,
    crypto::{Signer, Verifier},
    jws::Jws,
    pem,
};
use std::fmt;

/// Keys at most: all of an algorithm may be tried for one token.
pub const MOST_KEYS: usize = 16;

/// Bytes of a secret: no less than the code it makes has (RFC 7518 section 3.2).
pub const LEAST_SECRET: usize = 32;

/// The longest key file. The longest key that is taken has a quarter of it.
pub const LONGEST_FILE: usize = 8 << 10;

/// Keys that signatures are held against.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

#[derive(Clone, PartialEq, Eq)]
struct Key {
    name: Box<str>,
    verifier: Verifier,
}

impl Keys {
    /// Adds a key: what a file holds, under the name that tokens may call it by (`kid`).
    ///
    /// A public key in PEM is for RS256, ES256 or EdDSA, whichever it is a key of; anything else is a secret for HS256, less
    /// one line end.
    ///
    /// # Errors
    /// This is no such key, and what to do about it; there is one of that name; there are 16.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), BadKey> {
        if self.0.len() >= MOST_KEYS {
            return Err(BadKey::TooMany);
        }
        if self.named(name).is_some() {
            return Err(BadKey::NameTwice);
        }
        let (algorithm, bytes) = read(bytes)?;
        self.0.push(Key { name: name.into(), verifier: Verifier::new(algorithm, &bytes) });
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What each is called, and the algorithm it is for: `feed (ES256)`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Key::title)
    }

    /// The title of the key that signed, after `tried` has counted each signature that was computed.
    ///
    /// # Errors
    /// `Algorithm`: no key is for the token's. `Signature`: none of those that are tried made it. The two say nothing of the
    /// names of the keys.
    pub(super) fn signer(&self, token: &Jws<'_>, tried: &mut usize) -> Result<String, TokenFault> {
        let fits = |key: &&Key| Some(key.verifier.algorithm()) == token.header.algorithm;
        if !self.0.iter().any(|key| fits(&key)) {
            return Err(TokenFault::Algorithm);
        }
        let meant = token.header.key_id.as_deref().and_then(|name| self.named(name));
        let candidates = match meant {
            Some(key) => std::slice::from_ref(key),
            None => &self.0,
        };
        let mut signed = candidates.iter().filter(fits).filter(|key| {
            *tried += 1;
            key.verifier.accepts(token.message.as_bytes(), token.signature)
        });
        signed.next().map(Key::title).ok_or(TokenFault::Signature)
    }

    fn named(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|key| *key.name == *name)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Key {
    fn title(&self) -> String {
        format!("{} ({})", self.name, self.verifier.algorithm().name())
    }
}

/// The algorithm that a file's key is for, and the key.
fn read(bytes: &[u8]) -> Result<(Algorithm, Vec<u8>), BadKey> {
    if bytes.len() > LONGEST_FILE {
        return Err(BadKey::Long);
    }
    if has_mark(bytes) {
        return Err(BadKey::Mark);
    }
    if pem::is_pem(bytes) {
        return pem::public_key(bytes);
    }
    secret(bytes).map(|secret| (Algorithm::Hs256, secret.to_vec()))
}

/// What signs with the key of a file: a secret, or a private key in PEM.
pub(crate) fn signer(bytes: &[u8]) -> Result<Signer, BadKey> {
    if bytes.len() > LONGEST_FILE {
        return Err(BadKey::Long);
    }
    if pem::is_pem(bytes) {
        return Signer::private(&pem::private_key(bytes)?).ok_or(BadKey::NoPen);
    }
    secret(bytes).map(Signer::secret)
}

/// The secret of a file.
fn secret(bytes: &[u8]) -> Result<&[u8], BadKey> {
    // A public key in a form that is not read here would be a secret that everybody knows.
    let looks = [
        (has_mark(bytes), BadKey::Mark),
        (bytes.trim_ascii_start().starts_with(b"{"), BadKey::Json),
        (pem::is_der(bytes) || pem::is_bare(bytes), BadKey::Der),
        (is_ssh(bytes), BadKey::Ssh),
    ];
    if let Some((_, look)) = looks.into_iter().find(|(is_so, _)| *is_so) {
        return Err(look);
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = if line.len() < bytes.len() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
    if line.len() < LEAST_SECRET { Err(BadKey::Short(line.len())) } else { Ok(line) }
}

/// A byte order mark, of any of the three forms in which an editor may have saved a key.
fn has_mark(bytes: &[u8]) -> bool {
    [&b"\xEF\xBB\xBF"[..], b"\xFF\xFE", b"\xFE\xFF"].iter().any(|mark| bytes.starts_with(mark))
}

fn is_ssh(bytes: &[u8]) -> bool {
    [&b"ssh-"[..], b"ecdsa-sha2-", b"sk-", b"---- BEGIN SSH2"].iter().any(|start| bytes.starts_with(start))
}
