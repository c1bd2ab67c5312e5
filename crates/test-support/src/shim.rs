//! Shims in C that a child is started with.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, ensure};

/// The compiled shim, in the folder that it was compiled into.
pub(crate) const LIBRARY: &str = "shim.so";

/// Compiles `source` with `cc` into `folder`.
pub(crate) fn compile(folder: &Path, source: &str) -> anyhow::Result<()> {
    let file = folder.join("shim.c");
    fs::write(&file, source)?;
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-o"])
        .arg(folder.join(LIBRARY))
        .arg(&file)
        .arg("-ldl")
        .output()
        .context("the C compiler `cc` does not run")?;
    ensure!(compiled.status.success(), "cc failed: {}", String::from_utf8_lossy(&compiled.stderr));
    Ok(())
}
