//! What was measured on, and what was measured.

use std::{fs, path::Path, process::Command, thread};

use rustix::{fs::statfs, system::uname};
use serde::Serialize;

/// Facts without which a figure says nothing.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// Cores that this process may use; server and load generator share them.
    cores: usize,
    /// The processor, as it calls itself.
    processor: String,
    /// Memory in MiB.
    memory_mib: u64,
    /// The kernel's release.
    kernel: String,
    /// The file system that the data folders are on.
    file_system: String,
    /// Runnable tasks over the last 1, 5 and 15 minutes, when the run began.
    load_average: String,
    /// The commit that is checked out, and whether files differ from it.
    revision: String,
    /// Open files and sockets of one process.
    descriptors_max: u64,
}

/// The file system in memory: a sync there costs nothing, and proves nothing.
const TMPFS: &str = "tmpfs";

impl Machine {
    /// Looks at this machine; data is kept below `folder`.
    pub(crate) fn look(folder: &Path, descriptors_max: u64) -> Self {
        let first = |file: &str, key: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or("unknown").trim_matches([':', ' ', '\t']).to_owned()
        };
        let memory = first("/proc/meminfo", "MemTotal");
        let memory_kib: u64 = memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            processor: first("/proc/cpuinfo", "model name"),
            memory_mib: memory_kib / 1024,
            kernel: uname().release().to_string_lossy().into_owned(),
            file_system: file_system(folder),
            load_average: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
            revision: revision(),
            descriptors_max,
        }
    }

    /// Whether syncs reach a disk.
    pub(crate) fn has_disk(&self) -> bool {
        self.file_system != TMPFS
    }

    /// One line a fact.
    pub(crate) fn lines(&self) -> Vec<String> {
        vec![
            format!("revision {}", self.revision),
            format!(
                "{} cores of {}, {} MiB, Linux {}",
                self.cores, self.processor, self.memory_mib, self.kernel
            ),
            format!("data on {}; load average at the start {}", self.file_system, self.load_average),
            format!("{} descriptors a process", self.descriptors_max),
        ]
    }
}

fn file_system(folder: &Path) -> String {
    let Ok(kind) = statfs(folder).map(|stat| stat.f_type) else { return "an unknown file system".into() };
    match kind {
        0xef53 => "ext4".into(),
        0x0102_1994 => TMPFS.into(),
        0x5846_5342 => "xfs".into(),
        0x9123_683e => "btrfs".into(),
        0x794c_7630 => "overlayfs".into(),
        0x2fc1_2fc1 => "zfs".into(),
        other => format!("file system {other:#x}"),
    }
}

fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let is_changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|files| !files.is_empty());
    if is_changed { format!("{commit} with changes") } else { commit }
}
