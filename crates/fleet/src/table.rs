//! What is known of all servers, and who is told of changes.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use greenroom_protocol::{HostId, ServerId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::{
    error::StartError,
    model::{BoundPort, Observed, Phase, Started},
    provider::ObservationSource,
};

/// Whether a server's start has come to its end, and how.
pub(crate) type Outcome = watch::Receiver<Option<Result<Started, StartError>>>;

/// Waits for a start to come to its end.
pub(crate) async fn wait_for(mut outcome: Outcome) -> Result<Started, StartError> {
    match outcome.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(result)) => result.clone(),
        _ => Err(StartError::Unavailable("the start was broken off".into())),
    }
}

/// What is known of one server; `own` is what its engine alone understands. A copy is cheap.
#[derive(Clone)]
pub(crate) struct Entry<Own> {
    pub(crate) phase: Phase,
    pub(crate) ports: Arc<[BoundPort]>,
    pub(crate) labels: Arc<BTreeMap<String, String>>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) public_address: Option<String>,
    pub(crate) is_paused: bool,
    pub(crate) own: Own,
    pub(crate) outcome: Outcome,
    /// Stops, for the task that follows it.
    pub(crate) commands: mpsc::Sender<Duration>,
    /// The number of its last change; none until it runs, for only then is it told of.
    version: Option<u64>,
}

impl<Own> Entry<Own> {
    /// A server whose start has begun.
    pub(crate) fn starting(
        own: Own,
        labels: BTreeMap<String, String>,
        outcome: Outcome,
        commands: mpsc::Sender<Duration>,
    ) -> Self {
        Self {
            phase: Phase::Starting,
            ports: Arc::default(),
            labels: Arc::new(labels),
            address: None,
            public_address: None,
            is_paused: false,
            own,
            outcome,
            commands,
            version: None,
        }
    }

    pub(crate) const fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether observers know of it: its start has come to its end.
    pub(crate) const fn is_told(&self) -> bool {
        self.version.is_some()
    }
}

/// All servers of one host.
pub(crate) struct Table<Own> {
    inner: Arc<Mutex<Inner<Own>>>,
    /// The number of the last change; closed with the provider.
    changed: Arc<Mutex<Option<watch::Sender<u64>>>>,
    watch: watch::Receiver<u64>,
}

struct Inner<Own> {
    host: HostId,
    is_host_reachable: bool,
    servers: HashMap<ServerId, Entry<Own>>,
    /// Servers in the order of their last changes: what makes a reader miss none without a queue.
    by_version: BTreeMap<u64, ServerId>,
    version: u64,
    alive: usize,
}

impl<Own: Clone> Inner<Own> {
    fn observed(&self, id: &ServerId, entry: &Entry<Own>) -> Observed {
        Observed {
            id: id.clone(),
            phase: entry.phase.clone(),
            ports: entry.ports.to_vec(),
            labels: (*entry.labels).clone(),
            host: self.host.clone(),
            address: entry.address,
            public_address: entry.public_address.clone(),
            // What has ended can be told whatever its host does.
            is_host_reachable: self.is_host_reachable || entry.is_ended(),
            is_paused: entry.is_paused,
        }
    }

    /// Gives `id` the number of a new change.
    fn touch(&mut self, id: &ServerId) {
        let Some(entry) = self.servers.get_mut(id) else { return };
        self.version += 1;
        if let Some(old) = entry.version.replace(self.version) {
            self.by_version.remove(&old);
        }
        self.by_version.insert(self.version, id.clone());
    }
}

