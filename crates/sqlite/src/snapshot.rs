//! A snapshot: the state of a database at one moment, read from its files while the writer goes on.
//!
//! Between two group commits the writer moves what it can of the write-ahead log into the database
//! and moves nothing more until the snapshot is released. So the database file stays as it is, and
//! what of the log was not moved stays at the log's beginning: both can be read like any file,
//! while commits go to the log. Several databases are snapshot at the same moment by a [`Gate`]
//! that holds their writers until all have come to it.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use crate::writer::{BUSY_TIMEOUT, Writer};

/// How long writers are held for each other at most. One that is in the midst of a commit comes
/// when that has returned.
pub const GATE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Bytes before the first frame of a write-ahead log, and before each frame's page
/// (<https://www.sqlite.org/walformat.html>).
const LOG_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// How the name of a write-ahead log ends, after the database's.
pub const LOG_SUFFIX: &str = "-wal";

/// A database of which no snapshot was taken, or whose snapshot is no longer good.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Its writer has been closed.
    #[error("the database is closed")]
    Closed,
    /// There is a snapshot of it already.
    #[error("a snapshot of the database is being read already")]
    Held,
    /// Another database did not come to the gate in time.
    #[error("the databases did not come to one moment in time")]
    Abandoned,
    /// Another program moves the write-ahead log.
    #[error("another program has the database open; close it and try again")]
    Foreign,
    /// SQLite refused.
    #[error("the database could not be held: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A file could not be looked at.
    #[error("the database's files could not be read: {0}")]
    Io(#[from] io::Error),
}

/// What holds several writers until all of them stand still. Cheap to clone; one clone for each.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<(Mutex<Arrivals>, Condvar)>,
}

#[derive(Debug)]
struct Arrivals {
    awaited: usize,
    failed: bool,
}

impl Gate {
    /// A gate that opens when `writers` have come to it.
    pub fn new(writers: usize) -> Self {
        Self { shared: Arc::new((Mutex::new(Arrivals { awaited: writers, failed: false }), Condvar::new())) }
    }

    /// Waits for the others; false if one of them failed or did not come within [`GATE_WAIT_MAX`].
    pub(crate) fn pass(&self) -> bool {
        let (arrivals, changed) = &*self.shared;
        let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.awaited = arrivals.awaited.saturating_sub(1);
        changed.notify_all();
        let waits = |arrivals: &mut Arrivals| arrivals.awaited > 0 && !arrivals.failed;
        let (mut arrivals, _) = changed
            .wait_timeout_while(arrivals, GATE_WAIT_MAX, waits)
            .unwrap_or_else(PoisonError::into_inner);
        // Who comes later must not believe that it is open.
        arrivals.failed |= arrivals.awaited > 0;
        !arrivals.failed
    }

    /// Lets everybody go on without a snapshot.
    pub fn fail(&self) {
        let (arrivals, changed) = &*self.shared;
        arrivals.lock().unwrap_or_else(PoisonError::into_inner).failed = true;
        changed.notify_all();
    }
}

/// What the writer left when it was held.
#[derive(Debug)]
pub(crate) struct Held {
    database_bytes: u64,
    log_bytes: u64,
    /// What the writer is given back.
    pub(crate) checkpoint_pages: i64,
}

/// Runs on the writer's thread between two commits: moves the log as far as no reader stands in
/// the way, and keeps it from being moved any more.
pub(crate) fn hold(connection: &Connection, database: &File) -> Result<Held, SnapshotError> {
    let checkpoint_pages = connection.pragma_query_value(None, "wal_autocheckpoint", |row| row.get(0))?;
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let (busy, logged, moved) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    if busy != 0 || logged < 0 {
        return Err(SnapshotError::Foreign);
    }
    let frame_bytes = FRAME_HEADER_BYTES + page_bytes as u64;
    let log_bytes = if logged == moved { 0 } else { LOG_HEADER_BYTES + logged as u64 * frame_bytes };
    let database_bytes = database.metadata()?.len();
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(Held { database_bytes, log_bytes, checkpoint_pages })
}

/// Moves what it can of the write-ahead log of `path` into the database, beside the writer and
/// without keeping it waiting.
pub(crate) fn checkpoint(path: &Path) -> Result<(), rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// The state of a database at one moment. While it lives the write-ahead log grows; dropping it
/// lets the writer move the log again.
#[derive(Debug)]
pub struct Snapshot {
    writer: Writer,
    held: Held,
}

impl Snapshot {
    pub(crate) fn new(writer: Writer, held: Held) -> Self {
        Self { writer, held }
    }

    /// The files that the state is made of: what their names add to the database's, and their bytes.
    pub fn files(&self) -> io::Result<Vec<SnapshotFile>> {
        let database = SnapshotFile {
            suffix: "",
            bytes: self.held.database_bytes,
            file: Arc::clone(self.writer.file()),
            writer: self.writer.clone(),
            offset: 0,
        };
        let mut files = vec![database];
        if self.held.log_bytes > 0 {
            files.push(SnapshotFile {
                suffix: LOG_SUFFIX,
                bytes: self.held.log_bytes,
                file: Arc::new(File::open(self.log_path())?),
                writer: self.writer.clone(),
                offset: 0,
            });
        }
        Ok(files)
    }

    /// The size of the write-ahead log now: it grows until the snapshot is dropped.
    pub fn log_bytes(&self) -> u64 {
        fs::metadata(self.log_path()).map_or(0, |metadata| metadata.len())
    }

    /// Moves the log that has grown, and then drops the snapshot. Blocks: where it is dropped
    /// alone, the writer does that work in its next commit.
    pub fn release(self) {
        if let Err(error) = checkpoint(self.writer.path()) {
            tracing::debug!(%error, "the write-ahead log is left to the writer");
        }
    }

    fn log_path(&self) -> PathBuf {
        log_path(self.writer.path())
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.writer.let_go(self.held.checkpoint_pages);
    }
}

/// One file of a [`Snapshot`], read from its beginning to the end that it had at that moment.
#[derive(Debug)]
pub struct SnapshotFile {
    /// What its name adds to the database's.
    pub suffix: &'static str,
    /// How many bytes it has.
    pub bytes: u64,
    file: Arc<File>,
    writer: Writer,
    offset: u64,
}

impl Read for SnapshotFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.bytes - self.offset).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..length], self.offset)?;
        if read == 0 && length > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the database has become shorter"));
        }
        // At its end the writer moves the log after all: what was read before that is good.
        if self.writer.is_closed() {
            return Err(io::Error::other(SnapshotError::Closed));
        }
        self.offset += read as u64;
        Ok(read)
    }
}

/// The write-ahead log of the database `path`.
pub(crate) fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(LOG_SUFFIX);
    PathBuf::from(name)
}

/// How long a hold took, for the metric.
pub(crate) fn measure(database: &'static str, began: Instant) {
    metrics::histogram!("greenroom_sqlite_hold_seconds", "database" => database).record(began.elapsed());
}
