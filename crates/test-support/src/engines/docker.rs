//! A private Docker Engine: Debian's `dockerd` as a child process, in folders of its own.

mod api;
mod game;

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

pub use api::{DockerAnswer, DockerRun};
pub use game::{GAME, game_archive, test_game};

use super::{POLL_INTERVAL, START_TIMEOUT, in_path, require_engine};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// How long the engine may take to stop: it waits 10 s for a container that ignores its signal.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// Engines that may run beside each other on a machine. Each has a network 10.`n`.0.0/16 of its own.
const RANGES: std::ops::Range<u8> = 192..250;

/// The bridge of an engine that is apart, on its own machine.
const APART_BRIDGE: &str = "inner0";

/// Runs a program as on another machine, whose link to ours is `$1` in the network of the process `$2`,
/// and whose addresses begin with `$3`.
const APART: &str = r#"
link=$1 ours=$2 addresses=$3; shift 3
ip link set lo up
ip link add up0 type veth peer name "$link" netns "$ours"
ip address add "$addresses.0.2/17" dev up0
ip link set up0 up
ip route add default via "$addresses.0.1"
ip link add inner0 type bridge
ip address add "$addresses.128.1/18" dev inner0
ip link set inner0 up
echo 1 > /proc/sys/net/ipv4/ip_forward
exec unshare --pid --mount --fork --kill-child --mount-proc "$@"
"#;

/// How an engine is started.
#[derive(Clone, Debug, Default)]
pub struct DockerOptions {
    /// Whether containers go on while the engine is stopped or dead. They end with it otherwise.
    pub live_restore: bool,
    /// Where images and containers are kept: on a small disk, for one that gets full.
    pub data_root: Option<PathBuf>,
    /// Further arguments of `dockerd`, in which `{machine}` is what [`Docker::machine`] gives.
    pub arguments: Vec<String>,
    /// Whether it is as on another machine: with processes, mounts and a network of its own, reached at
    /// [`Docker::machine`]. It can be ended, not stopped.
    pub apart: bool,
}

/// A running Docker Engine with a socket, a bridge, a range of addresses, images and containers of
/// its own. It answers at [`Docker::url`] alone, changes no setting of the machine and none of its
/// packet filters: ports are published by the engine's proxies.
///
/// When this is dropped, or the process that started it ends in whatever way, everything of the
/// engine ends and is removed: containers, mounts, networks, folders.
#[derive(Debug)]
pub struct Docker {
    dockerd: PathBuf,
    arguments: Vec<String>,
    /// None while it is stopped.
    child: Mutex<Option<Child>>,
    folder: PathBuf,
    range: u8,
    apart: bool,
    janitor: Janitor,
}

/// A Docker Engine for the test `test` alone. `None`, with a line that says so, where there is no
/// `dockerd` or where this is not root (see [`require_engine`]). Blocks until it answers.
///
/// # Panics
///
/// If there is a `dockerd` and it does not start.
pub fn docker(test: &str) -> Option<Docker> {
    docker_with(test, &DockerOptions::default())
}

/// The same, started with `options`.
///
/// # Panics
///
/// If there is a `dockerd` and it does not start.
pub fn docker_with(test: &str, options: &DockerOptions) -> Option<Docker> {
    require_engine("dockerd (as root)", dockerd_binary(), test)
        .map(|dockerd| Docker::start_new(dockerd, options))
}

/// The Docker Engine that the tests of this process share, started by the first of them. Tests that
/// stop the engine, or that count all of its containers, take one of their own ([`docker`]).
///
/// # Panics
///
/// If there is a `dockerd` and it does not start.
pub fn shared_docker(test: &str) -> Option<&'static Docker> {
    static SHARED: OnceLock<Docker> = OnceLock::new();
    let dockerd = require_engine("dockerd (as root)", dockerd_binary(), test)?;
    // Never dropped: the janitor clears up when this process has ended.
    Some(SHARED.get_or_init(|| Docker::start_new(dockerd, &DockerOptions::default())))
}

