//! Target: a token and a path. Promises: whatever the bytes are, nothing panics, and no more signatures are computed than
//! there are keys; what is accepted was signed by one of the keys, over just these words, and its claims are as a naive
//! reader judges them; a token that was signed here is taken or refused as that reader says; what a pattern matches is what
//! a naive matcher says.

use crate::{
    rules::Pattern,
    token::{Gate, Grant, Keys, TokenFault},
};
use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use serde_json::Value;
use std::time::Duration;

const SECRETS: [&[u8]; 2] =
    [b"the first secret of the fuzz target.", b"the second secret of the fuzz target"];
const PUBLIC: [(&str, &str); 3] = [
    ("rsa", include_str!("../token/testdata/test-key-rsa-2048-public.pem")),
    ("p256", include_str!("../token/testdata/test-key-p256-public.pem")),
    ("ed25519", include_str!("../token/testdata/test-key-ed25519-public.pem")),
];

/// Tokens by the private halves of these.
const SIGNED: &str = include_str!("../token/testdata/test-tokens.txt");

const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 30;

/// Takes the first line for a path. What follows is a token as it is if it begins with `=`; else a header and a payload, a
/// line each, that are signed here with one of the secrets.
pub fn token(data: &[u8]) {
    let (path, rest) = line(data);
    let gate = gate();
    match rest.split_first() {
        Some((b'=', token)) => check_any(&gate, token, path),
        _ => {
            let (header, payload) = line(rest);
            check_signed(&gate, header, payload, path);
        }
    }
    check_key(rest);
}

/// Up to the line end, and behind it.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

fn gate() -> Gate {
    let mut gate = Gate {
        audience: vec!["relay".into()],
        issuers: vec!["here".into()],
        leeway: Duration::from_secs(LEEWAY),
        ..Gate::default()
    };
    let secrets = [("one", SECRETS[0]), ("two", SECRETS[1])];
    let public = PUBLIC.map(|(name, file)| (name, file.as_bytes()));
    for (name, file) in secrets.into_iter().chain(public) {
        gate.keys.add(name, file).expect("a key of the tests");
    }
    gate
}

/// What is accepted has a code by a secret; or says what one of the few tokens says that were signed for this.
fn check_any(gate: &Gate, token: &[u8], path: &[u8]) {
    let (verdict, tried) = gate.judge(token, Duration::from_secs(NOW));
    assert!(tried <= SECRETS.len(), "no algorithm has more keys");
    let Ok(grant) = verdict else { return };
    let token = std::str::from_utf8(token).expect("ASCII");
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let (header, payload) = message.split_once('.').expect("three parts");
    if read(&decode(header))["alg"] == "HS256" {
        assert!(SECRETS.iter().any(|secret| code(secret, message) == decode(signature)), "{token}");
    } else {
        assert!(SIGNED.lines().any(|signed| signed.starts_with(message)), "{token}");
    }
    check_grant(&grant, &decode(payload), path);
}

/// What was signed with a key of the gate is judged by its words alone.
fn check_signed(gate: &Gate, header: &[u8], payload: &[u8], path: &[u8]) {
    let message = format!("{}.{}", encode(header), encode(payload));
    let judge = |secret: &[u8]| {
        let token = format!("{message}.{}", encode(&code(secret, &message)));
        gate.judge(token.as_bytes(), Duration::from_secs(NOW))
    };
    let to_strangers = judge(b"nobody's").0.expect_err("nobody's signature");
    for (nth, secret) in SECRETS.iter().enumerate() {
        let (verdict, tried) = judge(secret);
        assert!(tried <= nth + 1);
        // Without a good signature nothing is said of what is signed.
        match (&verdict, to_strangers) {
            (Err(TokenFault::Malformed), TokenFault::Malformed | TokenFault::Signature) => {}
            (Err(TokenFault::Algorithm), told) => assert_eq!((told, tried), (TokenFault::Algorithm, 0)),
            (_, told) => assert_eq!(told, TokenFault::Signature),
        }
        match verdict {
            Ok(grant) => check_grant(&grant, payload, path),
            // The header has picked another key, or is for another algorithm.
            Err(TokenFault::Malformed | TokenFault::Algorithm | TokenFault::Signature) => {}
            Err(fault) => assert_eq!(naive_fault(&read(payload)), Some(fault)),
        }
    }
}

