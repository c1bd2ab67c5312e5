//! A provider over a Docker Engine, and what its tests ask again and again.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    ops::{Deref, RangeInclusive},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use greenroom_domain::settings::{
    ContainerNetwork, ContainerSettings, PortProtocol, PortSettings, Readiness, ServerLimits, VersionSource,
};
use greenroom_fleet::{
    BoundPort, DockerConfig, Exit, HostStatus, Launch, LogLine, LogQuery, Observed, Phase, ProcessConfig,
    Program, Provider, ProviderConfig, StartSpec, docker::Endpoint,
};
use greenroom_protocol::{HostId, ServerId};
use greenroom_test_support::engines::{self, Docker, DockerOptions};

/// Nothing here takes this long; what does has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// An engine that is a test's own, or all tests'.
pub(crate) enum Engine {
    Own(Docker),
    Shared(&'static Docker),
}

impl Deref for Engine {
    type Target = Docker;

    fn deref(&self) -> &Docker {
        match self {
            Self::Own(docker) => docker,
            Self::Shared(docker) => docker,
        }
    }
}

/// A provider over one engine.
pub(crate) struct Rig {
    pub(crate) provider: Provider,
    pub(crate) docker: Engine,
    pub(crate) installation: String,
    endpoint: Endpoint,
    folder: tempfile::TempDir,
}

/// The engine that tests share, with the image of the test game in it.
pub(crate) fn shared(test: &str) -> Option<Engine> {
    static IMAGE: std::sync::Once = std::sync::Once::new();
    let docker = engines::shared_docker(test)?;
    IMAGE.call_once(|| docker.import_game("game", &["1.0.0"]));
    Some(Engine::Shared(docker))
}

/// One that the test may stop.
pub(crate) fn own(test: &str) -> Option<Engine> {
    own_with(test, &DockerOptions::default())
}

pub(crate) fn own_with(test: &str, options: &DockerOptions) -> Option<Engine> {
    let docker = engines::docker_with(test, options)?;
    docker.import_game("game", &["1.0.0"]);
    Some(Engine::Own(docker))
}

impl Rig {
    pub(crate) async fn new(docker: Engine) -> Self {
        let endpoint = Endpoint::parse(&docker.url()).unwrap();
        Self::at(docker, endpoint).await
    }

    /// The same, with the engine reached at `endpoint`.
    pub(crate) async fn at(docker: Engine, endpoint: Endpoint) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let installation = format!("test{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let provider = open(&endpoint, folder.path(), &installation).await;
        Self { provider, docker, installation, endpoint, folder }
    }

    pub(crate) fn folder_of(&self, id: &str) -> std::path::PathBuf {
        self.folder.path().join("docker").join(id)
    }

    /// As after Greenroom was killed: the old provider is gone before the new one is there.
    pub(crate) async fn reopen(self) -> Self {
        let Self { provider, docker, installation, endpoint, folder } = self;
        drop(provider);
        let provider = open(&endpoint, folder.path(), &installation).await;
        Self { provider, docker, installation, endpoint, folder }
    }

    /// The same while something else is done between the two.
    pub(crate) async fn reopen_after(self, between: impl FnOnce(&Docker, &str)) -> Self {
        let Self { provider, docker, installation, endpoint, folder } = self;
        provider.shutdown().await;
        drop(provider);
        between(&docker, &installation);
        let provider = open(&endpoint, folder.path(), &installation).await;
        Self { provider, docker, installation, endpoint, folder }
    }

    pub(crate) fn container(&self, id: &str) -> String {
        format!("greenroom-{}-{id}", self.installation)
    }

    pub(crate) async fn start(&self, spec: StartSpec) -> Vec<BoundPort> {
        tokio::time::timeout(PATIENCE, self.provider.start(spec)).await.unwrap().unwrap().ports
    }

    /// The first observation of `id` that `is` what is waited for.
    pub(crate) async fn until_seen(&self, id: &str, is: impl Fn(&Observed) -> bool) -> Observed {
        let mut observations = self.provider.observe();
        let wait = async {
            loop {
                let observed = observations.next().await.expect("the provider is open");
                if observed.id.as_str() == id && is(&observed) {
                    return observed;
                }
            }
        };
        if let Ok(observed) = tokio::time::timeout(PATIENCE, wait).await {
            return observed;
        }
        panic!("waited in vain for {id}: {:?}", self.provider.list().await);
    }

    pub(crate) async fn until_ready(&self, id: &str) -> Observed {
        let observed = self.until_seen(id, |observed| observed.phase != Phase::Starting).await;
        assert!(matches!(observed.phase, Phase::Ready { .. }), "{:?}", observed.phase);
        observed
    }

    pub(crate) async fn until_ended(&self, id: &str) -> Exit {
        match self.until_seen(id, |observed| matches!(observed.phase, Phase::Ended(_))).await.phase {
            Phase::Ended(exit) => exit,
            other => unreachable!("{other:?}"),
        }
    }

    pub(crate) fn status(&self) -> HostStatus {
        self.provider.host(&host()).unwrap()
    }

