//! `cargo xtask bench`: the load generator beside a release build of Greenroom.

use crate::process;

/// Builds Greenroom and the load generator for release and hands `arguments` to the latter.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    // Both in one build: the load generator starts the binary that stands beside it.
    process::run(process::cargo().args([
        "build",
        "--release",
        "--package=greenroom",
        "--package=greenroom-bench",
    ]))?;
    process::run(
        process::cargo()
            .args(["run", "--quiet", "--release", "--package=greenroom-bench", "--"])
            .args(arguments),
    )
}
