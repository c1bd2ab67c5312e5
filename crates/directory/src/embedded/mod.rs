//! The embedded engine: memory, written through to SQLite.
//!
//! A commit is checked and applied in memory under its partition's lock, and queued for the
//! database under the same lock, so both have one order. It is pending until its group commit
//! returned; then it is shown and answered. If that fails, all that is pending in the partition is
//! undone, and what of it still waits for the database is not written: its epoch is over.

mod clock;
mod memory;
mod store;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_sqlite::{Gate, QUEUE_JOBS_MAX, Snapshot, SnapshotError, WriteError, Writer};
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::oneshot,
    task::{self, JoinSet},
};

pub(crate) use self::store::schema;
use self::{
    clock::{Clock, SystemClock},
    memory::{Answer, Applied, Memory, Step},
    store::{Row, Write},
};
use crate::{
    Change, Class, DirectoryError, Document, Key, Kind, Notice, OpenError, Partition, Revision, Subscription,
    Watch, engine::Engine, subscription::Hub, watch::Watchers,
};

/// How many revisions are reserved at a time: so many may be used by passing documents before
/// the database is asked again, and at most twice as many are skipped by a restart.
const REVISIONS_RESERVED: u64 = 1_000_000;

/// The engine, and the task that removes what expires.
pub(crate) struct Embedded {
    shared: Arc<Shared>,
    sweeper: Mutex<JoinSet<()>>,
}

struct Shared {
    /// One for each game and one for the installation. They are never removed; games come from the
    /// configuration.
    partitions: RwLock<BTreeMap<Partition, Arc<Cell>>>,
    writer: Writer,
    watchers: Watchers,
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    closed: AtomicBool,
}

struct Cell {
    partition: Partition,
    memory: Mutex<Memory>,
    /// What was queued for the database in this epoch, or before, must not be written.
    epoch_over: AtomicU64,
}

/// Why a queued write was not executed.
enum NotWritten {
    /// An earlier one of its epoch failed.
    EpochOver,
    Sqlite(rusqlite::Error),
}

impl Embedded {
    pub(crate) async fn open(path: PathBuf) -> Result<Self, OpenError> {
        let engine = Self::open_with(path, Arc::new(SystemClock::new()), QUEUE_JOBS_MAX).await?;
        engine.sweeper.lock().spawn(sweep::run(Arc::downgrade(&engine.shared)));
        Ok(engine)
    }

    /// Opens it without a sweeper.
    async fn open_with(
        path: PathBuf,
        clock: Arc<dyn Clock>,
        queue_jobs_max: usize,
    ) -> Result<Self, OpenError> {
        let opening = {
            let clock = Arc::clone(&clock);
            task::spawn_blocking(move || store::open(&path, &*clock, queue_jobs_max))
        };
        let (writer, loaded) = opening.await.map_err(|error| {
            OpenError::Database(greenroom_sqlite::OpenError::Thread(std::io::Error::other(error)))
        })??;
        let cells =
            loaded.into_iter().map(|(partition, memory)| (partition.clone(), Cell::new(partition, memory)));
        let shared = Arc::new(Shared {
            partitions: RwLock::new(cells.collect()),
            writer,
            watchers: Watchers::default(),
            hub: Arc::default(),
            clock,
            closed: AtomicBool::new(false),
        });
        Ok(Self { shared, sweeper: Mutex::default() })
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn get(&self, key: &Key) -> Result<Option<Document>, DirectoryError> {
        self.shared.check_open()?;
        let Some(cell) = self.shared.partition(&key.partition) else { return Ok(None) };
        let now = self.shared.clock.running();
        Ok(cell.memory.lock().get(key, now))
    }

    async fn list(&self, partition: Option<&Partition>, kind: Kind) -> Result<Vec<Document>, DirectoryError> {
        self.shared.check_open()?;
        let now = self.shared.clock.running();
        let cells = match partition {
            Some(partition) => self.shared.partition(partition).into_iter().collect(),
            None => self.shared.cells(),
        };
        Ok(cells.into_iter().flat_map(|cell| cell.memory.lock().list(kind, now)).collect())
    }

    async fn commit(
        &self,
        partition: &Partition,
        changes: Vec<Change>,
    ) -> Result<Vec<Revision>, DirectoryError> {
        self.shared.check_open()?;
        let cell = self.shared.partition_or_new(partition);
        let (answer, answered) = oneshot::channel();
        self.shared.commit(&cell, &mut cell.memory.lock(), changes, Some(answer))?;
        // Without an answer the writer was closed before it came to this commit.
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn watch(&self, kinds: &[Kind]) -> Result<Watch, DirectoryError> {
        self.shared.check_open()?;
        // Registered first: what changes between is shown too, and the newer state wins.
        let (watch, mailbox) = self.shared.watchers.register(kinds);
        // Whoever closes from here on finds and ends it.
        self.shared.check_open()?;
        for cell in self.shared.cells() {
            let memory = cell.memory.lock();
            mailbox.put(memory.shown(mailbox.kinds(), self.shared.clock.running()));
        }
        mailbox.put([Notice::Current]);
        Ok(watch)
    }

    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), DirectoryError> {
        self.shared.check_open()?;
        self.shared.hub.publish(subject, &payload);
        Ok(())
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscription, DirectoryError> {
        let subscription = self.shared.hub.subscribe(subject);
        self.shared.check_open()?;
        Ok(subscription)
    }

    async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        let mut sweeper = std::mem::take(&mut *self.sweeper.lock());
        sweeper.shutdown().await;
        self.shared.writer.close().await;
        self.shared.watchers.close();
        self.shared.hub.close();
    }

    async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError> {
        self.shared.writer.snapshot(gate).await
    }

    fn commits(&self) -> u64 {
        self.shared.writer.commits()
    }
}

impl Shared {
    /// Commits `changes` in the partition whose `memory` is locked, and answers when they are
    /// shown. An error says that nothing was or will be applied; `answer` is then dropped.
    fn commit(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        memory: &mut Memory,
        changes: Vec<Change>,
        answer: Option<Answer>,
    ) -> Result<(), DirectoryError> {
        let steps = memory.plan(changes, self.clock.running())?;
        if memory.must_wait(&steps) {
            let reserves = memory.reservation(&steps, REVISIONS_RESERVED);
            let rows = rows(memory, &steps);
            self.submit(cell, memory.epoch(), Write { partition: cell.partition.clone(), reserves, rows })?;
            memory.apply_pending(steps, reserves, answer);
        } else {
            self.show(memory.apply(steps, answer));
        }
        Ok(())
    }

