//! The built program as a child process: started, asked, killed, started again.
//!
//! An [`Installation`] is a configuration and a data folder; [`Installation::dev`] and
//! [`Installation::serve`] run it. Whatever a test does, nothing of it outlives the installation.

mod processes;
mod running;
mod socket;

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;

pub use processes::{Process, Role};
pub use running::{Answer, Api, Running};
pub use socket::{Gone, Socket};

/// How long anything may take that a test waits for, on a machine that much else runs on.
const PATIENCE: Duration = Duration::from_mins(1);

/// The game of [`Installation::new`]'s configuration.
pub const GAME: &str = "arena";

/// The studio of that game.
pub const STUDIO: &str = "demo";

/// The lowest port of game servers; below those that the system gives to who asks for any.
const PORT_MIN: u16 = 12_000;

/// What is told of rates: a test is one client that does the work of many.
const LIMITS: &str = r#"
[limits]
requests_per_address = "100000/s"
credentials_per_address = "100000/s"
sign_ins_per_address = "100000/s"
requests_per_player = "100000/s"
requests_per_key = "100000/s"
allocations_per_key = "100000/s"
allocations_per_address = "100000/s"
messages_per_socket = "100000/s"
streams_per_key_max = 1000
"#;

/// A configuration, a data folder, and the program that runs them. On drop every process that was
/// started for it ends.
#[derive(Debug)]
pub struct Installation {
    folder: TempDir,
    program: PathBuf,
    data_dir: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// Shown once by `serve`, at the first start.
    admin_token: Mutex<Option<String>>,
}

impl Installation {
    /// One game named [`GAME`], whose lobby has the settings `lobby` and whose fleet has the lines
    /// `fleet`; in these `{ports}` becomes a range of `ports` free ports.
    ///
    /// # Panics
    ///
    /// If its folder cannot be made.
    pub fn new(program: &str, lobby: &str, fleet: &str, ports: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().join("data");
        let installation = Self {
            folder,
            program: program.into(),
            data_dir,
            environment: Vec::new(),
            admin_token: Mutex::default(),
        };
        installation.configure(lobby, &fleet.replace("{ports}", &some_ports(ports)));
        installation
    }

    /// Writes the configuration anew, for the next start.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn configure(&self, lobby: &str, fleet: &str) {
        let text = format!(
            "listen = \"127.0.0.1:0\"\ndata_dir = {data_dir}\n{LIMITS}\n[studios.{STUDIO}]\n[games.{GAME}]\n\
             studio = \"{STUDIO}\"\nlobby = {{ {lobby} }}\n[games.{GAME}.fleet]\n{fleet}\n",
            data_dir = quoted(&self.data_dir),
        );
        fs::write(self.config(), text).expect("the configuration is written");
    }

    /// Keeps everything in `folder`, which the caller owns, from the next [`Installation::configure`] on.
    pub fn with_data_dir(mut self, folder: &Path) -> Self {
        let old = quoted(&self.data_dir);
        folder.clone_into(&mut self.data_dir);
        let text = fs::read_to_string(self.config()).expect("the configuration");
        fs::write(self.config(), text.replace(&old, &quoted(folder))).expect("the configuration is written");
        self
    }

    /// Starts it with this in its environment.
    pub fn with_env(mut self, variables: impl IntoIterator<Item = (&'static str, OsString)>) -> Self {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value)));
        self
    }

    /// The folder that holds everything.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A folder for what the test itself writes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration's file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("greenroom.toml")
    }

    /// The program, with nothing of the test's own environment that means something to it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GREENROOM_"))
        {
            command.env_remove(name);
        }
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
        command
    }

    /// Runs `greenroom dev` and waits until requests are served.
    ///
    /// # Panics
    ///
    /// If it ends instead, or does not come up in time.
    pub async fn dev(&self) -> Running {
        Running::start(self, self.dev_command()).await
    }

    /// `greenroom dev`, not yet started.
    pub fn dev_command(&self) -> Command {
        let mut command = self.command();
        command.args(["dev", "--json", "--config"]).arg(self.config());
        command
    }

    /// Runs `greenroom serve` and waits until requests are served.
    ///
    /// # Panics
    ///
    /// If it ends instead, or does not come up in time.
    pub async fn serve(&self) -> Running {
        Running::start(self, self.serve_command()).await
    }

    /// `greenroom serve`, not yet started.
    pub fn serve_command(&self) -> Command {
        let mut command = self.command();
        command.args(["serve", "--config"]).arg(self.config());
        command
    }

    /// Runs `command`, which serves in a way of its own, and waits until requests are served.
    ///
    /// # Panics
    ///
    /// If it ends instead, or does not come up in time.
    pub async fn started(&self, command: Command) -> Running {
        Running::start(self, command).await
    }

    /// The processes of its game servers and their supervisors that live now.
    pub fn processes(&self) -> Vec<Process> {
        processes::of(&self.data_dir)
    }

    /// Waits until its processes are as they should be; gives them. One that has just been started is
    /// not in the system's table with all that it is found by, and one that has done its work may
    /// still be ending.
    ///
    /// # Panics
    ///
    /// If they are not in time.
    pub async fn until_processes(&self, are: impl Fn(&[Process]) -> bool) -> Vec<Process> {
        let mut found = Vec::new();
        let look = || {
            found = self.processes();
            are(&found)
        };
        let came = crate::wait_for(look, PATIENCE).await;
        assert!(came, "the processes of game servers are not as they should be: {found:#?}");
        found
    }

    /// Waits until no process of a game server is left.
    ///
    /// # Panics
    ///
    /// If one still is after some time.
    pub async fn until_nothing_is_left(&self) {
        self.until_processes(<[Process]>::is_empty).await;
    }

    /// The game servers' own processes that live now.
    pub fn games(&self) -> Vec<Process> {
        self.processes().into_iter().filter(|process| process.role == Role::Game).collect()
    }

    fn admin_token(&self) -> Option<String> {
        self.admin_token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_admin_token(&self, token: String) {
        *self.admin_token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        processes::end(&self.data_dir);
    }
}

/// `path` as TOML writes a text. Folders for tests have no quotes in their names.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

/// A range of `count` ports that nobody has at the moment, as the configuration writes it.
///
/// # Panics
///
/// If there is none.
pub fn some_ports(count: u16) -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests that run beside each other begin at different places.
    let base = PORT_MIN + u16::try_from(std::process::id() % 64).unwrap_or(0) * 256;
    for _ in 0..200 {
        let first = base + NEXT.fetch_add(count, Ordering::Relaxed) % 4_000;
        let mut range = first..first + count;
        if range.all(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()) {
            return format!("{first}-{}", first + count - 1);
        }
    }
    panic!("there are no {count} free ports in a row");
}
