//! The tables, and how rows become what the engine holds in memory.

use std::{path::Path, time::Duration};

use greenroom_sqlite::{Durability, QUEUE_JOBS_MAX, Writer, WriterOptions, rusqlite};
use rusqlite::{Connection, Row};

use crate::{
    error::OpenError,
    model::{StreamLimits, WhenFull},
};

const VERSION: i64 = 1;

/// Bits of an entry's key that are its sequence; the stream's number stands above them.
const SEQUENCE_BITS: u32 = 40;

/// Bits of a sequence that are its place in its block.
const BLOCK_BITS: u32 = 8;

/// Entries of a block.
pub(super) const BLOCK_ENTRIES: u64 = 1 << BLOCK_BITS;

/// Highest sequence that fits; ten years at 3,000 entries a second.
pub(super) const SEQUENCE_MAX: u64 = (1 << SEQUENCE_BITS) - 1;

/// Highest number of a stream that fits.
pub(super) const STREAM_NUMBER_MAX: i64 = (1 << (63 - SEQUENCE_BITS)) - 1;

// An entry's key is `stream << 40 | sequence`: appends to a stream go to the end of its part of the
// table, and a page is one range. `subject_blocks` says in which blocks of a stream a subject comes
// up: an index that costs an append nothing but the first of its subject in a block.
// `dedupe.number` grows with time, so that what is oldest stands first.
const SCHEMA: &str = "
CREATE TABLE streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    bytes_max INTEGER NOT NULL,
    entries_max INTEGER NOT NULL,
    age_max_ms INTEGER,
    consumers_max INTEGER NOT NULL,
    refuse INTEGER NOT NULL
) STRICT;
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (stream, text)
) STRICT;
CREATE TABLE entries (
    key INTEGER PRIMARY KEY,
    subject INTEGER NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    id TEXT,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE subject_blocks (
    subject INTEGER NOT NULL,
    block INTEGER NOT NULL,
    PRIMARY KEY (subject, block)
) STRICT, WITHOUT ROWID;
CREATE TABLE dedupe (
    number INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (stream, id)
) STRICT;
CREATE TABLE consumers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL,
    name TEXT NOT NULL,
    config TEXT NOT NULL,
    cursor INTEGER NOT NULL,
    gap_from INTEGER,
    gap_to INTEGER,
    dead INTEGER NOT NULL,
    UNIQUE (stream, name)
) STRICT;
CREATE TABLE outstanding (
    consumer INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (consumer, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letters (
    consumer INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    died_at INTEGER NOT NULL,
    subject TEXT NOT NULL,
    at INTEGER NOT NULL,
    id TEXT,
    payload BLOB NOT NULL,
    PRIMARY KEY (consumer, sequence)
) STRICT;
CREATE TABLE doomed_streams (stream INTEGER PRIMARY KEY) STRICT;
CREATE TABLE doomed_consumers (consumer INTEGER PRIMARY KEY) STRICT;
";

pub(super) fn open_writer(path: &Path) -> Result<Writer, OpenError> {
    let options = WriterOptions {
        name: "event_log",
        durability: Durability::PowerLoss,
        queue_jobs_max: QUEUE_JOBS_MAX,
    };
    let mut found = 0;
    let writer = Writer::open(path, options, |connection| {
        found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > VERSION {
            return Ok(());
        }
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        // Few checkpoints, each of which syncs the database too, against a log that is quick to recover.
        connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
        if found == 0 {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        Ok(())
    })?;
    if found > VERSION {
        let path = path.to_owned();
        return Err(greenroom_sqlite::OpenError::TooNew { path, found, known: VERSION }.into());
    }
    Ok(writer)
}

/// The key of an entry. Sequence 0 and [`SEQUENCE_MAX`] bound a stream's range.
pub(super) fn key(stream: i64, sequence: u64) -> i64 {
    (stream << SEQUENCE_BITS) | sequence.min(SEQUENCE_MAX) as i64
}

/// The block that a sequence is in.
pub(super) fn block(sequence: u64) -> u64 {
    sequence >> BLOCK_BITS
}

pub(super) fn sequence_of(key: i64) -> u64 {
    key as u64 & SEQUENCE_MAX
}

pub(super) const STREAM_COLUMNS: &str =
    "id, name, first, last, bytes, bytes_max, entries_max, age_max_ms, consumers_max, refuse";

/// A row of `streams`.
pub(super) struct StreamRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) bytes: u64,
    pub(super) limits: StreamLimits,
}

impl StreamRow {
    pub(super) fn from(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        let age_max_ms: Option<i64> = row.get(7)?;
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            first: row.get::<_, i64>(2)? as u64,
            last: row.get::<_, i64>(3)? as u64,
            bytes: row.get::<_, i64>(4)? as u64,
            limits: StreamLimits {
                bytes_max: row.get::<_, i64>(5)? as u64,
                entries_max: row.get::<_, i64>(6)? as u64,
                age_max: age_max_ms.map(|ms| Duration::from_millis(ms as u64)),
                consumers_max: row.get(8)?,
                when_full: if row.get(9)? { WhenFull::Refuse } else { WhenFull::DropOldest },
            },
        })
    }
}

/// The row of the stream `id`, as this connection sees it.
pub(super) fn stream_row(connection: &Connection, id: i64) -> Result<Option<StreamRow>, rusqlite::Error> {
    use rusqlite::OptionalExtension;
    connection
        .prepare_cached(&format!("SELECT {STREAM_COLUMNS} FROM streams WHERE id = ?1"))?
        .query_row([id], StreamRow::from)
        .optional()
}
