//! When a container counts as ready: from the socket tables of its network, where its processes can be
//! seen from here; never by its published ports, where the engine's own proxy accepts.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use greenroom_protocol::ServerId;
use parking_lot::Mutex;
use regex::Regex;
use tokio::{net::TcpStream, time::sleep};

use super::{
    Endpoint, Host, Signals,
    endpoint::is_another_machines,
    logs,
    record::Record,
    seen::{Health, Running, Seen},
};
use crate::{
    folder::ReadySpec,
    model::BoundPort,
    network::{Network, OpenSocket},
    procfs,
    sockets::{self, CHECK_PORTS, Held, Socket, list, missing_if},
    supervise::now,
};

/// What is lacking of a container that is to say itself when it is ready.
pub(super) const SILENT: &str = "it did not call the SDK's Ready";
/// Between two looks in the first second.
const LOOK_FIRST: Duration = Duration::from_millis(2);
/// Between two looks at a server that takes its time.
const LOOK_LAST: Duration = Duration::from_millis(50);
/// Between two questions for its health.
const HEALTH: Duration = Duration::from_millis(200);
/// How long a connection to the container's own address may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Between two tries to read a log that could not be read.
const LOG_AGAIN: Duration = Duration::from_millis(500);
/// Lines of its log from before that are looked through: more than any start writes.
const LOG_LINES_MAX: usize = 10_000;

/// What is waited for, and what was seen instead.
pub(super) struct Watch {
    pub(super) host: Arc<Host>,
    pub(super) id: ServerId,
    pub(super) record: Arc<Record>,
    /// Said when the time is up.
    pub(super) lacking: Arc<Mutex<String>>,
    pub(super) signals: Arc<Signals>,
}

/// Whether a container's sockets can be seen at all by `listening`; if not, the sentence says why.
pub(super) fn can_listen(ports: &[BoundPort], engine: &Endpoint) -> Result<(), String> {
    if engine.is_elsewhere() && sockets::wanted(ports).iter().any(|socket| socket.udp && !socket.either) {
        return Err("`ready = \"listening\"` cannot see UDP ports in a container on another machine; \
                    expected \"health\", \"log:<regular expression>\" or \"after:<duration>\""
            .into());
    }
    Ok(())
}

/// Why the sockets of a container cannot be known.
const UNSEEN: &str = "`ready = \"listening\"` needs to see the container's processes for its UDP ports, and they \
                      cannot be seen from here; run Greenroom on the engine's machine with its processes in sight \
                      (`pid: host`), or write \"health\", \"log:<regular expression>\" or \"after:<duration>\"";

/// How often a container's process is looked for before it counts as out of sight.
const SIGHT_LOOKS_MAX: u32 = 20;

impl Watch {
    /// Waits until it is ready. An error says why it will never be.
    pub(super) async fn wait(self, running: Running) -> Result<(), String> {
        let healthy =
            async { if running.health.is_some() { self.healthy(running.health).await } else { Ok(()) } };
        let sign = async {
            match &self.record.ready {
                ReadySpec::Listening => self.listening(&running).await,
                ReadySpec::Log(regex) => self.said(regex).await,
                ReadySpec::After(delay) => {
                    let passed = now().as_millis() - self.record.at.as_millis();
                    sleep(delay.saturating_sub(Duration::from_millis(passed.max(0).cast_unsigned()))).await;
                    Ok(())
                }
                ReadySpec::Health if running.health.is_none() => Err(
                    "`ready = \"health\"`, but its image has no health check; add HEALTHCHECK to the image, \
                         or write \"listening\""
                        .into(),
                ),
                ReadySpec::Health => Ok(()),
                ReadySpec::Sdk => {
                    self.lacks(SILENT.into());
                    self.signals.said_ready.notified().await;
                    Ok(())
                }
            }
        };
        tokio::try_join!(sign, healthy).map(drop)
    }

    fn lacks(&self, sentence: String) {
        *self.lacking.lock() = sentence;
    }

