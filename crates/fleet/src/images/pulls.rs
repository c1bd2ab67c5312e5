//! Images being pulled: each one once at a time on a host, in the background one after another, and
//! at once when a server waits for it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use greenroom_protocol::HostId;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    engine,
    error::ImageError,
    progress::{Layers, PullProgress, PullState},
    reference::Repository,
    registry::RegistryCredentials,
};
use crate::docker::Connection;

/// Most pulls that are remembered: those under way, and those that failed.
const PULLS_MAX: usize = 256;

/// How many pulls run at once on a host that nobody waits for.
const AHEAD_PER_HOST: usize = 1;

/// How long an engine may say nothing about a pull.
const SILENCE_MAX: Duration = Duration::from_mins(2);

/// Pause after a pull that failed, before it is tried again by itself; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_secs(5);
const BACKOFF_MAX: Duration = Duration::from_mins(10);

/// Why an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullFor {
    /// So that it is there when it is needed: after other such pulls, and not soon after it failed.
    Later,
    /// A server waits for it: now, but not soon after it failed.
    Start,
    /// A person wants it: now.
    Person,
}

/// An image on a host that is being pulled, or whose last pull failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Which host.
    pub host: HostId,
    /// Which image, with its tag.
    pub image: String,
    /// How far it is.
    pub progress: PullProgress,
}

/// What is to be pulled, and with whose rights.
pub(super) struct Order {
    pub(super) engine: Connection,
    pub(super) image: String,
    pub(super) repository: Repository,
    pub(super) tag: String,
    pub(super) credentials: Option<RegistryCredentials>,
}

/// All pulls. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pulls(Arc<Shared>);

