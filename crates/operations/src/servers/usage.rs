//! What running servers use, over time.
//!
//! Every running server is looked at in turn, because a chart that begins when somebody opens its
//! page tells nothing. The cost is bounded from both sides: no server more often than each
//! [`SAMPLE_EVERY`], and no more than one at a time with [`CALL_PAUSE`] in between, so that with
//! many servers each is looked at less often, and no machine is asked more.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use greenroom_domain::server::ServerState;
use greenroom_fleet::Usage;
use greenroom_protocol::{GameId, HostId, ServerId, Timestamp};
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use super::Servers;

/// The shortest time from one sample of a server to its next.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// Samples of one server that are kept: a quarter of an hour, if they are [`SAMPLE_EVERY`] apart.
pub const SAMPLES_MAX: usize = 180;

/// Pause between two servers.
const CALL_PAUSE: Duration = Duration::from_millis(20);

/// A host that takes longer to answer is left alone until the next round.
const CALL_MAX: Duration = Duration::from_secs(2);

/// What a server used at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageSample {
    /// When.
    pub at: Timestamp,
    /// Cores since the sample before; unknown at the first one of a process.
    pub cpu_cores: Option<f32>,
    /// CPU time since its start, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub memory_bytes: u64,
}

/// What the servers of one host used, together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostUsage {
    /// Thousandths of a core.
    pub(crate) cpu_millicores: u64,
    /// Resident memory.
    pub(crate) memory_bytes: u64,
}

/// The samples of all servers that run.
pub(crate) struct Usages {
    rings: Mutex<HashMap<ServerId, Ring>>,
    /// Counts the rounds.
    rounds: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    /// The process that the newest sample is of.
    instance: Option<ServerId>,
    /// When that was, by the clock that never leaps.
    taken: Option<Instant>,
    samples: VecDeque<UsageSample>,
}

impl Default for Usages {
    fn default() -> Self {
        Self { rings: Mutex::default(), rounds: watch::Sender::new(0) }
    }
}

impl Servers {
    /// What a running server used of late, oldest first; at most [`SAMPLES_MAX`].
    pub fn usage_over_time(&self, game: &GameId, id: &ServerId) -> Vec<UsageSample> {
        if self.living(id).is_none_or(|server| server.birth.game != *game) {
            return Vec::new();
        }
        let rings = self.0.usages.rings.lock();
        rings.get(id).map(|ring| ring.samples.iter().copied().collect()).unwrap_or_default()
    }

    /// What the servers of each host used when they were last looked at, together. A host without any that was
    /// looked at is left out.
    pub(crate) fn usage_of_hosts(&self) -> HashMap<HostId, HostUsage> {
        let servers = self.0.view.list(None);
        let rings = self.0.usages.rings.lock();
        let mut used = HashMap::<HostId, HostUsage>::new();
        for server in &servers {
            let Some(sample) = rings.get(server.id()).and_then(|ring| ring.samples.back()) else { continue };
            let host = used.entry(server.birth.host.clone()).or_default();
            host.cpu_millicores += millicores(sample.cpu_cores.unwrap_or_default());
            host.memory_bytes += sample.memory_bytes;
        }
        used
    }

    /// A counter that changes when all servers that run have been looked at once more.
    pub fn watch_usage(&self) -> watch::Receiver<u64> {
        self.0.usages.rounds.subscribe()
    }

