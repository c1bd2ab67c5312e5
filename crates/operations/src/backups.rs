//! Backups: made one at a time, by the clock or when somebody asks, into the store or to who asked.

use std::{num::NonZeroU64, path::PathBuf, sync::Arc, time::Duration};

use greenroom_backup::{
    Chunks, Header, Pace, Packed, Packing, Ports, Progress, Source, Store, StoreConfig, channel, file_name,
};
use greenroom_protocol::{
    ErrorCode, Timestamp,
    backups::{BackupList, BackupOutcome, BackupRun, BackupView},
};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Failure, context::Clock};

/// How long after a failure a scheduled backup is tried again; twice as long after each further one.
const RETRY_MIN: Duration = Duration::from_mins(1);
const RETRY_MAX: Duration = Duration::from_hours(1);

/// Longest wait without a look at the clock, which may be set.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// What the operator decided about backups.
#[derive(Clone, Debug, Default)]
pub struct BackupSettings {
    /// Where they are kept and how often one is made; `None`: only for who asks.
    pub schedule: Option<BackupSchedule>,
    /// How many bytes of the databases are read in a second at most.
    pub bytes_per_second: Option<NonZeroU64>,
    /// What tells the installation from any other.
    pub installation: String,
    /// Files beside the databases, each under its name in the backup.
    pub files: Vec<(String, PathBuf)>,
}

/// Backups that are made by themselves.
#[derive(Clone, Debug)]
pub struct BackupSchedule {
    /// How often.
    pub every: Duration,
    /// How long one is kept. The newest is kept in any case.
    pub keep: Duration,
    /// Where.
    pub store: StoreConfig,
}

/// What backups stand on.
pub struct BackupsDeps {
    /// What is copied.
    pub ports: Ports,
    /// What the operator decided.
    pub settings: BackupSettings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Holds every task that is started.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
}

/// A backup on its way to who asked for it.
pub struct Download {
    /// What its file is to be called.
    pub name: String,
    /// Its bytes; an error is the last and says that it is not whole.
    pub chunks: Chunks,
}

/// Backups. Cheap to clone.
#[derive(Clone)]
pub struct Backups(Arc<Shared>);

struct Shared {
    ports: Ports,
    settings: BackupSettings,
    store: Option<(Store, BackupSchedule)>,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    last: Option<BackupOutcome>,
    next_at: Option<Timestamp>,
}

struct Running {
    since: Timestamp,
    into_store: bool,
    progress: Arc<Progress>,
}

impl Backups {
    /// Opens the store, and makes backups by the clock until `shutdown`.
    pub fn start(deps: BackupsDeps) -> Result<Self, Failure> {
        let BackupsDeps { ports, settings, clock, tracker, shutdown } = deps;
        let store = match &settings.schedule {
            None => None,
            Some(schedule) => {
                let store = Store::open(&schedule.store, &settings.installation).map_err(|error| {
                    Failure::new(ErrorCode::Unavailable, "The store of backups cannot be used.")
                        .because(error)
                })?;
                Some((store, schedule.clone()))
            }
        };
        let state = Mutex::default();
        let backups = Self(Arc::new(Shared { ports, settings, store, clock, tracker, shutdown, state }));
        if backups.0.store.is_some() {
            let by_clock = backups.clone();
            backups.0.tracker.spawn(async move { by_clock.follow_clock().await });
        }
        Ok(backups)
    }

    /// What is kept, what is being made, what comes next.
    pub async fn list(&self) -> BackupList {
        let mut list = self.outline();
        let Some((store, schedule)) = &self.0.store else { return list };
        list.store = Some(store.describe());
        list.every_seconds = Some(schedule.every.as_secs());
        list.keep_seconds = Some(schedule.keep.as_secs());
        match store.list().await {
            Ok(stored) => {
                let view = |one: greenroom_backup::Stored| BackupView {
                    name: one.name,
                    taken_at: one.taken_at,
                    bytes: one.bytes,
                };
                list.backups = stored.into_iter().map(view).collect();
            }
            Err(error) => {
                tracing::warn!(%error, "the store of backups cannot be looked at");
                list.problem = Some(error.to_string());
            }
        }
        list
    }