struct Shared {
    table: Mutex<HashMap<(HostId, String), Arc<Pull>>>,
    turns: Mutex<HashMap<HostId, Arc<Semaphore>>>,
    /// Changes with every change of any pull.
    changes: watch::Sender<u64>,
    timeout: Duration,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

struct Pull {
    progress: watch::Sender<PullProgress>,
    /// Lets it begin before its turn.
    hurry: Notify,
    failures: u32,
    /// When it failed.
    failed_at: Mutex<Option<Instant>>,
}

impl Pulls {
    pub(super) fn new(timeout: Duration, tracker: TaskTracker, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            table: Mutex::default(),
            turns: Mutex::default(),
            changes: watch::Sender::new(0),
            timeout,
            tracker,
            shutdown,
        }))
    }

    /// The pull of this image that is under way, else one that failed a moment ago, else a new one.
    pub(super) fn begin(
        &self,
        order: Order,
        why: PullFor,
    ) -> Result<watch::Receiver<PullProgress>, ImageError> {
        if self.0.shutdown.is_cancelled() {
            return Err(ImageError::Closing);
        }
        let key = (order.engine.host().clone(), order.image.clone());
        let mut table = self.0.table.lock();
        let mut failures = 0;
        if let Some(pull) = table.get(&key) {
            if why != PullFor::Later {
                pull.hurry.notify_one();
            }
            let failed_at = *pull.failed_at.lock();
            let rests = failed_at.is_some_and(|at| at.elapsed() < backoff(pull.failures));
            if failed_at.is_none() || (rests && why != PullFor::Person) {
                return Ok(pull.progress.subscribe());
            }
            failures = pull.failures;
        }
        if table.len() >= PULLS_MAX && !table.contains_key(&key) {
            let ended = table.iter().filter_map(|(key, pull)| Some((key, (*pull.failed_at.lock())?)));
            let oldest = ended.min_by_key(|(_, at)| *at).map(|(key, _)| key.clone());
            let oldest = oldest.ok_or(ImageError::TooManyPulls(PULLS_MAX))?;
            table.remove(&oldest);
        }
        let pull = Arc::new(Pull {
            progress: watch::Sender::new(PullProgress::default()),
            hurry: Notify::new(),
            failures: failures.saturating_add(1),
            failed_at: Mutex::default(),
        });
        if why != PullFor::Later {
            pull.hurry.notify_one();
        }
        table.insert(key.clone(), Arc::clone(&pull));
        drop(table);
        let progress = pull.progress.subscribe();
        let pulls = self.clone();
        self.0.tracker.spawn(async move { pulls.carry_out(key, &order, &pull).await });
        self.changed();
        Ok(progress)
    }

    /// Those under way, and those whose last try failed.
    pub(super) fn list(&self) -> Vec<Pulled> {
        let table = self.0.table.lock();
        let pulled = table.iter().map(|((host, image), pull)| Pulled {
            host: host.clone(),
            image: image.clone(),
            progress: pull.progress.borrow().clone(),
        });
        pulled.collect()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    async fn carry_out(&self, key: (HostId, String), order: &Order, pull: &Arc<Pull>) {
        let began = Instant::now();
        // A shutdown first: the engine gives a pull up when nobody listens any more.
        let result = tokio::select! {
            biased;
            () = self.0.shutdown.cancelled() => Err("Greenroom was stopped".to_owned()),
            result = self.in_turn(order, pull) => result,
        };
        let (host, image) = &key;
        let outcome = if result.is_ok() { "ok" } else { "failed" };
        metrics::counter!("greenroom_image_pulls_total", "host" => host.to_string(), "outcome" => outcome)
            .increment(1);
        metrics::histogram!("greenroom_image_pull_seconds", "outcome" => outcome).record(began.elapsed());
        match result {
            Ok(()) => {
                let progress = pull.progress.borrow().clone();
                let (took, bytes) = (began.elapsed(), progress.bytes_done);
                tracing::info!(%host, image, bytes, ?took, "an image was pulled");
                // Gone before it is told, so that who asks again after a removal gets a new pull.
                self.0.table.lock().remove(&key);
                pull.progress.send_modify(|progress| progress.state = PullState::Done);
            }
            Err(cause) => {
                if !self.0.shutdown.is_cancelled() {
                    tracing::warn!(%host, image, tries = pull.failures, cause, "an image could not be pulled");
                }
                *pull.failed_at.lock() = Some(Instant::now());
                pull.progress.send_modify(|progress| progress.state = PullState::Failed(cause));
            }
        }
        self.changed();
    }

    async fn in_turn(&self, order: &Order, pull: &Pull) -> Result<(), String> {
        let turns = Arc::clone(
            self.0
                .turns
                .lock()
                .entry(order.engine.host().clone())
                .or_insert_with(|| Arc::new(Semaphore::new(AHEAD_PER_HOST))),
        );
        // Hurry first: who is waited for takes nobody's turn.
        let _turn = tokio::select! {
            biased;
            () = pull.hurry.notified() => None,
            turn = turns.acquire_owned() => turn.ok(),
        };
        let _running = Running::new();
        let result = timeout(self.0.timeout, self.fetch(order, pull)).await;
        let late = format!("it took longer than {} s", self.0.timeout.as_secs());
        result.unwrap_or(Err(late))
    }

    async fn fetch(&self, order: &Order, pull: &Pull) -> Result<(), String> {
        let credentials = order.credentials.as_ref();
        let lines = engine::pull(&order.engine, &order.repository, &order.tag, credentials);
        let mut lines = std::pin::pin!(lines.map_err(|error| error.to_string())?);
        let mut layers = Layers::default();
        pull.progress.send_replace(layers.progress());
        self.changed();
        let silent = || format!("the engine said nothing for {} s", SILENCE_MAX.as_secs());
        while let Some(line) = timeout(SILENCE_MAX, lines.next()).await.map_err(|_| silent())? {
            if layers.take_in(&line?) {
                pull.progress.send_replace(layers.progress());
                self.changed();
            }
        }
        // The lines may end without a word about an error.
        match engine::has(&order.engine, &order.image).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the engine said that it was done, but does not have it".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn changed(&self) {
        self.0.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

/// Counts a pull for as long as it runs.
struct Running(metrics::Gauge);

impl Running {
    fn new() -> Self {
        let running = metrics::gauge!("greenroom_image_pulls_running");
        running.increment(1);
        Self(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(BACKOFF_MAX)
}
