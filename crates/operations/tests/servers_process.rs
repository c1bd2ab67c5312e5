//! The operations over real processes: this program is supervisor, game and test in one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    env,
    net::{TcpListener, TcpStream},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use greenroom_directory::{Directory, DirectoryConfig};
use greenroom_domain::settings::{
    EventLimits, FleetSettings, GameSettings, LobbySettings, PortProtocol, PortSettings, ProviderSettings,
    Readiness, ServerLimits, Settings, StudioSettings, WarmPayload,
};
use greenroom_fleet::{LogQuery, ProcessConfig, Provider, ProviderConfig};
use greenroom_operations::{
    AppendFailed, EventSink, Fact, SteadyClock,
    servers::{AllocateRequest, Servers, ServersDeps},
};
use greenroom_protocol::{GameId, RegionId, StudioId, hosting::ServerState};
use greenroom_storage::{Storage, StorageConfig};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the test waits for what must happen soon.
const SOON: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("supervise") => greenroom_fleet::supervise::main(Path::new(&arguments[2])),
        Some("game") => game(&arguments[2]),
        // A lister of tests finds none; whoever runs them runs the one.
        Some("--list") => ExitCode::SUCCESS,
        _ => {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(a_server_is_allocated_survives_a_restart_and_is_stopped());
            println!("a_server_is_allocated_survives_a_restart_and_is_stopped ... ok");
            ExitCode::SUCCESS
        }
    }
}

/// A game that accepts players until it is told to end.
fn game(port: &str) -> ExitCode {
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    println!("listening on {port}");
    for stream in listener.incoming() {
        drop(stream);
    }
    ExitCode::SUCCESS
}

struct NoHistory;

#[async_trait]
impl EventSink for NoHistory {
    async fn append(&self, _fact: Fact) -> Result<(), AppendFailed> {
        Ok(())
    }
}

struct Node {
    servers: Servers,
    provider: Provider,
    directory: Directory,
    storage: Storage,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    _settings: watch::Sender<Arc<Settings>>,
}

impl Node {
    async fn open(folder: &Path) -> Self {
        let program = env::current_exe().unwrap();
        let config = ProcessConfig {
            servers_dir: folder.join("servers"),
            greenroom: program.clone(),
            supervise_args: vec!["supervise".to_owned()],
            sdk_ports: greenroom_fleet::sdk::PORTS,
        };
        let provider = Provider::open(ProviderConfig::processes(config)).await.unwrap();
        let path = folder.join("directory.sqlite");
        let directory = Directory::open(DirectoryConfig::Embedded { path }).await.unwrap();
        let storage = Storage::open(StorageConfig::Embedded { path: folder.join("records.sqlite") }).unwrap();
        let (sender, settings) = watch::channel(Arc::new(settings()));
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let servers = Servers::start(ServersDeps {
            directory: directory.clone(),
            provider: provider.clone(),
            storage: storage.clone(),
            images: greenroom_fleet::images::Images::none(),
            settings,
            events: Arc::new(NoHistory),
            clock: Arc::new(SteadyClock::default()),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
            greenroom: program.display().to_string(),
        })
        .await
        .unwrap();
        Self { servers, provider, directory, storage, tracker, shutdown, _settings: sender }
    }

    async fn close(self) {
        self.shutdown.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.provider.shutdown().await;
        self.directory.close().await;
        self.storage.close().await;
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.servers.watch();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if condition(self) {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "{what}: {:#?}", self.servers.snapshot(None));
    }

    fn ready(&self) -> usize {
        let servers = self.servers.snapshot(None);
        servers.iter().filter(|server| server.state == ServerState::Ready).count()
    }
}

