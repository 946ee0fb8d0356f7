//! The corpus of each target, without libFuzzer: what was found once does not come back.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test from outside")]

#[path = "../../tests/common/random.rs"]
mod random;

use std::path::Path;

use logstore_fuzz::{TARGETS, Target};
use random::Random;

/// The corpus of a target, in the order of its names.
fn corpus(target: Target) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty(), "{} has no corpus", target.name);
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn every_target_stands_its_corpus() {
    for target in TARGETS {
        for (number, input) in corpus(target).into_iter().enumerate() {
            println!("{}, input {number}", target.name);
            (target.run)(&input);
        }
    }
}

/// A few changes of each input, without knowing what they reach: `INPUTS=100000` makes more of them, `SEED=` others.
#[test]
fn every_target_stands_changes_of_its_corpus() {
    let number = |name: &str, or: u64| std::env::var(name).map_or(or, |text| text.parse().unwrap());
    let (seed, inputs) = (number("SEED", 1), number("INPUTS", 20));
    println!("SEED={seed} INPUTS={inputs}");
    for target in TARGETS {
        let (corpus, mut random) = (corpus(target), Random::new(seed));
        for _ in 0..inputs {
            let input = changed(&corpus, &mut random);
            let shown = input.escape_ascii().to_string();
            std::panic::catch_unwind(|| (target.run)(&input))
                .unwrap_or_else(|_| panic!("{}: b\"{shown}\"", target.name));
        }
    }
}

fn changed(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random, end: usize| usize::try_from(random.below(end.max(1) as u64)).unwrap();
    let mut input = corpus[pick(random, corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let (at, byte) = (pick(random, input.len()), random.next().to_le_bytes()[0]);
        match random.below(6) {
            0 | 1 if !input.is_empty() => input[at] = byte,
            2 if !input.is_empty() => input[at] ^= 1 << (byte % 8),
            3 if at + 8 <= input.len() => input[at..at + 8].fill([0, 0xff][usize::from(byte % 2)]),
            4 => input.insert(at, byte),
            5 => {
                let other = &corpus[pick(random, corpus.len())];
                let from = pick(random, other.len());
                input.truncate(at + 1);
                input.extend_from_slice(&other[from..]);
            }
            _ => drop(input.drain(at..(at + usize::from(byte % 8)).min(input.len()))),
        }
    }
    input
}