    /// Queues a write. The partition's lock, which the caller holds, keeps the order.
    fn submit(self: &Arc<Self>, cell: &Arc<Cell>, epoch: u64, write: Write) -> Result<(), DirectoryError> {
        let (clock, queued) = (Arc::clone(&self.clock), Arc::clone(cell));
        let work = move |connection: &rusqlite::Connection| {
            if queued.epoch_over.load(Ordering::Acquire) >= epoch {
                return Err(NotWritten::EpochOver);
            }
            write.execute(connection, clock.running(), clock.wall_ms()).map_err(|error| {
                // What follows in this very batch builds upon it.
                queued.epoch_over.store(epoch, Ordering::Release);
                NotWritten::Sqlite(error)
            })
        };
        let (shared, cell) = (Arc::clone(self), Arc::clone(cell));
        let done = move |result| shared.finish(&cell, epoch, result);
        self.writer.try_submit(work, done).map_err(|error| match error {
            WriteError::Busy => DirectoryError::Busy,
            WriteError::Closed => closed(),
            WriteError::Commit(error) => DirectoryError::Unavailable(error.to_string()),
        })
    }

    /// The oldest pending commit of the partition is in the database, or will never be. Runs on
    /// the writer's thread.
    fn finish(&self, cell: &Cell, epoch: u64, result: Result<Result<(), NotWritten>, WriteError>) {
        let mut memory = cell.memory.lock();
        if memory.epoch() != epoch {
            return;
        }
        let reason = match result {
            Ok(Ok(())) => {
                if let Some(applied) = memory.settle() {
                    // Under the lock, so that a watch that begins now sees it either way.
                    self.show(applied);
                }
                return;
            }
            Ok(Err(NotWritten::Sqlite(error))) => error.to_string(),
            Ok(Err(NotWritten::EpochOver)) => "an earlier commit failed".to_owned(),
            Err(error) => error.to_string(),
        };
        cell.epoch_over.store(epoch, Ordering::Release);
        let answers = memory.undo(self.clock.running());
        drop(memory);
        let (partition, commits) = (cell.partition.as_str(), answers.len());
        tracing::error!(
            partition,
            commits,
            reason,
            "the directory's database failed; what was not yet answered is undone"
        );
        for answer in answers {
            // Whoever asked may have gone.
            let _ = answer.send(Err(DirectoryError::Unavailable(reason.clone())));
        }
    }

    fn show(&self, Applied { notices, revisions, answer }: Applied) {
        self.watchers.show(&notices);
        if let Some(answer) = answer {
            let _ = answer.send(Ok(revisions));
        }
    }

    fn check_open(&self) -> Result<(), DirectoryError> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    fn cells(&self) -> Vec<Arc<Cell>> {
        self.partitions.read().values().cloned().collect()
    }

    fn partition(&self, partition: &Partition) -> Option<Arc<Cell>> {
        self.partitions.read().get(partition).cloned()
    }

    fn partition_or_new(&self, partition: &Partition) -> Arc<Cell> {
        self.partition(partition).unwrap_or_else(|| {
            let mut partitions = self.partitions.write();
            let cell = partitions
                .entry(partition.clone())
                .or_insert_with(|| Cell::new(partition.clone(), Memory::new(partition.clone(), 0)));
            Arc::clone(cell)
        })
    }
}

impl Cell {
    fn new(partition: Partition, memory: Memory) -> Arc<Self> {
        Arc::new(Self { partition, memory: Mutex::new(memory), epoch_over: AtomicU64::new(0) })
    }
}

/// What of `steps` the database has to be told.
fn rows(memory: &Memory, steps: &[Step]) -> Vec<Row> {
    let kept = steps.iter().filter(|step| memory.kind(step).class() == Class::Kept);
    kept.filter(|step| step.entry().is_some() || memory.is_occupied(step))
        .map(|step| Row { kind: memory.kind(step), id: Arc::clone(step.id()), entry: step.entry().cloned() })
        .collect()
}

fn closed() -> DirectoryError {
    DirectoryError::Unavailable("the directory is closed".to_owned())
}