impl<Own: Clone + Send + Sync + 'static> Table<Own> {
    pub(crate) fn new(host: HostId) -> Self {
        let (send, watch) = watch::channel(0);
        let inner = Inner {
            host,
            is_host_reachable: true,
            servers: HashMap::new(),
            by_version: BTreeMap::new(),
            version: 0,
            alive: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), changed: Arc::new(Mutex::new(Some(send))), watch }
    }

    /// Puts `entry` there unless `id` is known; then tells how its start goes or went.
    pub(crate) fn claim(
        &self,
        id: &ServerId,
        entry: Entry<Own>,
        servers_max: usize,
    ) -> Result<Option<Outcome>, StartError> {
        let mut inner = self.inner.lock();
        if let Some(known) = inner.servers.get(id) {
            return Ok(Some(known.outcome.clone()));
        }
        if inner.servers.len() >= servers_max {
            return Err(StartError::TooMany(servers_max));
        }
        inner.servers.insert(id.clone(), entry);
        Ok(None)
    }

    pub(crate) fn get(&self, id: &ServerId) -> Option<Entry<Own>> {
        self.inner.lock().servers.get(id).cloned()
    }

    pub(crate) fn observed(&self, id: &ServerId) -> Option<Observed> {
        let inner = self.inner.lock();
        let entry = inner.servers.get(id).filter(|entry| entry.is_told())?;
        Some(inner.observed(id, entry))
    }

    pub(crate) fn list(&self) -> Vec<Observed> {
        let inner = self.inner.lock();
        let told = inner.servers.iter().filter(|(_, entry)| entry.is_told());
        told.map(|(id, entry)| inner.observed(id, entry)).collect()
    }

    /// Every server, told of or not.
    pub(crate) fn all(&self) -> Vec<(ServerId, Entry<Own>)> {
        self.inner.lock().servers.iter().map(|(id, entry)| (id.clone(), entry.clone())).collect()
    }

    /// How many run.
    pub(crate) fn alive(&self) -> usize {
        self.inner.lock().alive
    }

    /// Notes whether the host can be asked, and tells it of each server that lives; whether that was
    /// news.
    pub(crate) fn set_host_reachable(&self, is_host_reachable: bool) -> bool {
        let mut inner = self.inner.lock();
        if inner.is_host_reachable == is_host_reachable {
            return false;
        }
        inner.is_host_reachable = is_host_reachable;
        let living = inner.servers.iter().filter(|(_, entry)| entry.is_told() && !entry.is_ended());
        let living: Vec<ServerId> = living.map(|(id, _)| id.clone()).collect();
        for id in &living {
            inner.touch(id);
        }
        self.tell(inner.version);
        true
    }

    pub(crate) fn remove(&self, id: &ServerId) {
        let mut inner = self.inner.lock();
        if let Some(entry) = inner.servers.remove(id)
            && let Some(version) = entry.version
        {
            inner.by_version.remove(&version);
            inner.alive -= usize::from(!entry.is_ended());
        }
    }

    /// Changes what is known of a server and tells it; whether that was news. An ended one never
    /// changes again.
    pub(crate) fn update(&self, id: &ServerId, change: impl FnOnce(&mut Entry<Own>)) -> bool {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let Some(entry) = inner.servers.get_mut(id) else { return false };
        let told = entry.is_told();
        if told && entry.is_ended() {
            return false;
        }
        let before = (entry.phase.clone(), entry.address, entry.is_paused);
        change(entry);
        if told && before == (entry.phase.clone(), entry.address, entry.is_paused) {
            return false;
        }
        inner.alive += usize::from(!told);
        inner.alive -= usize::from(entry.is_ended());
        inner.touch(id);
        metrics::gauge!("greenroom_fleet_servers_running", "host" => inner.host.to_string())
            .set(inner.alive as f64);
        self.tell(inner.version);
        true
    }

    fn tell(&self, version: u64) {
        if let Some(changed) = &*self.changed.lock() {
            changed.send_replace(version);
        }
    }

    pub(crate) fn changes(&self) -> Changes<Own> {
        Changes { table: Arc::clone(&self.inner), seen: 0, watch: self.watch.clone() }
    }

    /// Nothing more will be told.
    pub(crate) fn close(&self) {
        self.changed.lock().take();
    }
}

/// A reader of the changes: remembers only how far it is.
pub(crate) struct Changes<Own> {
    table: Arc<Mutex<Inner<Own>>>,
    seen: u64,
    watch: watch::Receiver<u64>,
}

#[async_trait]
impl<Own: Clone + Send + Sync + 'static> ObservationSource for Changes<Own> {
    async fn next(&mut self) -> Option<Observed> {
        loop {
            if let Some(observed) = self.ready() {
                return Some(observed);
            }
            self.watch.changed().await.ok()?;
        }
    }
}

impl<Own: Clone + Send + Sync + 'static> Changes<Own> {
    /// Waits until [`is_over`](Self::is_over).
    pub(crate) async fn until_over(&mut self, id: &ServerId) {
        while !self.is_over(id) {
            let _closed_is_over = self.watch.changed().await;
        }
    }

    /// Waits until a server `is` so, or [`is_over`](Self::is_over).
    pub(crate) async fn until(&mut self, id: &ServerId, is: impl Fn(&Entry<Own>) -> bool) {
        while !self.is_over(id) && !self.table.lock().servers.get(id).is_some_and(&is) {
            let _closed_is_over = self.watch.changed().await;
        }
    }

    /// Whether nothing more will be told of `id`: it has ended, was forgotten, or the provider is closed.
    pub(crate) fn is_over(&self, id: &ServerId) -> bool {
        self.watch.has_changed().is_err() || self.table.lock().servers.get(id).is_none_or(Entry::is_ended)
    }

    fn ready(&mut self) -> Option<Observed> {
        let inner = self.table.lock();
        let (version, id) = inner.by_version.range(self.seen + 1..).next()?;
        self.seen = *version;
        inner.servers.get(id).map(|entry| inner.observed(id, entry))
    }
}
