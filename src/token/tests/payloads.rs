//! Claims (RFC 7519 section 4.1) under a good signature; and under none, when nothing of them is told.

use super::{
    case::{Bench, Case},
    smith::Smith,
};
use crate::token::TokenFault::{self, Audience, Expired, Issuer, Malformed, NotYet, Signature};

/// Payloads that are none. `BASE` is what a good one has.
const BROKEN: &[&str] = &[
    "",
    " ",
    "null",
    "true",
    "0",
    "\"BASE\"",
    "[]",
    "[{}]",
    "{",
    "{BASE",
    "{BASE}}",
    "{BASE}\0",
    "{BASE} {BASE}",
    "{BASE,}",
    "{,BASE}",
    "\u{FEFF}{BASE}",
    "{BASE,\"x\":'y'}",
    "{BASE,\"x\":\"\\ud800\"}",
    "{BASE,\"x\":\"\n\"}",
    "{BASE,\"x\":01}",
    "{BASE,\"x\":tru}",
    "eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
    // A name that stands twice.
    "{BASE,\"exp\":1800000060,\"exp\":1800000060}",
    "{BASE,\"exp\":1,\"exp\":1800000060}",
    "{BASE,\"exp\":1800000060,\"exp\":1}",
    "{BASE,\"exp\":1800000060,\"\\u0065xp\":9999999999}",
    "{BASE,\"sub\":\"ann\",\"sub\":\"eve\"}",
    "{BASE,\"publish\":[],\"publish\":[\"/**\"]}",
    "{BASE,\"aud\":\"relay\"}",
    "{BASE,\"iss\":\"https://issuer.example\"}",
    "{BASE,\"x\":1,\"x\":1}",
    // Dates that are none.
    "{BASE,\"exp\":null}",
    "{BASE,\"exp\":true}",
    "{BASE,\"exp\":\"1800000060\"}",
    "{BASE,\"exp\":\"\"}",
    "{BASE,\"exp\":\"2027-01-15T08:01:00Z\"}",
    "{BASE,\"exp\":[1800000060]}",
    "{BASE,\"exp\":{\"at\":1800000060}}",
    "{BASE,\"exp\":NaN}",
    "{BASE,\"exp\":Infinity}",
    "{BASE,\"exp\":-Infinity}",
    "{BASE,\"exp\":1e309}",
    "{BASE,\"exp\":0x6B49D23C}",
    "{BASE,\"exp\":+1800000060}",
    "{BASE,\"exp\":1800000060.}",
    "{BASE,\"exp\":.5}",
    "{BASE,\"nbf\":null}",
    "{BASE,\"nbf\":false}",
    "{BASE,\"nbf\":\"1799999940\"}",
    "{BASE,\"nbf\":[]}",
    "{BASE,\"nbf\":{}}",
    "{BASE,\"nbf\":-1e309}",
    "{BASE,\"nbf\":NaN}",
    // Lists of paths that are none.
    "{BASE,\"publish\":null}",
    "{BASE,\"publish\":true}",
    "{BASE,\"publish\":\"/feed/a\"}",
    "{BASE,\"publish\":{\"/feed/a\":true}}",
    "{BASE,\"publish\":7}",
    "{BASE,\"publish\":[7]}",
    "{BASE,\"publish\":[null]}",
    "{BASE,\"publish\":[[\"/feed/a\"]]}",
    "{BASE,\"publish\":[\"/feed/a\",1]}",
    "{BASE,\"publish\":[\"\"]}",
    "{BASE,\"publish\":[\"feed\"]}",
    "{BASE,\"publish\":[\"*\"]}",
    "{BASE,\"publish\":[\"**\"]}",
    "{BASE,\"publish\":[\"/a*b\"]}",
    "{BASE,\"publish\":[\"/**/a\"]}",
    "{BASE,\"publish\":[\"/a//b\"]}",
    "{BASE,\"publish\":[\"/a/../b\"]}",
    "{BASE,\"publish\":[\"/a b\"]}",
    "{BASE,\"publish\":[\"/\\u00e4\"]}",
    "{BASE,\"publish\":[\"/a\\u0000\"]}",
    "{BASE,\"subscribe\":\"/feed/a\"}",
    "{BASE,\"subscribe\":[1]}",
    "{BASE,\"subscribe\":[\"feed\"]}",
    "{BASE,\"subscribe\":[\"/ok\",\"/a*\"]}",
    "{BASE,\"subscribe\":null,\"publish\":[]}",
];

