//! The versions of games, looked up at a registry and pulled ahead by a real engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use greenroom_domain::{
    settings::{
        ContainerNetwork, ContainerSettings, FleetSettings, GameSettings, LobbySettings, ProviderSettings,
        Settings, VersionSource,
    },
    versions::Verdict,
};
use greenroom_fleet::{
    docker::{Connection, Endpoint},
    images::{Images, ImagesConfig, LookupPace, RegistryAccess},
    local_host,
};
use greenroom_operations::builds::{Builds, BuildsDeps};
use greenroom_protocol::{
    ErrorCode, GameId, RegionId, StudioId,
    builds::{BuildSource, PullState},
};
use greenroom_test_support::{
    engines::shared_docker,
    registry::{Registry, RegistryFault},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const SOON: Duration = Duration::from_mins(1);

struct World {
    builds: Builds,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    _settings: watch::Sender<Arc<Settings>>,
}

fn game() -> GameId {
    GameId::new("skirmish").unwrap()
}

fn fleet(provider: ProviderSettings) -> FleetSettings {
    FleetSettings {
        provider,
        version: Some("0.3.0".into()),
        regions: vec![RegionId::new("local").unwrap()],
        ..FleetSettings::default()
    }
}

fn container(registry: &Registry, versions_max: u32) -> ProviderSettings {
    ProviderSettings::Docker(Box::new(ContainerSettings {
        image: format!("{}/studio/game", registry.host()),
        versions: VersionSource::Registry,
        versions_max,
        network: ContainerNetwork::Bridge,
        volumes: Vec::new(),
        user: None,
        read_only_root: false,
        init: true,
        capabilities: Vec::new(),
    }))
}

impl World {
    fn start(registry: &Registry, provider: ProviderSettings, engines: Vec<Connection>) -> Self {
        let access = RegistryAccess::open(registry.url());
        let images = Images::new(ImagesConfig {
            engines,
            registries: BTreeMap::from([(registry.host(), access)]),
            pace: LookupPace { gap: Duration::ZERO, backoff_min: Duration::ZERO, ..LookupPace::default() },
            ..ImagesConfig::default()
        });
        let game = |id: &str, fleet| GameSettings {
            id: GameId::new(id).unwrap(),
            studio: StudioId::new("demo").unwrap(),
            hosts: Vec::new(),
            slug: id.into(),
            lobby: LobbySettings::default(),
            fleet,
        };
        let games = [game("skirmish", Some(fleet(provider))), game("chess", None)];
        let games = games.into_iter().map(|game| (game.id.clone(), game)).collect();
        let (settings, watched) = watch::channel(Arc::new(Settings { games, ..Settings::default() }));
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let deps =
            BuildsDeps { images, settings: watched, tracker: tracker.clone(), shutdown: shutdown.clone() };
        Self { builds: Builds::start(deps), tracker, shutdown, _settings: settings }
    }

    async fn verdict(&self, asked: &str) -> Verdict {
        self.builds.check_version(&game(), asked).await.unwrap()
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.tracker.close();
        timeout(SOON, self.tracker.wait()).await.expect("every task ends");
    }
}

#[tokio::test]
async fn a_version_that_was_just_pushed_is_found() {
    let registry = Registry::start();
    registry.push_tags("studio/game", ["1.0.0", "v1.1.0", "latest"]);
    let world = World::start(&registry, container(&registry, 2), Vec::new());
    assert_eq!(world.verdict("1.1.0").await, Verdict::Supported("v1.1.0".into()));
    assert!(matches!(world.verdict("0.9.0").await, Verdict::TooOld { .. }));
    assert_eq!(world.verdict("v1.1.0").await, Verdict::NotAVersion);
    assert_eq!(registry.asked("/tags/list"), 1, "what is known is not asked for");
    assert!(matches!(world.verdict("1.2.0").await, Verdict::Unsupported { .. }));
    assert_eq!(registry.asked("/tags/list"), 2);
    registry.push_tags("studio/game", ["1.2.0"]);
    assert_eq!(world.verdict("1.2.0").await, Verdict::Supported("1.2.0".into()));
    let supported = vec!["1.2.0".to_owned(), "1.1.0".to_owned()];
    assert_eq!(world.verdict("1.0.0").await, Verdict::TooOld { oldest: "1.1.0".into(), supported });
    world.end().await;
}

#[tokio::test]
async fn while_the_registry_is_away_what_was_known_counts() {
    let registry = Registry::start();
    registry.set_fault(RegistryFault::Status(500, None));
    registry.push_tags("studio/game", ["1.0.0"]);
    let world = World::start(&registry, container(&registry, 2), Vec::new());
    let failure = world.builds.check_version(&game(), "1.0.0").await.unwrap_err();
    assert_eq!(failure.code(), ErrorCode::Unavailable);
    assert!(!failure.sentence().contains("127.0.0.1"), "players are not told of registries");
    let list = world.builds.list(&game()).await.unwrap();
    assert!(list.problem.is_some_and(|problem| problem.contains("500")) && list.builds.is_empty());
    registry.set_fault(RegistryFault::None);
    assert_eq!(world.verdict("1.0.0").await, Verdict::Supported("1.0.0".into()));
    registry.set_fault(RegistryFault::Garbage);
    assert!(matches!(world.verdict("1.1.0").await, Verdict::Unsupported { .. }));
    let list = world.builds.refresh(&game()).await.unwrap();
    assert_eq!((list.builds.len(), list.problem.is_some()), (1, true));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_has_told_nothing_stands_in_the_way_of_nobody_who_needs_no_pull() {
    let Some(docker) = shared_docker("a_registry_that_has_told_nothing") else { return };
    let registry = Registry::start();
    registry.set_fault(RegistryFault::Silent);
    docker.import_game(&format!("{}/studio/game", registry.host()), &["1.0.0"]);
    let engines = vec![Connection::new(local_host(), Endpoint::Unix(docker.socket()))];
    let world = World::start(&registry, container(&registry, 2), engines);
    let began = Instant::now();
    assert_eq!(world.verdict("1.0.0").await, Verdict::Supported("1.0.0".into()));
    // Less than an answer of the registry is waited for.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    registry.set_fault(RegistryFault::Status(500, None));
    assert_eq!(world.verdict("1.0.0").await, Verdict::Supported("1.0.0".into()));
    let failure = world.builds.check_version(&game(), "1.1.0").await.unwrap_err();
    assert_eq!(failure.code(), ErrorCode::Unavailable);
    world.end().await;
}

#[tokio::test]
async fn a_process_has_the_version_that_it_has() {
    let registry = Registry::start();
    let world = World::start(&registry, ProviderSettings::Process, Vec::new());
    assert_eq!(world.verdict("0.3.0").await, Verdict::Supported("0.3.0".into()));
    assert!(matches!(world.verdict("0.4.0").await, Verdict::Unsupported { .. }));
    let list = world.builds.list(&game()).await.unwrap();
    assert_eq!((list.provider.as_str(), list.builds.len(), list.source), ("process", 1, None));
    assert_eq!(world.builds.pull(&game(), "0.3.0").await.unwrap_err().code(), ErrorCode::Conflict);
    for other in ["chess", "nothing"] {
        let other = GameId::new(other).unwrap();
        assert_eq!(world.builds.list(&other).await.unwrap_err().code(), ErrorCode::NotFound);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supported_versions_come_ahead_and_others_when_asked_for() {
    let Some(docker) = shared_docker("supported_versions_come_ahead_and_others_when_asked_for") else {
        return;
    };
    let registry = Registry::start();
    for tag in ["1.0.0", "1.1.0", "1.2.0"] {
        registry.push("studio/game", tag, 64 << 10);
    }
    let engines = vec![Connection::new(local_host(), Endpoint::Unix(docker.socket()))];
    let world = World::start(&registry, container(&registry, 2), engines);
    let mut changes = world.builds.pull_changes();
    let mut until = async |wanted: &[(&str, bool)]| {
        let came = timeout(SOON, async {
            loop {
                changes.mark_unchanged();
                let list = world.builds.list(&game()).await.unwrap();
                let present = |version: &str| {
                    let build = list.builds.iter().find(|build| build.version == version);
                    build.is_some_and(|build| build.hosts[0].present == Some(true))
                };
                if wanted.iter().all(|(version, is_wanted)| present(version) == *is_wanted) {
                    return list;
                }
                changes.changed().await.unwrap();
            }
        });
        came.await.expect("the images come in time")
    };
    let list = until(&[("1.2.0", true), ("1.1.0", true), ("1.0.0", false)]).await;
    assert_eq!((list.newest.as_deref(), list.oldest.as_deref()), (Some("1.2.0"), Some("1.1.0")));
    assert_eq!((list.total, list.source), (3, Some(BuildSource::Registry)));
    let supported: Vec<_> = list.builds.iter().map(|build| build.supported).collect();
    assert_eq!(supported, [true, true, false]);

    // A new one comes, and is on its way as soon as it is seen.
    registry.push("studio/game", "1.3.0", 64 << 10);
    world.builds.refresh(&game()).await.unwrap();
    until(&[("1.3.0", true)]).await;

    registry.hold_layers(true);
    let list = world.builds.pull(&game(), "1.0.0").await.unwrap();
    let pull = list.builds.last().unwrap().hosts[0].pull.clone().unwrap();
    assert_ne!(pull.state, PullState::Failed);
    registry.hold_layers(false);
    until(&[("1.0.0", true)]).await;
    assert_eq!(world.builds.pull(&game(), "9.0.0").await.unwrap_err().code(), ErrorCode::NotFound);
    world.end().await;
}
