//! A running Greenroom, from top to bottom: what is opened, in which order, and how it ends.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use greenroom_api::Tls;
use greenroom_backup::{Header, Upgrade};
use greenroom_directory::{Directory, DirectoryConfig};
use greenroom_domain::settings::Settings;
use greenroom_event_log::{EventLog, EventLogConfig};
use greenroom_fleet::{ProcessConfig, Provider, ProviderConfig, docker, images::Images};
use greenroom_operations::{Clock as _, Node, NodeDeps, SteadyClock, system::Installation};
use greenroom_protocol::GameId;
use greenroom_storage::{Storage, StorageConfig};
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::{ExposeSecret, SecretSlice};
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cli,
    config::{Config, Environment},
    data_dir::DataDir,
    log, measures, notify, output,
    outside::{self, Lights},
    shutdown::{self, Signals},
};

/// Connections that the system holds until we take them; more are refused by it.
const BACKLOG_CONNECTIONS: u32 = 4096;

/// How long player sockets may take to be told that Greenroom stops.
const SOCKETS_CLOSE_MAX: Duration = Duration::from_secs(5);

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
    node: Node,
    address: SocketAddr,
    settings: watch::Sender<Arc<Settings>>,
    ready: watch::Sender<bool>,
    closing: CancellationToken,
    sockets: TaskTracker,
    serving: TaskTracker,
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
    /// Where images of game servers come from.
    pub images: Images,
}

/// `serve`: runs until it is asked to stop, and leaves the game servers running.
pub async fn run(arguments: cli::Serve) -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let config = match &arguments.config {
        Some(path) => Config::load(Some(path), &environment)?,
        None => Config::from_env(&environment)?,
    };
    let greenroom = Greenroom::start(config).await?;
    let admin_token = &greenroom.node().admin_token;
    if admin_token.is_new {
        output::line(&format!(
            "The admin token, shown this once: {}\nKeep it: it opens the console and every call.",
            admin_token.token.expose_secret()
        ));
    }
    greenroom.until_stopped(ServersAtStop::GoOn).await
}

impl Greenroom {
    /// Opens everything that `config` names. When this returns, requests are served.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        log::start(&config.root.log)?;
        let signals = Signals::new().context("cannot receive signals")?;
        let metrics = PrometheusBuilder::new().install_recorder().context("cannot collect metrics")?;
        measures::describe();
        let tls = outside::tls(&config).await.context("TLS cannot be served")?;
        let data = DataDir::open(&config.root.data_dir)?;
        // Taken before anything is read, so that those who come meanwhile wait instead of being refused.
        let listener = listen(config.root.listen)?;
        let address = listener.local_addr()?;
        let (settings, settings_watch) = watch::channel(Arc::new(config.settings(address)));
        upgrade(&config, &data).await?;
        let engines = Engines::open(&config, &data).await?;
        data.note_version().context("the version cannot be noted in the data folder")?;
        let node = start_node(&config, address, &data, &engines, settings_watch).await?;

        let (ready, ready_watch) = watch::channel(false);
        let (closing, sockets, serving) = (CancellationToken::new(), TaskTracker::new(), TaskTracker::new());
        let lights = Lights { ready: ready_watch, closing: closing.clone(), sockets: sockets.clone() };
        let routes = outside::routes(&config, node.clone(), metrics, lights);
        if let Some(tls) = &tls {
            follow_certificate(tls.clone(), &serving, closing.clone())?;
        }
        let serve_settings = outside::serve_settings(&config, tls);
        let serve = greenroom_api::serve(listener, routes, serve_settings, closing.clone());
        serving.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "requests are no longer served");
            }
        });
        ready.send_replace(true);
        tracing::info!(%address, url = %config.url(address), data_dir = %data.path().display(), "requests are served");
        notify::ready();
        Ok(Self { config, data, engines, node, address, settings, ready, closing, sockets, serving, signals })
    }

    /// Where requests are served, for a program on this machine.
    pub fn url(&self) -> String {
        self.config.url(self.address)
    }

    /// The data folder, as an absolute path.
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// The game of a request that names none.
    pub fn main_game(&self) -> Option<GameId> {
        self.settings.borrow().game_of_host(None).map(|game| game.id.clone())
    }

    /// All operations.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Waits until it is asked to stop, and does so.
    pub async fn until_stopped(mut self, servers: ServersAtStop) -> anyhow::Result<()> {
        let signal = self.signals.next().await;
        tracing::info!(signal, "stopping");
        notify::stopping();
        let deadline = self.config.root.shutdown_timeout;
        let Self { engines, node, ready, closing, sockets, serving, mut signals, .. } = self;
        // The data folder's lock is held until the last step is done.
        let _data = self.data;
        let steps = async move {
            ready.send_replace(false);
            closing.cancel();
            close_sockets(&node, &sockets).await;
            serving.close();
            serving.wait().await;
            if servers == ServersAtStop::Stop {
                node.servers.stop_all().await;
            }
            node.shutdown.cancel();
            node.tracker.close();
            node.tracker.wait().await;
            engines.close().await;
        };
        shutdown::carry_out(steps, deadline, &mut signals).await;
        tracing::info!("stopped");
        Ok(())
    }
}