impl Docker {
    fn start_new(dockerd: PathBuf, options: &DockerOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("docker-").tempdir().expect("a folder for dockerd");
        let folder = folder.keep();
        let (range, bridge) = take_range();
        let janitor = Janitor::start(&folder, &bridge, range);
        fs::write(folder.join("daemon.json"), "{}").expect("dockerd's configuration");
        let at = |name: &str| folder.join(name).display().to_string();
        let data_root = match &options.data_root {
            Some(data_root) => data_root.display().to_string(),
            None => at("data"),
        };
        let pool = if options.apart { "192.0/18" } else { "128.0/17" };
        let mut arguments = vec![
            // The machine's own configuration is for its own engine.
            format!("--config-file={}", at("daemon.json")),
            format!("--host=unix://{}", at("docker.sock")),
            format!("--data-root={data_root}"),
            format!("--exec-root={}", at("exec")),
            format!("--pidfile={}", at("pid")),
            format!("--bridge={}", if options.apart { APART_BRIDGE } else { &bridge }),
            format!("--default-address-pool=base=10.{range}.{pool},size=24"),
            format!("--cgroup-parent=/{}", cgroup(range)),
            "--exec-opt=native.cgroupdriver=cgroupfs".into(),
            // Packet filters and forwarding belong to the machine: two engines would share them.
            "--iptables=false".into(),
            "--ip-masq=false".into(),
            "--ip-forward=false".into(),
            "--log-level=warn".into(),
        ];
        if options.live_restore {
            arguments.push("--live-restore".into());
        }
        let machine = if options.apart { format!("10.{range}.0.2") } else { "127.0.0.1".into() };
        arguments.extend(options.arguments.iter().map(|argument| argument.replace("{machine}", &machine)));
        let apart = options.apart;
        let docker = Self { dockerd, arguments, child: Mutex::new(None), folder, range, apart, janitor };
        docker.start();
        docker
    }

    /// Where clients connect: `unix://…/docker.sock`.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The address that its machine is reached at.
    pub fn machine(&self) -> String {
        if self.apart { format!("10.{}.0.2", self.range) } else { "127.0.0.1".into() }
    }

    /// Makes the containers' own addresses reachable from here, for an engine that is apart.
    ///
    /// # Panics
    ///
    /// If there can be no such route.
    pub fn route_to_containers(&self) {
        self.route_to_containers_by(&self.machine());
    }

