//! A node on engines of its own in a temporary folder, and sockets on it.

use std::{collections::VecDeque, path::Path, sync::Arc, time::Duration};

use greenroom_directory::{Directory, DirectoryConfig};
use greenroom_domain::settings::{EventLimits, GameSettings, LobbySettings, Settings, StudioSettings};
use greenroom_event_log::{EventLog, EventLogConfig};
use greenroom_fleet::{ProcessConfig, Provider, ProviderConfig};
use greenroom_operations::{
    Node, NodeDeps, SteadyClock,
    players::{AuthSettings, ClientInfo, TokenKind},
    realtime::{
        Connection,
        outbox::{Closing, Delivery},
    },
};
use greenroom_protocol::{GameId, StudioId};
use greenroom_storage::{Storage, StorageConfig};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a test waits for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct TestNode {
    pub(crate) node: Node,
    pub(crate) directory: Directory,
    pub(crate) log: EventLog,
    pub(crate) storage: Storage,
    pub(crate) game: GameId,
}

pub(crate) fn game() -> GameId {
    GameId::new("skirmish").unwrap()
}

pub(crate) fn settings(lobby: LobbySettings) -> Settings {
    let studio = StudioId::new("demo").unwrap();
    let events = EventLimits { bytes_max: 1 << 30, events_max: 1_000_000, age_max: None, consumers_max: 16 };
    let game = GameSettings {
        id: game(),
        studio: studio.clone(),
        hosts: Vec::new(),
        slug: "game".into(),
        lobby,
        fleet: None,
    };
    Settings {
        studios: [(studio.clone(), StudioSettings { id: studio, servers_max: 100, events })].into(),
        games: [(game.id.clone(), game)].into(),
        hosts: std::collections::BTreeMap::new(),
        default_game: None,
        public_address: "127.0.0.1".into(),
        internal_url: "http://127.0.0.1:1".into(),
    }
}

impl TestNode {
    pub(crate) async fn start(folder: &Path, lobby: LobbySettings) -> Self {
        let directory =
            Directory::open(DirectoryConfig::Embedded { path: folder.join("now.db") }).await.unwrap();
        Self::start_on(folder, lobby, directory).await
    }

    pub(crate) async fn start_on(folder: &Path, lobby: LobbySettings, directory: Directory) -> Self {
        Self::start_all(folder, lobby, directory, AuthSettings::default()).await
    }

    pub(crate) async fn start_with(folder: &Path, auth: AuthSettings) -> Self {
        let directory =
            Directory::open(DirectoryConfig::Embedded { path: folder.join("now.db") }).await.unwrap();
        Self::start_all(folder, LobbySettings::default(), directory, auth).await
    }

    async fn start_all(
        folder: &Path,
        lobby: LobbySettings,
        directory: Directory,
        auth: AuthSettings,
    ) -> Self {
        let log = EventLog::open(EventLogConfig::Embedded { path: folder.join("history.db") }).await.unwrap();
        let storage = Storage::open(StorageConfig::Embedded { path: folder.join("records.db") }).unwrap();
        let provider = Provider::open(ProviderConfig::processes(ProcessConfig {
            servers_dir: folder.join("servers"),
            greenroom: "/nonexistent/greenroom".into(),
            supervise_args: vec!["supervise".into()],
            sdk_ports: greenroom_fleet::sdk::PORTS,
        }))
        .await
        .unwrap();
        let (sender, settings) = watch::channel(Arc::new(settings(lobby)));
        // The settings stay as they are; whoever watches them must not think that they ended.
        std::mem::forget(sender);
        let node = Node::start(NodeDeps {
            directory: directory.clone(),
            log: log.clone(),
            storage: storage.clone(),
            provider,
            images: greenroom_fleet::images::Images::none(),
            settings,
            auth,
            backups: greenroom_operations::backups::BackupSettings::default(),
            access_key: None,
            admin_token: None,
            greenroom: "/nonexistent/greenroom".into(),
            installation: greenroom_operations::system::Installation::default(),
            clock: Arc::new(SteadyClock::default()),
            tracker: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        })
        .await
        .unwrap();
        Self { node, directory, log, storage, game: game() }
    }

    /// Ends everything of this node as a stop does, so that another can open the folder.
    pub(crate) async fn stop(self) {
        self.node.shutdown.cancel();
        self.node.tracker.close();
        self.node.tracker.wait().await;
        self.directory.close().await;
        self.log.close().await;
        self.storage.close().await;
    }

    /// Signs a new player in.
    pub(crate) async fn sign_in(&self, name: &str) -> String {
        let kind = TokenKind::Contract;
        let signed_in =
            self.node.players.sign_in_anonymous(&self.game, Some(name), kind, ClientInfo::default()).await;
        signed_in.unwrap().access_token
    }

    /// A socket with that token.
    pub(crate) async fn socket(&self, token: &str) -> Socket {
        let player = self.node.players.authenticate(token, &self.game).await.unwrap();
        let id = player.id.to_string();
        let mut socket = Socket { connection: self.node.hub.connect(player), id, waiting: VecDeque::new() };
        assert_eq!(socket.next().await["type"], "connected");
        socket
    }

    /// A socket of a new player.
    pub(crate) async fn player(&self, name: &str) -> Socket {
        let token = self.sign_in(name).await;
        self.socket(&token).await
    }
}

pub(crate) struct Socket {
    pub(crate) connection: Connection,
    pub(crate) id: String,
    waiting: VecDeque<Value>,
}

impl Socket {
    /// Sends a message of `kind` with no further fields.
    pub(crate) async fn send(&self, kind: &str) {
        self.send_json(json!({ "type": kind })).await;
    }

    pub(crate) async fn send_json(&self, message: Value) {
        self.connection.receive(&message.to_string()).await;
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return message;
            }
            let delivery = tokio::time::timeout(PATIENCE, self.connection.next()).await;
            match delivery.expect("a message comes") {
                Delivery::Frames(frames) => {
                    self.waiting.extend(frames.iter().map(|frame| serde_json::from_slice(frame).unwrap()));
                }
                Delivery::Close(_, closing) => panic!("closed: {closing:?}"),
            }
        }
    }

    /// Why the socket is closed by the node.
    pub(crate) async fn closing(&mut self) -> Closing {
        loop {
            match tokio::time::timeout(PATIENCE, self.connection.next()).await.expect("it is closed") {
                Delivery::Frames(_) => {}
                Delivery::Close(_, closing) => return closing,
            }
        }
    }

    /// The next message of `kind`; others are passed over.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The first state of the lobby that `fits`; other messages are passed over.
    pub(crate) async fn lobby_where(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().await;
            if let Some(lobby) = message.get("lobby")
                && fits(lobby)
            {
                return lobby.clone();
            }
        }
    }

    /// Makes a lobby and answers its first state.
    pub(crate) async fn create(&mut self) -> Value {
        self.send("lobby:create").await;
        let created = self.next().await;
        assert_eq!(created["type"], "lobby:created", "{created}");
        created["lobby"].clone()
    }

    pub(crate) async fn join(&self, code: &Value) {
        self.send_json(json!({ "type": "lobby:join", "code": code })).await;
    }
}

/// How many members a lobby has.
pub(crate) fn size(lobby: &Value) -> usize {
    members(lobby).count()
}

pub(crate) fn members(lobby: &Value) -> impl Iterator<Item = &Value> {
    lobby["teamA"].as_array().unwrap().iter().chain(lobby["teamB"].as_array().unwrap())
}
