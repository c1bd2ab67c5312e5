//! A console on a node of its own in a temporary folder, and a browser that asks it for pages.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{self, Body, BodyDataStream},
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, Response, StatusCode, header},
};
use futures_util::StreamExt;
use greenroom_console::ConsoleSettings;
use greenroom_directory::{Directory, DirectoryConfig};
use greenroom_domain::settings::{
    EventLimits, FleetSettings, GameSettings, LobbySettings, PortProtocol, PortSettings, ProviderSettings,
    Readiness, ServerLimits, Settings, StudioSettings, WarmPayload,
};
use greenroom_event_log::{EventLog, EventLogConfig};
use greenroom_fleet::{ProcessConfig, Provider, ProviderConfig};
use greenroom_operations::{
    Node, NodeDeps, PlayerPrincipal, SteadyClock,
    players::{AuthSettings, ClientInfo, EmailSettings, SignInSettings, TokenKind},
    realtime::Connection,
};
use greenroom_protocol::{
    GameId, StudioId,
    lobby::{LobbyCreate, LobbyView},
};
use greenroom_storage::{Storage, StorageConfig};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_mins(1);

/// What makes this program the supervisor of a game server: see `servers::supervise`.
const SUPERVISE: [&str; 4] = ["--exact", "--ignored", "--nocapture", "servers::supervise"];

/// The host that requests name.
pub(crate) const HOST: &str = "console.test:4700";

pub(crate) struct Installation {
    pub(crate) node: Node,
    pub(crate) game: GameId,
    app: Router,
    _folder: TempDir,
}

/// A player with a socket, so that its lobby lives.
pub(crate) struct TestPlayer {
    pub(crate) principal: PlayerPrincipal,
    pub(crate) _socket: Connection,
}

impl Installation {
    pub(crate) async fn start() -> Self {
        Self::start_with(ConsoleSettings::default()).await
    }

    pub(crate) async fn start_with(settings: ConsoleSettings) -> Self {
        Self::start_all(settings, None).await
    }

    pub(crate) async fn start_with_fleet(fleet: FleetSettings) -> Self {
        Self::start_all(ConsoleSettings::default(), Some(fleet)).await
    }

    async fn start_all(settings: ConsoleSettings, fleet: Option<FleetSettings>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let game = GameId::new("skirmish").unwrap();
        let file = |name: &str| folder.path().join(name);
        let provider = ProviderConfig::processes(ProcessConfig {
            servers_dir: file("servers"),
            greenroom: std::env::current_exe().unwrap(),
            supervise_args: SUPERVISE.map(String::from).into(),
            sdk_ports: greenroom_fleet::sdk::PORTS,
        });
        let (sender, game_settings) = watch::channel(Arc::new(game_settings(&game, fleet)));
        // The settings stay as they are; whoever watches them must not think that they ended.
        std::mem::forget(sender);
        let node = Node::start(NodeDeps {
            directory: Directory::open(DirectoryConfig::Embedded { path: file("now.db") }).await.unwrap(),
            log: EventLog::open(EventLogConfig::Embedded { path: file("history.db") }).await.unwrap(),
            storage: Storage::open(StorageConfig::Embedded { path: file("records.db") }).unwrap(),
            provider: Provider::open(provider).await.unwrap(),
            images: greenroom_fleet::images::Images::none(),
            settings: game_settings,
            auth: AuthSettings { games: [(game.clone(), by_email())].into(), ..AuthSettings::default() },
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
        let app = greenroom_console::router(node.clone(), settings);
        Self { node, game, app, _folder: folder }
    }

    pub(crate) fn admin_token(&self) -> String {
        self.node.admin_token.token.expose_secret().to_owned()
    }

    /// Somebody new, who is not signed in.
    pub(crate) fn browser(&self) -> Browser {
        Browser {
            app: self.app.clone(),
            cookies: BTreeMap::new(),
            address: [192, 0, 2, 1].into(),
            headers: HeaderMap::new(),
        }
    }

    /// Somebody who is signed in with the admin token.
    pub(crate) async fn owner(&self) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in("", &self.admin_token(), "/console").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        browser
    }

    pub(crate) async fn player(&self, name: &str) -> TestPlayer {
        let players = &self.node.players;
        let signed_in = players
            .sign_in_anonymous(&self.game, Some(name), TokenKind::Contract, ClientInfo::default())
            .await
            .unwrap();
        let principal = players.authenticate(&signed_in.access_token, &self.game).await.unwrap();
        let socket = self.node.hub.connect(principal.clone());
        TestPlayer { principal, _socket: socket }
    }

    pub(crate) async fn lobby_of(&self, player: &TestPlayer) -> LobbyView {
        self.node.lobbies.create(&player.principal, LobbyCreate::default()).await.unwrap().view
    }
}

fn by_email() -> SignInSettings {
    SignInSettings { email: Some(EmailSettings::default()), ..SignInSettings::default() }
}

pub(crate) struct Browser {
    app: Router,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) address: IpAddr,
    /// Sent with every request.
    pub(crate) headers: HeaderMap,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    /// The token that the page's forms carry.
    pub(crate) fn csrf(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"csrf\" value=\"").expect("the page has a form");
        rest.split_once('"').unwrap().0.to_owned()
    }
}