    async fn healthy(&self, mut health: Option<Health>) -> Result<(), String> {
        loop {
            match health {
                Some(Health::Healthy) => return Ok(()),
                Some(Health::Unhealthy) => {
                    return Err("the health check of its image says that it is unhealthy".into());
                }
                Some(Health::Starting) | None => {}
            }
            self.lacks("the health check of its image has not succeeded".into());
            sleep(HEALTH).await;
            if let Ok(Seen::Running(running)) = self.host.inspect(&self.id, self.record.host_network).await {
                health = running.health;
            }
        }
    }

    async fn listening(&self, running: &Running) -> Result<(), String> {
        let inside: Vec<BoundPort> = self.record.ports.iter().map(inside).collect();
        let mut wanted = sockets::wanted(&inside);
        if running.pid.is_none() {
            // Without the tables only TCP can be seen.
            wanted.retain(|socket| !(socket.udp && socket.either));
        }
        match (running.pid, running.address) {
            (Some(pid), _) => self.tables(pid, wanted).await,
            (None, _) if wanted.iter().any(|socket| socket.udp) => match self.in_sight().await {
                Some(pid) => self.tables(pid, wanted).await,
                None => Err(UNSEEN.into()),
            },
            (None, Some(address)) => {
                self.is_its_own(address).await?;
                self.connections(address, wanted).await
            }
            (None, None) => Err(
                "`ready = \"listening\"` needs to see the container's processes or to reach its address, \
                                 and can do neither; write \"health\", \"log:<regular expression>\" or \
                                 \"after:<duration>\""
                    .into(),
            ),
        }
    }

    /// The container's first process, once it is in sight; none if it runs and stays out of it. What
    /// was not seen may just have ended, which is no fault of the view: whoever follows it tells.
    async fn in_sight(&self) -> Option<i32> {
        for _ in 0..SIGHT_LOOKS_MAX {
            sleep(LOOK_LAST).await;
            match self.host.inspect(&self.id, self.record.host_network).await {
                Ok(Seen::Running(Running { pid: None, .. })) | Err(_) => {}
                Ok(Seen::Running(Running { pid, .. })) => return pid,
                Ok(_) => std::future::pending().await,
            }
        }
        None
    }

    async fn tables(&self, pid: i32, wanted: BTreeSet<Socket>) -> Result<(), String> {
        let (began, looking) = (Instant::now(), Looking::new(&self.host.looking));
        let network = Arc::new(OnceLock::new());
        loop {
            let (wanted, is_on_host) = (wanted.clone(), self.record.host_network);
            let network = Arc::clone(&network);
            let look = move || lacking(network.get_or_init(|| Network::of(pid)), pid, &wanted, is_on_host);
            match tokio::task::spawn_blocking(look).await {
                Ok(None) => return Ok(()),
                Ok(Some(sentence)) => self.lacks(sentence),
                Err(_panic) => {}
            }
            sleep(looking.pause(began.elapsed())).await;
        }
    }

    /// Whether what answers at `address` is the container. Of another machine's it is not where this one
    /// has a bridge with the same addresses, as two engines do that nobody has told otherwise.
    async fn is_its_own(&self, address: IpAddr) -> Result<(), String> {
        let connection = &self.host.connection;
        let machine = if connection.is_local() { None } else { connection.machine().await };
        let Some(machine) = machine.filter(|ip| is_another_machines(*ip)) else { return Ok(()) };
        if address == machine {
            return Ok(());
        }
        let routed = tokio::task::spawn_blocking(move || procfs::bridge_to(address)).await;
        match routed.ok().flatten() {
            None => Ok(()),
            Some(bridge) => Err(format!(
                "`ready = \"listening\"` cannot look at {address}, the container's address on another \
                 machine: here it belongs to the bridge {bridge} of this machine; give the engine other \
                 networks (\"bip\", \"default-address-pools\") and a route to them, set network = \"host\", \
                 or write \"health\", \"log:<regular expression>\" or \"after:<duration>\""
            )),
        }
    }

