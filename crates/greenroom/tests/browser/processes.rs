use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a program may take to end once it was asked to.
const STOP_MAX: Duration = Duration::from_mins(1);
const POLL_EVERY: Duration = Duration::from_millis(10);
/// Lines of a program that nobody has read; further ones are dropped.
const LINES_MAX: usize = 64;

/// A program with its output in a file, asked to end on drop, and killed where that is of no use.
pub(crate) struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()
            .with_context(|| format!("{command:?} does not start"))?;
        let stdout = BufReader::new(child.stdout.take().context("its output is piped")?);
        let (line, lines) = mpsc::sync_channel(LINES_MAX);
        // Reads to the end: a full pipe would hold the program up. Ends with it.
        thread::spawn(move || {
            for text in stdout.lines().map_while(Result::ok) {
                let _ = line.try_send(text);
            }
        });
        Ok(Self { child, lines })
    }

    /// The first line for which `wanted` gives something.
    pub(crate) fn line<T>(&self, within: Duration, wanted: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).context("it ended, or did not say what was expected")?;
            if let Some(found) = wanted(&line) {
                return Ok(found);
            }
        }
    }

    /// Asks it to end by `signal` and waits until it has. `None`: it had to be killed.
    pub(crate) fn stop(&mut self, signal: Signal) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        let _ = kill_process(Pid::from_child(&self.child), signal);
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(POLL_EVERY);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop(Signal::TERM);
    }
}

/// A temporary folder; on drop, every process that names it or runs in it is killed first.
///
/// Browsers and game servers are nobody's children once their parents are gone.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("greenroom-browser-").tempdir()?))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The processes that name this folder or run in it.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
        all.filter_map(Result::ok)
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
            .filter(|(_, process)| self.concerns(process))
            .filter_map(|(pid, _)| Pid::from_raw(pid))
            .collect()
    }

    fn concerns(&self, process: &Path) -> bool {
        let folder = self.path().as_os_str().as_bytes();
        let names = |words: Vec<u8>| words.windows(folder.len()).any(|part| part == folder);
        fs::read(process.join("cmdline")).is_ok_and(names)
            || fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(self.path()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
