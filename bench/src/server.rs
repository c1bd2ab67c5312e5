//! Greenroom as a child process, and the folder in which everything of a benchmark is.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process},
};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    fsyncs::{Counter, Fsyncs, Shim},
    load::http::Http,
    process,
    settings::Settings,
};

/// How long a start may take before it counts as failed.
const START_MAX: Duration = Duration::from_mins(1);

/// How long a stop may take before it counts as failed.
const STOP_MAX: Duration = Duration::from_secs(30);

/// The exit code of a program that was interrupted, as shells have it.
const INTERRUPTED: i32 = 130;

/// How often it is looked whether something has come about.
const LOOK_EVERY: Duration = Duration::from_micros(250);

/// The program that is measured, and a folder on the disk that is measured. Removed on drop, with
/// every process that was started in it.
pub(crate) struct Bench {
    greenroom: PathBuf,
    root: TempDir,
    shim: Shim,
}

/// How Greenroom is started.
pub(crate) enum How<'a> {
    /// `dev` without a file: as it comes.
    DevAsItComes,
    /// `dev` with a file.
    Dev(&'a Settings),
    /// `dev` with a file of this text.
    DevWith(&'a str),
    /// `serve` with a file.
    Serve(&'a Settings),
}

/// A running Greenroom; killed on drop.
pub(crate) struct Server {
    child: Child,
    /// Held open, so that printing does not fail.
    stdout: BufReader<ChildStdout>,
    fsyncs: Counter,
    log: PathBuf,
    address: SocketAddr,
    api_key: String,
    admin_token: String,
    started_in: Duration,
}

/// The first line of `dev --json`.
#[derive(Deserialize)]
struct FirstLine {
    url: String,
    api_key: String,
    admin_token: String,
}

impl Bench {
    /// Prepares to measure `greenroom` with data below `folder`.
    pub(crate) fn new(greenroom: &Path, folder: &Path) -> anyhow::Result<Self> {
        ensure!(
            greenroom.is_file(),
            "there is no {}; run this by `cargo xtask bench`, which builds it, or name it with --greenroom",
            greenroom.display()
        );
        fs::create_dir_all(folder)?;
        let root = tempfile::Builder::new().prefix("greenroom-bench-").tempdir_in(folder)?;
        let shim = Shim::build(root.path())?;
        clear_up_when_interrupted(root.path().to_owned())?;
        Ok(Self { greenroom: greenroom.canonicalize()?, root, shim })
    }

    /// The folder of everything.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The program that is measured.
    pub(crate) fn greenroom(&self) -> &Path {
        &self.greenroom
    }

    /// A new, empty folder on the disk that is measured; removed on drop.
    pub(crate) fn folder(&self) -> anyhow::Result<TempDir> {
        Ok(tempfile::tempdir_in(self.root())?)
    }

    /// Starts Greenroom on the folder `data`, and waits until `/readyz` says 200.
    pub(crate) fn start(&self, how: &How, data: &Path) -> anyhow::Result<Server> {
        let name = data.file_name().unwrap_or_default().to_string_lossy();
        let file = |end: &str| self.root().join(format!("{name}.{end}"));
        let log = file("log");
        let fsyncs = self.shim.counter(file("fsyncs"))?;
        let mut command = Command::new(&self.greenroom);
        let mut address = None;
        match how {
            How::DevAsItComes => dev(&mut command, data),
            How::Dev(settings) => {
                dev(&mut command, data);
                command.arg("--config").arg(write(&file("toml"), &settings.text())?);
            }
            How::DevWith(text) => {
                dev(&mut command, data);
                command.arg("--config").arg(write(&file("toml"), text)?);
            }
            How::Serve(settings) => {
                let listen = free_address()?;
                address = Some(listen);
                let text = Settings { listen: Some(listen.to_string()), ..(*settings).clone() }.text();
                let text = format!("data_dir = {:?}\n{text}", data.display().to_string());
                command.args(["serve", "--config"]).arg(write(&file("toml"), &text)?);
            }
        }
        fsyncs.preload(&mut command);
        let log_file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let began = Instant::now();
        let mut child = command.spawn().context("greenroom does not run")?;
        let stdout = BufReader::new(child.stdout.take().context("its output is not piped")?);
        let mut server = Server {
            child,
            stdout,
            fsyncs,
            log,
            address: address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
            api_key: String::new(),
            admin_token: String::new(),
            started_in: Duration::ZERO,
        };
        server.wait_until_ready(began).with_context(|| server.last_words())?;
        Ok(server)
    }
}

impl Drop for Bench {
    /// Game servers outlive a Greenroom that was killed; none may outlive the benchmark.
    fn drop(&mut self) {
        kill_below(self.root());
    }
}

impl Server {
    /// From its start to the first 200 of `/readyz`.
    pub(crate) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A key of all games; not known of one that runs as `serve`.
    pub(crate) fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The admin token; not known of one that runs as `serve`.
    pub(crate) fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// A connection with that key.
    pub(crate) fn http(&self) -> anyhow::Result<Http> {
        Ok(Http::connect(self.address)?.with_header("X-Api-Key", &self.api_key))
    }

    /// CPU time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.child.id())
    }

    /// Its resident memory, in MiB.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        Ok(process::resident_bytes(self.child.id())? as f64 / f64::from(1 << 20))
    }

    /// The syncs that it has made.
    pub(crate) fn fsyncs(&self) -> anyhow::Result<Fsyncs> {
        self.fsyncs.read()
    }

    /// Asks it to stop, and waits until it has: `dev` stops its game servers first.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        signal(self.child.id(), Signal::TERM);
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "greenroom ended with {status}: {}", self.last_words());
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        bail!("greenroom did not stop within {STOP_MAX:?}: {}", self.last_words());
    }

    /// Kills it, as loss of the process does; its game servers go on.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn wait_until_ready(&mut self, began: Instant) -> anyhow::Result<()> {
        let deadline = began + START_MAX;
        if self.address.port() == 0 {
            let line = self.first_line(deadline)?;
            let line: FirstLine = serde_json::from_str(&line)
                .with_context(|| format!("the first line is no JSON: {line:?}"))?;
            self.address = line.url.trim_start_matches("http://").parse().context("its url is no address")?;
            self.api_key = line.api_key;
            self.admin_token = line.admin_token;
        }
        while Instant::now() < deadline {
            if Http::connect(self.address).and_then(|mut http| http.call("GET", "/readyz", b"")).is_ok() {
                self.started_in = began.elapsed();
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("greenroom ended with {status} before it was ready");
            }
            thread::sleep(LOOK_EVERY);
        }
        bail!("greenroom was not ready within {START_MAX:?}");
    }

    fn first_line(&mut self, deadline: Instant) -> anyhow::Result<String> {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()))?;
        let pipe = self.stdout.get_ref();
        let ready = poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&left))?;
        ensure!(ready > 0, "greenroom printed nothing within {START_MAX:?}");
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line)
    }

    /// The end of its log, for an error.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        format!("its log ends:\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error path: what is running is not needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does on Ctrl-C what otherwise happens at the end.
fn clear_up_when_interrupted(root: PathBuf) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("interrupts".into()).spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            kill_below(&root);
            // What is still there is in a folder for temporary files.
            let _ = fs::remove_dir_all(&root);
            std::process::exit(INTERRUPTED);
        }
    })?;
    Ok(())
}

fn kill_below(root: &Path) {
    for pid in process::below(root) {
        signal(pid, Signal::KILL);
    }
}

/// An address on which nobody listens. Somebody else could take it meanwhile; the start fails then.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn dev(command: &mut Command, data: &Path) {
    command.args(["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
}

fn write<'a>(path: &'a Path, text: &str) -> anyhow::Result<&'a Path> {
    fs::write(path, text)?;
    Ok(path)
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}
