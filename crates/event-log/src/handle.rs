//! The handle on the history: checks, metrics, and the engine behind it.

use std::{fmt, future::Future, path::PathBuf, sync::Arc, time::Duration};

use greenroom_sqlite::{Gate, Schema, Snapshot, SnapshotError};
use tokio::time::Instant;

use crate::{
    embedded::{self, Embedded},
    engine::Engine,
    error::{EventLogError, OpenError},
    model::{
        APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, Appended, ConsumerConfig, ConsumerState, DeadLetter,
        ENTRY_BYTES_MAX, ENTRY_ID_BYTES_MAX, FETCH_WAIT_MAX, Fetched, NewEntry, PAGE_ENTRIES_MAX, Page,
        Sequence, StreamId, StreamInfo, StreamLimits,
    },
    subject::SubjectFilter,
};

/// Which engine keeps the history.
#[derive(Clone, Debug)]
pub enum EventLogConfig {
    /// SQLite in this process.
    Embedded {
        /// The database file; made if it is missing, its folder is not.
        path: PathBuf,
    },
}

/// The history: streams of entries that are appended and never changed, and durable consumers of
/// them. A handle, cheap to clone; all clones are one log.
///
/// Calls that change something are answered when the change survives loss of power, and nobody is
/// shown an entry before that. A call that fails changed nothing, except with
/// [`EventLogError::OutcomeUnknown`]. Dropping the future of a call does not take it back.
#[derive(Clone)]
pub struct EventLog(Arc<dyn Engine>);

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventLog")
    }
}

impl EventLog {
    /// Opens the log that `config` names.
    pub async fn open(config: EventLogConfig) -> Result<Self, OpenError> {
        match config {
            EventLogConfig::Embedded { path } => Ok(Self(Arc::new(Embedded::open(path).await?))),
        }
    }

    /// The version of the schema that the file of `config` has. Blocks; nobody may have it open.
    pub fn schema(config: &EventLogConfig) -> Result<Schema, OpenError> {
        match config {
            EventLogConfig::Embedded { path } => embedded::schema(path),
        }
    }

    /// The log `inner` with the faults of `plan` happening to its calls. For tests of who uses it.
    #[cfg(feature = "faulty")]
    pub fn faulty(inner: Self, plan: crate::FaultPlan) -> Self {
        Self(Arc::new(crate::faulty::Faulty::new(inner.0, plan)))
    }

    /// Makes a stream, or gives it new limits if it is there. What the new limits do not allow
    /// goes soon after: at once where it is little, in the background where it is much. Age is
    /// looked at about once a minute, and only after the clock has run steadily for ten, so that
    /// a clock that jumps loses nothing.
    pub async fn create_stream(&self, stream: &StreamId, limits: StreamLimits) -> Result<(), EventLogError> {
        if limits.bytes_max == 0 || limits.entries_max == 0 {
            return Err(EventLogError::Malformed("a stream's limits allow at least one byte and one entry"));
        }
        observed("create_stream", self.0.create_stream(stream, limits)).await
    }

    /// Deletes a stream with its entries, consumers and dead letters. Its tails and fetches end
    /// with [`EventLogError::NoStream`]. A stream of the same id that is made later begins at 1.
    pub async fn delete_stream(&self, stream: &StreamId) -> Result<(), EventLogError> {
        observed("delete_stream", self.0.delete_stream(stream)).await
    }

    /// Appends `entries` in their order, all or none of them, with consecutive sequences; answers
    /// one [`Appended`] for each when they survive loss of power. Waits, in the order of the
    /// calls, while too much is waiting before it.
    ///
    /// With `expected_last` only if that is the stream's last sequence, else
    /// [`EventLogError::WrongLast`]. Entries whose id is known do not count as appended: if all
    /// are, `expected_last` is not looked at, so that the retry of an append is answered like it.
    pub async fn append(
        &self,
        stream: &StreamId,
        entries: Vec<NewEntry>,
        expected_last: Option<Sequence>,
    ) -> Result<Vec<Appended>, EventLogError> {
        check_entries(&entries)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        observed("append", self.0.append(stream, entries, expected_last)).await
    }

    /// Reads on from `from`, at most `limit` entries ([`PAGE_ENTRIES_MAX`] at the most) that
    /// `filter` selects. Sees everything whose append was answered before the call.
    pub async fn read(
        &self,
        stream: &StreamId,
        from: Sequence,
        filter: Option<&SubjectFilter>,
        limit: usize,
    ) -> Result<Page, EventLogError> {
        let from = from.max(Sequence::FIRST);
        observed("read", self.0.read(stream, from, filter, limit.clamp(1, PAGE_ENTRIES_MAX))).await
    }

    /// How the stream stands.
    pub async fn info(&self, stream: &StreamId) -> Result<StreamInfo, EventLogError> {
        observed("info", self.0.info(stream)).await
    }

    /// Waits until something after `sequence` is there to be read; answers the last sequence.
    /// Waits for ever if nothing comes.
    pub async fn wait_past(&self, stream: &StreamId, sequence: Sequence) -> Result<Sequence, EventLogError> {
        self.0.wait_past(stream, sequence).await
    }

    /// Makes the consumer `name` (`[A-Za-z0-9_-]{1,64}`) of a stream, or changes its filter,
    /// `ack_wait` and `max_deliver`, keeping its place. The same again is no error.
    pub async fn put_consumer(
        &self,
        stream: &StreamId,
        name: &str,
        config: ConsumerConfig,
    ) -> Result<(), EventLogError> {
        check_consumer(name)?;
        if config.max_deliver == 0 || config.ack_wait.is_zero() {
            return Err(EventLogError::Malformed(
                "max_deliver is at least 1 and ack_wait is longer than nothing",
            ));
        }
        observed("put_consumer", self.0.put_consumer(stream, name, config)).await
    }

