//! The writer: a thread that owns the one connection that writes, fed by a bounded queue.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use tokio::{
    sync::{mpsc, oneshot},
    task,
};

use crate::snapshot::{self, Gate, Held, Snapshot, SnapshotError};

/// How many jobs may wait for the writer. When it is full, [`Writer::run`] waits and
/// [`Writer::try_submit`] answers [`WriteError::Busy`].
pub const QUEUE_JOBS_MAX: usize = 8_192;

/// How many jobs are committed together at most.
pub const BATCH_JOBS_MAX: usize = 1_024;

/// Where a commit costs no sync it is over so soon that each takes only the one or two jobs that came
/// meanwhile, and what costs time is waking up for each. Under load, commits begin this far apart.
const PACE: Duration = Duration::from_millis(1);

/// A commit of at least so many jobs is what load is known by; fewer, and the next one is not put off.
const PACED_JOBS_MIN: usize = 3;

/// A write-ahead log that has grown beyond this is cut back when it begins anew, so that a snapshot
/// that was held for long leaves no large file behind.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// How long SQLite waits for another process's lock before it gives up.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many prepared statements the connection keeps.
pub(crate) const STATEMENTS_MAX: usize = 128;

/// What a finished commit has survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power: each group commit is synced (`synchronous=FULL`).
    PowerLoss,
    /// Death of the process: the write has left it (`synchronous=NORMAL` on a write-ahead log).
    ProcessDeath,
}

/// How a [`Writer`] is opened.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Names the thread, the metrics' label `database` and the log lines.
    pub name: &'static str,
    /// What a finished commit has survived.
    pub durability: Durability,
    /// Bound of the queue, in jobs; [`QUEUE_JOBS_MAX`] unless a test wants it full.
    pub queue_jobs_max: usize,
}

/// A database that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite refused the file, its settings or its schema.
    #[error("cannot open the database {path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The schema of the file is newer than this program knows.
    #[error(
        "the database {path} has schema version {found}, this program knows up to {known}: start a newer Greenroom"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The system refused the file.
    #[error("cannot open the database {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The operating system gave no thread.
    #[error("cannot start the writer thread")]
    Thread(#[source] std::io::Error),
}

/// A job that was not made durable. None of its changes is in the database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The queue is full.
    #[error("too many writes are waiting")]
    Busy,
    /// The writer has been closed.
    #[error("the database is closed")]
    Closed,
    /// The group commit, or beginning it, failed (disk full, I/O error): everything in it was undone.
    #[error("the database could not commit: {0}")]
    Commit(Arc<rusqlite::Error>),
}

trait Job: Send {
    /// Runs inside the transaction, within a savepoint; false asks for the savepoint to be undone.
    fn execute(&mut self, connection: &Connection) -> bool;
    /// Called once, after the commit returned or failed.
    fn finish(self: Box<Self>, committed: Result<(), WriteError>);
}

struct Call<F, T, E, D> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    done: D,
}

impl<F, T, E, D> Job for Call<F, T, E, D>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: Send,
    D: FnOnce(Result<Result<T, E>, WriteError>) + Send,
{
    fn execute(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else { return false };
        let result = work(connection);
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn finish(self: Box<Self>, committed: Result<(), WriteError>) {
        let Call { result, done, .. } = *self;
        // A job that failed by itself changed nothing, so its own error holds whatever became of the commit.
        match (committed, result) {
            (Ok(()), Some(result)) => done(Ok(result)),
            (Err(_), Some(Err(error))) => done(Ok(Err(error))),
            (Err(error), _) => done(Err(error)),
            (Ok(()), None) => done(Err(WriteError::Closed)),
        }
    }
}

enum Message {
    Job(Box<dyn Job>),
    /// There is something in the slot. Not needed where jobs come anyway: it is looked at between commits.
    Look,
    Close(oneshot::Sender<()>),
}

/// What is asked of the thread between two commits, before everything that is queued.
enum Ask {
    Hold { gate: Gate, answer: oneshot::Sender<Result<Held, SnapshotError>> },
    LetGo { checkpoint_pages: i64 },
}

/// What handles and thread share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Open for as long as anybody reads or writes the database: closing any descriptor of it would
    /// give up the locks that SQLite has on it for this process (fcntl(2)).
    file: Arc<File>,
    commits: AtomicU64,
    /// Whether there is a snapshot, or one is asked for.
    held: AtomicBool,
    slot: Slot,
}

#[derive(Default)]
struct Slot(Mutex<Option<Ask>>);

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}

impl Slot {
    fn put(&self, ask: Ask) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ask);
    }

    fn take(&self) -> Option<Ask> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A handle on the writer thread. Cheap to clone; the thread ends, after what is queued, when the
