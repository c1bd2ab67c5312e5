//! A provider on a folder of its own, and what its tests ask again and again.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use greenroom_domain::settings::{PortProtocol, PortSettings, Readiness, ServerLimits};
use greenroom_fleet::{
    BoundPort, Exit, Launch, LogLine, LogQuery, Observed, Phase, ProcessConfig, Program, Provider,
    ProviderConfig, StartSpec,
};
use greenroom_protocol::ServerId;

/// Nothing here takes this long; what does has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Host {
    pub(crate) provider: Provider,
    folder: Folder,
    sdk_ports: RangeInclusive<u16>,
}

impl Host {
    pub(crate) async fn new() -> Self {
        Self::below(&std::env::temp_dir()).await
    }

    pub(crate) async fn below(parent: &Path) -> Self {
        let folder = Folder(tempfile::tempdir_in(parent).unwrap());
        Self::open(folder, greenroom_fleet::sdk::PORTS).await
    }

    /// Whose servers have ports for the SDK that no other test takes.
    pub(crate) async fn with_sdk() -> Self {
        Self::open(Folder(tempfile::tempdir().unwrap()), some_range(12)).await
    }

    async fn open(folder: Folder, sdk_ports: RangeInclusive<u16>) -> Self {
        Self { provider: open(folder.0.path(), &sdk_ports).await, folder, sdk_ports }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.0.path()
    }

    pub(crate) fn folder_of(&self, id: &str) -> PathBuf {
        self.folder.0.path().canonicalize().unwrap().join(id)
    }

    /// As after a restart of Greenroom: the old provider is gone before the new one is there.
    pub(crate) async fn reopen(self) -> Self {
        let Self { provider, folder, sdk_ports } = self;
        drop(provider);
        Self::open(folder, sdk_ports).await
    }

    pub(crate) async fn start(&self, spec: StartSpec) -> Vec<BoundPort> {
        tokio::time::timeout(PATIENCE, self.provider.start(spec)).await.unwrap().unwrap().ports
    }

    /// The first observation of `id` that `is` what is waited for.
    pub(crate) async fn until(&self, id: &str, is: impl Fn(&Phase) -> bool) -> Observed {
        let mut observations = self.provider.observe();
        let wait = async {
            loop {
                let observed = observations.next().await.expect("the provider is open");
                if observed.id.as_str() == id && is(&observed.phase) {
                    return observed;
                }
            }
        };
        if let Ok(observed) = tokio::time::timeout(PATIENCE, wait).await {
            return observed;
        }
        panic!("waited in vain for {id}: {:?}\n{:#?}", self.provider.list().await, self.log(id).await);
    }

    pub(crate) async fn until_ready(&self, id: &str) {
        let observed = self.until(id, |phase| *phase != Phase::Starting).await;
        assert!(matches!(observed.phase, Phase::Ready { .. }), "{:?}", observed.phase);
    }