    async fn connections(&self, address: IpAddr, wanted: BTreeSet<Socket>) -> Result<(), String> {
        let began = Instant::now();
        let mut left = wanted;
        loop {
            let Some(socket) = left.first().copied() else { return Ok(()) };
            let connect = TcpStream::connect(SocketAddr::from((address, socket.port)));
            match tokio::time::timeout(CONNECT_MAX, connect).await {
                Ok(Ok(_stream)) => {
                    left.pop_first();
                    continue;
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.lacks(format!(
                        "it did not open {} at {address}; {CHECK_PORTS}, or raise ready_timeout",
                        list(&left)
                    ));
                }
                Ok(Err(error)) => self.lacks(out_of_reach(address, &left, &error.to_string())),
                Err(_elapsed) => self.lacks(out_of_reach(address, &left, "no answer")),
            }
            sleep((began.elapsed() / 500).clamp(LOOK_FIRST, LOOK_LAST)).await;
        }
    }

    async fn said(&self, pattern: &str) -> Result<(), String> {
        let regex =
            Regex::new(pattern).map_err(|error| format!("`ready` is no regular expression: {error}"))?;
        self.lacks(format!("no line of its output matched \"{pattern}\""));
        loop {
            // From the beginning each time: what was said while the engine was away counts too.
            if let Ok(mut lines) = logs::open(&self.host, &self.id, LOG_LINES_MAX, true).await {
                while let Some(line) = lines.next_line().await {
                    if regex.is_match(&line.text) {
                        return Ok(());
                    }
                }
            }
            sleep(LOG_AGAIN).await;
        }
    }
}

/// One of those that look at sockets again and again. All of them together look as often as one alone
/// would: what a crowd of looks takes, the starts that they wait for would go without.
struct Looking<'a>(&'a AtomicU32);

impl<'a> Looking<'a> {
    fn new(all: &'a AtomicU32) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(all)
    }

    /// Until the next look, of one that has been at it for `waited`.
    fn pause(&self, waited: Duration) -> Duration {
        let alone = (waited / 500).max(LOOK_FIRST);
        (alone * self.0.load(Ordering::Relaxed)).min(LOOK_LAST)
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Nothing is known of a container's sockets, because its address is not reached.
fn out_of_reach(address: IpAddr, wanted: &BTreeSet<Socket>, why: &str) -> String {
    format!(
        "{address}, its own address, cannot be reached from here to see {} ({why}); make a route to the \
         engine's networks, set network = \"host\", or write \"health\", \"log:<regular expression>\" or \
         \"after:<duration>\" for `ready`",
        list(wanted)
    )
}

/// What a container's processes do not hold yet, as a sentence; none if they hold all.
fn lacking(network: &Network, pid: i32, wanted: &BTreeSet<Socket>, is_on_host: bool) -> Option<String> {
    let held = is_on_host.then(|| {
        let mut pids = procfs::descendants(pid);
        pids.push(pid);
        Held::of(&pids)
    });
    // A network of its own has nobody else in it.
    let is_its_own = |open: &OpenSocket| held.as_ref().is_none_or(|held| held.has(open));
    let missing = missing_if(network, wanted, is_its_own);
    if missing.is_empty() {
        return None;
    }
    let both = [Socket::new(false, 0), Socket::new(true, 0)];
    let elsewhere: BTreeSet<Socket> = sockets::sockets(network, &both.into())
        .into_iter()
        .filter(|(socket, open)| is_its_own(open) && !wanted.contains(socket))
        .map(|(socket, _)| socket)
        .collect();
    let missing = list(&missing);
    Some(if elsewhere.is_empty() {
        format!("it did not open {missing}; {CHECK_PORTS}, or raise ready_timeout")
    } else {
        format!("it listens on {} instead of {missing}; {CHECK_PORTS}", list(&elsewhere))
    })
}

/// A port as the container's program sees it.
fn inside(bound: &BoundPort) -> BoundPort {
    BoundPort { port: bound.inner.unwrap_or(bound.port), inner: None, ..bound.clone() }
}