async fn a_server_is_allocated_survives_a_restart_and_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::open(folder.path()).await;
    let cold = Instant::now();
    let server = node.servers.allocate(ask("k", Some("0.9.0"))).await.unwrap().server;
    println!("cold allocation: {:?}", cold.elapsed());
    TcpStream::connect(("127.0.0.1", server.port.unwrap())).unwrap();

    node.until("the pool is filled", |node| node.ready() == 3).await;
    for _ in 0..3 {
        let warm = Instant::now();
        let server = node.servers.allocate(ask(&format!("{warm:?}"), None)).await.unwrap().server;
        println!("warm allocation: {:?}", warm.elapsed());
        TcpStream::connect(("127.0.0.1", server.port.unwrap())).unwrap();
        let file =
            folder.path().join("servers").join(node.servers.living(&server.id).unwrap().instance().as_str());
        let payload = std::fs::read_dir(&file)
            .unwrap()
            .flatten()
            .find(|entry| std::fs::read(entry.path()).is_ok_and(|content| content == b"the payload"));
        assert!(payload.is_some(), "the payload is in a file of its own, byte for byte");
    }
    node.close().await;

    TcpStream::connect(("127.0.0.1", server.port.unwrap())).expect("it lives on without us");
    let node = Node::open(folder.path()).await;
    let again = node.servers.allocate(ask("k", Some("0.9.0"))).await.unwrap();
    assert!(again.is_repeat);
    assert_eq!((&again.server.id, again.server.state), (&server.id, ServerState::Allocated));
    let id = GameId::new("echo").unwrap();
    let query = LogQuery { tail_lines: 10, follow: false };
    let mut log = node.servers.logs(&id, &server.id, query).await.unwrap();
    let mut lines = Vec::new();
    while let Some(line) = log.next().await {
        lines.push(line.text);
    }
    assert!(lines.iter().any(|line| line.starts_with("listening on")), "{lines:?}");

    node.servers.stop(&id, &server.id).await.unwrap();
    node.until("its end is written down", |node| node.servers.living(&server.id).is_none()).await;
    let ended = node.servers.get(&id, &server.id).await.unwrap();
    assert_eq!(ended.state, ServerState::Ended);
    assert!(!ended.exit.unwrap().crashed);
    TcpStream::connect(("127.0.0.1", server.port.unwrap())).expect_err("its port is free");
    node.servers.stop_all().await;
    assert!(node.servers.snapshot(None).is_empty());
    node.close().await;
}

fn ask(key: &str, version: Option<&str>) -> AllocateRequest {
    AllocateRequest {
        game: GameId::new("echo").unwrap(),
        region: None,
        title: None,
        listed: false,
        version: version.map(str::to_owned),
        payload: Some("the payload".to_owned()),
        idempotency: Some(key.to_owned()),
        match_id: None,
        caller: "test".to_owned(),
        timeout: None,
    }
}

fn settings() -> Settings {
    let (studio, id) = (StudioId::new("demo").unwrap(), GameId::new("echo").unwrap());
    let fleet = FleetSettings {
        provider: ProviderSettings::Process,
        command: ["{greenroom}", "game", "{port}"].map(str::to_owned).to_vec(),
        environment: BTreeMap::new(),
        working_dir: None,
        ports: vec![PortSettings {
            name: "default".into(),
            protocol: PortProtocol::Tcp,
            count: 1,
            fixed: None,
            inner: None,
        }],
        port_range: 20_000..=29_999,
        ready: Readiness::Listening,
        ready_timeout: Duration::from_secs(50),
        start_tries_max: 3,
        stop_grace: Duration::from_secs(5),
        ready_min: 3,
        running_max: 10,
        warm_payload: WarmPayload::File,
        version: Some("1.0.0".to_owned()),
        regions: vec![RegionId::new("here").unwrap()],
        limits: ServerLimits::default(),
        log_bytes_max: 1 << 20,
        ended_keep: Duration::from_hours(1),
        ..FleetSettings::default()
    };
    let events = EventLimits { bytes_max: 1 << 30, events_max: 1 << 20, age_max: None, consumers_max: 10 };
    let game = GameSettings {
        id: id.clone(),
        studio: studio.clone(),
        hosts: Vec::new(),
        slug: "game".into(),
        lobby: LobbySettings::default(),
        fleet: Some(fleet),
    };
    Settings {
        studios: BTreeMap::from([(studio.clone(), StudioSettings { id: studio, servers_max: 100, events })]),
        games: BTreeMap::from([(id, game)]),
        hosts: BTreeMap::new(),
        default_game: None,
        public_address: "127.0.0.1".to_owned(),
        internal_url: "http://127.0.0.1:4700".to_owned(),
    }
}
