//! `dev`: everything in one folder, credentials that stay the same, its game servers ended with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use greenroom_operations::studios::KeyRequest;
use greenroom_protocol::GameId;
use greenroom_storage::KeyPermissions;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::{
    cli,
    config::{Config, Environment},
    data_dir, output,
    server::{Greenroom, ServersAtStop},
};

/// The file in the data folder.
const FILE: &str = data_dir::DEV;

/// Where a development Greenroom is and what opens it; also the first line that `dev --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevFile {
    /// Where requests are served.
    pub url: String,
    /// Permits everything.
    pub admin_token: String,
    /// A key of all games.
    pub api_key: String,
    /// The game of requests that name none.
    pub game: Option<GameId>,
    /// The data folder, as an absolute path.
    pub data_dir: PathBuf,
}

impl DevFile {
    /// What the last `dev` in `data_dir` has left, if there was one.
    pub fn read(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = data_dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(|| {
                format!(
                    "{} is damaged; remove it, and the next `greenroom dev` makes a new one",
                    path.display()
                )
            }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// Keeps it in its data folder, readable by this user alone.
    pub fn write(&self) -> anyhow::Result<()> {
        let path = self.data_dir.join(FILE);
        let bytes = serde_json::to_vec_pretty(self)?;
        data_dir::write_private(&path, &bytes)
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Runs until it is asked to stop.
pub async fn run(arguments: cli::Dev) -> anyhow::Result<()> {
    let config = configured(&arguments)?;
    let greenroom = Greenroom::start(config).await?;
    let file = DevFile {
        url: greenroom.url(),
        admin_token: greenroom.node().admin_token.token.expose_secret().to_owned(),
        api_key: api_key(&greenroom).await?,
        game: greenroom.main_game(),
        data_dir: greenroom.data_dir().to_owned(),
    };
    file.write()?;
    if arguments.json {
        output::line(&serde_json::to_string(&file)?);
    } else {
        welcome(&file);
    }
    greenroom.until_stopped(ServersAtStop::Stop).await
}

/// The key that the last `dev` in this folder left, or a new one that permits all that its studio may.
async fn api_key(greenroom: &Greenroom) -> anyhow::Result<String> {
    let keys = &greenroom.node().keys;
    if let Some(kept) = DevFile::read(greenroom.data_dir())?
        && keys.authenticate(&kept.api_key).await.is_ok()
    {
        return Ok(kept.api_key);
    }
    let settings = greenroom.node().settings.borrow().clone();
    let studio = match settings.game_of_host(None) {
        Some(game) => game.studio.clone(),
        None => match settings.studios.keys().next() {
            Some(studio) => studio.clone(),
            None => anyhow::bail!("there is no studio; add [studios.demo] to the configuration"),
        },
    };
    let permissions = KeyPermissions { hosting: true, admin: true, ..KeyPermissions::default() };
    let request = KeyRequest { name: "greenroom dev".into(), permissions, ..KeyRequest::default() };
    let (_key, text) = keys.create(&studio, request).await?;
    Ok(text)
}

fn configured(arguments: &cli::Dev) -> anyhow::Result<Config> {
    let mut config = Config::load(arguments.config.as_deref(), &Environment::of_process())?;
    if let Some(listen) = arguments.listen {
        config.root.listen = listen;
    }
    if let Some(data_dir) = &arguments.data_dir {
        config.root.data_dir.clone_from(data_dir);
    }
    Ok(config)
}

/// The game whose client is served.
const DEMO_GAME: &str = "skirmish";

fn welcome(file: &DevFile) {
    output::line(&format!("Greenroom is ready at {}\n", file.url));
    let mut lines = Vec::new();
    // Other games bring their own clients.
    if file.game.as_ref().is_some_and(|game| game.as_str() == DEMO_GAME) {
        lines.push(("play", format!("{}/play/{DEMO_GAME}", file.url)));
    }
    lines.extend([
        ("console", format!("{}/console", file.url)),
        ("admin token", file.admin_token.clone()),
        ("API key", file.api_key.clone()),
        ("data folder", file.data_dir.display().to_string()),
    ]);
    output::pairs(&lines);
    output::line("\nCtrl-C stops it, and the game servers it has started.");
}
