//! `cargo xtask bench`: the load generator beside a release build of Greenroom.

use std::process::Command;

use crate::process;

/// Builds Greenroom and the load generator for release and hands `arguments` to the latter.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    // Both in one build: the load generator starts the binary that stands beside it. It is run by its
    // path, as `cargo run` for it alone would build what both share again, with other features.
    process::run(process::cargo().args([
        "build",
        "--release",
        "--package=greenroom",
        "--package=greenroom-bench",
    ]))?;
    let built = process::target_folder()?.join("release/greenroom-bench");
    process::run(Command::new(built).args(arguments))
}
