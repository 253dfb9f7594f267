//! The targets over their seeds, and over mutations of these, the same in every run: an ordinary run fuzzes a little.

use crate::sim::rng::Rng;
use std::{fs, path::Path};

/// A mutation grows no longer than this.
const LONGEST: usize = 16 << 10;

/// Tells which input it was when a target panics.
struct Told<'a> {
    seed: &'a Path,
    mutation: usize,
    input: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}, mutation {}: {}", self.seed.display(), self.mutation, self.input.escape_ascii());
        }
    }
}

/// Runs `target` over each of its seeds, and over so many mutations of each.
fn sow(name: &str, target: fn(&[u8]), mutations: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} has no seeds", folder.display());
    let inputs: Vec<_> = seeds.iter().map(|seed| fs::read(seed).unwrap()).collect();
    for (nth, seed) in seeds.iter().enumerate() {
        let mut rng = Rng::new(nth as u64);
        let mut input = inputs[nth].clone();
        for mutation in 0..=mutations {
            let told = Told { seed, mutation, input: &input };
            target(told.input);
            drop(told);
            if rng.below(4) == 0 {
                input.clone_from(&inputs[nth]);
            }
            let other = rng.below(inputs.len());
            mutate(&mut input, &inputs[other], &mut rng);
        }
    }
}

/// Changes a little: a byte, a bit, a piece left out, doubled or taken from elsewhere.
fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let piece = |rng: &mut Rng, len: usize| {
        let start = rng.below(len + 1);
        start..start + rng.below((len - start).min(64) + 1)
    };
    let at = rng.below(input.len() + 1);
    match rng.below(6) {
        0 if at < input.len() => input[at] = rng.below(256) as u8,
        1 if at < input.len() => input[at] ^= 1 << rng.below(8),
        2 if at < input.len() => input[at] = rng.pick(b"\0\xFF\x7F\x80\r\n \"=,"),
        3 => drop(input.drain(piece(rng, input.len()))),
        4 => {
            let twice = input[piece(rng, input.len())].to_vec();
            input.splice(at..at, twice);
        }
        _ => {
            let new = other[piece(rng, other.len())].to_vec();
            input.splice(at..at, new);
        }
    }
    input.truncate(LONGEST);
}

macro_rules! sown {
    ($($target:ident: $mutations:literal),+ $(,)?) => {
        $(#[test]
        fn $target() {
            sow(stringify!($target), super::$target, $mutations);
        })+

        #[test]
        fn each_folder_of_seeds_has_a_target() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
            let mut found: Vec<_> =
                fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            found.sort();
            assert_eq!(found, [$(stringify!($target)),+]);
        }
    };
}

sown! {
    backlog: 200,
    config: 200,
    frames: 150,
    head: 300,
    log_line: 200,
    relay: 40,
    token: 150,
    wheel: 200,
}
