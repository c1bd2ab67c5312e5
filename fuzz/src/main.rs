//! Drives the targets on stable: mutates good inputs at random, for a time, from a seed that it prints.

use std::{
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use clap::Parser;
use greenroom_fuzz::{TARGETS, Target};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// Longest input that is made.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// Inputs that are kept to be mutated further; beyond that, one goes for each new one.
const CORPUS_INPUTS_MAX: usize = 256;
/// What parsers stumble over.
const MORSELS: &[&str] = &[
    "{",
    "}",
    "{{",
    "}}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "=",
    ",",
    ":",
    "\n",
    "null",
    "true",
    "-1",
    "1e999",
    "0",
    "65536",
    "18446744073709551616",
    "é",
    "\u{202e}",
    "\u{0}",
    "{port:",
    "log:(",
    "after:",
    "GiB",
    "/s",
    "..",
    "'''",
];

#[derive(Parser)]
struct Arguments {
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The seed to repeat a run with; a new one unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs only this target.
    target: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let named = |target: &&Target| arguments.target.as_ref().is_none_or(|name| name == target.name);
    let targets: Vec<_> = TARGETS.iter().filter(named).collect();
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    ensure!(!targets.is_empty(), "there is no such target; there are {}", names.join(", "));
    for target in targets {
        drive(target, seed, Duration::from_secs(arguments.seconds))?;
    }
    Ok(())
}

fn drive(target: &Target, seed: u64, time: Duration) -> anyhow::Result<()> {
    println!("{}: seed {seed}", target.name);
    let mut random = SmallRng::seed_from_u64(seed);
    let mut corpus: Vec<Vec<u8>> = target.seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let began = Instant::now();
    let mut inputs = 0_u64;
    while began.elapsed() < time {
        let input = mutated(&corpus, &mut random);
        if panic::catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
            bail!(
                "{} failed with seed {seed} after {inputs} inputs, on {:?}; repeat it with `cargo xtask fuzz --seed {seed} {}`",
                target.name,
                String::from_utf8_lossy(&input),
                target.name
            );
        }
        inputs += 1;
        // Now and then an input stays, so that mutations pile up.
        if random.random_ratio(1, 50) {
            if corpus.len() < CORPUS_INPUTS_MAX {
                corpus.push(input);
            } else {
                let replaced = random.random_range(target.seeds.len()..corpus.len());
                corpus[replaced] = input;
            }
        }
    }
    println!("{}: {inputs} inputs in {} s", target.name, time.as_secs());
    Ok(())
}

fn mutated(corpus: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let mut input = pick(corpus, random).clone();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len().min(at + 16));
        match random.random_range(0..6) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, random.random()),
            2 => drop(input.splice(at..end, pick(MORSELS, random).bytes())),
            3 => {
                let copied = input[at..end].to_vec();
                let to = random.random_range(0..=input.len());
                drop(input.splice(to..to, copied));
            }
            4 => {
                let other = pick(corpus, random);
                let from = random.random_range(0..=other.len());
                drop(input.splice(at.., other[from..].iter().copied()));
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn pick<'a, T>(items: &'a [T], random: &mut SmallRng) -> &'a T {
    &items[random.random_range(0..items.len())]
}
