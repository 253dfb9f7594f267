//! Signatures that are none, and texts that are no tokens (RFC 7515 sections 5.2 and 7.1).

use super::{
    case::{Bench, Case, GOOD},
    smith::{OTHER_RSA_PUBLIC, RSA_PUBLIC, Smith, contents, encode, message},
};
use crate::token::{
    Algorithm,
    TokenFault::{Malformed, Signature},
};

pub fn cases(bench: &Bench) -> Vec<Case> {
    let mut cases = secrets_that_are_public(bench);
    for smith in &bench.smiths {
        cases.extend(forged(smith, bench));
        cases.extend(texts(smith, bench));
        cases.extend(sizes(smith, bench));
    }
    cases
}

/// A public key is no secret, in whatever form somebody may have it.
fn secrets_that_are_public(bench: &Bench) -> Vec<Case> {
    let hmac = r#"{"alg":"HS256","typ":"JWT"}"#;
    let mut forms: Vec<(String, Vec<u8>)> = vec![
        ("nothing".into(), Vec::new()),
        ("a zero".into(), vec![0]),
        ("32 zeros".into(), vec![0; 32]),
        ("another's RSA key".into(), OTHER_RSA_PUBLIC.into()),
    ];
    for smith in bench.smiths.iter().filter(|smith| smith.algorithm != Algorithm::Hs256) {
        let (name, text) = (smith.algorithm.name(), String::from_utf8(smith.file.clone()).unwrap());
        let from_begin = &text[text.find("-----").unwrap()..];
        let der = contents(&text);
        forms.extend([
            (format!("{name} file"), text.clone().into_bytes()),
            (format!("{name} file without its first line"), from_begin.into()),
            (format!("{name} file without line end"), from_begin.trim_end().into()),
            (format!("{name} file with CRLF"), from_begin.replace('\n', "\r\n").into_bytes()),
            (format!("{name} on one line"), from_begin.replace('\n', "").into_bytes()),
            (format!("{name} in DER"), der.clone()),
            (format!("{name} itself"), der[der.len() - 32..].to_vec()),
            (format!("{name} in base64"), data_encoding::BASE64.encode(&der).into_bytes()),
        ]);
    }
    let forged = |(what, secret): (String, Vec<u8>)| {
        let token = Smith::secret(&secret).token(hmac, GOOD);
        Case::new(format!("HS256 with {what} for a secret"), token, bench).refused(Signature, 1)
    };
    forms.into_iter().map(forged).collect()
}

/// The right words under what is no signature of theirs.
fn forged(smith: &Smith, bench: &Bench) -> Vec<Case> {
    let header = smith.header();
    let words = message(header.as_bytes(), GOOD.as_bytes());
    let good = smith.sign(words.as_bytes());
    let half = good.len() / 2;
    let with = |change: fn(&mut Vec<u8>)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let mut made: Vec<(&str, Vec<u8>)> = vec![
        ("none", Vec::new()),
        ("one byte", vec![good[0]]),
        ("all but the first byte", good[1..].to_vec()),
        ("all but the last byte", good[..good.len() - 1].to_vec()),
        ("the first half", good[..half].to_vec()),
        ("the second half", good[half..].to_vec()),
        ("halves exchanged", [&good[half..], &good[..half]].concat()),
        ("twice", good.repeat(2)),
        ("a zero more", [&good[..], &[0]].concat()),
        ("a zero before", [&[0], &good[..]].concat()),
        ("backwards", with(|made| made.reverse())),
        ("zeros", vec![0; good.len()]),
        ("ones", vec![0xFF; good.len()]),
        ("one and zeros", with(|made| (made.fill(0), made[0] = 1).0)),
        ("zeros and one", with(|made| (made.fill(0), *made.last_mut().unwrap() = 1).0)),
        ("text of it", encode(&good).into_bytes()),
        ("hexadecimal of it", data_encoding::HEXLOWER.encode(&good).into_bytes()),
        ("of the payload", smith.sign(encode(GOOD.as_bytes()).as_bytes())),
        ("of the payload as it was", smith.sign(GOOD.as_bytes())),
        ("of the header", smith.sign(encode(header.as_bytes()).as_bytes())),
        ("of nothing", smith.sign(b"")),
        ("of another dot", smith.sign(format!("{words}.").as_bytes())),
        ("of the parts exchanged", smith.sign(message(GOOD.as_bytes(), header.as_bytes()).as_bytes())),
        ("of other claims", smith.sign(message(header.as_bytes(), b"{}").as_bytes())),
    ];
    if let Some(other) = smith.sign_otherwise(words.as_bytes()) {
        made.push(("in the other form (DER, PSS)", other));
    }
    if smith.algorithm == Algorithm::EdDsa {
        made.push(("with the order added", [&good[..32], &plus_order(&good[32..])].concat()));
    }
    let case = |(what, signature): (&str, Vec<u8>)| {
        let what = format!("{}: signature {what}", smith.algorithm.name());
        Case::new(what, format!("{words}.{}", encode(&signature)), bench).refused(Signature, 1)
    };
    let strangers = bench.strangers.iter().map(|stranger| {
        let what =
            format!("{}: signature of a stranger's {}", smith.algorithm.name(), stranger.algorithm.name());
        let signature = stranger.sign(words.as_bytes());
        Case::new(what, format!("{words}.{}", encode(&signature)), bench).refused(Signature, 1)
    });
    made.into_iter().map(case).chain(strangers).collect()
}

/// The same number modulo the order of Ed25519's group (RFC 8032 section 5.1.7: such an S is refused).
fn plus_order(number: &[u8]) -> Vec<u8> {
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = data_encoding::HEXLOWER.decode(order.as_bytes()).unwrap();
    let mut carry = 0;
    let sum = number.iter().zip(&order).map(|(a, b)| {
        let sum = u16::from(*a) + u16::from(*b) + carry;
        carry = sum >> 8;
        sum as u8
    });
    sum.collect()
}

