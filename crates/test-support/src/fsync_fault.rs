//! A shim that counts a child's fsyncs and makes them fail on demand.

use std::{ffi::OsString, fs, io, path::PathBuf};

use tempfile::TempDir;

use crate::shim;

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
        shim::compile(fault.folder.path(), include_str!("fsync_fault.c"))?;
        fs::write(fault.path("count"), 0_u64.to_ne_bytes())?;
        Ok(fault)
    }

    /// The environment that puts a child under the shim, for [`std::process::Command::envs`].
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.path(shim::LIBRARY).into()),
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
