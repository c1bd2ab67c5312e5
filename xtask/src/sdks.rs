//! `cargo xtask ci --step sdks`: game servers with the published SDKs of Agones against our endpoint.
//!
//! Each is built outside the workspace: what it depends on is no dependency of ours. The SDK for Rust
//! wants `protoc` to be built, that for Node.js `node` and `npm`; one whose tools are not there is not
//! run, which fails where `GREENROOM_REQUIRE_ENGINES` is `all`.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, bail};

use crate::process::{self, target_folder, workspace_root};

/// Builds them, then runs the tests that start them.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut tests = process::cargo();
    tests.args(["test", "--package", "greenroom-fleet", "--test", "process", "real_sdks"]);
    if has(&["protoc"], "Rust")? {
        tests.env("GREENROOM_AGONES_RUST", build_rust()?);
    }
    if has(&["node", "npm"], "Node.js")? {
        tests.env("GREENROOM_AGONES_NODE", install_node()?);
    }
    process::run(&mut tests)
}

/// Whether the tools that an SDK needs are there.
fn has(tools: &[&str], sdk: &str) -> anyhow::Result<bool> {
    let missing = tools.iter().find(|tool| Command::new(tool).arg("--version").output().is_err());
    let Some(missing) = missing else { return Ok(true) };
    let sentence = format!("the SDK for {sdk} is not run, for want of `{missing}`");
    if env::var("GREENROOM_REQUIRE_ENGINES").is_ok_and(|required| required == "all") {
        bail!("{sentence}; install it, or leave GREENROOM_REQUIRE_ENGINES unset");
    }
    println!("{sentence}");
    Ok(false)
}

fn build_rust() -> anyhow::Result<PathBuf> {
    let manifest = workspace_root().join("tests/agones-sdk/rust/Cargo.toml");
    let target = target_folder()?.join("agones-sdk");
    let mut build = process::cargo();
    build.args(["build", "--locked", "--quiet", "--manifest-path"]).arg(manifest);
    process::run(build.arg("--target-dir").arg(&target))?;
    Ok(target.join("debug/agones-sdk-server"))
}

/// Copies it to where its packages may be put.
fn install_node() -> anyhow::Result<PathBuf> {
    let source = workspace_root().join("tests/agones-sdk/node");
    let folder = target_folder()?.join("agones-sdk/node");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for name in ["package.json", "package-lock.json", "server.js"] {
        fs::copy(source.join(name), folder.join(name)).with_context(|| format!("{name} cannot be copied"))?;
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    process::run(install.current_dir(&folder))?;
    Ok(folder.join("server.js"))
}
