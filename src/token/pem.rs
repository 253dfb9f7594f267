//! Public keys in PEM (RFC 7468), as `openssl` and everybody else write them.
//!
//! Owns what is taken for PEM and which of its keys are ours. Promises: what is no public key of a known kind is refused
//! with what to do; nothing is taken for a key that `ring` would take for none. Leaves to others: secrets (`keys`).

use super::{Algorithm, BadKey};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Algorithms as a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7) names them, parameters and all.
const RSA: &[u8] = b"\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01\x05\x00";
const EC: &[u8] = b"\x06\x07\x2A\x86\x48\xCE\x3D\x02\x01";
const P256: &[u8] = b"\x06\x07\x2A\x86\x48\xCE\x3D\x02\x01\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01\x07";
const ED25519: &[u8] = b"\x06\x03\x2B\x65\x70";

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 3;
const INTEGER: u8 = 2;

/// What `ring` takes.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const LONGEST_EXPONENT: u64 = (1 << 33) - 1;

/// Whether this is PEM of whatever, be it within something else: it begins somewhere as PEM does.
pub(super) fn is_pem(text: &[u8]) -> bool {
    text.windows(BEGIN.len()).any(|piece| piece == BEGIN.as_bytes())
}

/// Whether this is what stands between the two lines of PEM, without them.
pub(super) fn is_bare(text: &[u8]) -> bool {
    let digits: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let forms = [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD];
    forms.iter().any(|form| form.decode(&digits).is_ok_and(|bytes| is_der(&bytes)))
}

/// The algorithm that the one public key of this text is for, and the key as its verifier takes it.
pub(super) fn public_key(text: &[u8]) -> Result<(Algorithm, Vec<u8>), BadKey> {
    let (label, der) = block(text)?;
    match label {
        "PUBLIC KEY" => {
            let (algorithm, key) = info(&der).ok_or(BadKey::Broken)?;
            Ok((of_kind(algorithm, key)?, key.to_vec()))
        }
        "RSA PUBLIC KEY" => Ok((check_rsa(&der)?, der)),
        _ => Err(unfit(label)),
    }
}

/// The private key of this text in PKCS#8, if it holds one and nothing else.
pub(crate) fn private_key(text: &[u8]) -> Result<Vec<u8>, BadKey> {
    let (label, der) = block(text)?;
    match label {
        "PRIVATE KEY" => Ok(der),
        "ENCRYPTED PRIVATE KEY" => Err(BadKey::Encrypted),
        label if label.ends_with("PRIVATE KEY") => Err(BadKey::NoPkcs8),
        _ => Err(BadKey::NotPrivate),
    }
}

/// The label and the contents of the one block.
fn block(text: &[u8]) -> Result<(&str, Vec<u8>), BadKey> {
    let text = std::str::from_utf8(text).map_err(|_| BadKey::Broken)?;
    let lines = || text.split(['\n', '\r']).map(str::trim);
    let mut labels = lines().filter_map(|line| line.strip_prefix(BEGIN)?.strip_suffix(DASHES));
    let label = labels.next().ok_or(BadKey::Broken)?;
    if let Some(other) = labels.next() {
        // With a private key come its parameters; with a certificate those that vouch for it.
        let label = if other.ends_with("PRIVATE KEY") { other } else { label };
        return Err(if label.ends_with("PUBLIC KEY") { BadKey::Several } else { unfit(label) });
    }
    let end = format!("{END}{label}{DASHES}");
    let inside = || lines().skip_while(|line| !line.starts_with(BEGIN)).skip(1);
    if !inside().any(|line| line == end) {
        return Err(BadKey::Broken);
    }
    let body: String = inside().take_while(|line| *line != end).collect();
    let der = BASE64.decode(body.as_bytes());
    // What is encrypted has lines of its own before the base64.
    der.map(|der| (label, der))
        .map_err(|_| if label.contains("PRIVATE") { unfit(label) } else { BadKey::Broken })
}

fn unfit(label: &str) -> BadKey {
    match label {
        label if label.ends_with("PRIVATE KEY") => BadKey::Private,
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => BadKey::Certificate,
        label => BadKey::Label(label.chars().take(40).collect()),
    }
}

/// Algorithm and key of a `SubjectPublicKeyInfo`.
fn info(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let info = whole(der, SEQUENCE)?;
    let (algorithm, rest) = element(info, SEQUENCE)?;
    // No bit of the last byte is unused.
    let key = whole(rest, BIT_STRING)?.strip_prefix(b"\0")?;
    Some((algorithm, key))
}

fn of_kind(algorithm: &[u8], key: &[u8]) -> Result<Algorithm, BadKey> {
    match (algorithm, key) {
        (RSA, key) => check_rsa(key),
        (P256, [4, point @ ..]) if point.len() == 64 => Ok(Algorithm::Es256),
        (P256, [2 | 3, x @ ..]) if x.len() == 32 => Err(BadKey::Compressed),
        (ED25519, key) if key.len() == 32 => Ok(Algorithm::EdDsa),
        (P256 | ED25519, _) => Err(BadKey::Broken),
        (algorithm, _) if algorithm.starts_with(EC) => Err(BadKey::Curve),
        _ => Err(BadKey::Kind),
    }
}

/// Holds an `RSAPublicKey` (RFC 8017 appendix A.1.1) against what can be verified with.
fn check_rsa(der: &[u8]) -> Result<Algorithm, BadKey> {
    let (modulus, exponent) = rsa_numbers(der).ok_or(BadKey::Broken)?;
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    if !RSA_BITS.contains(&bits) {
        return Err(BadKey::RsaSize(bits));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    let exponent =
        exponent.iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)));
    let is_fit = |exponent: u64| exponent % 2 == 1 && (3..=LONGEST_EXPONENT).contains(&exponent);
    if is_odd(modulus) && exponent.is_some_and(is_fit) { Ok(Algorithm::Rs256) } else { Err(BadKey::Broken) }
}

/// Modulus and exponent, neither empty, without leading zeros.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let numbers = whole(der, SEQUENCE)?;
    let (modulus, rest) = element(numbers, INTEGER)?;
    Some((positive(modulus)?, positive(whole(rest, INTEGER)?)?))
}

/// A number above zero in the least bytes (X.690 section 8.3).
fn positive(number: &[u8]) -> Option<&[u8]> {
    match number {
        [0, 0x80..=0xFF, ..] => Some(&number[1..]),
        [1..=0x7F, ..] => Some(number),
        _ => None,
    }
}

/// The contents of the one element that this is.
fn whole(der: &[u8], tag: u8) -> Option<&[u8]> {
    element(der, tag).filter(|(_, rest)| rest.is_empty()).map(|(contents, _)| contents)
}

/// The contents of the first element (X.690 section 8.1), and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der.strip_prefix([tag].as_slice())? {
        [short @ 0..=0x7F, rest @ ..] => (usize::from(*short), rest),
        [0x81, long @ 0x80..=0xFF, rest @ ..] => (usize::from(*long), rest),
        [0x82, high @ 1..=0xFF, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Whether this is one element of DER and nothing else: a key, but not in PEM.
pub(super) fn is_der(bytes: &[u8]) -> bool {
    whole(bytes, SEQUENCE).is_some()
}
