//! Limits of a game server: by control group where one can be made, else by what a process can be
//! limited to; what the system does not allow is said.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use greenroom_protocol::ServerId;
use rustix::process::{Resource, Rlimit, getrlimit};

use crate::folder::LimitsSpec;

/// The period over which CPU time is shared out, in microseconds: the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;

/// The least share of a core that a control group can be given.
const CPU_CORES_MIN: f64 = 0.01;

/// What the process is put under between fork and exec.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) rlimits: Vec<(Resource, Rlimit)>,
    /// `cgroup.procs` of the groups to enter.
    pub(super) groups: Vec<File>,
    /// Groups that were made.
    pub(super) made: Vec<PathBuf>,
    /// Sentences about what could not be had.
    pub(super) notes: Vec<String>,
}

pub(super) fn prepare(limits: LimitsSpec, id: &ServerId) -> Prepared {
    let mut prepared = Prepared::default();
    if let Some(descriptors) = limits.descriptors {
        prepared.rlimit(Resource::Nofile, descriptors, "descriptors");
    }
    if limits.memory_bytes.is_none() && limits.cpu_cores.is_none() {
        return prepared;
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    // Another installation may have the same id.
    let name = format!("greenroom-{id}-{}", std::process::id());
    let cpu = limits.cpu_cores.map(|cores| (cores.max(CPU_CORES_MIN) * CPU_PERIOD_US as f64) as u64);

    let mut settings = Vec::new();
    settings.extend(limits.memory_bytes.map(|bytes| ("memory.max", bytes.to_string())));
    settings.extend(cpu.map(|quota| ("cpu.max", format!("{quota} {CPU_PERIOD_US}"))));
    for parent in unified(&own) {
        // Refused where they are on already or may not be: the settings then tell which.
        let _refused = fs::write(parent.join("cgroup.subtree_control"), "+memory +cpu");
        if prepared.group(&parent.join(&name), &settings).is_ok() {
            return prepared;
        }
    }
    if let Some(bytes) = limits.memory_bytes {
        let settings = [("memory.limit_in_bytes", bytes.to_string())];
        let made = legacy(&own, "memory").is_some_and(|p| prepared.group(&p.join(&name), &settings).is_ok());
        if !made {
            // Not the address space: engines reserve far more of that than they ever use.
            prepared.rlimit(Resource::Data, bytes, "memory");
            prepared.notes.push(
                "no control group can be made for the memory limit: it counts for each process by itself"
                    .into(),
            );
        }
    }
    if let Some(quota) = cpu {
        let settings =
            [("cpu.cfs_period_us", CPU_PERIOD_US.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
        let made = legacy(&own, "cpu").is_some_and(|p| prepared.group(&p.join(&name), &settings).is_ok());
        if !made {
            prepared.notes.push("no control group can be made: the CPU limit is not applied".into());
        }
    }
    prepared
}

impl Prepared {
    fn rlimit(&mut self, resource: Resource, wanted: u64, what: &str) {
        let hard = getrlimit(resource).maximum;
        let limit = hard.map_or(wanted, |hard| hard.min(wanted));
        if limit < wanted {
            self.notes
                .push(format!("the limit of {wanted} {what} is cut to the {limit} that the system allows"));
        }
        self.rlimits.push((resource, Rlimit { current: Some(limit), maximum: Some(limit) }));
    }

    /// Makes a control group with `settings`; leaves nothing behind if that fails.
    fn group(&mut self, path: &Path, settings: &[(&str, String)]) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let apply = || {
            for (file, value) in settings {
                fs::write(path.join(file), value)?;
            }
            OpenOptions::new().write(true).open(path.join("cgroup.procs"))
        };
        match apply() {
            Ok(procs) => {
                self.groups.push(procs);
                self.made.push(path.to_owned());
                Ok(())
            }
            Err(error) => {
                let _not_made = fs::remove_dir(path);
                Err(error)
            }
        }
    }
}

/// Removes control groups that were made here. One that still holds a process stays, and is harmless.
pub(crate) fn remove(groups: &[PathBuf]) {
    for group in groups {
        let ours = group.starts_with("/sys/fs/cgroup")
            && group.file_name().is_some_and(|name| name.to_string_lossy().starts_with("greenroom-"));
        if ours {
            let _still_used = fs::remove_dir(group);
        }
    }
}

/// Where a group may be made in the one hierarchy of version 2: in our own group, which works only
/// where no process is in it, or beside it where ours is a part of what a service was given (systemd's
/// `Delegate=yes` with `DelegateSubgroup=`).
fn unified(own: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    if !root.join("cgroup.controllers").exists() {
        return Vec::new();
    }
    let own = root.join(path);
    let is_whole_unit =
        own.extension().is_some_and(|kind| kind == "service" || kind == "scope" || kind == "slice");
    let beside = own.parent().filter(|parent| !is_whole_unit && *parent != root && parent.starts_with(root));
    let beside = beside.map(Path::to_owned);
    std::iter::once(own).chain(beside).collect()
}

/// Our own group in a controller's hierarchy of version 1.
fn legacy(own: &str, controller: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let (_number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|c| c == controller).then_some(path)
    })?;
    // In a container the hierarchy may be mounted at our own group instead of the system's root.
    let root = Path::new("/sys/fs/cgroup").join(controller);
    let full = root.join(path.trim_start_matches('/'));
    if full.is_dir() { Some(full) } else { root.is_dir().then_some(root) }
}
