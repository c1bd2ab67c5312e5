//! Engines that tests run as child processes, or skip by name where they are absent.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tempfile::TempDir;

#[cfg(feature = "docker")]
mod docker;
mod traefik;

#[cfg(feature = "docker")]
pub use docker::{
    Docker, DockerAnswer, DockerOptions, DockerRun, GAME, docker, docker_with, game_archive, shared_docker,
    test_game,
};
pub use traefik::{TRAEFIK, Traefik, traefik};

/// Set to `all`, it turns the absence of an engine into a failure: what CI does.
pub const REQUIRE_ENGINES: &str = "GREENROOM_REQUIRE_ENGINES";

/// Names the program to run as nats-server; without it, `PATH` is searched.
pub const NATS_SERVER: &str = "GREENROOM_NATS_SERVER";

/// How long an engine may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// How long to wait between two looks at a starting engine.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Hands `found` through, or says on standard error that `test` was not run because the engine
/// `name` is absent.
///
/// # Panics
///
/// If the engine is absent and [`REQUIRE_ENGINES`] is `all`.
pub fn require_engine<T>(name: &str, found: Option<T>, test: &str) -> Option<T> {
    if found.is_none() {
        assert!(
            env::var_os(REQUIRE_ENGINES).as_deref() != Some(OsStr::new("all")),
            "{name} is absent, and {REQUIRE_ENGINES}=all demands it (test {test})"
        );
        eprintln!("not run: {name} is absent (test {test})");
    }
    found
}

/// A nats-server with JetStream on a free loopback port and a store of its own, for the test
/// `test`. `None`, with a line that says so, where there is no nats-server (see
/// [`require_engine`]). Blocks until it listens.
///
/// # Panics
///
/// If there is a nats-server and it does not start.
pub fn nats(test: &str) -> Option<NatsServer> {
    require_engine("nats-server", nats_binary(), test).map(|binary| NatsServer::start(&binary))
}

/// A running nats-server, killed on drop.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    url: String,
    _folder: TempDir,
}

/// What nats-server writes about where it listens.
#[derive(Deserialize)]
struct PortsFile {
    nats: Vec<String>,
}

impl NatsServer {
    /// Where clients connect: `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn start(binary: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder for nats-server");
        let log = folder.path().join("log");
        let output = File::create(&log).expect("nats-server's log");
        let mut child = Command::new(binary)
            .args(["--addr", "127.0.0.1", "--port", "-1", "--jetstream"])
            .arg("--store_dir")
            .arg(folder.path().join("store"))
            .arg("--ports_file_dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("nats-server's log"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", binary.display()));
        let deadline = Instant::now() + START_TIMEOUT;
        let url = loop {
            if let Some(url) = listening_at(folder.path()) {
                break url;
            }
            let ended = child.try_wait().expect("nats-server's status");
            if ended.is_some() || Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                let log = fs::read_to_string(&log).unwrap_or_default();
                panic!("nats-server does not listen ({ended:?}); its log:\n{log}");
            }
            thread::sleep(POLL_INTERVAL);
        };
        Self { child, url, _folder: folder }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listening_at(folder: &Path) -> Option<String> {
    let ports = fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension() == Some(OsStr::new("ports")))?;
    // Half a file does not parse, and is looked at again.
    let ports: PortsFile = serde_json::from_slice(&fs::read(ports).ok()?).ok()?;
    ports.nats.into_iter().next()
}

fn nats_binary() -> Option<PathBuf> {
    env::var_os(NATS_SERVER).map(PathBuf::from).or_else(|| in_path("nats-server"))
}

/// The program `name` in one of the folders of `PATH`.
fn in_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}
