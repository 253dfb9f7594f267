//! The signatures themselves, by `ring`, behind the interface of `jsonwebtoken`.
//!
//! Owns which algorithms there are, and every call of that library that needs somebody to compute for it. Promises: it finds
//! this provider whatever is called first; a key serves its own algorithm and no other; nothing here panics; a code of HMAC
//! is compared in constant time.

use jsonwebtoken::{
    Algorithm as Named, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey, Header,
    crypto::{self, CryptoProvider, JwkUtils, JwtSigner, JwtVerifier},
    errors::{Error, ErrorKind, Result, new_error},
    jwk::ThumbprintHash,
    signature,
};
use ring::{
    digest, hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
    },
};

/// How a token is signed (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// HMAC with SHA-256, by a secret that both sides know.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// As a token names it, capitals and all.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    fn of_library(self) -> Named {
        match self {
            Self::Hs256 => Named::HS256,
            Self::Rs256 => Named::RS256,
            Self::Es256 => Named::ES256,
            Self::EdDsa => Named::EdDSA,
        }
    }
}

/// Key material that checks signatures of one algorithm.
#[derive(Clone)]
pub(super) struct Verifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier {
    /// `bytes` are a secret, an `RSAPublicKey` (RFC 8017), an uncompressed point, or the 32 bytes of Ed25519.
    pub(super) fn new(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let key = match algorithm {
            Algorithm::Hs256 => DecodingKey::from_secret(bytes),
            Algorithm::Rs256 => DecodingKey::from_rsa_der(bytes),
            Algorithm::Es256 => DecodingKey::from_ec_der(bytes),
            Algorithm::EdDsa => DecodingKey::from_ed_der(bytes),
        };
        Self { algorithm, key }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether this key made `signature`, in base64url, over `message`.
    pub(super) fn accepts(&self, message: &[u8], signature: &str) -> bool {
        install();
        let named = self.algorithm.of_library();
        crypto::verify(signature, message, &self.key, named).unwrap_or(false)
    }

    fn bytes(&self) -> &[u8] {
        bytes_of(&self.key).unwrap_or_default()
    }
}

impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.bytes() == other.bytes()
    }
}

impl Eq for Verifier {}

/// Key material that signs, by one algorithm.
pub(crate) struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    /// With a secret.
    pub(crate) fn secret(secret: &[u8]) -> Self {
        Self { algorithm: Algorithm::Hs256, key: EncodingKey::from_secret(secret) }
    }

    /// With a private key in PKCS#8 (RFC 5958), if it is one of RSA, P-256 or Ed25519.
    pub(crate) fn private(der: &[u8]) -> Option<Self> {
        let keys = [
            (Algorithm::EdDsa, EncodingKey::from_ed_der(der)),
            (Algorithm::Es256, EncodingKey::from_ec_der(der)),
            (Algorithm::Rs256, EncodingKey::from_rsa_der(der)),
        ];
        let fits = |(algorithm, key): &(Algorithm, EncodingKey)| signer(&algorithm.of_library(), key).is_ok();
        keys.into_iter().find(fits).map(|(algorithm, key)| Self { algorithm, key })
    }

    /// A token with these claims. `None` when the system has no random bytes, or the key does not sign.
    pub(crate) fn sign(&self, key_id: Option<&str>, claims: &serde_json::Value) -> Option<String> {
        install();
        let mut header = Header::new(self.algorithm.of_library());
        header.kid = key_id.map(ToOwned::to_owned);
        jsonwebtoken::encode(&header, claims, &self.key).ok()
    }
}

/// Random bytes for a secret; `None` when the system has none.
pub(crate) fn random_bytes() -> Option<[u8; 32]> {
    let bytes = ring::rand::generate(&SystemRandom::new()).ok()?;
    Some(bytes.expose())
}

/// The library keeps the first that is installed, and a panic in its place if it is asked before: hence before each call.
fn install() {
    // Err: it is there already.
    let _ = PROVIDER.install_default();
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    jwk_utils: JwkUtils {
        extract_rsa_public_key_components: |_| Err(no_jwk()),
        extract_ec_public_key_coordinates: |_, _| Err(no_jwk()),
        compute_digest,
    },
};

fn no_jwk() -> Error {
    new_error(ErrorKind::Provider("no JWK here".to_owned()))
}

