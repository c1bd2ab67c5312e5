//! A Greenroom on a port and a folder of its own, and the programs that talk to it.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::Router;
use futures_util::{SinkExt as _, StreamExt as _};
use greenroom_api::{ApiDeps, ApiSettings, Rate, ServeSettings};
use greenroom_directory::{Directory, DirectoryConfig};
use greenroom_domain::settings::{
    EventLimits, FleetSettings, GameSettings, LobbySettings, PortProtocol, PortSettings, ProviderSettings,
    Readiness, ServerLimits, Settings, StudioSettings, WarmPayload,
};
use greenroom_event_log::{EventLog, EventLogConfig};
use greenroom_fleet::{ProcessConfig, Provider, ProviderConfig};
use greenroom_operations::{Node, NodeDeps, SteadyClock, players::AuthSettings, studios::KeyRequest};
use greenroom_protocol::{GameId, RegionId, StudioId};
use greenroom_storage::{KeyPermissions, Storage, StorageConfig};
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::{Method, RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Nothing here takes this long; what does has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const HELPER: &str = env!("CARGO_BIN_EXE_api-test-helper");

/// Two studios. `demo` has `skirmish`, the default game, with servers; and `chess` without, at the
/// host `chess.test`. `rival` has `go`.
pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) closing: CancellationToken,
    pub(crate) sockets: TaskTracker,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
    tasks: TaskTracker,
    _folder: tempfile::TempDir,
}

/// What a test wants to be different.
pub(crate) struct Wish {
    pub(crate) api: ApiSettings,
    pub(crate) serve: ServeSettings,
    pub(crate) auth: AuthSettings,
    pub(crate) settings: Settings,
    pub(crate) extra: Router,
    /// The only certificate that the client trusts.
    pub(crate) root: Option<reqwest::Certificate>,
}

impl Default for Wish {
    fn default() -> Self {
        let mut api = ApiSettings::default();
        // Limits have tests of their own; everybody here comes from one address.
        let plenty = Rate::new(1_000_000, 1_000_000);
        (api.limits.sign_in, api.limits.anonymous, api.limits.presented) = (plenty, plenty, plenty);
        (api.limits.password, api.limits.mail, api.limits.mail_to) = (plenty, plenty, plenty);
        api.limits.sockets_per_address_max = 1_000;
        // Clients of a test that is over do not read.
        api.sockets.close_timeout = Duration::from_millis(100);
        Self {
            api,
            serve: ServeSettings::default(),
            auth: AuthSettings::default(),
            settings: settings(),
            extra: Router::new(),
            root: None,
        }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Wish)) -> Self {
        let mut wish = Wish::default();
        change(&mut wish);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let process = ProcessConfig {
            servers_dir: path("servers"),
            greenroom: HELPER.into(),
            supervise_args: vec!["supervise".into()],
            sdk_ports: greenroom_fleet::sdk::PORTS,
        };
        let (closing, shutdown) = (CancellationToken::new(), CancellationToken::new());
        let (tasks, sockets) = (TaskTracker::new(), TaskTracker::new());
        let (_, settings) = watch::channel(Arc::new(wish.settings));
        let node = Node::start(NodeDeps {
            directory: Directory::open(DirectoryConfig::Embedded { path: path("now.db") }).await.unwrap(),
            log: EventLog::open(EventLogConfig::Embedded { path: path("history.db") }).await.unwrap(),
            storage: Storage::open(StorageConfig::Embedded { path: path("records.db") }).unwrap(),
            provider: Provider::open(ProviderConfig::processes(process)).await.unwrap(),
            images: greenroom_fleet::images::Images::none(),
            settings,
            auth: wish.auth,
            backups: greenroom_operations::backups::BackupSettings::default(),
            access_key: None,
            admin_token: None,
            greenroom: HELPER.into(),
            installation: greenroom_operations::system::Installation::default(),
            clock: Arc::new(SteadyClock::default()),
            tracker: tasks.clone(),
            shutdown,
        })
        .await
        .unwrap();
        let (ready, ready_told) = watch::channel(true);
        let router = greenroom_api::router(ApiDeps {
            node: node.clone(),
            settings: wish.api,
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            ready: ready_told,
            closing: closing.clone(),
            tracker: sockets.clone(),
            extra: wish.extra,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if wish.serve.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "awaited, or ended with the test's runtime")]
        let served = tokio::spawn(greenroom_api::serve(listener, router, wish.serve, closing.clone()));
        // An error is that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder().timeout(PATIENCE);
        if let Some(root) = wish.root {
            http = http.tls_certs_only([root]);
        }
        let http = http.build().unwrap();
        Self { node, url, http, ready, closing, sockets, served, tasks, _folder: folder }
    }

    /// Stops the game servers, and everything else, in the order of a real shutdown.
    pub(crate) async fn end(self) {
        let all = async {
            self.node.servers.stop_all().await;
            self.closing.cancel();
            self.node.hub.close_all();
            self.served.await.unwrap().unwrap();
            self.sockets.close();
            self.sockets.wait().await;
            self.node.shutdown.cancel();
            self.tasks.close();
            self.tasks.wait().await;
        };
        timeout(PATIENCE, all).await.expect("everything ends");
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub(crate) fn admin(&self) -> String {
        self.node.admin_token.token.expose_secret().to_owned()
    }

    /// An API key of `studio`.
    pub(crate) async fn key(&self, studio: &str, permissions: KeyPermissions) -> String {
        self.key_of(studio, None, permissions).await
    }

    pub(crate) async fn key_of(
        &self,
        studio: &str,
        game: Option<&str>,
        permissions: KeyPermissions,
    ) -> String {
        let request = KeyRequest {
            name: "test".into(),
            game: game.map(|game| GameId::new(game).unwrap()),
            permissions,
            expires_at: None,
        };
        self.node.keys.create(&StudioId::new(studio).unwrap(), request).await.unwrap().1
    }

    pub(crate) async fn hosting_key(&self) -> String {
        self.key("demo", KeyPermissions { hosting: true, ..none() }).await
    }

    pub(crate) async fn studio_key(&self) -> String {
        self.key("demo", KeyPermissions { admin: true, ..none() }).await
    }

    /// A player who signed in by the contract: its token and its id.
    pub(crate) async fn player(&self, name: &str) -> (String, String) {
        let answer = self.post("/auth/anonymous").json(&json!({ "username": name })).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&body["accessToken"]), text(&body["account"]["id"]))
    }

    pub(crate) fn socket_url(&self, path: &str) -> String {
        format!("{}{path}", self.url.replacen("http", "ws", 1))
    }

    /// A socket that was told that it is connected.
    pub(crate) async fn socket(&self, token: &str) -> Socket {
        let mut socket = Socket::open(&self.socket_url(&format!("/_ws?token={token}"))).await;
        let connected = socket.next().await;
        assert_eq!(connected["type"], "connected");
        connected["accountId"].as_str().unwrap().clone_into(&mut socket.id);
        socket
    }

    /// A new player's socket.
    pub(crate) async fn joined(&self, name: &str) -> Socket {
        let (token, _) = self.player(name).await;
        self.socket(&token).await
    }
}