/// A file is a key or none, whatever it holds, and so is what it may be a part of.
fn check_key(file: &[u8]) {
    let body = data_encoding::BASE64.encode(file);
    for label in ["PUBLIC KEY", "RSA PUBLIC KEY", "PRIVATE KEY", "X"] {
        let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        let said = added(pem.as_bytes());
        assert!(!said.ends_with("(HS256)"), "PEM is no secret");
    }
    added(file);
}

fn added(file: &[u8]) -> String {
    let mut keys = Keys::default();
    match keys.add("key", file) {
        Ok(()) => keys.names().collect(),
        Err(fault) => fault.to_string(),
    }
}

// --- the naive reader -----------------------------------------------------------------------------------------------

fn check_grant(grant: &Grant, payload: &[u8], path: &[u8]) {
    let claims = read(payload);
    assert_eq!(naive_fault(&claims), None, "{claims}");
    let ends = claims["exp"].as_f64().filter(|ends| *ends < 1e11 - 30.0).map(|ends| ends + LEEWAY as f64);
    assert_eq!(grant.ends.is_some(), ends.is_some());
    let difference = grant.ends.map_or(0.0, |at| at.as_secs_f64()) - ends.unwrap_or(0.0);
    assert!(difference.abs() < 1e-3, "{difference}");
    let subject = grant.subject.as_deref();
    assert!(subject.is_none_or(|subject| claims["sub"] == subject && !subject.contains(char::is_control)));
    for (patterns, list) in [(&grant.subscribe, &claims["subscribe"]), (&grant.publish, &claims["publish"])] {
        let texts: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        assert!(texts.len() <= 64 && *list == Value::from(texts) || list.is_null() && patterns.is_empty());
        patterns.iter().for_each(|pattern| check_pattern(pattern, path));
    }
}

fn check_pattern(pattern: &Pattern, path: &[u8]) {
    let Ok(path) = std::str::from_utf8(path) else { return };
    let text = pattern.to_string();
    let [pattern_segments, segments]: [Vec<&str>; 2] = [text.split('/').collect(), path.split('/').collect()];
    assert_eq!(pattern.matches(path), naive_match(&pattern_segments, &segments), "{text} {path}");
}

fn naive_match(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        (["**"], [_, ..]) | ([], []) => true,
        (["*", pattern @ ..], [one, path @ ..]) => !one.is_empty() && naive_match(pattern, path),
        ([text, pattern @ ..], [one, path @ ..]) => text == one && naive_match(pattern, path),
        _ => false,
    }
}

/// Why claims do not hold at `NOW`, if they do not.
fn naive_fault(claims: &Value) -> Option<TokenFault> {
    let holds = |name: &str, wanted: &str| match &claims[name] {
        Value::Array(list) => list.iter().any(|one| *one == wanted),
        one => *one == wanted,
    };
    if claims["exp"].as_f64().is_some_and(|exp| exp <= (NOW - LEEWAY) as f64) {
        Some(TokenFault::Expired)
    } else if claims["nbf"].as_f64().is_some_and(|nbf| nbf > (NOW + LEEWAY) as f64) {
        Some(TokenFault::NotYet)
    } else if !holds("aud", "relay") {
        Some(TokenFault::Audience)
    } else {
        (!holds("iss", "here")).then_some(TokenFault::Issuer)
    }
}

fn read(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("JSON")
}

fn code(secret: &[u8], message: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref().to_vec()
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn decode(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url")
}
