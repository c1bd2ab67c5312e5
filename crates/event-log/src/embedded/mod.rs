//! The embedded engine: SQLite with group commit.
//!
//! One writer thread changes everything. What it counts with (heads of streams, places of
//! consumers) it has in memory, ahead of the commit; when a group commit fails, or a job does,
//! what it touched is marked stale and read again from the database. Readers and tails are shown
//! only what a commit that has returned left.

mod append;
mod clock;
mod consume;
mod consumer;
mod index;
mod read;
mod schema;
mod stream;
mod streams;
mod trim;

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use greenroom_sqlite::{
    Gate, Readers, Snapshot, SnapshotError, WriteError, Writer,
    rusqlite::{Connection, Error},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub(crate) use self::schema::schema;
use self::{
    append::Appends,
    clock::{Clock, SystemClock},
    stream::Stream,
};
use crate::{
    engine::Engine,
    error::{EventLogError, OpenError},
    model::{
        Appended, ConsumerConfig, ConsumerState, DeadLetter, Fetched, NewEntry, Page, Sequence, StreamId,
        StreamInfo, StreamLimits,
    },
    subject::SubjectFilter,
};

/// Most jobs beside appends that stand in the writer's queue; further ones wait. Well under the
/// queue's own bound, so that appends always find room.
const JOBS_WAITING_MAX: usize = 1_024;

/// The embedded engine.
pub(crate) struct Embedded {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    /// Ends the tasks when the last handle is gone.
    _closing: DropGuard,
}

/// What calls, jobs and tasks share.
struct Shared {
    writer: Writer,
    readers: Readers,
    clock: Arc<dyn Clock>,
    streams: RwLock<HashMap<StreamId, Arc<Stream>>>,
    appends: Appends,
    jobs: Arc<Semaphore>,
    /// Woken when something is left to be tidied.
    maintenance: Notify,
    subjects_cursor: Mutex<i64>,
    closing: CancellationToken,
}

impl Embedded {
    pub(crate) async fn open(path: PathBuf) -> Result<Self, OpenError> {
        Self::open_with(path, Arc::new(SystemClock::new())).await
    }

    async fn open_with(path: PathBuf, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let opened = path.clone();
        let unreadable = |reason: String| OpenError::Unreadable { path: path.clone(), reason };
        let writer = tokio::task::spawn_blocking(move || schema::open_writer(&opened))
            .await
            .map_err(|error| unreadable(error.to_string()))??;
        let readers = Readers::new(&path);
        let steady = clock.steady();
        let streams = readers
            .read(move |connection| streams::load(connection, steady))
            .await
            .map_err(|error| unreadable(error.to_string()))?;
        let closing = CancellationToken::new();
        let shared = Arc::new(Shared {
            writer,
            readers,
            clock,
            streams: RwLock::new(streams),
            appends: Appends::new(),
            jobs: Arc::new(Semaphore::new(JOBS_WAITING_MAX)),
            maintenance: Notify::new(),
            subjects_cursor: Mutex::new(0),
            closing: closing.clone(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&shared).maintain(closing.clone()));
        tasks.close();
        Ok(Self { shared, tasks, _closing: closing.drop_guard() })
    }
}

impl Shared {
    fn stream(&self, id: &StreamId) -> Result<Arc<Stream>, EventLogError> {
        self.streams.read().get(id).cloned().ok_or(EventLogError::NoStream)
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.read().values().cloned().collect()
    }

    /// Runs a job on the writer thread and answers when its commit has returned. `after` is called
    /// there before that, with an error if the job's changes were undone; it must not block.
    async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
        after: impl FnOnce(Result<&T, ()>) + Send + 'static,
    ) -> Result<T, EventLogError> {
        let permit = Arc::clone(&self.jobs).acquire_owned().await.map_err(|_| unavailable("it is closed"))?;
        let (answer, answered) = oneshot::channel();
        let done = move |result: Result<Result<T, Error>, WriteError>| {
            let result = match result {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => {
                    tracing::error!(%error, "a change of the event log failed; it was undone");
                    Err(unavailable(&error.to_string()))
                }
                Err(error) => Err(EventLogError::from_write(&error)),
            };
            after(result.as_ref().map_err(|_| ()));
            drop(permit);
            // Who asked may have gone.
            let _ = answer.send(result);
        };
        self.writer.try_submit(work, done).map_err(|error| EventLogError::from_write(&error))?;
        answered.await.unwrap_or_else(|_| Err(unavailable("it is closed")))
    }

    async fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, EventLogError> {
        self.readers.read(read).await.map_err(|error| unavailable(&error.to_string()))
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn create_stream(&self, stream: &StreamId, limits: StreamLimits) -> Result<(), EventLogError> {
        self.shared.create_stream(stream, limits).await
    }

    async fn delete_stream(&self, stream: &StreamId) -> Result<(), EventLogError> {
        self.shared.delete_stream(self.shared.stream(stream)?).await
    }

    async fn append(
        &self,
        stream: &StreamId,
        entries: Vec<NewEntry>,
        expected_last: Option<Sequence>,
    ) -> Result<Vec<Appended>, EventLogError> {
        self.shared.append(self.shared.stream(stream)?, entries, expected_last).await
    }

    async fn read(
        &self,
        stream: &StreamId,
        from: Sequence,
        filter: Option<&SubjectFilter>,
        limit: usize,
    ) -> Result<Page, EventLogError> {
        let number = self.shared.stream(stream)?.number;
        let filter = filter.cloned();
        self.shared
            .read_with(move |connection| read::page(connection, number, from, filter.as_ref(), limit))
            .await?
            .ok_or(EventLogError::NoStream)
    }

    async fn info(&self, stream: &StreamId) -> Result<StreamInfo, EventLogError> {
        Ok(self.shared.stream(stream)?.head().info)
    }

    async fn wait_past(&self, stream: &StreamId, sequence: Sequence) -> Result<Sequence, EventLogError> {
        let mut head = self.shared.stream(stream)?.watch();
        tokio::select! {
            biased;
            () = self.shared.closing.cancelled() => Err(unavailable("it is closed")),
            head = head.wait_for(|head| head.deleted || head.info.last > sequence) => match head {
                Ok(head) if !head.deleted => Ok(head.info.last),
                _ => Err(EventLogError::NoStream),
            },
        }
    }

    async fn put_consumer(
        &self,
        stream: &StreamId,
        name: &str,
        config: ConsumerConfig,
    ) -> Result<(), EventLogError> {
        self.shared.put_consumer(&self.shared.stream(stream)?, name, config).await
    }

    async fn delete_consumer(&self, stream: &StreamId, name: &str) -> Result<(), EventLogError> {
        self.shared.delete_consumer(&self.shared.stream(stream)?, name).await
    }

    async fn consumers(&self, stream: &StreamId) -> Result<Vec<ConsumerState>, EventLogError> {
        let stream = self.shared.stream(stream)?;
        let mut consumers: Vec<_> = stream.consumers.lock().values().cloned().collect();
        consumers.sort_by(|one, other| one.name.cmp(&other.name));
        let mut states = Vec::with_capacity(consumers.len());
        for consumer in consumers {
            match self.shared.consumer_state(&stream, &consumer).await {
                Ok(state) => states.push(state),
                // Deleted meanwhile.
                Err(EventLogError::NoConsumer) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(states)
    }

    async fn consumer_state(&self, stream: &StreamId, name: &str) -> Result<ConsumerState, EventLogError> {
        let stream = self.shared.stream(stream)?;
        self.shared.consumer_state(&stream, &stream.consumer(name)?).await
    }

    async fn fetch(
        &self,
        stream: &StreamId,
        name: &str,
        batch: usize,
        wait: Duration,
    ) -> Result<Fetched, EventLogError> {
        let stream = self.shared.stream(stream)?;
        self.shared.fetch(&stream, &stream.consumer(name)?, batch, wait).await
    }

    async fn ack(&self, stream: &StreamId, name: &str, sequences: &[Sequence]) -> Result<(), EventLogError> {
        let stream = self.shared.stream(stream)?;
        self.shared.ack(&stream, &stream.consumer(name)?, sequences.to_vec()).await
    }

    async fn nak(
        &self,
        stream: &StreamId,
        name: &str,
        sequence: Sequence,
        delay: Option<Duration>,
    ) -> Result<(), EventLogError> {
        let stream = self.shared.stream(stream)?;
        self.shared.nak(&stream, &stream.consumer(name)?, sequence, delay).await
    }

    async fn dead_letters(
        &self,
        stream: &StreamId,
        name: &str,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, EventLogError> {
        let stream = self.shared.stream(stream)?;
        self.shared.dead_letters(&stream, &stream.consumer(name)?, from, limit).await
    }

    async fn close(&self) {
        self.shared.closing.cancel();
        self.tasks.wait().await;
        self.shared.writer.close().await;
    }

    async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError> {
        self.shared.writer.snapshot(gate).await
    }

    fn commits(&self) -> u64 {
        self.shared.writer.commits()
    }
}

impl EventLogError {
    fn from_write(error: &WriteError) -> Self {
        match error {
            WriteError::Busy => Self::Busy,
            WriteError::Closed => unavailable("it is closed"),
            WriteError::Commit(error) => unavailable(&error.to_string()),
        }
    }
}

fn unavailable(reason: &str) -> EventLogError {
    EventLogError::Unavailable(reason.to_owned())
}

#[cfg(test)]
mod tests;
