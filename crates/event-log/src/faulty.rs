//! An engine that does what a network and a broker may do to another one: it delays, answers
//! "unavailable" before and "outcome unknown" after, delivers again what it delivered, and loses
//! the answer to a fetch. All of it within the contract.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use greenroom_sqlite::{Gate, Snapshot, SnapshotError};
use parking_lot::Mutex;

use crate::{
    engine::Engine,
    error::EventLogError,
    model::{
        Appended, ConsumerConfig, ConsumerState, DeadLetter, Delivery, Fetched, NewEntry, Page, Sequence,
        StreamId, StreamInfo, StreamLimits,
    },
    subject::SubjectFilter,
};

/// How often what goes wrong, by a seed: the same calls in the same order meet the same faults.
/// Shares are of 1,000 calls.
#[derive(Clone, Copy, Debug)]
pub struct FaultPlan {
    /// What the faults are drawn from. Print it when a test fails.
    pub seed: u64,
    /// Calls that are delayed, before or after.
    pub delayed: u32,
    /// The longest delay.
    pub delay_max: Duration,
    /// Calls that are refused as [`EventLogError::Unavailable`] before anything is done.
    pub refused: u32,
    /// Changes that are carried out and answered [`EventLogError::OutcomeUnknown`].
    pub unknown: u32,
    /// Fetches that deliver again what an earlier one did, acknowledged or not.
    pub repeated: u32,
}

impl FaultPlan {
    /// A plan under which every fault is frequent.
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            delayed: 300,
            delay_max: Duration::from_millis(3),
            refused: 120,
            unknown: 120,
            repeated: 150,
        }
    }
}

/// The engine that the faults happen to, and the plan.
pub(crate) struct Faulty {
    inner: Arc<dyn Engine>,
    plan: FaultPlan,
    draws: AtomicU64,
    delivered: Mutex<HashMap<(StreamId, String), Vec<Delivery>>>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Engine>, plan: FaultPlan) -> Self {
        Self { inner, plan, draws: AtomicU64::new(0), delivered: Mutex::default() }
    }

    /// The next number of the plan's sequence (SplitMix64).
    fn draw(&self) -> u64 {
        let step = self.draws.fetch_add(1, Ordering::Relaxed) + 1;
        let mut z = self.plan.seed.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn happens(&self, share: u32) -> bool {
        self.draw() % 1_000 < u64::from(share)
    }

    async fn delay(&self) {
        if self.happens(self.plan.delayed) {
            let longest = self.plan.delay_max.as_micros() as u64;
            tokio::time::sleep(Duration::from_micros(self.draw() % (longest + 1))).await;
        }
    }

    async fn before(&self) -> Result<(), EventLogError> {
        self.delay().await;
        if self.happens(self.plan.refused) {
            return Err(EventLogError::Unavailable("a planted fault".into()));
        }
        Ok(())
    }

    /// What becomes of the answer to a change.
    async fn after<T>(&self, result: Result<T, EventLogError>) -> Result<T, EventLogError> {
        self.delay().await;
        if result.is_ok() && self.happens(self.plan.unknown) {
            return Err(EventLogError::OutcomeUnknown("a planted fault".into()));
        }
        result
    }
}

#[async_trait]
impl Engine for Faulty {
    async fn create_stream(&self, stream: &StreamId, limits: StreamLimits) -> Result<(), EventLogError> {
        self.before().await?;
        self.after(self.inner.create_stream(stream, limits).await).await
    }

    async fn delete_stream(&self, stream: &StreamId) -> Result<(), EventLogError> {
        self.before().await?;
        self.after(self.inner.delete_stream(stream).await).await
    }

    async fn append(
        &self,
        stream: &StreamId,
        entries: Vec<NewEntry>,
        expected_last: Option<Sequence>,
    ) -> Result<Vec<Appended>, EventLogError> {
        self.before().await?;
        self.after(self.inner.append(stream, entries, expected_last).await).await
    }

    async fn read(
        &self,
        stream: &StreamId,
        from: Sequence,
        filter: Option<&SubjectFilter>,
        limit: usize,
    ) -> Result<Page, EventLogError> {
        self.before().await?;
        self.inner.read(stream, from, filter, limit).await
    }

    async fn info(&self, stream: &StreamId) -> Result<StreamInfo, EventLogError> {
        self.before().await?;
        self.inner.info(stream).await
    }

    async fn wait_past(&self, stream: &StreamId, sequence: Sequence) -> Result<Sequence, EventLogError> {
        self.before().await?;
        let last = self.inner.wait_past(stream, sequence).await;
        self.delay().await;
        last
    }

    async fn put_consumer(
        &self,
        stream: &StreamId,
        name: &str,
        config: ConsumerConfig,
    ) -> Result<(), EventLogError> {
        self.before().await?;
        self.after(self.inner.put_consumer(stream, name, config).await).await
    }

    async fn delete_consumer(&self, stream: &StreamId, name: &str) -> Result<(), EventLogError> {
        self.before().await?;
        self.after(self.inner.delete_consumer(stream, name).await).await
    }

    async fn consumers(&self, stream: &StreamId) -> Result<Vec<ConsumerState>, EventLogError> {
        self.before().await?;
        self.inner.consumers(stream).await
    }

    async fn consumer_state(&self, stream: &StreamId, name: &str) -> Result<ConsumerState, EventLogError> {
        self.before().await?;
        self.inner.consumer_state(stream, name).await
    }

    async fn fetch(
        &self,
        stream: &StreamId,
        name: &str,
        batch: usize,
        wait: Duration,
    ) -> Result<Fetched, EventLogError> {
        self.before().await?;
        let key = (stream.clone(), name.to_owned());
        if self.happens(self.plan.repeated) {
            let mut deliveries = self.delivered.lock().get(&key).cloned().unwrap_or_default();
            if !deliveries.is_empty() {
                deliveries.truncate(batch);
                return Ok(Fetched { deliveries, gap: None });
            }
        }
        let fetched = self.inner.fetch(stream, name, batch, wait).await?;
        if !fetched.deliveries.is_empty() {
            self.delivered.lock().insert(key, fetched.deliveries.clone());
        }
        // What was delivered comes again in its time.
        self.after(Ok(fetched)).await
    }

    async fn ack(&self, stream: &StreamId, name: &str, sequences: &[Sequence]) -> Result<(), EventLogError> {
        self.before().await?;
        self.after(self.inner.ack(stream, name, sequences).await).await
    }

    async fn nak(
        &self,
        stream: &StreamId,
        name: &str,
        sequence: Sequence,
        delay: Option<Duration>,
    ) -> Result<(), EventLogError> {
        self.before().await?;
        self.after(self.inner.nak(stream, name, sequence, delay).await).await
    }

    async fn dead_letters(
        &self,
        stream: &StreamId,
        name: &str,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, EventLogError> {
        self.before().await?;
        self.inner.dead_letters(stream, name, from, limit).await
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
