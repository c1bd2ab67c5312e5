//! A disk that can be filled.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::engines::REQUIRE_ENGINES;

/// A small file system in memory, gone on drop.
#[derive(Debug)]
pub struct SmallDisk {
    mount_point: TempDir,
}

impl SmallDisk {
    /// A disk of so many KiB. `None`, with a line that says so, where mounting is not permitted.
    ///
    /// # Panics
    ///
    /// If it is not permitted and [`REQUIRE_ENGINES`] is `all`.
    pub fn mount(size_kib: u32, test: &str) -> Option<Self> {
        let mount_point = tempfile::tempdir().expect("a folder");
        let size = format!("size={size_kib}k");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(mount_point.path())
            .output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self { mount_point });
        }
        assert!(
            env::var_os(REQUIRE_ENGINES).as_deref() != Some(OsStr::new("all")),
            "mounting a file system is not permitted, and {REQUIRE_ENGINES}=all demands it (test {test})"
        );
        eprintln!("not run: mounting a file system is not permitted (test {test})");
        None
    }

    /// Its root.
    pub fn path(&self) -> &Path {
        self.mount_point.path()
    }

    /// Takes all the space that is left.
    pub fn fill(&self) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(self.filling())?;
        loop {
            match file.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub fn free(&self) -> io::Result<()> {
        fs::remove_file(self.filling())
    }

    /// From now on nothing can be written.
    ///
    /// # Panics
    ///
    /// If that is not permitted.
    pub fn make_read_only(&self) {
        let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status();
        assert!(remount.is_ok_and(|status| status.success()), "the disk cannot be made read-only");
    }

    fn filling(&self) -> PathBuf {
        self.path().join("filling")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // As far as possible: what still has a file open there keeps it alive.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