    /// Looks at what runs, round after round, until the node ends.
    pub(crate) async fn sample_usage(&self) {
        let mut changes = self.watch();
        loop {
            changes.mark_unchanged();
            let began = Instant::now();
            let running = self.running();
            self.0.usages.keep(&running);
            if running.is_empty() {
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            self.sample_all(running).await;
            self.0.usages.rounds.send_modify(|rounds| *rounds += 1);
            tokio::time::sleep_until(began + SAMPLE_EVERY).await;
        }
    }

    /// The servers that have a process: where, and by what name their host knows them.
    fn running(&self) -> BTreeMap<ServerId, (HostId, ServerId)> {
        let servers = self.0.view.list(None);
        let running = servers.iter().filter(|server| {
            matches!(server.state, ServerState::Starting | ServerState::Ready | ServerState::Allocated)
        });
        running.map(|server| (server.id().clone(), (server.birth.host.clone(), server.instance()))).collect()
    }

    async fn sample_all(&self, running: BTreeMap<ServerId, (HostId, ServerId)>) {
        let mut silent: HashSet<HostId> = HashSet::new();
        for (id, (host, instance)) in running {
            if silent.contains(&host) {
                continue;
            }
            match tokio::time::timeout(CALL_MAX, self.0.machines.usage(&instance)).await {
                Ok(Some(usage)) => {
                    self.0.usages.note(&id, instance, usage, self.0.clock.now(), Instant::now());
                }
                Ok(None) => {}
                Err(_) => {
                    tracing::debug!(%host, "a host does not tell what its game servers use; it is asked again later");
                    silent.insert(host);
                }
            }
            tokio::time::sleep(CALL_PAUSE).await;
        }
    }
}

impl Usages {
    fn keep(&self, running: &BTreeMap<ServerId, (HostId, ServerId)>) {
        self.rings.lock().retain(|id, _| running.contains_key(id));
    }

    fn note(&self, id: &ServerId, instance: ServerId, usage: Usage, now: Timestamp, taken: Instant) {
        let mut rings = self.rings.lock();
        let ring = rings.entry(id.clone()).or_default();
        let before = ring.samples.back().filter(|_| ring.instance.as_ref() == Some(&instance));
        let cpu_cores = before.zip(ring.taken).and_then(|(before, at)| {
            let seconds = taken.saturating_duration_since(at).as_secs_f64();
            let used = usage.cpu_seconds - before.cpu_seconds;
            #[expect(clippy::cast_possible_truncation, reason = "a number of cores for people")]
            (seconds > 0.0 && used >= 0.0).then_some((used / seconds) as f32)
        });
        if ring.samples.len() >= SAMPLES_MAX {
            ring.samples.pop_front();
        }
        ring.samples.push_back(UsageSample {
            at: now,
            cpu_cores,
            cpu_seconds: usage.cpu_seconds,
            memory_bytes: usage.memory_bytes,
        });
        (ring.instance, ring.taken) = (Some(instance), Some(taken));
    }
}

fn millicores(cores: f32) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of cores for people"
    )]
    let millicores = (cores.max(0.0) * 1000.0).round() as u64;
    millicores
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ServerId {
        ServerId::new(name).unwrap()
    }

    #[test]
    fn the_use_of_the_processor_is_what_grew_between_two_samples_of_one_process() {
        let (usages, start) = (Usages::default(), Instant::now());
        let note = |instance: &str, after_s: u64, cpu_seconds: f64| {
            let usage = Usage { cpu_seconds, memory_bytes: 1 };
            let taken = start + Duration::from_secs(after_s);
            usages.note(&id("s"), id(instance), usage, Timestamp::default(), taken);
            usages.rings.lock()[&id("s")].samples.back().unwrap().cpu_cores
        };
        assert_eq!(note("s-1", 0, 1.0), None);
        assert_eq!(note("s-1", 5, 3.5), Some(0.5));
        assert_eq!(note("s-2", 10, 4.0), None, "another try counts anew");
        assert_eq!(note("s-2", 15, 3.0), None, "a count that goes back tells nothing");
        assert_eq!(note("s-2", 20, 3.0), Some(0.0));
    }

    #[test]
    fn samples_are_bounded_and_go_with_their_server() {
        let usages = Usages::default();
        for number in 0..2 * SAMPLES_MAX as u64 {
            let usage = Usage { cpu_seconds: 0.0, memory_bytes: number };
            usages.note(&id("s"), id("s-1"), usage, Timestamp::default(), Instant::now());
        }
        assert_eq!(usages.rings.lock()[&id("s")].samples.len(), SAMPLES_MAX);
        assert_eq!(usages.rings.lock()[&id("s")].samples[0].memory_bytes, SAMPLES_MAX as u64);
        usages.keep(&BTreeMap::new());
        assert!(usages.rings.lock().is_empty());
    }
}
