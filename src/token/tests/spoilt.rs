//! Good tokens with something changed: none is good then, whatever it is.

use super::{
    case::{Bench, GOOD},
    smith::{NOW, Smith},
};
use crate::token::TokenFault::{self, Algorithm, Malformed, Signature};
use std::time::Duration;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn verdict(bench: &Bench, token: &[u8]) -> Option<TokenFault> {
    bench.gate.judge(token, Duration::from_secs(NOW)).0.err()
}

/// What may be said of a token of which the byte at `at` is another one than in the good one.
fn may_be(fault: TokenFault, token: &[u8], good: &[u8], at: usize) -> bool {
    if good[at] == b'.' {
        return fault == Malformed;
    }
    let part = token[..at].iter().filter(|byte| **byte == b'.').count();
    let is_letter = ALPHABET.contains(&token[at]);
    match fault {
        Malformed => !is_letter || part != 1 || token[at..].iter().position(|byte| *byte == b'.') == Some(1),
        Algorithm => is_letter && part == 0,
        Signature => is_letter,
        _ => false,
    }
}

#[test]
fn a_flipped_bit_anywhere_spoils_a_token() {
    let bench = Bench::new();
    let mut flipped = 0;
    for smith in &bench.smiths {
        let good = smith.token(&smith.header(), GOOD).into_bytes();
        assert_eq!(verdict(&bench, &good), None);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut token = good.clone();
                token[at] ^= 1 << bit;
                let fault = verdict(&bench, &token).expect("a spoilt token is refused");
                let letter = char::from(token[at]);
                assert!(
                    may_be(fault, &token, &good, at),
                    "{}, byte {at} now {letter:?}: {fault:?}",
                    smith.algorithm.name()
                );
                flipped += 1;
            }
        }
    }
    println!("{flipped} flipped bits, none accepted");
    assert!(flipped > 10_000);
}

#[test]
fn a_token_cut_anywhere_is_none() {
    let bench = Bench::new();
    let mut cut = 0;
    for smith in &bench.smiths {
        let good = smith.token(&smith.header(), GOOD).into_bytes();
        let pieces = (0..good.len()).map(|at| &good[..at]).chain((1..good.len()).map(|at| &good[at..]));
        for piece in pieces {
            assert!(verdict(&bench, piece).is_some(), "{}", String::from_utf8_lossy(piece));
            cut += 1;
        }
    }
    println!("{cut} pieces, none accepted");
    assert!(cut > 2000);
}

#[test]
fn parts_of_two_good_tokens_make_none() {
    let bench = Bench::new();
    let tokens: Vec<_> = bench.smiths.iter().flat_map(|smith| two(smith).into_iter()).collect();
    let parts: Vec<Vec<&str>> = tokens.iter().map(|token| token.split('.').collect()).collect();
    assert_eq!(tokens.len(), 8);
    let mut accepted = 0;
    for [a, b, c] in (0..512).map(|n| [n / 64, n / 8 % 8, n % 8]) {
        let token = [parts[a][0], parts[b][1], parts[c][2]].join(".");
        let is_good = verdict(&bench, token.as_bytes()).is_none();
        assert_eq!(is_good, tokens.contains(&token), "{a} {b} {c}");
        accepted += usize::from(is_good);
    }
    println!("512 mixtures, {accepted} accepted: those that are no mixtures");
}

/// Two tokens of one smith that claim different things.
fn two(smith: &Smith) -> [String; 2] {
    [GOOD.to_owned(), GOOD.replace("ann", "eve")].map(|payload| smith.token(&smith.header(), &payload))
}
