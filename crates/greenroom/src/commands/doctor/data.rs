//! The data folder: whether it can be used, how fast it is, and who has it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use greenroom_fleet::examine;
use rustix::fs::{Access, access, statvfs};

use super::{
    findings::{Findings, Grade, Part},
    owner::Owner,
};
use crate::{
    commands::size,
    data_dir::{DataDir, DataDirError, LOCK},
};

const SPACE_ERROR_BYTES: u64 = 100 << 20;
const SPACE_WARNING_BYTES: u64 = 1 << 30;
/// Written and removed, to learn how long the disk takes.
const PROBE: &str = ".doctor-probe";
const PROBE_BYTES: usize = 4096;
const PROBES: usize = 16;
/// Every acknowledged change waits for one sync.
const SYNC_WARNING: Duration = Duration::from_millis(20);
/// What others may do with a folder that holds secrets: nothing.
const MODE_OF_OTHERS: u32 = 0o077;

/// Looks at the folder; gives the process that has it, if one has.
pub(super) fn examine(findings: &mut Findings, path: &Path) -> Option<Owner> {
    space(findings, path);
    if !path.exists() {
        missing(findings, path);
        return None;
    }
    mode(findings, path);
    match DataDir::open(path) {
        Ok(data) => {
            findings.good(Part::DataFolder, "lock", format!("{} is free to be used", data.path().display()));
            sync(findings, data.path());
            ended_servers(findings, &data.servers_dir());
            None
        }
        Err(DataDirError::InUse { pid, .. }) => {
            let owner = pid.map(Owner::of_pid);
            let by = owner.as_ref().map_or_else(|| "a process".to_owned(), ToString::to_string);
            findings.good(Part::DataFolder, "lock", format!("{} is in use by {by}", path.display()));
            sync(findings, path);
            owner
        }
        Err(error) => {
            // Its sentence says what to do.
            findings.bad(Part::DataFolder, "writable", Grade::Error, error.to_string(), String::new());
            None
        }
    }
}

/// The process that has the folder at the moment.
pub(super) fn holder(path: &Path) -> Option<u32> {
    let mut file = File::open(path.join(LOCK)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.read_to_string(&mut text).ok()?;
            text.trim().parse().ok()
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn missing(findings: &mut Findings, path: &Path) {
    let above = existing(path);
    if access(&above, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
        findings.note(
            Part::DataFolder,
            "folder",
            format!("{} is not there yet; the first start makes it", path.display()),
        );
        return;
    }
    findings.error(
        Part::DataFolder,
        "folder",
        format!("{} is not there, and cannot be made: {} is not writable", path.display(), above.display()),
        "make it and give it to the user that Greenroom runs as, or choose another folder with data_dir",
    );
}

/// The nearest folder above that is there.
fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.ancestors().find(|above| above.exists()).map_or_else(|| "/".into(), Path::to_owned)
}

fn space(findings: &mut Findings, path: &Path) {
    let Ok(disk) = statvfs(existing(path)) else { return };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} are free on the disk of {}", size(free), path.display());
    let advice = "free some space, choose a larger disk with data_dir, or lower studios.….events_bytes_max";
    let grade = match free {
        ..SPACE_ERROR_BYTES => Grade::Error,
        SPACE_ERROR_BYTES..SPACE_WARNING_BYTES => Grade::Warning,
        SPACE_WARNING_BYTES.. => return findings.good(Part::DataFolder, "space", found),
    };
    findings.bad(Part::DataFolder, "space", grade, found, advice.to_owned());
}

fn mode(findings: &mut Findings, path: &Path) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let mode = metadata.mode() & 0o777;
    if mode & MODE_OF_OTHERS != 0 {
        findings.warning(
            Part::DataFolder,
            "permissions",
            format!(
                "others of this machine may look into {} (mode {mode:o}); it holds keys and players' data",
                path.display()
            ),
            format!("chmod 700 {}", path.display()),
        );
    }
    let user = rustix::process::geteuid();
    // Root may write everything, and what it makes then belongs to root.
    if metadata.uid() != user.as_raw() {
        findings.warning(
            Part::DataFolder,
            "owner",
            format!(
                "{} belongs to user {}, and this is user {}",
                path.display(),
                metadata.uid(),
                user.as_raw()
            ),
            "run this, and Greenroom, as the user that the folder belongs to",
        );
    }
}

fn sync(findings: &mut Findings, path: &Path) {
    match probes(&path.join(PROBE)) {
        Ok(times) => latency(findings, times),
        Err(error) => findings.error(
            Part::DataFolder,
            "sync",
            format!("{} cannot be written and synced ({error})", path.display()),
            "look at the disk: `dmesg` tells of errors",
        ),
    }
}

fn probes(path: &Path) -> io::Result<Vec<Duration>> {
    let written = File::create(path).and_then(|mut file| {
        (0..PROBES)
            .map(|_| {
                let began = Instant::now();
                file.rewind()?;
                file.write_all(&[0; PROBE_BYTES])?;
                file.sync_data()?;
                Ok(began.elapsed())
            })
            .collect()
    });
    let removed = fs::remove_file(path);
    let times = written?;
    removed?;
    Ok(times)
}

fn latency(findings: &mut Findings, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (Some(usual), Some(worst)) = (times.get(times.len() / 2), times.last()) else { return };
    let ms = |time: &Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let found =
        format!("writing and syncing {PROBE_BYTES} bytes takes {}, at worst {}", ms(usual), ms(worst));
    if *usual < SYNC_WARNING {
        findings.good(Part::DataFolder, "sync", found);
    } else {
        findings.warning(
            Part::DataFolder,
            "sync",
            format!("{found}; every sign-in and event waits for that"),
            "put the data folder on a local SSD; network disks and cards are slow at this",
        );
    }
}

fn ended_servers(findings: &mut Findings, servers_dir: &Path) {
    match examine::ended_servers(servers_dir) {
        Ok(0) => {}
        Ok(count) => findings.note(
            Part::DataFolder,
            "ended_servers",
            format!("{count} folders are of game servers that have ended; their logs are kept for `ended_keep`, and a running Greenroom removes them then"),
        ),
        Err(error) => findings.warning(
            Part::DataFolder,
            "ended_servers",
            format!("the folders of game servers cannot be read ({error})"),
            format!("chown them to the user that Greenroom runs as: {}", servers_dir.display()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_is_told_by_what_is_usual() {
        let grade = |milliseconds: [u64; 3]| {
            let mut findings = Findings::default();
            latency(&mut findings, milliseconds.map(Duration::from_millis).to_vec());
            findings.0[0].grade
        };
        assert_eq!(grade([900, 1, 2]), Grade::Good, "once is nothing");
        assert_eq!(grade([1, 30, 40]), Grade::Warning);
    }
}