    /// Begins a backup into the store; [`list`](Self::list) tells how it fares.
    pub fn begin(&self) -> Result<(), Failure> {
        if self.0.store.is_none() {
            return Err(Failure::new(
                ErrorCode::Conflict,
                "No store is configured, so a backup can only be downloaded. Add [backup] with a store to the configuration.",
            ));
        }
        let claim = self.claim(true)?;
        let backups = self.clone();
        self.0.tracker.spawn(async move {
            // How it went is logged, and told by `list`.
            let _ = backups.keep(claim).await;
        });
        Ok(())
    }

    /// Begins a backup for who asks. What it shows is the moment of this call.
    pub async fn download(&self) -> Result<Download, Failure> {
        let claim = self.claim(false)?;
        let packing = self.packing(&claim).await.map_err(unavailable)?;
        let name = file_name(&self.0.settings.installation, packing.header.taken_at);
        let (writer, chunks) = channel();
        let told = name.clone();
        self.0.tracker.spawn(async move {
            match packing.on_thread(writer, greenroom_backup::ChunkWriter::finish).await {
                Ok(packed) => tracing::info!(name = told, bytes = packed.bytes, "a backup was downloaded"),
                Err(error) => tracing::error!(name = told, %error, "a download of a backup was not finished"),
            }
            drop(claim);
        });
        Ok(Download { name, chunks })
    }

    async fn follow_clock(&self) {
        let mut failures = 0_u32;
        // After a start it is the store that knows when the last one was made.
        let mut due = self.due_after(self.newest().await);
        loop {
            self.0.state.lock().next_at = Some(due);
            let wait = due.since(self.0.clock.now());
            if !wait.is_zero() {
                tokio::select! {
                    biased;
                    () = self.0.shutdown.cancelled() => return,
                    () = tokio::time::sleep(wait.min(LOOK_MAX)) => continue,
                }
            }
            if self.0.shutdown.is_cancelled() {
                return;
            }
            let kept = match self.claim(true) {
                Ok(claim) => self.keep(claim).await.is_ok(),
                // Somebody's own: theirs ends some time.
                Err(_) => false,
            };
            failures = if kept { 0 } else { failures.saturating_add(1) };
            let now = self.0.clock.now();
            due = if kept { self.due_after(Some(now)) } else { now.after(retry_after(failures)) };
        }
    }

    /// When the next one is due after one of `taken_at`; now if there is none.
    fn due_after(&self, taken_at: Option<Timestamp>) -> Timestamp {
        let now = self.0.clock.now();
        let every = self.0.store.as_ref().map_or(Duration::ZERO, |(_, schedule)| schedule.every);
        taken_at.map_or(now, |at| at.after(every))
    }

    async fn newest(&self) -> Option<Timestamp> {
        let (store, _) = self.0.store.as_ref()?;
        let newest = match store.list().await {
            Ok(stored) => stored.first().map(|stored| stored.taken_at),
            Err(error) => {
                tracing::error!(%error, "the store of backups cannot be looked at");
                None
            }
        };
        if let Some(at) = newest {
            metrics::gauge!("greenroom_backup_last_success_timestamp_seconds")
                .set(at.as_millis() as f64 / 1_000.0);
        }
        newest
    }

