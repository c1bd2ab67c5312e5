//! The last minutes, a number every few seconds: what the overview's charts are drawn from.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use greenroom_operations::Node;
use greenroom_protocol::{ServerId, Timestamp, hosting::ServerState};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

/// The time from one sample to the next.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// Samples that are kept: a quarter of an hour.
const SAMPLES_MAX: usize = 181;

/// What there was at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at: Timestamp,
    pub(crate) players: u32,
    pub(crate) sockets: u32,
    pub(crate) lobbies: u32,
    pub(crate) starting: u32,
    pub(crate) ready: u32,
    pub(crate) allocated: u32,
    pub(crate) stopping: u32,
    /// Servers that were handed out since the sample before. One that came and went in between
    /// is not counted.
    pub(crate) handed_out: u32,
}

/// The last [`SAMPLES_MAX`] samples, oldest first.
pub(crate) struct Samples {
    kept: Mutex<VecDeque<Sample>>,
    /// Counts the samples.
    taken: watch::Sender<u64>,
}

impl Default for Samples {
    fn default() -> Self {
        Self { kept: Mutex::default(), taken: watch::Sender::new(0) }
    }
}

impl Samples {
    pub(crate) fn all(&self) -> Vec<Sample> {
        self.kept.lock().iter().copied().collect()
    }

    /// A counter that changes with every sample.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.taken.subscribe()
    }

    pub(super) async fn take_for_ever(&self, node: &Node) {
        let mut ticks = interval(SAMPLE_EVERY);
        // After a stall one sample is enough: the charts have one place for each.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut given = HashSet::new();
        take(node, &mut given);
        loop {
            ticks.tick().await;
            self.push(take(node, &mut given));
        }
    }

    fn push(&self, sample: Sample) {
        let mut samples = self.kept.lock();
        if samples.len() >= SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
        drop(samples);
        self.taken.send_modify(|count| *count += 1);
    }
}

/// What there is now; `given` are the servers that had been handed out at the sample before, and are
/// those of this one afterwards. Times would not do: what happened before a sample may be told after it.
fn take(node: &Node, given: &mut HashSet<ServerId>) -> Sample {
    let hub = node.hub.counts();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut sample = Sample {
        at: node.clock.now(),
        players: count(hub.players),
        sockets: count(hub.sockets),
        lobbies: count(hub.lobbies),
        ..Sample::default()
    };
    let mut given_now = HashSet::new();
    for server in node.servers.snapshot(None) {
        match server.state {
            ServerState::Starting => sample.starting += 1,
            ServerState::Ready => sample.ready += 1,
            ServerState::Allocated => sample.allocated += 1,
            ServerState::Stopping => sample.stopping += 1,
            ServerState::Ended | ServerState::Lost => {}
        }
        if server.allocated_at.is_some() {
            sample.handed_out += u32::from(!given.contains(server.id()));
            given_now.insert(server.id().clone());
        }
    }
    *given = given_now;
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_samples_are_kept() {
        let samples = Samples::default();
        for players in 0..SAMPLES_MAX as u32 + 10 {
            samples.push(Sample { players, ..Sample::default() });
        }
        let all = samples.all();
        assert_eq!((all.len(), all[0].players), (SAMPLES_MAX, 10));
    }
}
