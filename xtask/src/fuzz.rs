//! `cargo xtask fuzz`: the targets in `fuzz/`, driven on stable Rust.

use crate::process;

/// Runs `target`, or all of them one after the other, for `seconds` each.
pub(crate) fn run(seconds: u64, seed: Option<u64>, target: Option<&str>) -> anyhow::Result<()> {
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--package=greenroom-fuzz", "--", "--seconds", &seconds.to_string()]);
    if let Some(seed) = seed {
        command.args(["--seed", &seed.to_string()]);
    }
    command.args(target);
    process::run(&mut command)
}
