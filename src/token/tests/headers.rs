//! Headers (RFC 7515 section 4): what must be there, what must be understood, and what is nobody's business.

use super::{
    case::{Bench, Case, GOOD},
    smith::{Smith, gate_of},
};
use crate::token::{
    Algorithm,
    TokenFault::{Algorithm as NotOurs, Malformed, Signature},
};

/// Names of algorithms that are none here. Some are known elsewhere.
const FOREIGN: &[&str] = &[
    "none",
    "None",
    "nOnE",
    "NONE",
    "",
    " ",
    "HS384",
    "HS512",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES384",
    "ES512",
    "ES256K",
    "Ed25519",
    "Ed448",
    "EDDSA",
    "hs256",
    "rs256",
    "es256",
    "eddsa",
    "HS256 ",
    " RS256",
    "ES256\\n",
    "EdDSA\\u0000",
    "HS256,RS256",
    "dir",
    "A128KW",
    "RSA-OAEP",
    "HMAC",
    "SHA256",
];

/// Headers that are none, with `ALG` for the algorithm.
const BROKEN: &[&str] = &[
    "",
    "{",
    "{}",
    "[]",
    "null",
    "1",
    "\"ALG\"",
    "[{\"alg\":\"ALG\"}]",
    "{\"typ\":\"JWT\"}",
    "{\"ALG\":\"alg\"}",
    "{\"Alg\":\"ALG\"}",
    "{\"alg\":\"ALG\"",
    "{\"alg\":\"ALG\",}",
    "{\"alg\":\"ALG\"}x",
    "{\"alg\":\"ALG\"}{\"alg\":\"ALG\"}",
    "{'alg':'ALG'}",
    "{alg:\"ALG\"}",
    "{\"alg\":\"ALG\" /* so */}",
    "\u{FEFF}{\"alg\":\"ALG\"}",
    "{\"alg\":\"ALG\\\"}",
    "{\"alg\":\"ALG\",\"x\":NaN}",
    "{\"alg\":\"ALG\",\"x\":\"\u{1}\"}",
    "{\"alg\":null}",
    "{\"alg\":true}",
    "{\"alg\":256}",
    "{\"alg\":[\"ALG\"]}",
    "{\"alg\":{\"ALG\":1}}",
    "{\"alg\":\"ALG\",\"alg\":\"ALG\"}",
    "{\"alg\":\"none\",\"alg\":\"ALG\"}",
    "{\"alg\":\"ALG\",\"alg\":\"none\"}",
    "{\"alg\":\"ALG\",\"\\u0061lg\":\"none\"}",
    "{\"alg\":\"ALG\",\"typ\":\"JWT\",\"typ\":\"JWT\"}",
    "{\"alg\":\"ALG\",\"kid\":\"a\",\"kid\":\"b\"}",
    "{\"alg\":\"ALG\",\"kid\":1}",
    "{\"alg\":\"ALG\",\"kid\":null}",
    "{\"alg\":\"ALG\",\"kid\":[\"ALG\"]}",
    "{\"alg\":\"ALG\",\"crit\":[\"exp\"],\"exp\":1}",
    "{\"alg\":\"ALG\",\"crit\":[\"alg\"]}",
    "{\"alg\":\"ALG\",\"crit\":[\"b64\"],\"b64\":false}",
    "{\"alg\":\"ALG\",\"crit\":[\"b64\"],\"b64\":true}",
    "{\"alg\":\"ALG\",\"crit\":[]}",
    "{\"alg\":\"ALG\",\"crit\":\"exp\"}",
    "{\"alg\":\"ALG\",\"crit\":null}",
    "{\"alg\":\"ALG\",\"b64\":false}",
    "{\"alg\":\"ALG\",\"b64\":\"true\"}",
    "{\"alg\":\"ALG\",\"b64\":null}",
];

/// Headers that are as good as any, with `ALG` for the algorithm and `OTHER` for a key that is none of ours.
const GOOD_HEADERS: &[&str] = &[
    "{\"alg\":\"ALG\"}",
    " {\n\t\"alg\" : \"ALG\"\r\n} ",
    "{\"typ\":\"JWT\",\"alg\":\"ALG\"}",
    "{\"alg\":\"ALG\",\"typ\":\"jwt\"}",
    "{\"alg\":\"ALG\",\"typ\":\"at+jwt\"}",
    "{\"alg\":\"ALG\",\"typ\":null}",
    "{\"alg\":\"ALG\",\"cty\":\"example\"}",
    "{\"alg\":\"ALG\",\"b64\":true}",
    "{\"\\u0061lg\":\"ALG\"}",
    "{\"alg\":\"ALG\",\"kid\":\"ALG\"}",
    "{\"alg\":\"ALG\",\"kid\":\"nobody\"}",
    "{\"alg\":\"ALG\",\"kid\":\"\"}",
    "{\"alg\":\"ALG\",\"kid\":\"../../etc/passwd\"}",
    "{\"alg\":\"ALG\",\"kid\":\"' OR 1=1 --\"}",
    "{\"alg\":\"ALG\",\"jku\":\"https://evil.example/keys\"}",
    "{\"alg\":\"ALG\",\"jku\":5}",
    "{\"alg\":\"ALG\",\"x5u\":\"https://evil.example/chain\"}",
    "{\"alg\":\"ALG\",\"x5c\":[\"AAAA\"],\"x5t\":\"AAAA\",\"x5t#S256\":\"AAAA\"}",
    "{\"alg\":\"ALG\",\"jwk\":{\"kty\":\"oct\",\"k\":\"OTHER\"}}",
    "{\"alg\":\"ALG\",\"jwk\":null}",
    "{\"alg\":\"ALG\",\"iat\":1800000000,\"nested\":{\"a\":[1,{}]}}",
    "{\"alg\":\"ALG\",\"enc\":\"A128GCM\",\"zip\":\"DEF\"}",
    "{\"alg\":\"ALG\",\"Crit\":[\"exp\"]}",
    "{\"alg\":\"ALG\",\"x\":\"\\ud800\"}",
    "{\"alg\":\"ALG\",\"x\":1e999}",
];