/// What is not three parts in base64url.
fn texts(smith: &Smith, bench: &Bench) -> Vec<Case> {
    let token = smith.token(&smith.header(), GOOD);
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { unreachable!() };
    let json = format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#);
    let mut spoilt: Vec<(String, Vec<u8>)> = [
        ("nothing", String::new()),
        ("a dot", ".".into()),
        ("two dots", "..".into()),
        ("three dots", "...".into()),
        ("letters", "a.b.c".into()),
        ("no header", format!(".{payload}.{signature}")),
        ("one part", header.into()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{token}.{signature}")),
        ("five parts, as of a JWE", format!("{header}.{payload}.{payload}.{signature}.{signature}")),
        ("a dot before", format!(".{token}")),
        ("a dot behind", format!("{token}.")),
        ("two dots between", format!("{header}..{payload}.{signature}")),
        ("a comma for a dot", token.replacen('.', ",", 1)),
        ("Bearer before", format!("Bearer {token}")),
        ("bearer. before", format!("bearer.{token}")),
        ("quotes", format!("\"{token}\"")),
        ("JSON serialization", json),
        ("parts exchanged", format!("{payload}.{header}.{signature}")),
        ("twice", format!("{token}{token}")),
        ("twice with a comma", format!("{token},{token}")),
        ("a dot as %2E", token.replace('.', "%2E")),
        ("the plain JSON", format!("{}.{GOOD}.{signature}", smith.header())),
        ("a byte order mark", format!("\u{FEFF}{token}")),
        ("a letter that is none of ASCII", token.replacen('.', ".\u{e4}", 1)),
        ("a full-width dot", token.replacen('.', "\u{ff0e}", 1)),
    ]
    .map(|(what, text)| (what.to_owned(), text.into_bytes()))
    .into();
    spoilt.extend(foreign_letters(&parts));
    let name = smith.algorithm.name();
    let case = |(what, text): (String, Vec<u8>)| {
        Case::new(format!("{name}: {what}"), text, bench).refused(Malformed, 0)
    };
    let unsigned = Case::new("no payload", format!("{header}..{signature}"), bench).refused(Signature, 1);
    let loose = loose_ends(&token).map(|text| Case::new("bits left over", text, bench).refused(Malformed, 0));
    spoilt.into_iter().map(case).chain([unsigned]).chain(loose).collect()
}

/// A token of these parts with something in one of them that is no letter of the alphabet.
fn foreign_letters(parts: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut spoilt = Vec::new();
    for (nth, part) in ["header", "payload", "signature"].into_iter().enumerate() {
        let inserted = |what: &str, bytes: &[u8], before: bool| {
            let mut parts: Vec<Vec<u8>> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
            let at = if before { 1 } else { parts[nth].len() };
            parts[nth].splice(at..at, bytes.iter().copied());
            (format!("{what} in the {part}"), parts.join(&b'.'))
        };
        let bytes: [(&str, &[u8]); 12] = [
            ("padding", b"="),
            ("two of padding", b"=="),
            ("+ of the other alphabet", b"+aaa"),
            ("/ of the other alphabet", b"/aaa"),
            ("a space", b" "),
            ("a line end", b"\n"),
            ("a tab", b"\t"),
            ("NUL", b"\0"),
            ("DEL", b"\x7F"),
            ("a byte above ASCII", b"\xFF"),
            ("~", b"~"),
            ("a colon", b":"),
        ];
        spoilt.extend(
            bytes.iter().flat_map(|(what, bytes)| [true, false].map(|before| inserted(what, bytes, before))),
        );
    }
    spoilt
}

/// The same signature in other letters: the last one has bits that say nothing, and they are zero (RFC 4648 section 3.5).
fn loose_ends(token: &str) -> Option<String> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let spare = token.rsplit('.').next()?.len() % 4;
    let last = alphabet.find(token.chars().last()?)?;
    let other = alphabet.get(last + 1..last + 2).filter(|_| spare != 0)?;
    Some(token[..token.len() - 1].to_owned() + other)
}

/// The longest token that is looked at, and longer ones.
fn sizes(smith: &Smith, bench: &Bench) -> Vec<Case> {
    let of = |filling: usize| {
        let payload = GOOD.replacen('{', &format!("{{\"x\":\"{}\",", "y".repeat(filling)), 1);
        smith.token(&smith.header(), &payload)
    };
    let most = (1..6000).rev().find(|filling| of_length(of(0).len(), *filling) <= 8192).unwrap();
    let fits = of(most - 20);
    assert!((8000..=8192).contains(&fits.len()), "{}", fits.len());
    let name = smith.algorithm.name();
    let huge = ["a", ".", "a.", "\0", "eyJ"].map(|text| text.repeat(1 << 20));
    let mut cases = vec![
        Case::new(format!("{name}: as long as may be"), fits, bench),
        Case::new(format!("{name}: too long"), of(most + 20), bench).refused(Malformed, 0),
    ];
    let case = |text: String| {
        Case::new(format!("{name}: a million of {}", &text[..1]), text, bench).refused(Malformed, 0)
    };
    cases.extend(huge.map(case));
    cases
}

/// How long a token gets, about, whose payload grows by so much.
fn of_length(length: usize, filling: usize) -> usize {
    length + filling * 4 / 3
}

/// The file that the test of the keys reads is the one that this one signs with.
#[test]
fn the_rsa_key_is_the_one_of_the_file() {
    assert!(contents(RSA_PUBLIC).len() > 290 && contents(RSA_PUBLIC) != contents(OTHER_RSA_PUBLIC));
}