/// Who a token is for and from, where that is not as asked.
const ADDRESSED: &[(&str, TokenFault)] = &[
    ("{\"iss\":\"https://issuer.example\"}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":\"\"}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":\"Relay\"}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":\"relay \"}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":\"relay-\"}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":\"rela\"}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":\"relay,relay-2\"}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":\"https://issuer.example\"}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":[]}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":[\"other\"]}", Audience),
    ("{\"iss\":\"https://issuer.example\",\"aud\":[\"other\",\"Relay\",\"\"]}", Audience),
    ("{\"iss\":\"https://evil.example\",\"aud\":\"other\"}", Audience),
    ("{\"aud\":\"relay\"}", Issuer),
    ("{\"aud\":\"relay\",\"iss\":\"\"}", Issuer),
    ("{\"aud\":\"relay\",\"iss\":\"relay\"}", Issuer),
    ("{\"aud\":\"relay\",\"iss\":\"https://issuer.example/\"}", Issuer),
    ("{\"aud\":\"relay\",\"iss\":\"https://issuer.example.evil.example\"}", Issuer),
    ("{\"aud\":\"relay\",\"iss\":\"HTTPS://issuer.example\"}", Issuer),
    ("{\"aud\":\"relay\",\"iss\":\"http://issuer.example\"}", Issuer),
    ("{\"aud\":[\"relay\"],\"iss\":\"https://evil.example\"}", Issuer),
    ("{\"aud\":\"relay\",\"iss\":null}", Malformed),
    ("{\"aud\":\"relay\",\"iss\":1}", Malformed),
    ("{\"aud\":\"relay\",\"iss\":[\"https://issuer.example\"]}", Malformed),
    ("{\"aud\":\"relay\",\"iss\":{\"https://issuer.example\":1}}", Malformed),
    ("{\"iss\":\"https://issuer.example\",\"aud\":null}", Malformed),
    ("{\"iss\":\"https://issuer.example\",\"aud\":1}", Malformed),
    ("{\"iss\":\"https://issuer.example\",\"aud\":true}", Malformed),
    ("{\"iss\":\"https://issuer.example\",\"aud\":{\"relay\":1}}", Malformed),
    ("{\"iss\":\"https://issuer.example\",\"aud\":[\"relay\",1]}", Malformed),
    ("{\"iss\":\"https://issuer.example\",\"aud\":[[\"relay\"]]}", Malformed),
    ("{\"iss\":\"https://issuer.example\",\"aud\":[null]}", Malformed),
    // The first of several.
    ("{\"exp\":1,\"nbf\":9999999999,\"aud\":\"other\",\"iss\":\"x\"}", Expired),
    ("{\"nbf\":9999999999,\"aud\":\"other\",\"iss\":\"x\"}", NotYet),
    ("{\"exp\":1,\"aud\":\"relay\",\"iss\":1}", Malformed),
];