    pub(crate) async fn until_host(&self, is: impl Fn(&HostStatus) -> bool) {
        let mut changes = self.provider.host_changes();
        let wait = async {
            while !is(&self.status()) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{:?}", self.status()));
    }

    pub(crate) async fn log(&self, id: &str) -> Vec<LogLine> {
        let query = LogQuery { tail_lines: 1000, follow: false };
        let mut lines = self.provider.logs(&server(id), query).await.unwrap();
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push(line);
        }
        all
    }

    pub(crate) async fn texts(&self, id: &str) -> Vec<String> {
        self.log(id).await.into_iter().map(|line| line.text).collect()
    }

    /// The names of this installation's containers.
    pub(crate) fn containers(&self) -> Vec<String> {
        let ours = |container: &serde_json::Value| {
            container["Labels"]["greenroom.installation"] == self.installation.as_str()
        };
        let all = self.docker.containers();
        all.iter().filter(|c| ours(c)).map(|c| c["Names"][0].as_str().unwrap_or("").to_owned()).collect()
    }

    /// Waits until the engine has none of ours.
    pub(crate) async fn until_removed(&self) {
        let wait = async {
            while !self.containers().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("left: {:?}", self.containers()));
    }

    /// Ends all and sees that nothing is left.
    pub(crate) async fn finish(self) {
        for observed in self.provider.list().await.unwrap() {
            self.provider.stop(&observed.id, Duration::ZERO).await.unwrap();
            self.until_ended(observed.id.as_str()).await;
        }
        self.until_removed().await;
        for observed in self.provider.list().await.unwrap() {
            self.provider.forget(&observed.id).await.unwrap();
        }
        assert!(self.provider.list().await.unwrap().is_empty());
        self.provider.shutdown().await;
        let left: Vec<_> = std::fs::read_dir(self.folder.path().join("docker"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            // The ports of another machine, which are given out here.
            .filter(|name| name != ".ports")
            .collect();
        assert_eq!(left, Vec::<std::ffi::OsString>::new());
    }
}

async fn open(endpoint: &Endpoint, folder: &Path, installation: &str) -> Provider {
    let process = ProcessConfig {
        servers_dir: folder.join("servers"),
        greenroom: env!("CARGO_BIN_EXE_fleet-test-supervisor").into(),
        supervise_args: vec!["supervise".into()],
        sdk_ports: greenroom_fleet::sdk::PORTS,
    };
    let engine = DockerConfig {
        host: host(),
        endpoint: endpoint.clone(),
        installation: installation.into(),
        records_dir: folder.join("docker"),
    };
    let config = ProviderConfig { docker: vec![engine], ..ProviderConfig::processes(process) };
    Provider::open(config).await.unwrap()
}

pub(crate) fn host() -> HostId {
    HostId::new("engine").unwrap()
}

pub(crate) fn server(id: &str) -> ServerId {
    ServerId::new(id).unwrap()
}

/// A range of ports that no other test of this run uses.
pub(crate) fn some_range(length: u16) -> RangeInclusive<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the ports that the system gives to those who ask for any, and beside those of other tests.
    let base = 29_000 + u16::try_from(std::process::id() % 6).unwrap() * 600;
    loop {
        let first = base + NEXT.fetch_add(length, Ordering::Relaxed);
        let range = first..=first + length - 1;
        if range.clone().all(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()) {
            return range;
        }
    }
}

pub(crate) fn port(protocol: PortProtocol) -> PortSettings {
    PortSettings { name: "default".into(), protocol, count: 1, fixed: None, inner: None }
}

pub(crate) fn settings() -> ContainerSettings {
    ContainerSettings {
        image: "game".into(),
        versions: VersionSource::Engine,
        versions_max: 3,
        network: ContainerNetwork::Bridge,
        volumes: Vec::new(),
        user: None,
        read_only_root: false,
        init: true,
        capabilities: Vec::new(),
    }
}

/// A container that runs the test game with `arguments`, in which `{n}` is the number of its port `n`
/// inside.
pub(crate) fn game(id: &str, arguments: &[&str]) -> StartSpec {
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    StartSpec {
        id: server(id),
        name: format!("name-{id}"),
        ports: vec![port(PortProtocol::TcpUdp)],
        port_range: some_range(4),
        ready: Readiness::Listening,
        ready_timeout: PATIENCE,
        stop_grace: Duration::ZERO,
        host: host(),
        program: Program::Container {
            image: "game:1.0.0".into(),
            settings: Box::new(settings()),
            labels: BTreeMap::new(),
            is_published: true,
        },
        limits: ServerLimits::default(),
        log_bytes_max: 1 << 20,
        payload: None,
        has_sdk: false,
        render: Arc::new(move |ports| {
            let put = |argument: &String| {
                ports.iter().enumerate().fold(argument.clone(), |argument, (n, bound)| {
                    argument.replace(&format!("{{{n}}}"), &bound.inner.unwrap_or(bound.port).to_string())
                })
            };
            Ok(Launch { argv: arguments.iter().map(put).collect(), environment: BTreeMap::new() })
        }),
        labels: BTreeMap::from([("game".into(), "skirmish".into())]),
    }
}

/// Changes how the container is made.
pub(crate) fn with(mut spec: StartSpec, change: impl FnOnce(&mut ContainerSettings)) -> StartSpec {
    if let Program::Container { settings, .. } = &mut spec.program {
        change(settings);
    }
    spec
}
