//! The fsyncs that a child really makes, counted below it.

use std::{
    ffi::OsString,
    fs,
    ops::Sub,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};

const SOURCE: &str = include_str!("fsyncs.c");

/// What a child has synced so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fsyncs {
    /// Calls of `fsync` and `fdatasync`.
    pub(crate) calls: u64,
    /// Time spent in them, over all threads.
    pub(crate) time: Duration,
}

impl Sub for Fsyncs {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { calls: self.calls - earlier.calls, time: self.time.saturating_sub(earlier.time) }
    }
}

/// A shim that is preloaded into a child: two clock readings and two additions a sync, which is
/// nothing beside the sync. Calls that go past the C library are not seen; SQLite's all are.
#[derive(Debug)]
pub(crate) struct Shim {
    object: PathBuf,
}

impl Shim {
    /// Compiles the shim into `folder`; a C compiler is there where Greenroom was built.
    pub(crate) fn build(folder: &Path) -> anyhow::Result<Self> {
        let (source, object) = (folder.join("fsyncs.c"), folder.join("fsyncs.so"));
        fs::write(&source, SOURCE)?;
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&object, &source])
            .arg("-ldl")
            .output()
            .context("the C compiler `cc` does not run")?;
        ensure!(compiled.status.success(), "cc failed: {}", String::from_utf8_lossy(&compiled.stderr));
        Ok(Self { object })
    }

    /// Counts a child from zero, in the file `path`.
    pub(crate) fn counter(&self, path: PathBuf) -> anyhow::Result<Counter> {
        fs::write(&path, [0; 16])?;
        let env = [("LD_PRELOAD", self.object.clone().into()), ("BENCH_FSYNCS", path.clone().into())];
        Ok(Counter { path, env })
    }
}

/// The counter of one child.
#[derive(Debug)]
pub(crate) struct Counter {
    path: PathBuf,
    env: [(&'static str, OsString); 2],
}

impl Counter {
    /// Puts `command` under the counter.
    pub(crate) fn preload(&self, command: &mut Command) {
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> anyhow::Result<Fsyncs> {
        let bytes = fs::read(&self.path)?;
        let number =
            |at: usize| bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
        let (calls, nanos) = number(0).zip(number(8)).context("the counter of fsyncs is damaged")?;
        Ok(Fsyncs { calls, time: Duration::from_nanos(nanos) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syncs_of_a_child_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let counter = Shim::build(folder.path()).unwrap().counter(folder.path().join("count")).unwrap();
        let mut command = Command::new("sync");
        command.arg("--data").arg(folder.path().join("fsyncs.c"));
        counter.preload(&mut command);
        assert!(command.status().unwrap().success());
        assert_eq!(counter.read().unwrap().calls, 1);
        assert!(counter.read().unwrap().time > Duration::ZERO);
    }
}
