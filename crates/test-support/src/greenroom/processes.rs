//! Finds the processes of game servers in the system's table: by what they were started with, as a
//! stranger would, never by what Greenroom says of them.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// What a process is to a game server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `greenroom supervise`.
    Supervisor,
    /// The game itself.
    Game,
}

/// A living process of a game server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// The server's id.
    pub server: String,
    /// Which of the tries to start it this is, from 1 on.
    pub instance: u32,
    /// What it is.
    pub role: Role,
    /// Its number.
    pub pid: i32,
    /// When it was started, in the system's ticks: with `pid` unique.
    pub started: u64,
}

impl Process {
    /// Kills it, if it is still the same.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends it a signal, if it is still the same.
    pub fn signal(&self, signal: Signal) {
        if stat(self.pid) == Some(self.started)
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it still lives.
    pub fn is_alive(&self) -> bool {
        stat(self.pid) == Some(self.started)
    }
}

/// Those whose server's folder is below `data_dir`, in order of the servers.
pub(super) fn of(data_dir: &Path) -> Vec<Process> {
    let servers = data_dir.join("servers");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<_> = pids.filter_map(|pid| process(pid, &servers)).collect();
    found.sort();
    found
}

/// Kills them all, supervisors first.
pub(super) fn end(data_dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let left = of(data_dir);
        if left.is_empty() || Instant::now() > deadline {
            return;
        }
        left.iter().filter(|one| one.role == Role::Supervisor).for_each(Process::kill);
        left.iter().filter(|one| one.role == Role::Game).for_each(Process::kill);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn process(pid: i32, servers: &Path) -> Option<Process> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let below = |text: &[u8]| {
        let name = text.strip_prefix(servers.as_os_str().as_bytes())?.strip_prefix(b"/")?;
        String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty() && !name.contains('/'))
    };
    let mut parts = arguments.split(|byte| *byte == 0);
    let supervised = parts.any(|part| part == b"supervise").then(|| parts.find_map(below)).flatten();
    let (server, role) = if let Some(server) = supervised {
        (server, Role::Supervisor)
    } else {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        (variables.find_map(|one| below(one.strip_prefix(b"GREENROOM_SERVER_DIR=")?))?, Role::Game)
    };
    // The folder has the server's id and the number of the try.
    let (server, instance) = server.rsplit_once('-')?;
    let (server, instance) = (server.to_owned(), instance.parse().ok()?);
    Some(Process { server, instance, role, pid, started: stat(pid)? })
}

/// When the process `pid` was started, if it lives and is no zombie: field 22 of proc(5)'s stat.
fn stat(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
