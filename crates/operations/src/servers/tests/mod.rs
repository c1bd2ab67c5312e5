//! The operations on a real directory and real records, with a provider that does as it is told.

mod allocating;
mod codes;
mod hosts;
mod images;
mod pools;
mod restarts;
pub(crate) mod scripted;
mod sdk;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use greenroom_directory::{Directory, DirectoryConfig, FaultPlan};
use greenroom_domain::{
    server::Server,
    settings::{
        EventLimits, FleetSettings, GameSettings, LobbySettings, PortProtocol, PortSettings,
        ProviderSettings, Readiness, ServerLimits, Settings, StudioSettings, WarmPayload,
    },
};
use greenroom_fleet::images::Images;
use greenroom_protocol::{GameId, RegionId, ServerId, StudioId, Timestamp, hosting::ServerState};
use greenroom_storage::{Storage, StorageConfig};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use self::scripted::{Fate, Scripted};
use super::{
    AllocateError, AllocateRequest, Allocated, Machines, Servers, Shared, View, drive, idempotency, usage,
};
use crate::{AppendFailed, Clock, EventSink, Fact};

/// How long a test waits for what must happen soon.
const SOON: Duration = Duration::from_mins(1);

/// A node with its data folder; dropped and opened again it is the same installation.
struct Node {
    servers: Servers,
    scripted: Scripted,
    facts: Arc<Facts>,
    clock: Arc<TestClock>,
    settings: watch::Sender<Arc<Settings>>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    directory: Directory,
    storage: Storage,
}

/// Time that passes as fast as the runtime's, from a point of the test's choice, and leaps on its
/// word.
struct TestClock {
    began: tokio::time::Instant,
    leapt: Mutex<Duration>,
    held: Mutex<Option<Duration>>,
}

#[derive(Default)]
struct Facts {
    appended: Mutex<Vec<Fact>>,
    failing: Mutex<bool>,
    /// It takes appends and answers none.
    hanging: Mutex<bool>,
}

impl TestClock {
    /// Lets time pass by leaps alone: what counts by the second comes in one, however slow the machine.
    fn hold(&self) {
        *self.held.lock() = Some(self.began.elapsed());
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let passed = self.held.lock().unwrap_or_else(|| self.began.elapsed());
        Timestamp::from_millis(1_700_000_000_000).after(passed + *self.leapt.lock())
    }
}

#[async_trait]
impl EventSink for Facts {
    async fn append(&self, fact: Fact) -> Result<(), AppendFailed> {
        if *self.failing.lock() {
            return Err(AppendFailed("the disk is full".into()));
        }
        if *self.hanging.lock() {
            std::future::pending::<()>().await;
        }
        let mut appended = self.appended.lock();
        // A repeat is harmless: the history knows its id.
        if appended.iter().all(|known| known.id != fact.id) {
            appended.push(fact);
        }
        Ok(())
    }
}

impl Facts {
    fn of(&self, id: &ServerId) -> Vec<String> {
        let prefix = format!("v1.skirmish.servers.{id}.events.");
        let appended = self.appended.lock();
        appended.iter().filter_map(|fact| fact.subject.strip_prefix(&prefix).map(str::to_owned)).collect()
    }
}

impl Node {
    async fn open(folder: &Path, settings: Settings, scripted: Scripted, faults: Option<FaultPlan>) -> Self {
        Self::open_with(folder, settings, scripted, faults, Images::none()).await
    }

    async fn open_with(
        folder: &Path,
        settings: Settings,
        scripted: Scripted,
        faults: Option<FaultPlan>,
        images: Images,
    ) -> Self {
        let path = folder.join("directory.sqlite");
        let mut directory = Directory::open(DirectoryConfig::Embedded { path }).await.unwrap();
        if let Some(plan) = faults {
            directory = Directory::faulty(directory, plan);
        }
        let path = folder.join("records.sqlite");
        let storage = Storage::open(StorageConfig::Embedded { path }).unwrap();
        let (sender, settings) = watch::channel(Arc::new(settings));
        let facts = Arc::new(Facts::default());
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let began = tokio::time::Instant::now();
        let clock = TestClock { began, leapt: Mutex::default(), held: Mutex::default() };
        let clock = Arc::new(clock);
        let shared = Shared {
            directory: directory.clone(),
            machines: Machines::Scripted(scripted.clone()),
            images,
            storage: storage.clone(),
            settings,
            events: Arc::clone(&facts) as Arc<dyn EventSink>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
            greenroom: "/usr/bin/greenroom".to_owned(),
            view: View::new(),
            traefik: super::Told::default(),
            traefik_api: super::TraefikApi::default(),
            usages: usage::Usages::default(),
            newest: Mutex::default(),
            drivers: drive::Drivers::default(),
            in_flight: idempotency::InFlight::default(),
            pings: super::sdk::Pings::default(),
            sdk_inboxes: super::sdk::Inboxes::default(),
            secrets: Mutex::default(),
            image_waits: Mutex::default(),
            is_draining: std::sync::atomic::AtomicBool::new(false),
            handed_out: std::sync::atomic::AtomicU64::new(0),
        };
        let servers = Servers::start_on(shared).await.unwrap();
        Self { servers, scripted, facts, clock, settings: sender, tracker, shutdown, directory, storage }
    }

