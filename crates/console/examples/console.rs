//! A console on an installation of its own in a temporary folder, for looking at pages while they
//! are made: `cargo run -p greenroom-console --example console -- 127.0.0.1:4710`. Game servers are
//! shell scripts that talk to themselves.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, process::ExitCode, sync::Arc, time::Duration};

use greenroom_console::ConsoleSettings;
use greenroom_directory::{Directory, DirectoryConfig};
use greenroom_domain::settings::{
    EventLimits, FleetSettings, GameSettings, LobbySettings, PortProtocol, PortSettings, ProviderSettings,
    Readiness, ServerLimits, Settings, StudioSettings, WarmPayload,
};
use greenroom_event_log::{EventLog, EventLogConfig};
use greenroom_fleet::{ProcessConfig, Provider, ProviderConfig};
use greenroom_operations::{
    Node, NodeDeps, SteadyClock,
    players::{AuthSettings, ClientInfo, TokenKind},
    realtime::Connection,
};
use greenroom_protocol::{
    GameId, StudioId,
    lobby::{LobbyCreate, LobbyJoin},
};
use greenroom_storage::{AdminRole, Storage, StorageConfig};
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const TALK: &str = "echo \"skirmish server {name} on port {port}\"; i=0; while true; do i=$((i+1)); \
     echo \"tick $i: 8 players, 0.42 ms\"; [ $((i % 7)) = 0 ] && echo \"warning: player late by 120 ms\" >&2; sleep 1; done";

fn main() -> ExitCode {
    // The supervisor of a game server is this same program.
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|word| word == "supervise") {
        return greenroom_fleet::supervise::main(Path::new(&arguments[2]));
    }
    tokio::runtime::Runtime::new().expect("a runtime").block_on(serve());
    ExitCode::SUCCESS
}

async fn serve() {
    let listen: SocketAddr =
        std::env::args().nth(1).unwrap_or("127.0.0.1:4710".into()).parse().expect("an address to listen on");
    let is_empty = std::env::args().nth(2).is_some_and(|word| word == "empty");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = node(folder.path(), is_empty).await;
    println!("http://{listen}/console  token {}", node.admin_token.token.expose_secret());
    let _sockets = if is_empty { Vec::new() } else { fill(&node).await };
    let app = greenroom_console::router(node.clone(), ConsoleSettings::default());
    let listener = tokio::net::TcpListener::bind(listen).await.expect("the address is free");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await
        .expect("it serves");
    node.servers.stop_all().await;
}

async fn node(folder: &Path, is_empty: bool) -> Node {
    let (sender, settings) = watch::channel(Arc::new(settings(is_empty)));
    std::mem::forget(sender);
    let provider = ProviderConfig::processes(ProcessConfig {
        servers_dir: folder.join("servers"),
        greenroom: std::env::current_exe().expect("our own path"),
        supervise_args: vec!["supervise".into()],
        sdk_ports: greenroom_fleet::sdk::PORTS,
    });
    let deps = NodeDeps {
        directory: Directory::open(DirectoryConfig::Embedded { path: folder.join("now.db") })
            .await
            .expect("a directory"),
        log: EventLog::open(EventLogConfig::Embedded { path: folder.join("history.db") })
            .await
            .expect("a log"),
        storage: Storage::open(StorageConfig::Embedded { path: folder.join("records.db") }).expect("records"),
        provider: Provider::open(provider).await.expect("a provider"),
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
        shutdown: CancellationToken::new(),
    };
    Node::start(deps).await.expect("a node")
}

fn settings(is_empty: bool) -> Settings {
    let studio = StudioId::new("demo").expect("an id");
    let events = EventLimits { bytes_max: 1 << 30, events_max: 1_000_000, age_max: None, consumers_max: 16 };
    let fleet = FleetSettings {
        provider: ProviderSettings::Process,
        command: vec!["/bin/sh".into(), "-c".into(), TALK.into()],
        environment: BTreeMap::new(),
        working_dir: None,
        ports: vec![PortSettings {
            name: "default".into(),
            protocol: PortProtocol::Tcp,
            count: 1,
            fixed: None,
            inner: None,
        }],
        port_range: 7700..=7799,
        ready: Readiness::After(Duration::from_millis(500)),
        ready_timeout: Duration::from_secs(10),
        start_tries_max: 3,
        stop_grace: Duration::from_secs(5),
        ready_min: if is_empty { 0 } else { 3 },
        running_max: 20,
        warm_payload: WarmPayload::Ignore,
        version: Some("1.4.2".into()),
        regions: vec!["local".parse().expect("an id")],
        limits: ServerLimits::default(),
        log_bytes_max: 1 << 20,
        ended_keep: Duration::from_hours(1),
        ..FleetSettings::default()
    };
    let game = |id: &str, fleet| {
        let id = GameId::new(id).expect("an id");
        let lobby = LobbySettings { team_size: Some(4), members_max: 8, ..LobbySettings::default() };
        (
            id.clone(),
            GameSettings { id, studio: studio.clone(), hosts: Vec::new(), slug: "game".into(), lobby, fleet },
        )
    };
    Settings {
        studios: [(studio.clone(), StudioSettings { id: studio.clone(), servers_max: 100, events })].into(),
        games: [game("skirmish", Some(fleet)), game("chess", None)].into(),
        hosts: BTreeMap::new(),
        default_game: Some(GameId::new("skirmish").expect("an id")),
        public_address: "127.0.0.1".into(),
        internal_url: "http://127.0.0.1:1".into(),
    }
}

/// Players in lobbies, a match, a ban, and an operator and a viewer (password `look-at-this`).
async fn fill(node: &Node) -> Vec<Connection> {
    const NAMES: [&str; 12] = [
        "Ada",
        "Björk",
        "Chidi",
        "Dolores",
        "Ezra",
        "<script>alert(1)</script>",
        "Farah",
        "Goro",
        "Hedy",
        "Iván",
        "Jun",
        "Kwame",
    ];
    let game = GameId::new("skirmish").expect("an id");
    for (name, role) in [("olga", AdminRole::Operator), ("vera", AdminRole::Viewer)] {
        node.admins.add(name, "look-at-this", role).await.expect("an administrator");
    }
    let mut sockets = Vec::new();
    let mut code = String::new();
    for (number, name) in NAMES.into_iter().enumerate() {
        let signed_in = node
            .players
            .sign_in_anonymous(&game, Some(name), TokenKind::Contract, ClientInfo::default())
            .await
            .expect("a player");
        let player = node.players.authenticate(&signed_in.access_token, &game).await.expect("a player");
        sockets.push(node.hub.connect(player.clone()));
        if number % 4 == 0 {
            let how = LobbyCreate {
                name: (number == 4).then(|| "Friday night".to_owned()),
                map: Some("Harbour".into()),
                mode: Some("Teams".into()),
                is_private: number == 8,
                keep: true,
                ..LobbyCreate::default()
            };
            code = node.lobbies.create(&player, how).await.expect("a lobby").view.code;
        } else {
            let how = LobbyJoin { code: Some(code.clone()), ..LobbyJoin::default() };
            node.lobbies.join(&player, how).await.expect("a seat");
        }
        if number % 4 != 2 || number < 4 {
            node.lobbies.set_ready(&player, true).await.expect("ready");
        }
        if number == 3 {
            let owner = &sockets[0];
            owner.receive(r#"{"type":"lobby:start"}"#).await;
        }
    }
    sockets
}
