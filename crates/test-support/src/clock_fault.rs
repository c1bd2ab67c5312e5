//! A shim that sets a child's wall clock.

use std::{ffi::OsString, fs::OpenOptions, io, os::unix::fs::FileExt as _, path::PathBuf};

use tempfile::TempDir;

use crate::shim;

/// Sets the wall clock of a child process forward or back while it runs; monotonic time goes on as it
/// is. Preloaded into the child, so the child must link the C library dynamically, as Rust programs
/// for Linux with glibc do. Removed on drop: outlive the child.
#[derive(Debug)]
pub struct ClockFault {
    folder: TempDir,
}

impl ClockFault {
    /// Compiles the shim with `cc` into a folder of its own. The clock is right at first.
    pub fn build() -> anyhow::Result<Self> {
        let fault = Self { folder: tempfile::tempdir()? };
        shim::compile(fault.folder.path(), include_str!("clock_fault.c"))?;
        std::fs::write(fault.path("offset"), 0_i64.to_ne_bytes())?;
        Ok(fault)
    }

    /// The environment that puts a child under the shim, for [`std::process::Command::envs`].
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.path(shim::LIBRARY).into()),
            ("TEST_CLOCK_OFFSET_FILE", self.path("offset").into()),
        ]
    }

    /// From now on the child's clock is off by so many seconds; 0 sets it right.
    pub fn set(&self, offset_s: i64) -> io::Result<()> {
        // In place, for the child has mapped the file.
        OpenOptions::new().write(true).open(self.path("offset"))?.write_all_at(&offset_s.to_ne_bytes(), 0)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