pub fn cases(bench: &Bench) -> Vec<Case> {
    let mut cases = Vec::new();
    for (smith, stranger) in bench.smiths.iter().zip(&bench.strangers) {
        let name = smith.algorithm.name();
        let case = |smith: &Smith, header: &str| {
            let header = header.replace("ALG", name).replace("OTHER", &super::smith::encode(&stranger.file));
            Case::new(format!("{name}: header {header}"), smith.token(&header, GOOD), bench)
        };
        cases.extend(BROKEN.iter().map(|header| case(smith, header).refused(Malformed, 0)));
        let foreign = |alg: &&str| case(smith, &format!("{{\"alg\":\"{alg}\"}}")).refused(NotOurs, 0);
        cases.extend(FOREIGN.iter().map(foreign));
        cases.extend(GOOD_HEADERS.iter().map(|header| case(smith, header)));
        // Whoever is not known is not known whatever the header says.
        cases.extend(GOOD_HEADERS.iter().map(|header| case(stranger, header).refused(Signature, 1)));
        cases.extend(kinds_of_bytes(smith, bench));
        cases.extend(other_algorithms(smith, bench));
        cases.extend(names_of_keys(smith, stranger, bench));
    }
    cases
}

/// Headers that are no text, or more than anybody would look at.
fn kinds_of_bytes(smith: &Smith, bench: &Bench) -> Vec<Case> {
    let name = smith.algorithm.name();
    let members = |n: usize| (1..n).map(|nth| format!(",\"{nth}\":0")).collect::<String>();
    let many = |n| format!("{{\"alg\":\"{name}\"{}}}", members(n));
    let deep = format!("{{\"alg\":\"{name}\",\"x\":{}1{}}}", "[".repeat(2000), "]".repeat(2000));
    let fine = [many(32), deep]
        .map(|header| Case::new(format!("{name}: {}", &header[..40]), smith.token(&header, GOOD), bench));
    let table: [(&str, Vec<u8>); 4] = [
        (
            "a byte that is no UTF-8",
            format!("{{\"alg\":\"{name}\",\"x\":\"\0\"}}").replace('\0', "?").into_bytes(),
        ),
        ("nothing but zeros", vec![0; 40]),
        ("UTF-16", format!("{{\"alg\":\"{name}\"}}").encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("33 members", many(33).into_bytes()),
    ];
    let spoilt = |(what, mut header): (&str, Vec<u8>)| {
        header.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xFF);
        let message = super::smith::message(&header, GOOD.as_bytes());
        let token = format!("{message}.{}", super::smith::encode(&smith.sign(message.as_bytes())));
        Case::new(format!("{name}: header of {what}"), token, bench).refused(Malformed, 0)
    };
    table.into_iter().map(spoilt).chain(fine).collect()
}

/// The header names another algorithm than that of the key that signed: the key decides.
fn other_algorithms(smith: &Smith, bench: &Bench) -> Vec<Case> {
    let others = || Algorithm::ALL.into_iter().filter(|other| *other != smith.algorithm);
    let named = |other: Algorithm| smith.token(&format!("{{\"alg\":\"{}\"}}", other.name()), GOOD);
    let what = |other: Algorithm| format!("signed with {}, as {}", smith.algorithm.name(), other.name());
    let with_all = others().map(|other| Case::new(what(other), named(other), bench).refused(Signature, 1));
    let alone = others().map(|other| {
        let gate = gate_of([smith]);
        Case { gate, ..Case::new(what(other) + ", its key alone", named(other), bench) }.refused(NotOurs, 0)
    });
    let elsewhere = bench.smiths.iter().filter(|other| other.algorithm != smith.algorithm).map(|other| {
        let what = format!("{} before a gate for {}", smith.algorithm.name(), other.algorithm.name());
        let token = smith.token(&smith.header(), GOOD);
        Case { gate: gate_of([other]), ..Case::new(what, token, bench) }.refused(NotOurs, 0)
    });
    with_all.chain(alone).chain(elsewhere).collect()
}

/// `kid` picks one key; a name that no key has picks none.
fn names_of_keys(smith: &Smith, stranger: &Smith, bench: &Bench) -> Vec<Case> {
    let name = smith.algorithm.name();
    let mut gate = gate_of([]);
    gate.keys.add("old", &stranger.file).unwrap();
    gate.keys.add("new", &smith.file).unwrap();
    let other = bench.smiths.iter().find(|other| other.algorithm != smith.algorithm).unwrap();
    gate.keys.add("other", &other.file).unwrap();
    let case = |kid: &str, by: &Smith| {
        let header = format!("{{\"alg\":\"{name}\",\"kid\":\"{kid}\"}}");
        Case { gate: gate.clone(), ..Case::new(format!("{name}: kid {kid}"), by.token(&header, GOOD), bench) }
    };
    vec![
        case("new", smith),
        case("old", stranger),
        Case { tried: 2, ..case("neither", smith) },
        Case { tried: 1, ..case("neither", stranger) },
        case("old", smith).refused(Signature, 1),
        case("new", stranger).refused(Signature, 1),
        case("other", smith).refused(Signature, 0),
        case("NEW", other).refused(Signature, 2),
    ]
}
