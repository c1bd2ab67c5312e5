use std::{
    fs,
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

use greenroom::dev::DevFile;
use greenroom_protocol::hosting::{ServerList, ServerView};
use reqwest::Client;
use rustix::process::Signal;
use serde::de::DeserializeOwned;

use crate::processes::{Folder, Process};

const START_MAX: Duration = Duration::from_secs(90);
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// Skirmish as it comes, but over soon.
const CONFIGURATION: &str = r#"
[studios.demo]

[games.skirmish]
studio = "demo"
lobby = { team_size = 4, members_max = 8, grace = "10m" }

[games.skirmish.fleet]
command = [
  "{greenroom}", "skirmish-server", "--port", "{port}", "--name", "{name}",
  "--match-seconds", "14", "--result-seconds", "3", "--wait-seconds", "10", "--seed", "4",
]
ports = [{ name = "default", protocol = "tcp" }]
"#;

/// The built program as `dev` runs it.
pub(crate) struct Greenroom {
    process: Process,
    http: Client,
    dev: DevFile,
}

impl Greenroom {
    pub(crate) fn start(folder: &Folder, log: &Path) -> anyhow::Result<Self> {
        let configuration = folder.path().join("greenroom.toml");
        fs::write(&configuration, CONFIGURATION)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GREENROOM_")) {
            command.env_remove(name);
        }
        command.args(["dev", "--json", "--listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(folder.path().join("data")).arg("--config").arg(&configuration);
        let process = Process::start(&mut command, log)?;
        let dev = process.line(START_MAX, |line| serde_json::from_str::<DevFile>(line).ok())?;
        // The client wants one before it is made; this one speaks plain HTTP only.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
        Ok(Self { process, http, dev })
    }

    pub(crate) fn url(&self) -> &str {
        &self.dev.url
    }

    /// What opens the console.
    pub(crate) fn admin_token(&self) -> &str {
        &self.dev.admin_token
    }

    /// Appends an event to the demo studio's history.
    pub(crate) async fn append(&self, subject: &str) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/v1/events?studio=demo", self.dev.url));
        let request =
            request.bearer_auth(&self.dev.admin_token).json(&serde_json::json!({ "subject": subject }));
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// What `GET path` answers to the player of `token`.
    pub(crate) async fn as_player<T: DeserializeOwned>(&self, token: &str, path: &str) -> anyhow::Result<T> {
        let request = self.http.get(format!("{}{path}", self.dev.url)).bearer_auth(token);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// All game servers, newest first.
    pub(crate) async fn servers(&self) -> anyhow::Result<Vec<ServerView>> {
        let request = self.http.get(format!("{}/v1/games/skirmish/servers", self.dev.url));
        let request = request.header("X-Api-Key", &self.dev.api_key);
        let list: ServerList = request.send().await?.error_for_status()?.json().await?;
        Ok(list.servers)
    }

    /// The log of a game server.
    pub(crate) async fn log_of(&self, server: &ServerView) -> anyhow::Result<String> {
        let request = self.http.get(format!("{}/v1/servers/{}/logs", self.dev.url, server.id));
        let request = request.header("X-Api-Key", &self.dev.api_key);
        Ok(request.send().await?.error_for_status()?.text().await?)
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn stop(mut self) -> Option<ExitStatus> {
        self.process.stop(Signal::INT)
    }
}
