//! `cargo xtask ci`: what a change must pass.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::ValueEnum;

use crate::{fuzz, golden, layers, process, sdks};

/// How long each fuzz target runs; all of CI is to end within 40 minutes on two cores.
const FUZZ_SECONDS: u64 = 20;

/// One thing that is demanded of a change. In the order in which they run: what fails fast, first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// The code is formatted.
    Fmt,
    /// Crates depend only on the layers below them, and on nothing that is banned.
    Layers,
    /// No warning of the compiler or of clippy, in any target.
    Clippy,
    /// Every link of the documentation leads somewhere.
    Docs,
    /// All tests.
    Tests,
    /// Game servers with the published SDKs of Agones find what they expect.
    Sdks,
    /// Golden files are as the code would write them.
    Golden,
    /// What parses survives mutated input.
    Fuzz,
}

/// Runs `steps`, all of them if none is given. Goes on after a failure, so that one run tells everything.
pub(crate) fn run(steps: &[Step]) -> anyhow::Result<()> {
    let all = Step::value_variants();
    let steps = if steps.is_empty() { all } else { steps };
    let results: Vec<_> = steps.iter().map(|&step| timed(step)).collect();

    println!();
    for (step, took, outcome) in &results {
        let word = if outcome.is_ok() { "passed" } else { "FAILED" };
        println!("{:<8} {word} in {:>6.1} s", name(*step), took.as_secs_f64());
    }
    let failed: Vec<_> =
        results.iter().filter(|(.., outcome)| outcome.is_err()).map(|(step, ..)| name(*step)).collect();
    if !failed.is_empty() {
        bail!("these steps failed: {}. Run one alone with `cargo xtask ci --step NAME`", failed.join(", "));
    }
    Ok(())
}

fn timed(step: Step) -> (Step, Duration, anyhow::Result<()>) {
    println!("--- {}", name(step));
    let started = Instant::now();
    let outcome = perform(step);
    if let Err(error) = &outcome {
        eprintln!("{error:#}");
    }
    (step, started.elapsed(), outcome)
}

fn perform(step: Step) -> anyhow::Result<()> {
    match step {
        Step::Fmt => process::run(process::cargo().args(["fmt", "--all", "--check"])),
        Step::Layers => layers::check(),
        Step::Clippy => process::run(process::cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ])),
        Step::Docs => process::run(
            process::cargo()
                .args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        ),
        Step::Tests => process::run(process::cargo().args(["test", "--workspace"])),
        Step::Sdks => sdks::run(),
        Step::Golden => golden::compare(),
        Step::Fuzz => fuzz::run(FUZZ_SECONDS, None, None),
    }
}

fn name(step: Step) -> String {
    step.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
