//! A running Greenroom, from top to bottom: what is opened, in which order, and how it ends.

use std::{
    collections::BTreeSet,
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use greenroom_directory::{Directory, DirectoryConfig};
use greenroom_domain::settings::Settings;
use greenroom_event_log::{EventLog, EventLogConfig};
use greenroom_fleet::{Phase, ProcessConfig, Provider, ProviderConfig};
use greenroom_protocol::{GameId, ServerId};
use greenroom_storage::{Storage, StorageConfig};
use tokio::net::TcpSocket;

use crate::{
    cli,
    config::{Config, Environment, reachable},
    data_dir::DataDir,
    log, notify,
    shutdown::{self, Signals},
};

/// Connections that the system holds until we take them; more are refused by it.
const BACKLOG_CONNECTIONS: u32 = 4096;

/// How long `dev` gives its game servers to end before they are made to.
const SERVER_STOP_GRACE: Duration = Duration::from_secs(5);

/// What becomes of the game servers when Greenroom stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServersAtStop {
    /// They go on; the next start finds them again.
    GoOn,
    /// They are stopped as well.
    Stop,
}

/// Everything that is open while Greenroom runs.
pub struct Greenroom {
    config: Config,
    data: DataDir,
    engines: Engines,
    address: SocketAddr,
    settings: Arc<Settings>,
    #[expect(dead_code, reason = "handed to the API, which is not wired yet")]
    listener: TcpListener,
    signals: Signals,
}

/// The engines under the ports.
#[derive(Clone)]
pub struct Engines {
    /// The state of now.
    pub directory: Directory,
    /// The history.
    pub event_log: EventLog,
    /// The records.
    pub storage: Storage,
    /// What starts game servers.
    pub provider: Provider,
}

/// `serve`: runs until it is asked to stop, and leaves the game servers running.
pub async fn run(arguments: cli::Serve) -> anyhow::Result<()> {
    let config = Config::load(Some(&arguments.config), &Environment::of_process())?;
    let greenroom = Greenroom::start(config).await?;
    greenroom.until_stopped(ServersAtStop::GoOn).await
}

impl Greenroom {
    /// Opens everything that `config` names. When this returns, requests are served.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        log::start(&config.root.log)?;
        let signals = Signals::new().context("cannot receive signals")?;
        let data = DataDir::open(&config.root.data_dir)?;
        let listener = listen(config.root.listen)?;
        let address = listener.local_addr()?;
        let settings = Arc::new(config.settings(address));
        let engines = Engines::open(&data).await?;
        tracing::info!(%address, data_dir = %data.path().display(), "requests are served");
        notify::ready();
        Ok(Self { config, data, engines, address, settings, listener, signals })
    }

    /// Where requests are served, for a program on this machine.
    pub fn url(&self) -> String {
        format!("http://{}", reachable(self.address))
    }

    /// The data folder, as an absolute path.
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// The game of a request that names none.
    pub fn main_game(&self) -> Option<GameId> {
        self.settings.game_of_host(None).map(|game| game.id.clone())
    }

    /// Waits until it is asked to stop, and does so.
    pub async fn until_stopped(mut self, servers: ServersAtStop) -> anyhow::Result<()> {
        let signal = self.signals.next().await;
        tracing::info!(signal, "stopping");
        notify::stopping();
        let timeout = self.config.root.shutdown_timeout;
        shutdown::carry_out(stop(self.engines, servers), timeout, &mut self.signals).await;
        tracing::info!("stopped");
        Ok(())
    }
}

impl Engines {
    async fn open(data: &DataDir) -> anyhow::Result<Self> {
        let directory = Directory::open(DirectoryConfig::Embedded { path: data.directory_file() }).await?;
        let event_log = EventLog::open(EventLogConfig::Embedded { path: data.event_log_file() }).await?;
        let storage = Storage::open(StorageConfig::Embedded { path: data.storage_file() })?;
        let provider = Provider::open(ProviderConfig::Process(ProcessConfig {
            servers_dir: data.servers_dir(),
            greenroom: std::env::current_exe().context("the path of this program cannot be told")?,
            supervise_args: vec!["supervise".into()],
        }))
        .await?;
        Ok(Self { directory, event_log, storage, provider })
    }
}

/// The one way down: what is asked of us last is closed first.
async fn stop(engines: Engines, servers: ServersAtStop) {
    if servers == ServersAtStop::Stop {
        stop_servers(&engines.provider).await;
    }
    engines.provider.shutdown().await;
    engines.directory.close().await;
    engines.event_log.close().await;
    engines.storage.close().await;
}

/// Asks every game server to end and waits until all have.
async fn stop_servers(provider: &Provider) {
    let mut changes = provider.observe();
    let mut running: BTreeSet<ServerId> = match provider.list().await {
        Ok(servers) => servers
            .into_iter()
            .filter(|server| !matches!(server.phase, Phase::Ended(_)))
            .map(|server| server.id)
            .collect(),
        Err(error) => return tracing::error!(%error, "the game servers cannot be listed; they go on"),
    };
    for id in &running {
        if let Err(error) = provider.stop(id, SERVER_STOP_GRACE).await {
            tracing::warn!(server = %id, %error, "a game server cannot be stopped; it goes on");
        }
    }
    while !running.is_empty() {
        let Some(server) = changes.next().await else { break };
        if matches!(server.phase, Phase::Ended(_)) {
            running.remove(&server.id);
        }
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    bind(address).with_context(|| {
        format!("cannot listen on {address}; is another program there? Choose another address with listen or --listen")
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Without this a restart waits until the old connections have timed out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG_CONNECTIONS)?.into_std()
}
