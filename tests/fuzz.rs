//! The bodies that the fuzzer runs (`.ci/fuzz`), with every build: over what it found before, over the fixtures, and over
//! fixtures that are changed a little, the same way each time.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub)] // There it is a crate of its own.
mod fuzz;
mod support;

use std::fs;

use fuzz::change::{self, Dice};
use fuzz::dialogue::{self, Dialogue};
use fuzz::tape::Tape;
use fuzz::{file, policy, seeds, traffic};
use support::root;

/// Runs a body over what was found, and over each seed and so many changes of it.
fn run(target: &str, rounds: u64, check: fn(&[u8]), change: impl Fn(&[u8], &mut Dice) -> Vec<u8>) {
    for entry in fs::read_dir(root().join("fuzz/found").join(target)).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
    }
    let seeds = seeds::of(target, &root().join("fixtures")).unwrap();
    assert!(seeds.len() > 10, "{target}: {} seeds", seeds.len());
    for (place, seed) in seeds.iter().enumerate() {
        check(seed);
        let mut dice = Dice::new(place as u64);
        let mut now = seed.clone();
        for _ in 0..rounds {
            now = change(&now, &mut dice);
            check(&now);
        }
    }
}

#[test]
fn dialogues() {
    run("dialogue", 40, dialogue::check, |bytes, dice| {
        let mut dialogue = Dialogue::read(bytes).unwrap_or(Dialogue { protocol: 0, turns: Vec::new() });
        dialogue.change(dice, change::bytes);
        dialogue.write()
    });
}

#[test]
fn captures_through_everything() {
    run("traffic", 4, traffic::check, |bytes, dice| {
        let Some(mut tape) = Tape::read(bytes) else { return bytes.to_vec() };
        tape.change(dice, change::bytes);
        tape.write()
    });
}

#[test]
fn capture_files() {
    run("file", 10, file::check, |bytes, dice| {
        let mut bytes = bytes.to_vec();
        change::bytes(dice, &mut bytes);
        bytes
    });
}

#[test]
fn policies() {
    run("policy", 30, policy::check, |bytes, dice| change::text(dice, bytes, change::bytes));
}