    /// Ends the node in the middle of whatever it does; the servers live on.
    async fn die(self) -> Scripted {
        self.shutdown.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.directory.close().await;
        self.storage.close().await;
        self.scripted
    }

    /// Waits until `condition` holds, looking after each change of a server.
    async fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let mut changes = self.servers.watch();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if condition(self) {
                    return;
                }
                // What is waited for may be the provider's or the history's doing, which is no
                // change of a server.
                let _ = tokio::time::timeout(Duration::from_millis(20), changes.changed()).await;
            }
        };
        let came = tokio::time::timeout(SOON, wait).await;
        assert!(came.is_ok(), "{what}: {:#?}", self.servers.snapshot(None));
    }

    fn in_state(&self, state: ServerState) -> Vec<Arc<Server>> {
        let mut servers = self.servers.snapshot(None);
        servers.retain(|server| server.state == state);
        servers
    }

    /// Lets so much time pass at once, and has everybody look at what that means.
    fn leap(&self, time: Duration) {
        *self.clock.leapt.lock() += time;
        self.settings.send_modify(|_| {});
    }

    fn change(&self, change: impl FnOnce(&mut FleetSettings)) {
        self.settings.send_modify(|settings| {
            let mut changed = (**settings).clone();
            let game = changed.games.get_mut(&game()).unwrap();
            change(game.fleet.as_mut().unwrap());
            *settings = Arc::new(changed);
        });
    }
}

fn game() -> GameId {
    GameId::new("skirmish").unwrap()
}

fn ask() -> AllocateRequest {
    AllocateRequest {
        game: game(),
        region: None,
        title: None,
        listed: false,
        version: None,
        payload: Some("{\"map\": \"ü\"}".to_owned()),
        idempotency: None,
        match_id: None,
        caller: "key-1".to_owned(),
        timeout: None,
    }
}

fn ask_as(key: &str) -> AllocateRequest {
    AllocateRequest { idempotency: Some(key.to_owned()), ..ask() }
}

fn fleet() -> FleetSettings {
    let port = |name: &str, count| PortSettings {
        name: name.to_owned(),
        protocol: PortProtocol::Tcp,
        count,
        fixed: None,
        inner: None,
    };
    FleetSettings {
        provider: ProviderSettings::Process,
        command: ["{greenroom}", "skirmish-server", "--port", "{port}", "--name", "{name}"]
            .map(str::to_owned)
            .to_vec(),
        environment: BTreeMap::from([
            ("QUERY".to_owned(), "{port:query-port}".to_owned()),
            ("GREENROOM_SERVER_ID".to_owned(), "forged".to_owned()),
        ]),
        working_dir: None,
        ports: vec![port("default", 1), port("query-port", 2)],
        port_range: 7000..=7999,
        ready: Readiness::Listening,
        ready_timeout: Duration::from_secs(30),
        start_tries_max: 3,
        stop_grace: Duration::from_secs(1),
        ready_min: 0,
        running_max: 20,
        warm_payload: WarmPayload::File,
        version: Some("1.0.0".to_owned()),
        regions: vec![RegionId::new("eu").unwrap()],
        limits: ServerLimits::default(),
        log_bytes_max: 1 << 20,
        ended_keep: Duration::from_hours(1),
        ..FleetSettings::default()
    }
}

/// Games of one studio, all alike.
fn settings(games: &[&str], servers_max: u32, fleet: &FleetSettings) -> Settings {
    let studio = StudioId::new("demo").unwrap();
    let events = EventLimits { bytes_max: 1 << 30, events_max: 1 << 20, age_max: None, consumers_max: 10 };
    let game = |id: &&str| {
        let id = GameId::new(id).unwrap();
        let game = GameSettings {
            id: id.clone(),
            studio: studio.clone(),
            hosts: Vec::new(),
            slug: "game".into(),
            lobby: LobbySettings::default(),
            fleet: Some(fleet.clone()),
        };
        (id, game)
    };
    Settings {
        studios: BTreeMap::from([(
            studio.clone(),
            StudioSettings { id: studio.clone(), servers_max, events },
        )]),
        games: games.iter().map(game).collect(),
        hosts: BTreeMap::new(),
        default_game: None,
        public_address: "203.0.113.7".to_owned(),
        internal_url: "http://127.0.0.1:4700".to_owned(),
    }
}

async fn node(folder: &Path, fleet: &FleetSettings, otherwise: Fate) -> Node {
    Node::open(folder, settings(&["skirmish"], 100, fleet), Scripted::new(otherwise), None).await
}

/// Asks on a task of its own.
fn spawn(servers: Servers, request: AllocateRequest) -> AbortOnDropHandle<Result<Allocated, AllocateError>> {
    #[expect(clippy::disallowed_methods, reason = "the handle ends it when the test does")]
    AbortOnDropHandle::new(tokio::spawn(async move { servers.allocate(request).await }))
}
