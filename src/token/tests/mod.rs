//! Tokens of every kind, good and bad, and the reason for which each is refused.

mod case;
mod headers;
mod key_files;
mod payloads;
mod signatures;
pub(crate) mod smith;
mod spoilt;
mod times;

use self::{
    case::{Bench, Case},
    smith::{NOW, Smith, gate_of},
};
use super::{Gate, Grant, TokenFault};
use std::time::Duration;

#[test]
fn each_algorithm_opens_the_gate() {
    let smiths = Smith::all();
    assert_eq!(smiths.len(), 4);
    let gate = gate_of(&smiths);
    for smith in &smiths {
        let token =
            smith.token(&smith.header(), r#"{"subscribe":["/feed/**"],"exp":1800000010.5,"sub":"ann"}"#);
        let grant = Grant {
            subscribe: vec!["/feed/**".parse().unwrap()],
            ends: Some(Duration::from_millis(1_800_000_040_500)),
            subject: Some("ann".into()),
            ..Grant::default()
        };
        assert_eq!(gate.judge(token.as_bytes(), Duration::from_secs(NOW)), (Ok(grant), 1));
    }
}

type Table = fn(&Bench) -> Vec<Case>;

/// Cases that a table has at least: one that has lost its rows is no table.
const LEAST: [(&str, usize, Table); 4] = [
    ("headers", 500, headers::cases),
    ("payloads", 1100, payloads::cases),
    ("times", 190, times::cases),
    ("signatures and texts", 500, signatures::cases),
];

#[test]
fn several_hundred_tokens_are_each_judged_for_the_right_reason() {
    let bench = Bench::new();
    let mut all = Vec::new();
    for (what, least, cases) in LEAST {
        let cases = cases(&bench);
        assert!(cases.len() >= least, "{what}: {}", cases.len());
        println!("{what}: {} cases", cases.len());
        all.extend(cases);
    }
    all.iter().for_each(Case::check);
    let count = |expected| all.iter().filter(|case| case.expected == expected).count();
    println!("{} tokens in all; accepted: {}", all.len(), count(Ok(())));
    for fault in TokenFault::ALL {
        println!("refused, {fault:?}: {}", count(Err(fault)));
        assert!(count(Err(fault)) >= 20, "{fault:?}");
    }
}

#[test]
fn without_keys_every_token_is_refused() {
    let bench = Bench::new();
    assert!(!bench.smiths.is_empty());
    for smith in &bench.smiths {
        let token = smith.token(&smith.header(), case::GOOD);
        let verdict = Gate::default().judge(token.as_bytes(), Duration::from_secs(NOW));
        assert_eq!(verdict, (Err(TokenFault::Algorithm), 0));
    }
}

#[test]
fn a_subject_that_cannot_be_shown_is_left_out() {
    let smith = Smith::ed25519();
    let gate = gate_of([&smith]);
    let [most, more] = [128, 129].map(|n| "x".repeat(n));
    let table = [
        ("\"ann\"".to_owned(), Some("ann")),
        ("\"\\u00e4\"".to_owned(), Some("\u{e4}")),
        (format!("\"{most}\""), Some(&*most)),
        (format!("\"{more}\""), None),
        ("\"\"".to_owned(), None),
        ("\"a\\nb\"".to_owned(), None),
        ("\"\\u001b[31m\"".to_owned(), None),
        ("\"\\u0085\"".to_owned(), None),
        ("5".to_owned(), None),
        ("[\"ann\"]".to_owned(), None),
    ];
    assert!(!table.is_empty());
    for (subject, shown) in table {
        let token = smith.token(&smith.header(), &format!("{{\"sub\":{subject}}}"));
        let (verdict, _) = gate.judge(token.as_bytes(), Duration::from_secs(NOW));
        assert_eq!(verdict.unwrap().subject.as_deref(), shown, "{subject}");
    }
}

#[test]
fn all_keys_of_an_algorithm_are_tried_and_counted() {
    let smiths: Vec<_> = (0..16_u8).map(|n| Smith::secret(&[b'A' + n; 32])).collect();
    let mut gate = Gate::default();
    for (nth, smith) in smiths.iter().enumerate() {
        gate.keys.add(&format!("key{nth}"), &smith.file).unwrap();
    }
    for (nth, smith) in smiths.iter().enumerate() {
        let token = smith.token(&smith.header(), "{}");
        let (verdict, tried) = gate.judge(token.as_bytes(), Duration::from_secs(NOW));
        assert_eq!((verdict.is_ok(), tried), (true, nth + 1));
    }
    let token = Smith::secret(&[99; 32]).token(r#"{"alg":"HS256"}"#, "{}");
    let refused = (Err(TokenFault::Signature), 16);
    assert_eq!(gate.judge(token.as_bytes(), Duration::from_secs(NOW)), refused);
}
