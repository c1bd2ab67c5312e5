//! Starts the game server's process.
#![expect(unsafe_code, reason = "a process's own session and limits can only be set between fork and exec")]

use std::{
    fs::File,
    io,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::limits::Prepared;
use crate::folder::Spec;

/// Starts it in a session and process group of its own, bound to our life, under its limits.
pub(super) fn spawn(spec: &Spec, limits: &Prepared) -> io::Result<Child> {
    let mut command = Command::new(&spec.program);
    if let Some((name, arguments)) = spec.argv.split_first() {
        command.arg0(name).args(arguments);
    }
    command
        .env_clear()
        .envs(&spec.environment)
        .current_dir(&spec.working_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());

    let supervisor = rustix::process::getpid();
    let rlimits: Vec<(Resource, Rlimit)> = limits.rlimits.clone();
    let cgroups: Vec<_> = limits.groups.iter().map(File::try_clone).collect::<io::Result<_>>()?;
    let before_exec = move || {
        rustix::process::setsid()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The supervisor may have died before that was set.
        if rustix::process::getppid().map(Pid::as_raw_pid) != Some(supervisor.as_raw_pid()) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        for group in &cgroups {
            rustix::io::write(group, b"0")?;
        }
        for (resource, limit) in &rlimits {
            rustix::process::setrlimit(*resource, *limit)?;
        }
        Ok(())
    };
    // SAFETY: the closure makes only system calls on values made before the fork; it allocates
    // nothing and takes no lock.
    unsafe { command.pre_exec(before_exec) };
    command.spawn()
}
