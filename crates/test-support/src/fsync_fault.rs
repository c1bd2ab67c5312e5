//! A shim that counts a child's fsyncs and makes them fail on demand.

use std::{ffi::OsString, fs, io, path::PathBuf, process::Command};

use anyhow::{Context, ensure};
use tempfile::TempDir;

const SOURCE: &str = include_str!("fsync_fault.c");

/// Counts the `fsync` and `fdatasync` calls of a child process, failed ones too, and makes them
/// fail with `EIO` while told to. Preloaded into the child, so the child must link the C library
/// dynamically, as Rust programs for Linux with glibc do. Removed on drop: outlive the child.
#[derive(Debug)]
pub struct FsyncFault {
    folder: TempDir,
}

impl FsyncFault {
    /// Compiles the shim with `cc` into a folder of its own.
    pub fn build() -> anyhow::Result<Self> {
        let fault = Self { folder: tempfile::tempdir()? };
        let source = fault.path("shim.c");
        fs::write(&source, SOURCE)?;
        fs::write(fault.path("count"), 0_u64.to_ne_bytes())?;
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-o"])
            .arg(fault.path("shim.so"))
            .arg(&source)
            .arg("-ldl")
            .output()
            .context("the C compiler `cc` does not run")?;
        ensure!(compiled.status.success(), "cc failed: {}", String::from_utf8_lossy(&compiled.stderr));
        Ok(fault)
    }

    /// The environment that puts a child under the shim, for [`Command::envs`].
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.path("shim.so").into()),
            ("GREENROOM_FSYNC_COUNT", self.path("count").into()),
            ("GREENROOM_FSYNC_FAIL", self.path("fail").into()),
        ]
    }

    /// Makes every fsync from now on fail, or succeed again.
    pub fn fail(&self, fail: bool) -> io::Result<()> {
        let path = self.path("fail");
        if fail {
            return fs::write(path, []);
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// How many calls there were so far, over all children.
    pub fn count(&self) -> io::Result<u64> {
        let bytes = fs::read(self.path("count"))?;
        bytes.try_into().map(u64::from_ne_bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