/// So many at once, and then no more while a test lasts, however slow the machine is.
pub(crate) fn once(at_once: u32) -> Rate {
    Rate { count: NonZeroU32::new(at_once).unwrap(), period: Duration::from_hours(1) * at_once }
}

/// Where the ports of game servers are.
pub(crate) const PORTS: RangeInclusive<u16> = 12_000..=27_999;

/// Ports that are one world's: who looks whether a port is free binds it for a moment, in which a game
/// of another world could not listen on it.
pub(crate) fn some_ports() -> RangeInclusive<u16> {
    const EACH: u16 = 40;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let ranges = PORTS.len() as u16 / EACH;
    let first = PORTS.start() + NEXT.fetch_add(1, Ordering::Relaxed) % ranges * EACH;
    first..=first + EACH - 1
}

pub(crate) fn none() -> KeyPermissions {
    KeyPermissions { hosting: false, admin: false, publish: Vec::new(), subscribe: Vec::new() }
}

/// A client's WebSocket.
pub(crate) struct Socket {
    pub(crate) id: String,
    stream: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
}

impl Socket {
    pub(crate) async fn open(url: impl IntoClientRequest + Unpin) -> Self {
        let (stream, response) = connect_async(url).await.unwrap();
        assert_eq!(response.status(), 101);
        Self { id: String::new(), stream }
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.say(Message::text(message.to_string())).await;
    }