fn compute_digest(data: &[u8], hash: ThumbprintHash) -> Vec<u8> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
    };
    digest::digest(algorithm, data).as_ref().to_vec()
}

/// The library's own `as_bytes` panics for a key that came as a JWK.
fn bytes_of(key: &DecodingKey) -> Option<&[u8]> {
    match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => Some(bytes),
        DecodingKeyKind::RsaModulusExponent { .. } => None,
    }
}

// --- verification ---------------------------------------------------------------------------------------------------

struct ByCode(hmac::Key);

struct ByPublicKey {
    algorithm: Named,
    key: UnparsedPublicKey<Vec<u8>>,
}

fn verifier(algorithm: &Named, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let bytes = bytes_of(key).ok_or_else(no_jwk)?;
    let how: &'static dyn VerificationAlgorithm = match (algorithm, key.family()) {
        (Named::HS256, AlgorithmFamily::Hmac) => {
            return Ok(Box::new(ByCode(hmac::Key::new(hmac::HMAC_SHA256, bytes))));
        }
        (Named::RS256, AlgorithmFamily::Rsa) => &RSA_PKCS1_2048_8192_SHA256,
        (Named::ES256, AlgorithmFamily::Ec) => &ECDSA_P256_SHA256_FIXED,
        (Named::EdDSA, AlgorithmFamily::Ed) => &ED25519,
        _ => return Err(new_error(ErrorKind::InvalidAlgorithm)),
    };
    let key = UnparsedPublicKey::new(how, bytes.to_vec());
    Ok(Box::new(ByPublicKey { algorithm: *algorithm, key }))
}

impl signature::Verifier<Vec<u8>> for ByCode {
    fn verify(&self, message: &[u8], code: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        hmac::verify(&self.0, message, code).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for ByCode {
    fn algorithm(&self) -> Named {
        Named::HS256
    }
}

impl signature::Verifier<Vec<u8>> for ByPublicKey {
    fn verify(&self, message: &[u8], made: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        self.key.verify(message, made).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for ByPublicKey {
    fn algorithm(&self) -> Named {
        self.algorithm
    }
}

// --- signing --------------------------------------------------------------------------------------------------------

enum Pen {
    Hs256(hmac::Key),
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair, SystemRandom),
    EdDsa(Ed25519KeyPair),
}

fn signer(algorithm: &Named, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    let bytes = key.inner();
    let pen = match (algorithm, key.family()) {
        (Named::HS256, AlgorithmFamily::Hmac) => Some(Pen::Hs256(hmac::Key::new(hmac::HMAC_SHA256, bytes))),
        (Named::RS256, AlgorithmFamily::Rsa) => RsaKeyPair::from_pkcs8(bytes).ok().map(Pen::Rs256),
        (Named::ES256, AlgorithmFamily::Ec) => {
            let random = SystemRandom::new();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &random);
            pair.ok().map(|pair| Pen::Es256(pair, random))
        }
        // What openssl makes has no public half in it to hold the private one against.
        (Named::EdDSA, AlgorithmFamily::Ed) => {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).ok().map(Pen::EdDsa)
        }
        _ => return Err(new_error(ErrorKind::InvalidAlgorithm)),
    };
    pen.map(|pen| Box::new(pen) as Box<dyn JwtSigner>).ok_or_else(|| new_error(ErrorKind::InvalidKeyFormat))
}

impl signature::Signer<Vec<u8>> for Pen {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let made = match self {
            Self::Hs256(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Self::Rs256(pair) => rsa_signature(pair, message),
            Self::Es256(pair, random) => pair.sign(random, message).ok().map(|made| made.as_ref().to_vec()),
            Self::EdDsa(pair) => Some(pair.sign(message).as_ref().to_vec()),
        };
        made.ok_or_else(signature::Error::new)
    }
}

fn rsa_signature(pair: &RsaKeyPair, message: &[u8]) -> Option<Vec<u8>> {
    let mut made = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut made).ok()?;
    Some(made)
}

impl JwtSigner for Pen {
    fn algorithm(&self) -> Named {
        match self {
            Self::Hs256(_) => Named::HS256,
            Self::Rs256(_) => Named::RS256,
            Self::Es256(..) => Named::ES256,
            Self::EdDsa(_) => Named::EdDSA,
        }
    }
}
