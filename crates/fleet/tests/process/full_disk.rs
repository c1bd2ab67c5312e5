//! A disk that is full.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use greenroom_fleet::{ExitCause, StartError};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

/// A small file system in memory, mounted on a folder.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Nothing where mounting is not permitted: then the test says that it did not run.
    fn mount(on: &Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(on).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(on.to_owned()));
        }
        assert_ne!(std::env::var("GREENROOM_REQUIRE_ENGINES").as_deref(), Ok("all"), "mount failed");
        eprintln!("not run: a full disk (mounting one is not permitted here)");
        None
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filling")).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _as_far_as_possible = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[tokio::test]
async fn a_full_disk_keeps_nothing_from_being_recorded_and_is_said_where_it_matters() {
    let mount_point = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(mount_point.path()) else { return };
    let host = Host::below(mount_point.path()).await;
    host.start(game("s1", &["tcp", "{0}", "pause", "300", "flood", "10000", "wait"])).await;
    host.until_ready("s1").await;
    disk.fill();
    let error = host.provider.start(game("s2", &["wait"])).await.unwrap_err();
    assert!(matches!(&error, StartError::Unavailable(text) if text.contains("No space left")), "{error}");
    assert!(!host.folder_of("s2").exists());
    kill_process(Pid::from_raw(host.pids("s1").1).unwrap(), Signal::KILL).unwrap();
    assert_eq!(host.until_ended("s1").await.cause, ExitCause::Signalled(9));
    // The end is on the disk as well.
    let host = host.reopen().await;
    assert_eq!(host.until_ended("s1").await.cause, ExitCause::Signalled(9));
    host.finish().await;
}
