//! An engine around another one that does what a network does: it delays answers, repeats notices,
//! refuses, and loses answers. All of it within the contract, so whatever works on this one can
//! be relied on to work on every engine.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_sqlite::{Gate, Snapshot, SnapshotError};
use parking_lot::Mutex;

use crate::{
    Change, Directory, DirectoryError, Document, Key, Kind, Partition, Revision, Subscription, Watch,
    engine::Engine,
};

/// What goes wrong, and how often. The same plan over the same calls in the same order does the same.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// Where the random numbers begin.
    pub seed: u64,
    /// An answer of a read or a commit comes up to this much later, before or after it was done.
    pub delay_max: Duration,
    /// How many commits in a hundred are refused as [`DirectoryError::Unavailable`], not applied.
    pub unavailable_percent: u8,
    /// How many commits in a hundred are answered [`DirectoryError::OutcomeUnknown`], every fourth
    /// of them not applied.
    pub outcome_unknown_percent: u8,
    /// How many notices in a hundred a watcher is told once more.
    pub repeat_percent: u8,
}

impl FaultPlan {
    /// A plan that lets most commits through and shows each fault within a few dozen of them.
    pub fn from_seed(seed: u64) -> Self {
        Self {
            seed,
            delay_max: Duration::from_millis(2),
            unavailable_percent: 10,
            outcome_unknown_percent: 15,
            repeat_percent: 20,
        }
    }
}

impl Directory {
    /// A directory that has the documents of `inner` and the faults of `plan`.
    pub fn faulty(inner: Self, plan: FaultPlan) -> Self {
        let dice = Dice::new(plan.seed);
        Self(Arc::new(Faulty { inner: inner.0, plan, dice }))
    }
}

struct Faulty {
    inner: Arc<dyn Engine>,
    plan: FaultPlan,
    dice: Dice,
}

impl Faulty {
    async fn delay(&self) {
        let micros = self.plan.delay_max.as_micros() as u64;
        let delay = Duration::from_micros(self.dice.below(micros + 1));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

#[async_trait]
impl Engine for Faulty {
    async fn get(&self, key: &Key) -> Result<Option<Document>, DirectoryError> {
        self.delay().await;
        self.inner.get(key).await
    }

    async fn list(&self, partition: Option<&Partition>, kind: Kind) -> Result<Vec<Document>, DirectoryError> {
        self.delay().await;
        self.inner.list(partition, kind).await
    }

    async fn commit(
        &self,
        partition: &Partition,
        changes: Vec<Change>,
    ) -> Result<Vec<Revision>, DirectoryError> {
        self.delay().await;
        if self.dice.percent(self.plan.unavailable_percent) {
            return Err(DirectoryError::Unavailable("a planned fault".to_owned()));
        }
        if !self.dice.percent(self.plan.outcome_unknown_percent) {
            let result = self.inner.commit(partition, changes).await;
            self.delay().await;
            return result;
        }
        if self.dice.below(4) > 0 {
            // What the caller could have acted on, a conflict, is lost with the answer.
            let _ = self.inner.commit(partition, changes).await;
        }
        Err(DirectoryError::OutcomeUnknown("a planned fault".to_owned()))
    }

    async fn watch(&self, kinds: &[Kind]) -> Result<Watch, DirectoryError> {
        let watch = self.inner.watch(kinds).await?;
        Ok(watch.repeating(Dice::new(self.dice.next()), self.plan.repeat_percent))
    }

    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), DirectoryError> {
        self.delay().await;
        self.inner.publish(subject, payload).await
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscription, DirectoryError> {
        self.inner.subscribe(subject).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError> {
        self.inner.snapshot(gate).await
    }

    fn commits(&self) -> u64 {
        self.inner.commits()
    }
}

/// Random numbers from a seed (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
#[derive(Debug)]
pub(crate) struct Dice {
    state: Mutex<u64>,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: Mutex::new(seed) }
    }

    /// True `percent` times in a hundred.
    pub(crate) fn percent(&self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }

    fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn next(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
