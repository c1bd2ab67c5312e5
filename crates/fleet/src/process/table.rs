//! What is known of all servers, and who is told of changes.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use greenroom_protocol::ServerId;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::Outcome;
use crate::{
    error::StartError,
    folder::Folder,
    local_host,
    model::{BoundPort, Observed, Phase},
    procfs::Identity,
};

/// What is known of one server. A copy is cheap.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) folder: Folder,
    pub(super) phase: Phase,
    pub(super) ports: Arc<[BoundPort]>,
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) supervisor: Option<Identity>,
    pub(super) outcome: Outcome,
    /// Stops, for its link.
    pub(super) commands: mpsc::Sender<Duration>,
    /// The number of its last change; none until it runs, for only then is it told of.
    version: Option<u64>,
}

impl Entry {
    /// A server whose start has begun.
    pub(super) fn starting(
        folder: Folder,
        labels: BTreeMap<String, String>,
        outcome: Outcome,
        commands: mpsc::Sender<Duration>,
    ) -> Self {
        Self {
            folder,
            phase: Phase::Starting,
            ports: Arc::default(),
            labels: Arc::new(labels),
            supervisor: None,
            outcome,
            commands,
            version: None,
        }
    }

    fn observed(&self, id: &ServerId) -> Observed {
        Observed {
            id: id.clone(),
            phase: self.phase.clone(),
            ports: self.ports.to_vec(),
            labels: (*self.labels).clone(),
            host: local_host(),
            address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            is_host_reachable: true,
        }
    }
}

/// All servers.
#[derive(Clone)]
pub(super) struct Table {
    inner: Arc<Mutex<Inner>>,
    /// The number of the last change; closed with the provider.
    changed: Arc<Mutex<Option<watch::Sender<u64>>>>,
    watch: watch::Receiver<u64>,
}

#[derive(Default)]
struct Inner {
    servers: HashMap<ServerId, Entry>,
    /// Servers in the order of their last changes: what makes a reader miss none without a queue.
    by_version: BTreeMap<u64, ServerId>,
    version: u64,
    alive: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        let (send, watch) = watch::channel(0);
        Self { inner: Arc::default(), changed: Arc::new(Mutex::new(Some(send))), watch }
    }

    /// Puts `entry` there unless `id` is known; then tells how its start goes or went.
    pub(super) fn claim(
        &self,
        id: &ServerId,
        entry: Entry,
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

    pub(super) fn get(&self, id: &ServerId) -> Option<Entry> {
        self.inner.lock().servers.get(id).cloned()
    }

    pub(super) fn observed(&self, id: &ServerId) -> Option<Observed> {
        let inner = self.inner.lock();
        let entry = inner.servers.get(id).filter(|entry| entry.version.is_some())?;
        Some(entry.observed(id))
    }

    pub(super) fn list(&self) -> Vec<Observed> {
        let inner = self.inner.lock();
        let told = inner.servers.iter().filter(|(_, entry)| entry.version.is_some());
        told.map(|(id, entry)| entry.observed(id)).collect()
    }

    pub(super) fn remove(&self, id: &ServerId) {
        let mut inner = self.inner.lock();
        if let Some(entry) = inner.servers.remove(id)
            && let Some(version) = entry.version
        {
            inner.by_version.remove(&version);
            inner.alive -= usize::from(!matches!(entry.phase, Phase::Ended(_)));
        }
    }

    /// Changes what is known of a server and tells it; whether that was news. An ended one never
    /// changes again.
    pub(super) fn update(&self, id: &ServerId, change: impl FnOnce(&mut Entry)) -> bool {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let Some(entry) = inner.servers.get_mut(id) else { return false };
        let (before, told) = (entry.phase.clone(), entry.version);
        if told.is_some() && matches!(before, Phase::Ended(_)) {
            return false;
        }
        change(entry);
        if told.is_some() && entry.phase == before {
            return false;
        }
        inner.version += 1;
        entry.version = Some(inner.version);
        if let Some(old) = told {
            inner.by_version.remove(&old);
        } else {
            inner.alive += 1;
        }
        inner.alive -= usize::from(matches!(entry.phase, Phase::Ended(_)));
        inner.by_version.insert(inner.version, id.clone());
        metrics::gauge!("greenroom_fleet_servers_running").set(inner.alive as f64);
        if let Some(changed) = &*self.changed.lock() {
            changed.send_replace(inner.version);
        }
        true
    }

    pub(super) fn changes(&self) -> Changes {
        Changes { table: Arc::clone(&self.inner), seen: 0, watch: self.watch.clone() }
    }

    /// Nothing more will be told.
    pub(super) fn close(&self) {
        self.changed.lock().take();
    }
}

/// A reader of the changes: remembers only how far it is.
pub(super) struct Changes {
    table: Arc<Mutex<Inner>>,
    seen: u64,
    watch: watch::Receiver<u64>,
}

impl Changes {
    pub(super) async fn next_change(&mut self) -> Option<Observed> {
        loop {
            if let Some(observed) = self.ready() {
                return Some(observed);
            }
            self.watch.changed().await.ok()?;
        }
    }

    /// Waits until [`is_over`](Self::is_over).
    pub(super) async fn until_over(&mut self, id: &ServerId) {
        while !self.is_over(id) {
            let _closed_is_over = self.watch.changed().await;
        }
    }

    /// Whether nothing more will be told of `id`: it has ended, was forgotten, or the provider is closed.
    pub(super) fn is_over(&self, id: &ServerId) -> bool {
        let ended = |entry: &Entry| matches!(entry.phase, Phase::Ended(_));
        self.watch.has_changed().is_err() || self.table.lock().servers.get(id).is_none_or(ended)
    }

    fn ready(&mut self) -> Option<Observed> {
        let inner = self.table.lock();
        let (version, id) = inner.by_version.range(self.seen + 1..).next()?;
        self.seen = *version;
        inner.servers.get(id).map(|entry| entry.observed(id))
    }
}
