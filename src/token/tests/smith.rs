//! Tokens for tests, signed by `ring` alone: what is tested has no part in making them.

use crate::token::{Algorithm, Gate, Keys};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use std::time::Duration;

/// When all tests take place.
pub const NOW: u64 = 1_800_000_000;

/// By how much clocks may be apart in tests.
pub const LEEWAY: u64 = 30;

pub const RSA_PRIVATE: &str = include_str!("../testdata/test-key-rsa-2048-private.pem");
pub const RSA_PUBLIC: &str = include_str!("../testdata/test-key-rsa-2048-public.pem");
pub const OTHER_RSA_PRIVATE: &str = include_str!("../testdata/test-key-rsa-other-private.pem");
pub const OTHER_RSA_PUBLIC: &str = include_str!("../testdata/test-key-rsa-other-public.pem");

/// One who signs.
pub struct Smith {
    pub algorithm: Algorithm,
    /// The file of the key that the relay has.
    pub file: Vec<u8>,
    pen: Pen,
}

enum Pen {
    Secret(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    /// In PKCS#8.
    P256(Vec<u8>),
    Ed(Ed25519KeyPair),
}

impl Smith {
    pub fn secret(secret: &[u8]) -> Self {
        Self { algorithm: Algorithm::Hs256, file: secret.to_vec(), pen: Pen::Secret(secret.to_vec()) }
    }

    pub fn rsa(private: &str, public: &str) -> Self {
        let pair = RsaKeyPair::from_pkcs8(&contents(private)).unwrap();
        Self { algorithm: Algorithm::Rs256, file: public.into(), pen: Pen::Rsa(Box::new(pair)) }
    }

    /// With a new key.
    pub fn p256() -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).unwrap();
        let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
        let file = public_pem(head, pair.public_key().as_ref());
        Self { algorithm: Algorithm::Es256, file, pen: Pen::P256(made.as_ref().to_vec()) }
    }

    /// With a new key.
    pub fn ed25519() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap();
        let file = public_pem("302a300506032b6570032100", pair.public_key().as_ref());
        Self { algorithm: Algorithm::EdDsa, file, pen: Pen::Ed(pair) }
    }

    /// One for each algorithm.
    pub fn all() -> Vec<Self> {
        let secret = Self::secret(b"a secret of the tests, long enough");
        vec![secret, Self::rsa(RSA_PRIVATE, RSA_PUBLIC), Self::p256(), Self::ed25519()]
    }

    /// One for each algorithm whose keys the relay does not have.
    pub fn strangers() -> Vec<Self> {
        let secret = Self::secret(b"another secret of the tests, as long");
        vec![secret, Self::rsa(OTHER_RSA_PRIVATE, OTHER_RSA_PUBLIC), Self::p256(), Self::ed25519()]
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pen {
            Pen::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Pen::Rsa(pair) => rsa(pair, &RSA_PKCS1_SHA256, message),
            Pen::P256(pkcs8) => p256(pkcs8, &ECDSA_P256_SHA256_FIXED_SIGNING, message),
            Pen::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The other form in which signatures of this key are written, if there is one: DER, or PSS.
    pub fn sign_otherwise(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.pen {
            Pen::Rsa(pair) => Some(rsa(pair, &RSA_PSS_SHA256, message)),
            Pen::P256(pkcs8) => Some(p256(pkcs8, &ECDSA_P256_SHA256_ASN1_SIGNING, message)),
            Pen::Secret(_) | Pen::Ed(_) => None,
        }
    }

    /// A token of these two texts.
    pub fn token(&self, header: &str, payload: &str) -> String {
        let message = message(header.as_bytes(), payload.as_bytes());
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", encode(&signature))
    }

    /// The header that everybody writes.
    pub fn header(&self) -> String {
        format!(r#"{{"alg":"{}","typ":"JWT"}}"#, self.algorithm.name())
    }
}

fn rsa(pair: &RsaKeyPair, how: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut made = vec![0; pair.public().modulus_len()];
    pair.sign(how, &SystemRandom::new(), message, &mut made).unwrap();
    made
}

fn p256(pkcs8: &[u8], how: &'static ring::signature::EcdsaSigningAlgorithm, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(how, pkcs8, &random).unwrap();
    pair.sign(&random, message).unwrap().as_ref().to_vec()
}

pub fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// What is signed of a token.
pub fn message(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", encode(header), encode(payload))
}

/// What stands between the lines of PEM.
pub fn contents(pem: &str) -> Vec<u8> {
    let lines = pem.lines().skip_while(|line| !line.starts_with("---")).skip(1);
    let body: String = lines.take_while(|line| !line.starts_with("---")).collect();
    BASE64.decode(body.as_bytes()).unwrap()
}

/// PEM of these bytes.
pub fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let body = BASE64.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into_bytes()
}

/// A public key behind what says, in hexadecimal, what it is.
pub fn public_pem(head: &str, key: &[u8]) -> Vec<u8> {
    let head = data_encoding::HEXLOWER.decode(head.as_bytes()).unwrap();
    pem("PUBLIC KEY", &[&head, key].concat())
}

/// A gate with the keys of these, called as their algorithms, and nothing else that it would hold tokens against.
pub fn gate_of<'s>(smiths: impl IntoIterator<Item = &'s Smith>) -> Gate {
    let mut keys = Keys::default();
    for smith in smiths {
        keys.add(smith.algorithm.name(), &smith.file).unwrap();
    }
    Gate { keys, leeway: Duration::from_secs(LEEWAY), ..Gate::default() }
}