    pub(crate) async fn until_ended(&self, id: &str) -> Exit {
        match self.until(id, |phase| matches!(phase, Phase::Ended(_))).await.phase {
            Phase::Ended(exit) => exit,
            other => unreachable!("{other:?}"),
        }
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

    /// Waits for a line of the log that begins so, and gives the rest of it.
    pub(crate) async fn said(&self, id: &str, begins: &str) -> String {
        let query = LogQuery { tail_lines: 1000, follow: true };
        let mut lines = self.provider.logs(&server(id), query).await.unwrap();
        let wait = async {
            while let Some(line) = lines.next().await {
                if let Some(rest) = line.text.strip_prefix(begins) {
                    return rest.to_owned();
                }
            }
            panic!("{id} never said {begins}");
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }

    /// The process ids of a server: the supervisor's and the game's.
    pub(crate) fn pids(&self, id: &str) -> (i32, i32) {
        let text = std::fs::read_to_string(self.folder_of(id).join("status")).unwrap();
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        let pid = |who: &str| i32::try_from(status[who]["pid"].as_i64().unwrap()).unwrap();
        (pid("supervisor"), pid("game"))
    }

    /// The processes whose environment says that they are of a server here.
    pub(crate) fn processes(&self) -> Vec<i32> {
        processes_of(self.path())
    }

    /// Ends all and sees that nothing is left.
    pub(crate) async fn finish(self) {
        for observed in self.provider.list().await.unwrap() {
            self.provider.stop(&observed.id, Duration::ZERO).await.unwrap();
            self.until_ended(observed.id.as_str()).await;
        }
        let gone = async {
            // One that was killed takes a moment to be gone.
            while !self.processes().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let gone = tokio::time::timeout(PATIENCE, gone).await;
        assert!(gone.is_ok(), "processes are left: {:?}", self.processes());
        self.provider.shutdown().await;
    }
}

/// A test that fails leaves nothing running either.
struct Folder(tempfile::TempDir);

impl Drop for Folder {
    fn drop(&mut self) {
        for pid in processes_of(self.0.path()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn processes_of(folder: &Path) -> Vec<i32> {
    let marker = format!("GREENROOM_SERVER_DIR={}", folder.canonicalize().unwrap().display());
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(marker.len()).any(|w| w == marker.as_bytes())
    })
    .collect()
}

async fn open(folder: &Path, sdk_ports: &RangeInclusive<u16>) -> Provider {
    let config = ProcessConfig {
        servers_dir: folder.to_owned(),
        greenroom: env!("CARGO_BIN_EXE_fleet-test-supervisor").into(),
        supervise_args: vec!["supervise".into()],
        sdk_ports: sdk_ports.clone(),
    };
    Provider::open(ProviderConfig::processes(config)).await.unwrap()
}

pub(crate) fn server(id: &str) -> ServerId {
    ServerId::new(id).unwrap()
}

/// A range of ports that no other test of this run uses.
pub(crate) fn some_range(length: u16) -> RangeInclusive<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the ports that the system gives to those who ask for any.
    let base = 12_000 + u16::try_from(std::process::id() % 64).unwrap() * 256;
    loop {
        let first = base + NEXT.fetch_add(length, Ordering::Relaxed);
        let range = first..=first + length - 1;
        if range.clone().all(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()) {
            return range;
        }
    }
}

pub(crate) fn tcp(name: &str) -> PortSettings {
    PortSettings { name: name.into(), protocol: PortProtocol::Tcp, count: 1, fixed: None, inner: None }
}

/// A server that runs the test game with `arguments`, in which `{n}` is the number of its port `n`.
pub(crate) fn game(id: &str, arguments: &[&str]) -> StartSpec {
    command(id, env!("CARGO_BIN_EXE_fleet-test-game"), arguments)
}

pub(crate) fn command(id: &str, program: &str, arguments: &[&str]) -> StartSpec {
    let argv: Vec<String> =
        std::iter::once(program).chain(arguments.iter().copied()).map(str::to_owned).collect();
    StartSpec {
        id: server(id),
        name: format!("name-{id}"),
        ports: vec![tcp("default")],
        port_range: some_range(4),
        ready: Readiness::Listening,
        ready_timeout: PATIENCE,
        stop_grace: Duration::ZERO,
        host: greenroom_fleet::local_host(),
        program: Program::Process { working_dir: None },
        limits: ServerLimits::default(),
        log_bytes_max: 1 << 20,
        payload: None,
        has_sdk: false,
        render: Arc::new(move |ports| {
            let put = |argument: &String| {
                ports.iter().enumerate().fold(argument.clone(), |argument, (n, bound)| {
                    argument.replace(&format!("{{{n}}}"), &bound.port.to_string())
                })
            };
            Ok(Launch { argv: argv.iter().map(put).collect(), environment: BTreeMap::new() })
        }),
        labels: BTreeMap::from([("game".into(), "skirmish".into())]),
    }
}
