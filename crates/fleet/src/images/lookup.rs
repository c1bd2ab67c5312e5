//! What is known of the tags of images: looked up by one task at a time for each, kept for a while,
//! and kept on when a lookup fails.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use greenroom_domain::settings::VersionSource;
use greenroom_protocol::Timestamp;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{error::ImageError, reference::Repository};

/// Most images whose tags are remembered; beyond it those that were asked for longest ago go.
const IMAGES_MAX: usize = 1_024;

/// How often and how soon tags are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupPace {
    /// How long the tags in a registry count as current.
    pub registry_ttl: Duration,
    /// How long the tags of an engine do.
    pub engine_ttl: Duration,
    /// The shortest time between two lookups of the same tags, however many ask for them anew.
    pub gap: Duration,
    /// The pause after a lookup that failed; doubles with each one.
    pub backoff_min: Duration,
    /// The longest such pause.
    pub backoff_max: Duration,
}

impl Default for LookupPace {
    fn default() -> Self {
        Self {
            registry_ttl: Duration::from_mins(5),
            engine_ttl: Duration::from_secs(5),
            gap: Duration::from_secs(2),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_mins(5),
        }
    }
}

/// The tags of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// Those that are versions.
    pub tags: Arc<[String]>,
    /// When they were looked up.
    pub at: Timestamp,
    /// Why they could not be looked up since.
    pub problem: Option<ImageError>,
}

/// Whose tags, and where they are looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LookupKey {
    pub(super) repository: Repository,
    pub(super) source: SourceKey,
}

/// [`VersionSource`] as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SourceKey {
    Engine,
    Registry,
}

/// Where tags come from.
#[async_trait]
pub(super) trait TagSource: Send + Sync {
    async fn look_up(&self, key: &LookupKey) -> Result<Vec<String>, ImageError>;
}

/// All lookups. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lookups(Arc<Shared>);

