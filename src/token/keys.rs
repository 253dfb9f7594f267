//! The keys that tokens are held against.
//!
//! Owns what a key file may hold and which keys are tried for a token. Promises: the type of a key decides what it verifies,
//! never the token; nothing that is public is taken for a secret; nobody is shown a key. Leaves to others: reading files.

use super::{
    Algorithm, TokenFault,
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
        (pem::is_der(bytes), BadKey::Der),
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

/// Why something is no key for tokens. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// There are as many as there may be.
    TooMany,
    /// Another one is called so.
    NameTwice,
    /// Too long for any key.
    Long,
    /// A secret of so many bytes.
    Short(usize),
    /// It begins with a byte order mark.
    Mark,
    /// JSON: a JWK, most likely.
    Json,
    /// DER, without PEM around it.
    Der,
    /// A key as `ssh-keygen` writes it.
    Ssh,
    /// A private key.
    Private,
    /// A certificate.
    Certificate,
    /// More keys than one.
    Several,
    /// PEM of something else, with its label.
    Label(String),
    /// PEM that is damaged.
    Broken,
    /// An RSA key of so many bits.
    RsaSize(usize),
    /// A key on another curve than P-256.
    Curve,
    /// A point with one coordinate.
    Compressed,
    /// A key for some other algorithm.
    Kind,
    /// To sign with: a public key, or something else that is no private one.
    NotPrivate,
    /// To sign with: a private key behind a password.
    Encrypted,
    /// To sign with: a private key in an older form.
    NoPkcs8,
    /// To sign with: a private key of another kind or size.
    NoPen,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TooMany => {
                "expected at most 16 keys. Take out those that no valid token is signed with any more"
            }
            Self::NameTwice => {
                "expected a name that no other key has (a file's, without its extension). Rename one of the two"
            }
            Self::Long => "expected a key, not a file of more than 8 KiB. See whether this is the right one",
            Self::Short(length) => {
                return write!(
                    f,
                    "expected a secret of at least 32 bytes, not of {length}. `wsrelayd token secret` makes one"
                );
            }
            Self::Mark => "expected no byte order mark before the key. Save the file as plain ASCII",
            Self::Json => {
                "expected a public key in PEM or a secret, not JSON. Turn a JWK into PEM; of a secret one, take the \
                 bytes of its `k`"
            }
            Self::Der => {
                "expected a key in PEM, not in DER. Turn it into PEM: openssl pkey -pubin -inform DER -in FILE -out \
                 PUBLIC.pem"
            }
            Self::Ssh => {
                "expected a key in PEM, not one of SSH. Turn it into PEM (RSA and P-256 only): ssh-keygen -e -m PKCS8 \
                 -f FILE > PUBLIC.pem"
            }
            Self::Private => {
                "expected a public key, not a private one: the relay signs nothing. Give it the other half: openssl \
                 pkey -in FILE -pubout -out PUBLIC.pem"
            }
            Self::Certificate => {
                "expected a public key, not a certificate: nobody looks at its dates and issuer here. Take the key out \
                 of it: openssl x509 -in FILE -pubkey -noout > PUBLIC.pem"
            }
            Self::Several => "expected one key in a file, not several. Make a file of each",
            Self::Label(label) => {
                return write!(
                    f,
                    "expected PEM that begins with BEGIN PUBLIC KEY, not with BEGIN {}. Write the public key with: \
                     openssl pkey -in FILE -pubout -out PUBLIC.pem",
                    label.escape_default()
                );
            }
            Self::Broken => {
                "expected a public key between the lines of PEM, and it is damaged. Compare with: openssl pkey -pubin \
                 -in FILE -text -noout"
            }
            Self::RsaSize(bits) => {
                return write!(
                    f,
                    "expected an RSA key of 2048 to 8192 bits, not of {bits}. Make a new one: openssl genpkey \
                     -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out PRIVATE.pem"
                );
            }
            Self::Curve => {
                "expected a key on the curve P-256 (for ES256), not on another. Make a new one: openssl genpkey \
                 -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out PRIVATE.pem"
            }
            Self::Compressed => {
                "expected a point with both coordinates. Write the key anew: openssl ec -pubin -in FILE -conv_form \
                 uncompressed -pubout -out PUBLIC.pem"
            }
            Self::Kind => {
                "expected a key of RSA (for RS256), P-256 (ES256) or Ed25519 (EdDSA), not for something else. Make a \
                 new one: openssl genpkey -algorithm ED25519 -out PRIVATE.pem"
            }
            Self::NotPrivate => "expected a private key or a secret to sign with: nothing else signs",
            Self::Encrypted => {
                "expected a private key without a password. Take it off: openssl pkey -in FILE -out PRIVATE.pem"
            }
            Self::NoPkcs8 => {
                "expected a private key that begins with BEGIN PRIVATE KEY. Write it anew: openssl pkcs8 -topk8 -nocrypt \
                 -in FILE -out PRIVATE.pem"
            }
            Self::NoPen => {
                "expected a private key of RSA (2048 to 4096 bits), P-256 or Ed25519. Make a new one: openssl genpkey \
                 -algorithm ED25519 -out PRIVATE.pem"
            }
        };
        f.write_str(text)
    }
}