    /// Makes one into the store, and removes those that are too old.
    async fn keep(&self, claim: Claim) -> Result<(), ()> {
        let Some((store, schedule)) = &self.0.store else { return Err(()) };
        let began = tokio::time::Instant::now();
        let made = match self.packing(&claim).await {
            Ok(packing) => store.keep(packing).await,
            Err(error) => Err(error),
        };
        let took = began.elapsed();
        let outcome = if made.is_ok() { "ok" } else { "failed" };
        metrics::counter!("greenroom_backups_total", "outcome" => outcome).increment(1);
        let (bytes, problem) = match &made {
            Ok(packed) => {
                measure(packed, took);
                (Some(packed.bytes), None)
            }
            Err(error) => {
                tracing::error!(store = store.describe(), %error, "a backup was not made; it is tried again");
                (None, Some(error.to_string()))
            }
        };
        let at = self.0.clock.now();
        self.0.state.lock().last =
            Some(BackupOutcome { at, took_ms: took.as_millis() as u64, bytes, problem });
        let Ok(packed) = made else { return Err(()) };
        let (bytes, raw_bytes) = (packed.bytes, packed.manifest.bytes());
        tracing::info!(
            store = store.describe(),
            bytes,
            raw_bytes,
            took_ms = took.as_millis() as u64,
            "a backup was made"
        );
        remove_old(store, self.0.clock.now(), schedule.keep).await;
        drop(claim);
        Ok(())
    }

    async fn packing(&self, claim: &Claim) -> Result<Packing, greenroom_backup::BackupError> {
        let mut source = Source::of_ports(&self.0.ports).await?;
        for (name, path) in &self.0.settings.files {
            source.add_file(name, path)?;
        }
        let header = Header {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            installation: self.0.settings.installation.clone(),
            taken_at: self.0.clock.now(),
        };
        let pace = Pace { bytes_per_second: self.0.settings.bytes_per_second };
        let (progress, cancel) = (Arc::clone(&claim.progress), self.0.shutdown.clone());
        Ok(Packing { source, header, pace, progress, cancel })
    }

    fn claim(&self, into_store: bool) -> Result<Claim, Failure> {
        let since = self.0.clock.now();
        let progress = Arc::new(Progress::default());
        let mut state = self.0.state.lock();
        if state.running.is_some() {
            return Err(Failure::new(
                ErrorCode::Busy,
                "A backup is being made already, and there is one at a time. Try again when it is finished.",
            ));
        }
        state.running = Some(Running { since, into_store, progress: Arc::clone(&progress) });
        Ok(Claim { backups: self.clone(), progress })
    }

    fn outline(&self) -> BackupList {
        let state = self.0.state.lock();
        let running = state.running.as_ref().map(|running| {
            let (bytes_done, bytes_total) = running.progress.bytes();
            BackupRun { since: running.since, into_store: running.into_store, bytes_done, bytes_total }
        });
        BackupList { running, last: state.last.clone(), next_at: state.next_at, ..BackupList::default() }
    }
}

/// The one backup that is being made; dropped, the next may begin.
struct Claim {
    backups: Backups,
    progress: Arc<Progress>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.backups.0.state.lock().running = None;
    }
}

async fn remove_old(store: &Store, now: Timestamp, keep: Duration) {
    let stored = match store.list().await {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(%error, "backups that are too old could not be looked for");
            return;
        }
    };
    // However old it is, the newest stays.
    for old in stored.iter().skip(1).filter(|one| now.since(one.taken_at) > keep) {
        match store.remove(&old.name).await {
            Ok(()) => tracing::info!(name = old.name, "a backup that is too old was removed"),
            Err(error) => {
                tracing::error!(name = old.name, %error, "a backup that is too old was not removed");
            }
        }
    }
}

fn measure(packed: &Packed, took: Duration) {
    let at = packed.manifest.header.taken_at.as_millis() as f64 / 1_000.0;
    metrics::gauge!("greenroom_backup_last_success_timestamp_seconds").set(at);
    metrics::gauge!("greenroom_backup_last_bytes").set(packed.bytes as f64);
    metrics::gauge!("greenroom_backup_last_seconds").set(took.as_secs_f64());
}

fn retry_after(failures: u32) -> Duration {
    RETRY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(RETRY_MAX)
}

fn unavailable(error: greenroom_backup::BackupError) -> Failure {
    Failure::new(
        ErrorCode::Unavailable,
        "The databases could not be held for a backup. Try again in a moment.",
    )
    .because(error)
}