struct Shared {
    source: Arc<dyn TagSource>,
    pace: LookupPace,
    entries: Mutex<HashMap<LookupKey, Arc<Entry>>>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

struct Entry {
    key: LookupKey,
    state: Mutex<State>,
    /// Tells those who wait that the state has changed.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    known: Option<Known>,
    problem: Option<ImageError>,
    failures: u32,
    /// No lookup begins earlier.
    not_before: Option<Instant>,
    /// Whether the pause until then is one after a failure.
    is_backing_off: bool,
    /// How many have begun and ended.
    begun: u64,
    ended: u64,
    is_running: bool,
    /// Somebody wants to know what became after the present one began.
    again: bool,
    asked_at: Option<Instant>,
}

#[derive(Clone)]
struct Known {
    tags: Arc<[String]>,
    at: Timestamp,
    looked_up_at: Instant,
}

impl Lookups {
    pub(super) fn new(
        source: Arc<dyn TagSource>,
        pace: LookupPace,
        tracker: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared { source, pace, entries: Mutex::default(), tracker, shutdown }))
    }

    /// What is known; if nothing is, the outcome of a lookup. What is out of date is given all the
    /// same, and looked up for the next one who asks.
    pub(super) async fn tags(&self, key: &LookupKey) -> Result<Tags, ImageError> {
        let entry = self.entry(key);
        let target = {
            let mut state = entry.state.lock();
            let ttl = self.ttl(key);
            if let Some(known) = &state.known {
                let is_stale = known.looked_up_at.elapsed() >= ttl;
                let tags = state.told()?;
                if is_stale && !state.is_paused() {
                    self.begin(&entry, &mut state);
                }
                return Ok(tags);
            }
            if state.is_paused() {
                return state.told();
            }
            self.begin(&entry, &mut state);
            state.ended + 1
        };
        self.wait(&entry, target).await
    }

    /// What is there by now: the outcome of a lookup that begins after this call, or, after a lookup
    /// that failed a moment ago, what was known before.
    pub(super) async fn refresh(&self, key: &LookupKey) -> Result<Tags, ImageError> {
        let entry = self.entry(key);
        let target = {
            let mut state = entry.state.lock();
            if state.is_paused() {
                return state.told();
            }
            if state.is_running {
                state.again = true;
            }
            let target = state.begun + 1;
            self.begin(&entry, &mut state);
            target
        };
        self.wait(&entry, target).await
    }

    async fn wait(&self, entry: &Entry, target: u64) -> Result<Tags, ImageError> {
        let mut changed = entry.changed.subscribe();
        loop {
            changed.mark_unchanged();
            {
                let state = entry.state.lock();
                if state.ended >= target || !state.is_running {
                    return state.told();
                }
            }
            // A shutdown first: the lookup is given up then.
            tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return Err(ImageError::Closing),
                _ = changed.changed() => {}
            }
        }
    }

    /// Sees to it that a lookup runs.
    fn begin(&self, entry: &Arc<Entry>, state: &mut State) {
        if state.is_running || self.0.shutdown.is_cancelled() {
            return;
        }
        state.is_running = true;
        let (lookups, entry) = (self.clone(), Arc::clone(entry));
        self.0.tracker.spawn(async move {
            // A shutdown first: what is being asked is of no use any more.
            tokio::select! {
                biased;
                () = lookups.0.shutdown.cancelled() => {
                    entry.state.lock().is_running = false;
                    entry.changed.send_replace(());
                }
                () = lookups.run(&entry) => {}
            }
        });
    }

    async fn run(&self, entry: &Entry) {
        loop {
            let not_before = entry.state.lock().not_before;
            if let Some(not_before) = not_before {
                tokio::time::sleep_until(not_before).await;
            }
            {
                let mut state = entry.state.lock();
                state.begun += 1;
                state.again = false;
                state.not_before = Some(Instant::now() + self.0.pace.gap);
                state.is_backing_off = false;
            }
            let began = Instant::now();
            let result = self.0.source.look_up(&entry.key).await;
            note(&entry.key, &result, began.elapsed());
            let mut state = entry.state.lock();
            state.ended = state.begun;
            match result {
                Ok(tags) => {
                    state.known = Some(Known {
                        tags: tags.into(),
                        at: crate::supervise::now(),
                        looked_up_at: Instant::now(),
                    });
                    state.problem = None;
                    state.failures = 0;
                }
                Err(error) => self.note_failure(entry, &mut state, error),
            }
            let goes_on = state.again && !state.is_backing_off;
            // Under the lock, so that nobody waits for a lookup that will not come.
            state.is_running = goes_on;
            drop(state);
            entry.changed.send_replace(());
            if !goes_on {
                return;
            }
        }
    }

    fn note_failure(&self, entry: &Entry, state: &mut State, error: ImageError) {
        let doubled = self.0.pace.backoff_min.saturating_mul(1 << state.failures.min(16));
        let asked_for = match &error {
            ImageError::TooOften { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let pause = doubled.min(self.0.pace.backoff_max).max(asked_for);
        state.failures = state.failures.saturating_add(1);
        state.not_before = Some(Instant::now() + pause);
        state.is_backing_off = true;
        // The first one and then ever fewer: a registry that is away is one message, not hundreds.
        if state.failures.is_power_of_two() {
            let (host, path) = (&entry.key.repository.host, &entry.key.repository.path);
            let has_list = state.known.is_some();
            tracing::warn!(
                host, path, has_list, failures = state.failures, ?pause, %error,
                "the versions of an image could not be looked up; what was known stays, and it is tried again"
            );
        }
        state.problem = Some(error);
    }

    fn entry(&self, key: &LookupKey) -> Arc<Entry> {
        let mut entries = self.0.entries.lock();
        if let Some(entry) = entries.get(key) {
            entry.state.lock().asked_at = Some(Instant::now());
            return Arc::clone(entry);
        }
        if entries.len() >= IMAGES_MAX {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.state.lock().asked_at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                entries.remove(&oldest);
            }
        }
        let state = State { asked_at: Some(Instant::now()), ..State::default() };
        let entry =
            Arc::new(Entry { key: key.clone(), state: Mutex::new(state), changed: watch::Sender::new(()) });
        entries.insert(key.clone(), Arc::clone(&entry));
        entry
    }

    fn ttl(&self, key: &LookupKey) -> Duration {
        match key.source {
            SourceKey::Engine => self.0.pace.engine_ttl,
            SourceKey::Registry => self.0.pace.registry_ttl,
        }
    }
}

impl State {
    fn is_paused(&self) -> bool {
        self.is_backing_off && !self.is_running && self.not_before.is_some_and(|at| at > Instant::now())
    }

    fn told(&self) -> Result<Tags, ImageError> {
        match (&self.known, &self.problem) {
            (Some(known), problem) => {
                Ok(Tags { tags: Arc::clone(&known.tags), at: known.at, problem: problem.clone() })
            }
            (None, Some(problem)) => Err(problem.clone()),
            (None, None) => Err(ImageError::Closing),
        }
    }
}

impl From<VersionSource> for SourceKey {
    fn from(source: VersionSource) -> Self {
        match source {
            VersionSource::Engine => Self::Engine,
            VersionSource::Registry => Self::Registry,
        }
    }
}

fn note(key: &LookupKey, result: &Result<Vec<String>, ImageError>, took: Duration) {
    let source = match key.source {
        SourceKey::Engine => "engine",
        SourceKey::Registry => "registry",
    };
    let outcome = result.as_ref().map_or_else(ImageError::word, |_| "ok");
    let labels = [("source", source), ("outcome", outcome)];
    metrics::counter!("greenroom_image_lookups_total", &labels).increment(1);
    metrics::histogram!("greenroom_image_lookup_seconds", "source" => source).record(took);
    tracing::debug!(
        host = key.repository.host,
        path = key.repository.path,
        source,
        outcome,
        ?took,
        "looked up versions"
    );
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
