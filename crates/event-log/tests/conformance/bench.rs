//! A log to try, and calls that are repeated until they are sure.

use std::{collections::BTreeMap, future::Future, time::Duration};

use greenroom_event_log::{
    Appended, ConsumerConfig, ConsumerState, Entry, EventLog, EventLogConfig, EventLogError, FaultPlan,
    Fetched, NewEntry, Page, Sequence, StreamId, StreamInfo, StreamLimits, Subject, SubjectFilter,
};
use tempfile::TempDir;

/// How often a call is repeated before the test gives up.
const TRIES_MAX: usize = 100;

/// Longer than anything that is waited for takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Bench {
    folder: TempDir,
    plan: Option<FaultPlan>,
}

impl Bench {
    pub(crate) fn embedded() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), plan: None }
    }

    pub(crate) fn faulty() -> Self {
        let seed = greenroom_test_support::seed("conformance");
        Self { folder: tempfile::tempdir().unwrap(), plan: Some(FaultPlan::seeded(seed)) }
    }

    /// Whether answers may be lost and deliveries repeated.
    pub(crate) fn is_faulty(&self) -> bool {
        self.plan.is_some()
    }

    /// Opens the log; the one before must be closed.
    pub(crate) async fn open(&self) -> Log {
        let path = self.folder.path().join("log.db");
        let log = EventLog::open(EventLogConfig::Embedded { path }).await.unwrap();
        let raw = log.clone();
        let log = match self.plan {
            Some(plan) => EventLog::faulty(log, plan),
            None => log,
        };
        Log { log, raw }
    }
}

/// A log whose calls are repeated as the contract says they may be.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) log: EventLog,
    raw: EventLog,
}

/// Repeats `call` while its answer says that this is how to find out.
pub(crate) async fn sure<T, F: Future<Output = Result<T, EventLogError>>>(
    call: impl Fn() -> F,
) -> Result<T, EventLogError> {
    for _ in 0..TRIES_MAX {
        match call().await {
            Err(error) if error.is_retryable() || matches!(error, EventLogError::OutcomeUnknown(_)) => {}
            answer => return answer,
        }
    }
    panic!("the call was not answered in {TRIES_MAX} tries");
}

impl Log {
    pub(crate) async fn create(&self, stream: &StreamId, limits: StreamLimits) {
        sure(|| self.log.create_stream(stream, limits)).await.unwrap();
    }

    pub(crate) async fn stream(&self, name: &str) -> StreamId {
        let stream = StreamId::new(name).unwrap();
        self.create(&stream, StreamLimits::default()).await;
        stream
    }

    /// Appends entries that have ids, so that it may be repeated.
    pub(crate) async fn append(
        &self,
        stream: &StreamId,
        entries: Vec<NewEntry>,
        expected_last: Option<Sequence>,
    ) -> Result<Vec<Appended>, EventLogError> {
        assert!(entries.iter().all(|entry| entry.id.is_some()), "only entries with ids can be repeated");
        sure(|| self.log.append(stream, entries.clone(), expected_last)).await
    }

    /// Appends `count` entries on `subject` one by one; their payloads are their sequences.
    pub(crate) async fn fill(&self, stream: &StreamId, on: &str, count: u64) {
        let last = self.info(stream).await.last.0;
        for sequence in last + 1..=last + count {
            let answer = self.append(stream, vec![numbered(on, sequence)], None).await.unwrap();
            assert_eq!(answer[0].sequence, Sequence(sequence));
        }
    }

    pub(crate) async fn info(&self, stream: &StreamId) -> StreamInfo {
        sure(|| self.log.info(stream)).await.unwrap()
    }

    pub(crate) async fn page(
        &self,
        stream: &StreamId,
        from: u64,
        filter: Option<&str>,
        limit: usize,
    ) -> Page {
        let filter = filter.map(|text| SubjectFilter::parse(text).unwrap());
        sure(|| self.log.read(stream, Sequence(from), filter.as_ref(), limit)).await.unwrap()
    }

    /// Reads pages until the end.
    pub(crate) async fn all(&self, stream: &StreamId, filter: Option<&str>, limit: usize) -> Vec<Entry> {
        let (mut entries, mut from) = (Vec::new(), 1);
        loop {
            let page = self.page(stream, from, filter, limit).await;
            assert!(page.entries.len() <= limit);
            entries.extend(page.entries);
            if page.end {
                return entries;
            }
            assert!(page.next.0 > from, "a page goes on");
            from = page.next.0;
        }
    }

    pub(crate) async fn put_consumer(&self, stream: &StreamId, name: &str, config: ConsumerConfig) {
        sure(|| self.log.put_consumer(stream, name, config.clone())).await.unwrap();
    }

    pub(crate) async fn fetch(&self, stream: &StreamId, name: &str, batch: usize, wait: Duration) -> Fetched {
        sure(|| self.log.fetch(stream, name, batch, wait)).await.unwrap()
    }

    /// Fetches until each of `wanted` was delivered once; answers how often each was, at most.
    pub(crate) async fn fetch_all(
        &self,
        stream: &StreamId,
        name: &str,
        wanted: &[u64],
    ) -> BTreeMap<u64, u32> {
        let mut seen = BTreeMap::new();
        let started = std::time::Instant::now();
        while !wanted.iter().all(|sequence| seen.contains_key(sequence)) {
            assert!(started.elapsed() < PATIENCE, "delivered {seen:?}, wanted {wanted:?}");
            for delivery in self.fetch(stream, name, 100, Duration::from_millis(50)).await.deliveries {
                let attempt = seen.entry(delivery.entry.sequence.0).or_insert(0);
                *attempt = delivery.attempt.max(*attempt);
            }
        }
        seen
    }

    pub(crate) async fn ack(&self, stream: &StreamId, name: &str, sequences: &[u64]) {
        let sequences: Vec<_> = sequences.iter().copied().map(Sequence).collect();
        sure(|| self.log.ack(stream, name, &sequences)).await.unwrap();
    }

    pub(crate) async fn nak(&self, stream: &StreamId, name: &str, sequence: u64, delay: Option<Duration>) {
        sure(|| self.log.nak(stream, name, Sequence(sequence), delay)).await.unwrap();
    }

    pub(crate) async fn state(&self, stream: &StreamId, name: &str) -> ConsumerState {
        sure(|| self.log.consumer_state(stream, name)).await.unwrap()
    }

    pub(crate) async fn close(self) {
        self.raw.close().await;
    }
}

pub(crate) fn subject(text: &str) -> Subject {
    Subject::new(text).unwrap()
}

/// An entry whose payload is `number`, and whose id says so.
pub(crate) fn numbered(on: &str, number: u64) -> NewEntry {
    NewEntry::new(subject(on), number.to_string()).with_id(format!("{on}#{number}"))
}

pub(crate) fn sequences(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence.0).collect()
}