    /// Gives this machine a network with the addresses of the containers of an engine that is apart, as
    /// two engines have that nobody has told otherwise.
    ///
    /// # Panics
    ///
    /// If there can be no such network.
    pub fn claim_containers_addresses(&self) {
        let (link, address) = (format!("grclash{}", self.range), format!("10.{}.128.1/18", self.range));
        // A network of one's own counts before a way to another's.
        let containers = format!("10.{}.128.0/18", self.range);
        let made = ip(&["route", "delete", &containers])
            && ip(&["link", "add", &link, "type", "bridge"])
            && ip(&["address", "add", &address, "dev", &link])
            && ip(&["link", "set", &link, "up"]);
        assert!(made, "no bridge {link} with {address}");
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// The links of containers on the engine's bridge, by name.
    pub fn links(&self) -> Vec<String> {
        let links = fs::read_dir(format!("/sys/class/net/{}/brif", bridge(self.range)));
        let names = links.into_iter().flatten().flatten();
        names.map(|link| link.file_name().to_string_lossy().into_owned()).collect()
    }

    /// What the engine logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The address of this machine on the engine's bridge: where containers reach it.
    pub fn gateway(&self) -> String {
        format!("10.{}.0.1", self.range)
    }

    /// Starts the engine, if it does not run, on what it had before; blocks until it answers.
    ///
    /// # Panics
    ///
    /// If it does not in time.
    pub fn start(&self) {
        self.spawn();
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.answers() {
            if let Some(ended) = self.ended() {
                panic!("dockerd ended ({ended}); its log:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "dockerd does not answer; its log:\n{}", self.log());
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Starts the engine, if it does not run, and does not wait for it.
    ///
    /// # Panics
    ///
    /// If its program cannot be run.
    pub fn spawn(&self) {
        let mut child = self.child();
        if child.is_some() {
            return;
        }
        let log = File::options().create(true).append(true).open(self.folder.join("log")).expect("its log");
        let mut command = if self.apart { self.apart() } else { Command::new(&self.dockerd) };
        let started = command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("its log"))
            .stderr(log)
            // A terminal's Ctrl-C is for the test; the janitor ends the engine.
            .process_group(0)
            .spawn();
        *child = Some(
            started.unwrap_or_else(|error| panic!("{} does not start: {error}", self.dockerd.display())),
        );
        drop(child);
        if self.apart {
            self.connect_machine();
        }
    }

    /// What starts the engine as on another machine.
    fn apart(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-ec", APART, "docker-apart"]);
        command.args([&uplink(self.range), &std::process::id().to_string(), &format!("10.{}", self.range)]);
        command.arg(&self.dockerd);
        command
    }

    /// Plugs the other machine in, once it has a link.
    fn connect_machine(&self) {
        let (link, bridge) = (uplink(self.range), bridge(self.range));
        let deadline = Instant::now() + START_TIMEOUT;
        while !ip(&["link", "set", &link, "master", &bridge, "up"]) {
            assert!(Instant::now() < deadline, "the other machine has no link; its log:\n{}", self.log());
            thread::sleep(POLL_INTERVAL);
        }
        // To a neighbour that is not there: what a way out of this machine does is nobody's to know.
        self.route_to_containers_by(&format!("10.{}.0.3", self.range));
    }

    fn route_to_containers_by(&self, neighbour: &str) {
        let containers = format!("10.{}.128.0/18", self.range);
        assert!(ip(&["route", "replace", &containers, "via", neighbour]), "no route to {containers}");
    }

    /// Whether the engine answers.
    pub fn answers(&self) -> bool {
        self.try_call("GET", "/_ping", "", &[]).is_ok_and(|answer| answer.status == 200)
    }

    /// Stops the engine as a service manager does, and waits for it. Its containers end with it,
    /// unless it was started with `live_restore`.
    ///
    /// # Panics
    ///
    /// If it does not stop in time.
    pub fn stop(&self) {
        let Some(mut child) = self.child().take() else { return };
        signal(&child, Signal::CONT);
        signal(&child, Signal::TERM);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while child.try_wait().expect("dockerd's status").is_none() {
            assert!(Instant::now() < deadline, "dockerd does not stop; its log:\n{}", self.log());
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Kills the engine, as a crash does. Its containers run on for now; the next start ends them,
    /// unless it was started with `live_restore`.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // The engine's containerd dies with it, a little later; a start meanwhile would rely on it.
        let deadline = Instant::now() + START_TIMEOUT;
        while self.containerd().is_some_and(|pid| test_kill_process(pid).is_ok()) {
            assert!(Instant::now() < deadline, "containerd outlives its engine; the log:\n{}", self.log());
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// From now on connections to the engine are made, and nothing is answered.
    ///
    /// # Panics
    ///
    /// If the engine cannot be paused.
    pub fn pause(&self) {
        let child = self.child();
        let Some(child) = &*child else { return };
        signal(child, Signal::STOP);
        // Its threads stop one after the other.
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_stopped(child.id()) {
            assert!(Instant::now() < deadline, "dockerd does not pause");
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// It answers again, what was asked meanwhile first.
    pub fn resume(&self) {
        self.child().iter().for_each(|child| signal(child, Signal::CONT));
    }

    /// Takes the socket away from its path; the engine and its open connections go on.
    pub fn hide_socket(&self) -> io::Result<()> {
        fs::rename(self.socket(), self.folder.join("hidden.sock"))
    }

    /// Puts the socket back to its path.
    pub fn show_socket(&self) -> io::Result<()> {
        fs::rename(self.folder.join("hidden.sock"), self.socket())
    }

    fn ended(&self) -> Option<std::process::ExitStatus> {
        self.child().as_mut()?.try_wait().expect("dockerd's status")
    }

    fn containerd(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.folder.join("exec/containerd/containerd.pid")).ok()?;
        Pid::from_raw(pid.trim().parse().ok()?)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // The janitor waits for the engine's end, which only a parent that waits makes visible.
        let child = self.child().take();
        let reaper = child.map(|mut child| thread::spawn(move || child.wait()));
        self.janitor.clear_up();
        let _ = reaper.map(thread::JoinHandle::join);
    }
}

/// Clears up when its standard input ends: at the latest when this process does, however it ends.
#[derive(Debug)]
struct Janitor {
    child: Child,
    until: Option<ChildStdin>,
}

impl Janitor {
    fn start(folder: &Path, bridge: &str, range: u8) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", include_str!("docker_janitor.sh"), "docker-janitor"])
            .arg(folder)
            .args([bridge, &format!("10.{range}."), &cgroup(range)])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("a shell");
        let until = child.stdin.take();
        Self { child, until }
    }

    fn clear_up(&mut self) {
        drop(self.until.take());
        let _ = self.child.wait();
    }
}

/// Takes a range of addresses that no other engine of a test has, with its bridge: that a link of a
/// name can be made only once is what keeps it. Gives both.
fn take_range() -> (u8, String) {
    let start = std::process::id() % u32::from(RANGES.end - RANGES.start);
    for offset in 0..RANGES.end - RANGES.start {
        let range = RANGES.start + (start as u8 + offset) % (RANGES.end - RANGES.start);
        let bridge = bridge(range);
        let address = format!("10.{range}.0.1/17");
        if ip(&["link", "add", &bridge, "type", "bridge"]) {
            assert!(ip(&["address", "add", &address, "dev", &bridge]), "{bridge} gets no address");
            assert!(ip(&["link", "set", &bridge, "up"]), "{bridge} does not come up");
            return (range, bridge);
        }
    }
    panic!("no bridge can be made: `ip link add grdocker{} type bridge` fails", RANGES.start)
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn bridge(range: u8) -> String {
    format!("grdocker{range}")
}

/// The link of a machine that is apart.
fn uplink(range: u8) -> String {
    format!("grapart{range}")
}

fn cgroup(range: u8) -> String {
    format!("greenroom-docker-{range}")
}

fn dockerd_binary() -> Option<PathBuf> {
    in_path("dockerd").filter(|_| rustix::process::geteuid().is_root())
}

/// Whether every thread of the process is stopped by a signal.
fn is_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut states = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    // The state comes behind the name, which may have anything in it.
    states.all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}