/// last handle is gone or [`Writer::close`] is called.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

impl Writer {
    /// Opens `path`, creating it if it is missing, and runs `setup` (the schema) on it.
    ///
    /// Blocks; call it where blocking is fine.
    pub fn open(
        path: &Path,
        options: WriterOptions,
        setup: impl FnOnce(&mut Connection) -> Result<(), rusqlite::Error>,
    ) -> Result<Self, OpenError> {
        let refused = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        let mut connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(refused)?;
        configure(&connection, options.durability).map_err(refused)?;
        setup(&mut connection).map_err(refused)?;
        let (queue, jobs) = mpsc::channel(options.queue_jobs_max);
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            file: Arc::new(file),
            commits: AtomicU64::new(0),
            held: AtomicBool::new(false),
            slot: Slot::default(),
        });
        let is_paced = options.durability == Durability::ProcessDeath;
        let worker = Worker { connection, jobs, shared: Arc::clone(&shared), name: options.name, is_paced };
        thread::Builder::new()
            .name(format!("sqlite-{}", options.name))
            .spawn(move || worker.run())
            .map_err(OpenError::Thread)?;
        Ok(Self { queue, shared })
    }

    /// Takes a snapshot at the moment when as many writers as `gate` awaits stand still together.
    /// What was acknowledged before the call is in it. There is one at a time. Until all have come
    /// no commit begins, for at most [`GATE_WAIT_MAX`](crate::GATE_WAIT_MAX); then all fail.
    pub async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError> {
        if self.shared.held.swap(true, Ordering::AcqRel) {
            gate.fail();
            return Err(SnapshotError::Held);
        }
        let mut request = Request { shared: &self.shared, gate: &gate, is_asked: false, is_taken: false };
        let path = self.shared.path.clone();
        // Most of the log is moved before the writer is held, so that little is left to do then.
        task::spawn_blocking(move || snapshot::checkpoint(&path))
            .await
            .map_err(|_| SnapshotError::Closed)??;
        let (answer, answered) = oneshot::channel();
        request.is_asked = true;
        self.ask(Ask::Hold { gate: gate.clone(), answer });
        let held = answered.await.map_err(|_| SnapshotError::Closed)??;
        request.is_taken = true;
        Ok(Snapshot::new(self.clone(), held))
    }

    pub(crate) fn let_go(&self, checkpoint_pages: i64) {
        self.ask(Ask::LetGo { checkpoint_pages });
    }

    pub(crate) fn path(&self) -> &Path {
        &self.shared.path
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.shared.file
    }

    /// Whether the thread ends or has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    fn ask(&self, ask: Ask) {
        self.shared.slot.put(ask);
        match self.queue.try_send(Message::Look) {
            // A full queue is being worked off.
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => drop(self.shared.slot.take()),
        }
    }

    /// Runs `work` on the writer thread inside the next group commit, and answers when that commit
    /// has returned. An error of `work` undoes its own changes and nobody else's. Waits while the
    /// queue is full. Dropping the future does not take the job back.
    pub async fn run<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, WriteError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Call {
            work: Some(work),
            result: None,
            done: move |result| {
                // The caller may have gone; the work is done all the same.
                let _ = answer.send(result);
            },
        };
        self.queue.send(Message::Job(Box::new(job))).await.map_err(|_| WriteError::Closed)?;
        answered.await.map_err(|_| WriteError::Closed)?
    }

    /// Queues `work` without waiting, in the order of the calls. `done` runs on the writer thread
    /// after the group commit returned or failed; it must not block. If this returns an error,
    /// neither was nor will be called.
    pub fn try_submit<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        done: impl FnOnce(Result<Result<T, E>, WriteError>) + Send + 'static,
    ) -> Result<(), WriteError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let job = Call { work: Some(work), result: None, done };
        self.queue.try_send(Message::Job(Box::new(job))).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Busy,
            mpsc::error::TrySendError::Closed(_) => WriteError::Closed,
        })
    }

    /// Group commits since the database was opened. With [`Durability::PowerLoss`] each made one
    /// sync of the write-ahead log.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Finishes what is queued, moves the write-ahead log into the database and ends the thread.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.queue.send(Message::Close(answer)).await.is_ok() {
            let _ = answered.await;
        }
    }
}

/// A snapshot that is asked for. Dropped before it was taken, nobody waits for it any more; once the
/// thread was asked, it is the thread that lets go.
struct Request<'a> {
    shared: &'a Shared,
    gate: &'a Gate,
    is_asked: bool,
    is_taken: bool,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.gate.fail();
        }
        if !self.is_asked {
            self.shared.held.store(false, Ordering::Release);
        }
    }
}

