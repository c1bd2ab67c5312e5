//! A Traefik of its own for a test.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use tempfile::TempDir;

use super::{POLL_INTERVAL, START_TIMEOUT, require_engine};

/// Names the program to run as Traefik; without it, `PATH` is searched.
pub const TRAEFIK: &str = "GREENROOM_TRAEFIK";

/// How often a start is tried whose port somebody else took meanwhile.
const STARTS_MAX: u32 = 5;

/// A Traefik that listens on a free loopback port, with further static configuration (YAML), for
/// the test `test`. `None`, with a line that says so, where there is none (see [`require_engine`]).
/// Its entry point is `web`. Blocks until it listens.
///
/// # Panics
///
/// If there is a Traefik and it does not start.
pub fn traefik(test: &str, configuration: &str) -> Option<Traefik> {
    let binary = require_engine("traefik", binary(), test)?;
    for _ in 1..STARTS_MAX {
        if let Ok(traefik) = Traefik::start(&binary, configuration) {
            return Some(traefik);
        }
    }
    Some(
        Traefik::start(&binary, configuration)
            .unwrap_or_else(|log| panic!("Traefik does not answer:\n{log}")),
    )
}

/// A running Traefik, killed on drop.
#[derive(Debug)]
pub struct Traefik {
    child: Child,
    url: String,
    api_url: String,
    folder: TempDir,
}

impl Traefik {
    /// Where its entry point is: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its own interface is.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn start(binary: &Path, configuration: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder for Traefik");
        let log = File::create(folder.path().join("log")).expect("Traefik's log");
        let (web, api) = (free_address(), free_address());
        let text = format!(
            "global: {{ checkNewVersion: false, sendAnonymousUsage: false }}\n\
             entryPoints: {{ web: {{ address: \"{web}\" }}, traefik: {{ address: \"{api}\" }} }}\n\
             api: {{ insecure: true, dashboard: false }}\n{configuration}\n"
        );
        let file = folder.path().join("traefik.yml");
        fs::write(&file, text).expect("Traefik's configuration is written");
        let child = Command::new(binary)
            .arg("--configFile")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("Traefik's log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", binary.display()));
        let mut traefik =
            Self { child, url: format!("http://{web}"), api_url: format!("http://{api}"), folder };
        let deadline = Instant::now() + START_TIMEOUT;
        while [web, api].iter().any(|address| TcpStream::connect(address).is_err()) {
            let ended = traefik.child.try_wait().expect("Traefik's status");
            if ended.is_some() || Instant::now() > deadline {
                return Err(traefik.log());
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(traefik)
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One on which nobody listens. Somebody else could take it meanwhile; the start fails then.
fn free_address() -> SocketAddr {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    free.expect("a free port")
}

fn binary() -> Option<PathBuf> {
    if let Some(path) = env::var_os(TRAEFIK) {
        return Some(PathBuf::from(path));
    }
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join("traefik")).find(|path| path.is_file())
}