    pub(crate) async fn say(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Says without minding whether anybody listens still.
    pub(crate) async fn try_say(&mut self, message: Message) -> bool {
        self.stream.send(message).await.is_ok()
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.stream.next())
                .await
                .expect("a message")
                .expect("an open socket")
                .unwrap()
            {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("not a message: {other:?}"),
            }
        }
    }

    /// The next message of this type; those of others are passed over.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        self.until_that(|message| message["type"] == kind).await
    }

    pub(crate) async fn until_that(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().await;
            if is(&message) {
                return message;
            }
        }
    }

    /// The newest state of the lobby that satisfies `is`.
    pub(crate) async fn lobby(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        self.until_that(|message| message["type"] == "lobby:updated" && is(&message["lobby"])).await["lobby"]
            .clone()
    }

    /// Sends, and is told this error.
    pub(crate) async fn refused(&mut self, message: Value, sentence: &str) {
        self.send(message).await;
        assert_eq!(self.until("error").await["message"], sentence);
    }

    /// Waits for the close, passing over messages: its code and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("a close") {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (u16::from(frame.code), frame.reason.to_string());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("broken without a close: {error}"),
                None => panic!("gone without a close"),
            }
        }
    }

    /// Waits until the other side is gone, however.
    pub(crate) async fn gone(&mut self) {
        let all = async { while let Some(Ok(_)) = self.stream.next().await {} };
        timeout(PATIENCE, all).await.expect("the socket ends");
    }

    /// Creates a lobby, and answers with it.
    pub(crate) async fn create(&mut self, fields: Value) -> Value {
        let mut message = json!({ "type": "lobby:create" });
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.send(message).await;
        self.until("lobby:created").await["lobby"].clone()
    }

    pub(crate) async fn close(mut self) {
        self.stream.close(None).await.unwrap();
        self.gone().await;
    }

    /// Without a word, as a cut cable.
    pub(crate) fn cut(self) {
        drop(self);
    }
}

/// Status and JSON of an answer.
pub(crate) async fn read(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, json_of(answer).await)
}

pub(crate) async fn json_of(answer: Response) -> Value {
    let body = answer.text().await.unwrap();
    if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap_or(Value::String(body)) }
}

/// The answer is this problem, in full form; answers with its sentence.
pub(crate) async fn problem(request: RequestBuilder, status: u16, code: &str) -> String {
    let answer = request.send().await.unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let (found, body) = (answer.status().as_u16(), json_of(answer).await);
    assert_eq!((found, &body["code"]), (status, &json!(code)), "{body}");
    assert_eq!(kind.as_deref(), Some("application/problem+json"));
    assert_eq!((&body["type"], &body["status"]), (&json!("about:blank"), &json!(status)));
    assert!(body["title"].is_string());
    body["detail"].as_str().unwrap().to_owned()
}

pub(crate) fn game(id: &str) -> GameId {
    GameId::new(id).unwrap()
}

fn settings() -> Settings {
    let studio = |id: &str| {
        let id = StudioId::new(id).unwrap();
        let events =
            EventLimits { bytes_max: 64 << 20, events_max: 100_000, age_max: None, consumers_max: 100 };
        (id.clone(), StudioSettings { id, servers_max: 10, events })
    };
    let game = |id: &str, studio: &str, host: &str, fleet: Option<FleetSettings>| {
        let id = GameId::new(id).unwrap();
        let settings = GameSettings {
            id: id.clone(),
            studio: StudioId::new(studio).unwrap(),
            hosts: vec![host.into()],
            slug: "game".into(),
            lobby: LobbySettings::default(),
            fleet,
        };
        (id, settings)
    };
    Settings {
        studios: BTreeMap::from([studio("demo"), studio("rival")]),
        games: BTreeMap::from([
            game("skirmish", "demo", "skirmish.test", Some(fleet())),
            game("chess", "demo", "chess.test", None),
            game("go", "rival", "go.test", Some(fleet())),
        ]),
        hosts: BTreeMap::new(),
        default_game: Some(GameId::new("skirmish").unwrap()),
        public_address: "127.0.0.1".into(),
        internal_url: "http://127.0.0.1:1".into(),
    }
}

/// Servers that say that they are ready, and bind nothing: tests run beside each other.
fn fleet() -> FleetSettings {
    FleetSettings {
        provider: ProviderSettings::Process,
        command: vec!["{greenroom}".into(), "game".into()],
        environment: BTreeMap::new(),
        working_dir: None,
        ports: vec![PortSettings {
            name: "default".into(),
            protocol: PortProtocol::Tcp,
            count: 1,
            fixed: None,
            inner: None,
        }],
        port_range: some_ports(),
        ready: Readiness::Log("^ready$".into()),
        ready_timeout: Duration::from_secs(50),
        start_tries_max: 1,
        stop_grace: Duration::from_secs(5),
        ready_min: 0,
        running_max: 5,
        warm_payload: WarmPayload::File,
        version: Some("1".into()),
        regions: ["eu", "us"].map(|id| RegionId::new(id).unwrap()).into(),
        limits: ServerLimits::default(),
        log_bytes_max: 1 << 20,
        ended_keep: Duration::from_hours(1),
        ..FleetSettings::default()
    }
}