fn configure(connection: &Connection, durability: Durability) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::PowerLoss => "FULL",
        Durability::ProcessDeath => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    Ok(())
}

struct Worker {
    connection: Connection,
    jobs: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
    name: &'static str,
    is_paced: bool,
}

impl Worker {
    fn run(mut self) {
        let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH_JOBS_MAX);
        let mut closing = None;
        while closing.is_none() {
            match self.jobs.blocking_recv() {
                Some(Message::Job(job)) => batch.push(job),
                Some(Message::Look) => {}
                Some(Message::Close(answer)) => closing = Some(answer),
                None => break,
            }
            while closing.is_none() && batch.len() < BATCH_JOBS_MAX {
                match self.jobs.try_recv() {
                    Ok(Message::Job(job)) => batch.push(job),
                    Ok(Message::Look) => {}
                    Ok(Message::Close(answer)) => closing = Some(answer),
                    Err(_) => break,
                }
            }
            self.look();
            let (began, jobs) = (Instant::now(), batch.len());
            self.commit(&mut batch);
            if self.is_paced && jobs >= PACED_JOBS_MIN && closing.is_none() {
                thread::sleep(PACE.saturating_sub(began.elapsed()));
            }
        }
        self.jobs.close();
        if let Some(Ask::Hold { gate, .. }) = self.shared.slot.take() {
            gate.fail();
        }
        // What was queued behind the close is answered too, never left without a word.
        while let Ok(message) = self.jobs.try_recv() {
            match message {
                Message::Job(job) => job.finish(Err(WriteError::Closed)),
                Message::Look => {}
                Message::Close(answer) => drop(answer.send(())),
            }
        }
        if let Err(error) = self.connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)")
        {
            tracing::debug!(database = self.name, %error, "the write-ahead log stays for the next start");
        }
        drop(self.connection);
        if let Some(answer) = closing {
            let _ = answer.send(());
        }
    }

    /// Does what is asked between two commits.
    fn look(&self) {
        match self.shared.slot.take() {
            None => {}
            Some(Ask::LetGo { checkpoint_pages }) => self.let_go(checkpoint_pages),
            Some(Ask::Hold { gate, answer }) => {
                let began = Instant::now();
                let held = snapshot::hold(&self.connection, &self.shared.file);
                let held = match held {
                    Ok(held) if gate.pass() => Ok(held),
                    Ok(held) => {
                        self.let_go(held.checkpoint_pages);
                        Err(SnapshotError::Abandoned)
                    }
                    Err(error) => {
                        gate.fail();
                        self.shared.held.store(false, Ordering::Release);
                        Err(error)
                    }
                };
                snapshot::measure(self.name, began);
                if let Err(Ok(unwanted)) = answer.send(held) {
                    self.let_go(unwanted.checkpoint_pages);
                }
            }
        }
    }

    fn let_go(&self, checkpoint_pages: i64) {
        if let Err(error) = self.connection.pragma_update(None, "wal_autocheckpoint", checkpoint_pages) {
            tracing::error!(database = self.name, %error, "the write-ahead log will grow until the next start");
        }
        self.shared.held.store(false, Ordering::Release);
    }

    fn commit(&self, batch: &mut Vec<Box<dyn Job>>) {
        if batch.is_empty() {
            return;
        }
        let started = Instant::now();
        let jobs = batch.len();
        let outcome = self.transact(batch).map_err(|error| {
            tracing::error!(database = self.name, jobs, %error, "a group commit failed; its changes were undone");
            metrics::counter!("greenroom_sqlite_commit_failures_total", "database" => self.name).increment(1);
            WriteError::Commit(Arc::new(error))
        });
        if outcome.is_ok() {
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("greenroom_sqlite_commits_total", "database" => self.name).increment(1);
            metrics::histogram!("greenroom_sqlite_commit_jobs", "database" => self.name).record(jobs as f64);
            metrics::histogram!("greenroom_sqlite_commit_seconds", "database" => self.name)
                .record(started.elapsed());
        }
        for job in batch.drain(..) {
            job.finish(outcome.clone());
        }
    }

    fn transact(&self, batch: &mut [Box<dyn Job>]) -> Result<(), rusqlite::Error> {
        let run = || -> Result<(), rusqlite::Error> {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            for job in batch {
                self.connection.prepare_cached("SAVEPOINT job")?.execute([])?;
                if !job.execute(&self.connection) {
                    self.connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
                }
                self.connection.prepare_cached("RELEASE job")?.execute([])?;
            }
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        };
        let outcome = run();
        if outcome.is_err() && !self.connection.is_autocommit() {
            // The first error is the one to report; SQLite may have rolled back by itself.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        outcome
    }
}

#[cfg(test)]
mod tests;