/// As good as any.
const FINE: &[&str] = &[
    "{BASE}",
    " \r\n\t{ BASE } ",
    "{\"iss\":\"https://other.example\",\"aud\":\"relay-2\"}",
    "{\"iss\":\"https://issuer.example\",\"aud\":[\"relay\"]}",
    "{\"iss\":\"https://issuer.example\",\"aud\":[\"x\",\"relay-2\",\"y\"]}",
    "{\"iss\":\"https:\\/\\/issuer.example\",\"aud\":\"rel\\u0061y\"}",
    "{BASE,\"publish\":[],\"subscribe\":[]}",
    "{BASE,\"publish\":[\"/**\"]}",
    "{BASE,\"subscribe\":[\"/*\",\"/a/*/b\",\"/a/**\"]}",
    "{BASE,\"sub\":\"ann\"}",
    "{BASE,\"sub\":\"\"}",
    "{BASE,\"sub\":17}",
    "{BASE,\"sub\":null}",
    "{BASE,\"sub\":\"\\u0000\"}",
    "{BASE,\"iat\":9999999999,\"jti\":\"x\"}",
    "{BASE,\"iat\":\"never\",\"jti\":5}",
    "{BASE,\"realm_access\":{\"roles\":[\"a\",\"a\"]},\"x\":null}",
    "{BASE,\"nested\":{\"exp\":1,\"exp\":2}}",
    "{BASE,\"Exp\":1,\"EXP\":1}",
    "{BASE,\"exp\":1800000060}",
    "{BASE,\"exp\":1800000060.0}",
    "{BASE,\"exp\":1.80000006e9}",
    "{BASE,\"exp\":18000000600E-1}",
    "{BASE,\"exp\":18446744073709551615}",
    "{BASE,\"exp\":18446744073709551616}",
    "{BASE,\"exp\":1e300}",
    "{BASE,\"nbf\":-1}",
    "{BASE,\"nbf\":-1e300}",
    "{BASE,\"nbf\":-9223372036854775809}",
    "{BASE,\"nbf\":0}",
    "{BASE,\"nbf\":1e-300}",
];

/// A token without more is good with this.
const BASE: &str = "\"iss\":\"https://issuer.example\",\"aud\":\"relay\"";

pub fn cases(bench: &Bench) -> Vec<Case> {
    let pairs = bench.smiths.iter().zip(&bench.strangers);
    pairs.flat_map(|(smith, stranger)| cases_of(smith, stranger, bench)).collect()
}

fn cases_of(smith: &Smith, stranger: &Smith, bench: &Bench) -> Vec<Case> {
    let name = smith.algorithm.name();
    let mut cases = Vec::new();
    for (payload, expected) in table() {
        let case = |by: &Smith| {
            let start: String = payload.chars().take(200).collect();
            Case::new(format!("{name}: payload {start}"), by.token(&smith.header(), &payload), bench)
        };
        cases.push(Case { expected, ..case(smith) });
        cases.push(case(stranger).refused(Signature, 1));
    }
    cases.push(not_utf8(smith, bench));
    cases
}

/// Every payload of this file, and what becomes of it.
fn table() -> Vec<(String, Result<(), TokenFault>)> {
    let written = |payload: &str| payload.replace("BASE", BASE);
    let list = |n: usize| format!("{{{BASE},\"publish\":[{}]}}", vec!["\"/a\""; n].join(","));
    let deep = |n: usize| format!("{{{BASE},\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
    let broken = BROKEN.iter().map(|payload| (written(payload), Err(Malformed)));
    let addressed = ADDRESSED.iter().map(|(payload, fault)| ((*payload).to_owned(), Err(*fault)));
    let fine = FINE.iter().map(|payload| (written(payload), Ok(())));
    let sizes = [
        (list(64), Ok(())),
        (list(65), Err(Malformed)),
        (deep(100), Ok(())),
        (deep(130), Err(Malformed)),
        (deep(1500), Err(Malformed)),
        ("[".repeat(3000), Err(Malformed)),
    ];
    broken.chain(addressed).chain(fine).chain(sizes).collect()
}

fn not_utf8(smith: &Smith, bench: &Bench) -> Case {
    let payload = [b"{\"x\":\"", &b"\xFF"[..], b"\"}"].concat();
    let message = super::smith::message(smith.header().as_bytes(), &payload);
    let token = format!("{message}.{}", super::smith::encode(&smith.sign(message.as_bytes())));
    Case::new("a payload that is no UTF-8", token, bench).refused(Malformed, 1)
}