    /// Deletes a consumer, its place and its dead letters. Deleting what is not there is
    /// [`EventLogError::NoConsumer`].
    pub async fn delete_consumer(&self, stream: &StreamId, name: &str) -> Result<(), EventLogError> {
        observed("delete_consumer", self.0.delete_consumer(stream, name)).await
    }

    /// How the stream's consumers stand, by name.
    pub async fn consumers(&self, stream: &StreamId) -> Result<Vec<ConsumerState>, EventLogError> {
        observed("consumers", self.0.consumers(stream)).await
    }

    /// How one consumer stands.
    pub async fn consumer_state(
        &self,
        stream: &StreamId,
        name: &str,
    ) -> Result<ConsumerState, EventLogError> {
        observed("consumer_state", self.0.consumer_state(stream, name)).await
    }

    /// Delivers at most `batch` entries to the consumer; waits at most `wait`
    /// ([`FETCH_WAIT_MAX`] at the most) for the first. Deliveries whose `ack_wait` has passed
    /// come again; those that came `max_deliver` times become dead letters instead. Several
    /// fetches of one consumer at once share the entries between them.
    ///
    /// That an entry was delivered is durable before it is answered, so `max_deliver` holds across
    /// restarts; after one every delivery that is outstanding gets its whole `ack_wait` anew.
    pub async fn fetch(
        &self,
        stream: &StreamId,
        name: &str,
        batch: usize,
        wait: Duration,
    ) -> Result<Fetched, EventLogError> {
        let wait = wait.min(FETCH_WAIT_MAX);
        // Not observed: most of its time is waiting for entries.
        self.0.fetch(stream, name, batch.clamp(1, PAGE_ENTRIES_MAX), wait).await
    }

    /// Acknowledges deliveries: they do not come again. Sequences that are not outstanding (never
    /// delivered, acknowledged before, dead) are passed over.
    pub async fn ack(
        &self,
        stream: &StreamId,
        name: &str,
        sequences: &[Sequence],
    ) -> Result<(), EventLogError> {
        if sequences.is_empty() {
            return Ok(());
        }
        observed("ack", self.0.ack(stream, name, sequences)).await
    }

    /// Gives a delivery back: it comes again after `delay` (at once if unset), or becomes a dead
    /// letter now if it was the last one allowed. One that is not outstanding is passed over.
    pub async fn nak(
        &self,
        stream: &StreamId,
        name: &str,
        sequence: Sequence,
        delay: Option<Duration>,
    ) -> Result<(), EventLogError> {
        observed("nak", self.0.nak(stream, name, sequence, delay)).await
    }

    /// The consumer's dead letters from the sequence `from` on, at most `limit`.
    pub async fn dead_letters(
        &self,
        stream: &StreamId,
        name: &str,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, EventLogError> {
        observed("dead_letters", self.0.dead_letters(stream, name, from, limit.clamp(1, PAGE_ENTRIES_MAX)))
            .await
    }

    /// Finishes what was begun and closes the log; later calls answer [`EventLogError::Unavailable`].
    pub async fn close(&self) {
        self.0.close().await;
    }

    /// A snapshot of the history, at the moment when all writers that `gate` awaits stand still:
    /// everything that was acknowledged before is in it.
    pub async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError> {
        self.0.snapshot(gate).await
    }

    /// Group commits since the log was opened, each one sync to disk. 0 where the engine cannot tell.
    pub fn commits(&self) -> u64 {
        self.0.commits()
    }
}

async fn observed<T>(
    call: &'static str,
    work: impl Future<Output = Result<T, EventLogError>>,
) -> Result<T, EventLogError> {
    let started = Instant::now();
    let result = work.await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) => label(error),
    };
    metrics::histogram!("greenroom_event_log_call_seconds", "call" => call, "outcome" => outcome)
        .record(started.elapsed());
    result
}

fn label(error: &EventLogError) -> &'static str {
    match error {
        EventLogError::NoStream => "no_stream",
        EventLogError::NoConsumer => "no_consumer",
        EventLogError::WrongLast { .. } => "wrong_last",
        EventLogError::Full => "full",
        EventLogError::Busy => "busy",
        EventLogError::Unavailable(_) => "unavailable",
        EventLogError::OutcomeUnknown(_) => "outcome_unknown",
        EventLogError::TooLarge(_) => "too_large",
        EventLogError::Malformed(_) => "malformed",
        EventLogError::LimitReached(_) => "limit_reached",
    }
}

fn check_entries(entries: &[NewEntry]) -> Result<(), EventLogError> {
    if entries.len() > APPEND_ENTRIES_MAX {
        return Err(EventLogError::TooLarge("an append has at most 1,000 entries"));
    }
    let mut bytes = 0;
    for entry in entries {
        if entry.payload.len() > ENTRY_BYTES_MAX {
            return Err(EventLogError::TooLarge("an entry's payload has at most 64 KiB"));
        }
        bytes += entry.payload.len();
        if let Some(id) = &entry.id {
            let fits = !id.is_empty()
                && id.len() <= ENTRY_ID_BYTES_MAX
                && id.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if !fits {
                return Err(EventLogError::Malformed(
                    "an entry's id has 1 to 256 printable ASCII characters",
                ));
            }
        }
    }
    if bytes > APPEND_BYTES_MAX {
        return Err(EventLogError::TooLarge("an append has at most 8 MiB of payload"));
    }
    Ok(())
}

fn check_consumer(name: &str) -> Result<(), EventLogError> {
    let fits = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits {
        Ok(())
    } else {
        Err(EventLogError::Malformed(
            "a consumer's name has 1 to 64 characters out of A-Z, a-z, 0-9, _ and -",
        ))
    }
}
