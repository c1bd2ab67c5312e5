//! Measures what idle player sockets cost: `cargo run --release -p greenroom-api --example idle_sockets -- 10000`.
//!
//! Prints the resident memory of this process, which serves, before and after a child process has
//! opened the sockets. Wants a limit of open files above twice the number, and ports to match.

use std::{collections::BTreeMap, error::Error, io::Write as _, process::Stdio, sync::Arc, time::Duration};

use axum::Router;
use futures_util::{StreamExt as _, stream};
use greenroom_api::{ApiDeps, ApiSettings, Rate, ServeSettings};
use greenroom_directory::{Directory, DirectoryConfig};
use greenroom_domain::settings::{EventLimits, GameSettings, LobbySettings, Settings, StudioSettings};
use greenroom_event_log::{EventLog, EventLogConfig};
use greenroom_fleet::{ProcessConfig, Provider, ProviderConfig};
use greenroom_operations::{
    Node, NodeDeps, SteadyClock,
    players::{AuthSettings, ClientInfo, TokenKind},
};
use greenroom_protocol::{GameId, StudioId};
use greenroom_storage::{Storage, StorageConfig};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    process::Command,
    sync::watch,
};
use tokio_tungstenite::connect_async;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Sockets that are opened at once.
const OPENING_AT_ONCE: usize = 64;

/// How long everything rests before it is measured.
const REST: Duration = Duration::from_secs(2);

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("client") => client().await,
        Some(sockets) => serve(sockets.parse()?).await,
        None => Err("how many sockets?".into()),
    }
}

async fn serve(sockets: usize) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let closing = CancellationToken::new();
    let (game, studio) = (GameId::new("game")?, StudioId::new("studio")?);
    let (_, settings) = watch::channel(Arc::new(settings(&game, &studio)));
    let process = ProcessConfig {
        servers_dir: path("servers"),
        greenroom: "greenroom".into(),
        supervise_args: vec!["supervise".into()],
        sdk_ports: greenroom_fleet::sdk::PORTS,
    };
    let node = Node::start(NodeDeps {
        directory: Directory::open(DirectoryConfig::Embedded { path: path("now.db") }).await?,
        log: EventLog::open(EventLogConfig::Embedded { path: path("history.db") }).await?,
        storage: Storage::open(StorageConfig::Embedded { path: path("records.db") })?,
        provider: Provider::open(ProviderConfig::processes(process)).await?,
        images: greenroom_fleet::images::Images::none(),
        settings,
        auth: AuthSettings::default(),
        backups: greenroom_operations::backups::BackupSettings::default(),
        access_key: None,
        admin_token: None,
        greenroom: "greenroom".into(),
        installation: greenroom_operations::system::Installation::default(),
        clock: Arc::new(SteadyClock::default()),
        tracker: TaskTracker::new(),
        shutdown: closing.clone(),
    })
    .await?;
    let plenty = Rate::new(1_000_000, 1_000_000);
    let mut api = ApiSettings::default();
    (api.limits.anonymous, api.limits.presented) = (plenty, plenty);
    api.limits.sockets_per_address_max = u32::MAX;
    let (_ready, ready) = watch::channel(true);
    let tracker = TaskTracker::new();
    let router = greenroom_api::router(ApiDeps {
        node: node.clone(),
        settings: api,
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        ready,
        closing: closing.clone(),
        tracker: tracker.clone(),
        extra: Router::new(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/_ws?token=", listener.local_addr()?);
    tracker.spawn(greenroom_api::serve(listener, router, ServeSettings::default(), closing.clone()));

    let tokens: Vec<String> = stream::iter(0..sockets)
        .map(|number| {
            let (players, game) = (node.players.clone(), game.clone());
            async move {
                let name = format!("player {number}");
                let signed_in =
                    players.sign_in_anonymous(&game, Some(&name), TokenKind::Contract, ClientInfo::default());
                signed_in.await.map(|signed_in| signed_in.access_token)
            }
        })
        .buffer_unordered(256)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    tokio::time::sleep(REST).await;
    let before = resident_kib()?;

    let mut child = Command::new(std::env::current_exe()?)
        .arg("client")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut to_child = child.stdin.take().ok_or("no way to the child")?;
    for token in &tokens {
        to_child.write_all(format!("{url}{token}\n").as_bytes()).await?;
    }
    drop(to_child);
    let mut from_child = BufReader::new(child.stdout.take().ok_or("no way from the child")?).lines();
    let opened: usize = from_child.next_line().await?.ok_or("the child has ended")?.parse()?;
    tokio::time::sleep(REST).await;
    let after = resident_kib()?;
    let open = node.hub.counts().sockets;
    let each = (after.saturating_sub(before)) as f64 * 1024.0 / open.max(1) as f64;
    writeln!(std::io::stdout(), "opened {opened}, open {open}")?;
    writeln!(
        std::io::stdout(),
        "resident: {before} KiB before, {after} KiB after, {each:.0} bytes a socket"
    )?;
    Ok(())
}

/// Opens what standard input names, a line each, says how many, and holds them.
async fn client() -> Outcome {
    let lines = BufReader::new(tokio::io::stdin()).lines();
    let urls = stream::unfold(lines, |mut lines| async move {
        let url = lines.next_line().await.ok().flatten()?;
        Some((url, lines))
    });
    let open = urls.map(async |url| {
        let (mut socket, _) = connect_async(url).await.ok()?;
        socket.next().await?.ok()?;
        Some(socket)
    });
    let sockets: Vec<_> =
        open.buffer_unordered(OPENING_AT_ONCE).filter_map(async |socket| socket).collect().await;
    writeln!(std::io::stdout(), "{}", sockets.len())?;
    std::future::pending::<()>().await;
    drop(sockets);
    Ok(())
}

fn resident_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

fn settings(game: &GameId, studio: &StudioId) -> Settings {
    let events = EventLimits { bytes_max: 1 << 30, events_max: 1_000_000, age_max: None, consumers_max: 10 };
    let studio_settings = StudioSettings { id: studio.clone(), servers_max: 1, events };
    let game_settings = GameSettings {
        id: game.clone(),
        studio: studio.clone(),
        hosts: Vec::new(),
        slug: "game".into(),
        lobby: LobbySettings::default(),
        fleet: None,
    };
    Settings {
        studios: BTreeMap::from([(studio.clone(), studio_settings)]),
        games: BTreeMap::from([(game.clone(), game_settings)]),
        hosts: BTreeMap::new(),
        default_game: Some(game.clone()),
        public_address: "127.0.0.1".into(),
        internal_url: "http://127.0.0.1:1".into(),
    }
}