impl Browser {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.read(Method::GET, path, String::new()).await
    }

    /// Sends a form as a page of ours does.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let encoded: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        self.read(Method::POST, path, encoded.join("&")).await
    }

    /// Sends a form with the session's token in it.
    pub(crate) async fn change(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.get("/console").await.csrf();
        let mut with_token = vec![("csrf", csrf.as_str())];
        with_token.extend_from_slice(fields);
        self.post(path, &with_token).await
    }

    pub(crate) async fn sign_in(&mut self, name: &str, password: &str, next: &str) -> Answer {
        let csrf = self.get("/console/sign-in").await.csrf();
        let fields = [("csrf", csrf.as_str()), ("name", name), ("password", password), ("next", next)];
        self.post("/console/sign-in", &fields).await
    }

    /// The events of a live part.
    pub(crate) async fn events(&mut self, path: &str) -> Events {
        let response = self.send(Method::GET, path, String::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Events { body: response.into_body().into_data_stream(), read: String::new() }
    }

    async fn read(&mut self, method: Method, path: &str, form: String) -> Answer {
        let (parts, body) = self.send(method, path, form).await.into_parts();
        let bytes = body::to_bytes(body, 16 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    async fn send(&mut self, method: Method, path: &str, form: String) -> Response<Body> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, HOST)
            .header(header::COOKIE, cookies.join("; "))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .extension(ConnectInfo(SocketAddr::new(self.address, 5_000)))
            .body(Body::from(form))
            .unwrap();
        request.headers_mut().extend(self.headers.clone());
        let response = self.app.clone().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }
}

/// A stream of server-sent events.
pub(crate) struct Events {
    body: BodyDataStream,
    read: String,
}

impl Events {
    /// The next event: its name, and its data as JSON. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, serde_json::Value)> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            // What keeps a silent stream open is no event.
            if let Some(rest) = self.read.strip_prefix(":\n\n").map(str::to_owned) {
                self.read = rest;
            }
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                        .unwrap_or_default()
                };
                let found =
                    (field("event").to_owned(), serde_json::from_str(field("data")).unwrap_or_default());
                self.read = rest.into();
                return Some(found);
            }
            let chunk =
                tokio::time::timeout_at(deadline, self.body.next()).await.expect("something comes")?.unwrap();
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The first fragment that `fits`.
    pub(crate) async fn fragment_where(&mut self, fits: impl Fn(&str) -> bool) -> String {
        loop {
            let (name, data) = self.next().await.expect("the stream goes on");
            if name == "fragment" && fits(data.as_str().unwrap()) {
                return data.as_str().unwrap().to_owned();
            }
        }
    }
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A fleet whose servers run `script`, and count as ready at once.
pub(crate) fn fleet(script: &str) -> FleetSettings {
    FleetSettings {
        provider: ProviderSettings::Process,
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        environment: BTreeMap::new(),
        working_dir: None,
        ports: vec![PortSettings {
            name: "default".into(),
            protocol: PortProtocol::Tcp,
            count: 1,
            fixed: None,
            inner: None,
        }],
        port_range: 32_000..=60_000,
        ready: Readiness::After(Duration::from_millis(1)),
        ready_timeout: Duration::from_secs(20),
        start_tries_max: 3,
        stop_grace: Duration::from_secs(5),
        ready_min: 0,
        running_max: 10,
        warm_payload: WarmPayload::Ignore,
        version: Some("1".into()),
        regions: vec!["local".parse().unwrap()],
        limits: ServerLimits::default(),
        log_bytes_max: 1 << 20,
        ended_keep: Duration::from_hours(1),
        ..FleetSettings::default()
    }
}

fn game_settings(game: &GameId, fleet: Option<FleetSettings>) -> Settings {
    let studio = StudioId::new("demo").unwrap();
    let events = EventLimits { bytes_max: 1 << 30, events_max: 1_000_000, age_max: None, consumers_max: 16 };
    let lobby = LobbySettings::default();
    let one = GameSettings {
        id: game.clone(),
        studio: studio.clone(),
        hosts: Vec::new(),
        slug: "game".into(),
        lobby,
        fleet,
    };
    Settings {
        studios: [(studio.clone(), StudioSettings { id: studio, servers_max: 100, events })].into(),
        games: [(game.clone(), one)].into(),
        hosts: BTreeMap::new(),
        default_game: None,
        public_address: "127.0.0.1".into(),
        internal_url: "http://127.0.0.1:1".into(),
    }
}