impl Engines {
    async fn open(config: &Config, data: &DataDir) -> anyhow::Result<Self> {
        let directory = Directory::open(DirectoryConfig::Embedded { path: data.directory_file() }).await?;
        let event_log = EventLog::open(EventLogConfig::Embedded { path: data.event_log_file() }).await?;
        let storage = Storage::open(StorageConfig::Embedded { path: data.storage_file() })?;
        let process = ProcessConfig {
            servers_dir: data.servers_dir(),
            greenroom: own_path()?,
            supervise_args: vec!["supervise".into()],
            sdk_ports: greenroom_fleet::sdk::PORTS,
        };
        let installation = data.installation().context("the installation's name cannot be kept")?;
        let docker = config.docker_engines(&installation, &data.containers_dir());
        let hosting_api = config.hosting_api_engines(&data.hosting_api_dir());
        let images = docker.iter().map(|docker| (docker.host.clone(), docker.endpoint.clone()));
        let images = images.map(|(host, endpoint)| docker::Connection::new(host, endpoint)).collect();
        let provider = Provider::open(ProviderConfig { process, docker, hosting_api }).await?;
        let images = Images::new(outside::images_config(config, images));
        Ok(Self { directory, event_log, storage, provider, images })
    }

    async fn close(self) {
        self.provider.shutdown().await;
        self.directory.close().await;
        self.event_log.close().await;
        self.storage.close().await;
    }
}

/// Brings the data folder up to this version; what is older was copied before.
async fn upgrade(config: &Config, data: &DataDir) -> anyhow::Result<()> {
    let installation = data.installation().context("the installation's name cannot be kept")?;
    let program = env!("CARGO_PKG_VERSION").to_owned();
    let header = Header { program, installation, taken_at: SteadyClock::default().now() };
    let files = data.files_beside(config.file.as_deref());
    let upgrade = Upgrade { folder: data.path(), header, files, used_by: data.used_by() };
    upgrade.carry_out().await?;
    Ok(())
}

async fn start_node(
    config: &Config,
    listen: SocketAddr,
    data: &DataDir,
    engines: &Engines,
    settings: watch::Receiver<Arc<Settings>>,
) -> anyhow::Result<Node> {
    let installation = Installation {
        version: env!("CARGO_PKG_VERSION").into(),
        data_dir: Some(data.path().to_owned()),
        configuration: config.shown().to_vec(),
    };
    let access_key =
        config.jwt_secret().map(|secret| SecretSlice::from(secret.expose_secret().as_bytes().to_vec()));
    let name = data.installation().context("the installation's name cannot be kept")?;
    let files = data.files_beside(config.file.as_deref());
    let deps = NodeDeps {
        directory: engines.directory.clone(),
        log: engines.event_log.clone(),
        storage: engines.storage.clone(),
        provider: engines.provider.clone(),
        images: engines.images.clone(),
        settings,
        auth: outside::auth_settings(config, listen),
        backups: config.backup_settings(&name, files),
        access_key,
        admin_token: None,
        greenroom: own_path()?.to_string_lossy().into_owned(),
        installation,
        clock: Arc::new(SteadyClock::default()),
        tracker: TaskTracker::new(),
        shutdown: CancellationToken::new(),
    };
    Ok(Node::start(deps).await?)
}

/// New certificates are presented as they come, and at once on SIGHUP.
fn follow_certificate(tls: Tls, serving: &TaskTracker, closing: CancellationToken) -> anyhow::Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("cannot receive SIGHUP")?;
    let look = Arc::new(Notify::new());
    let (looked, closed) = (Arc::clone(&look), closing.clone());
    serving.spawn(async move {
        // The end first; a signal after it means nothing any more.
        loop {
            tokio::select! {
                biased;
                () = closed.cancelled() => return,
                _ = hangups.recv() => looked.notify_one(),
            }
        }
    });
    serving.spawn(async move { tls.follow(&look, closing).await });
    Ok(())
}

/// Every socket is asked to come back later; those that do not listen are cut off with the process.
async fn close_sockets(node: &Node, sockets: &TaskTracker) {
    node.hub.close_all();
    sockets.close();
    if timeout(SOCKETS_CLOSE_MAX, sockets.wait()).await.is_err() {
        tracing::warn!(sockets = sockets.len(), "player sockets that do not listen are cut off");
    }
}

fn own_path() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("the path of this program cannot be told")
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
    socket.listen(BACKLOG_CONNECTIONS)
}
