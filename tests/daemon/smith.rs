//! Tokens for tests, signed by `ring` alone: what is tested has no part in making them.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// What stands before the 32 bytes of a public key of Ed25519 (RFC 8410 section 4).
const ED25519: [u8; 12] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];

/// One who signs.
pub(crate) enum Smith {
    Secret(String),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Smith {
    /// By a secret of at least 32 bytes.
    pub(crate) fn secret(secret: &str) -> Self {
        Self::Secret(secret.to_owned())
    }

    /// By a new key.
    pub(crate) fn ed25519() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap()))
    }

    /// What the relay's file of this key holds.
    pub(crate) fn file(&self) -> String {
        match self {
            Self::Secret(secret) => format!("{secret}\n"),
            Self::Ed25519(pair) => {
                let body = BASE64.encode(&[&ED25519, pair.public_key().as_ref()].concat());
                format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
            }
        }
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let algorithm = match self {
            Self::Secret(_) => "HS256",
            Self::Ed25519(_) => "EdDSA",
        };
        let parts = [json!({ "alg": algorithm, "typ": "JWT" }), claims.clone()];
        let message = parts.map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes())).join(".");
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// The time of the calendar, since 1970.
pub(crate) fn unix() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}
