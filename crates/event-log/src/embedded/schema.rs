//! The tables, and how rows become what the engine holds in memory.

use std::{path::Path, time::Duration};

use greenroom_sqlite::{Durability, QUEUE_JOBS_MAX, Schema, Writer, WriterOptions, rusqlite};
use rusqlite::{Connection, Row};

use crate::{
    error::OpenError,
    model::{StreamLimits, WhenFull},
};

const VERSION: i64 = 2;

/// Bits of an entry's key that are its sequence; the stream's number stands above them.
const SEQUENCE_BITS: u32 = 40;

/// Bits of a sequence that are its place in its block.
const BLOCK_BITS: u32 = 6;

/// Bits of a sequence that are its place in its batch: as many blocks as a number has bits.
const BATCH_BITS: u32 = BLOCK_BITS + 6;

/// Bits of a sequence that are its place in its age.
const AGE_BITS: u32 = 20;

/// Entries of a block.
pub(super) const BLOCK_ENTRIES: u64 = 1 << BLOCK_BITS;

/// Entries of a batch.
pub(super) const BATCH_ENTRIES: u64 = 1 << BATCH_BITS;

/// Highest sequence that fits; ten years at 3,000 entries a second.
pub(super) const SEQUENCE_MAX: u64 = (1 << SEQUENCE_BITS) - 1;

/// Highest number of a stream that fits.
pub(super) const STREAM_NUMBER_MAX: i64 = (1 << (63 - SEQUENCE_BITS)) - 1;

// An entry's key is `stream << 40 | sequence`: appends to a stream go to the end of its part of the
// table, and a page is one range.
//
// `subject_batches` says where a subject comes up: one row for each subject of each full batch, with
// a bit for each block that has it. It is written once a batch is full, and grows at its end as the
// entries do, so that an append of many subjects touches no page for each: an index that stands by
// subject did, and wrote ten times what was appended. `streams.indexed` is the first batch that is
// not in it yet. `subjects.age` is the last age of the stream in which the subject came up.
//
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
    refuse INTEGER NOT NULL,
    indexed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL,
    text TEXT NOT NULL,
    age INTEGER NOT NULL DEFAULT 0,
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
CREATE TABLE subject_batches (
    batch INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    PRIMARY KEY (batch, subject)
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

// What version 1 knew is found again from the entries.
const TO_VERSION_2: &str = "
ALTER TABLE streams ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subjects ADD COLUMN age INTEGER NOT NULL DEFAULT 0;
UPDATE subjects SET age = coalesce((SELECT last >> 20 FROM streams WHERE streams.id = subjects.stream), 0);
DROP TABLE subject_blocks;
CREATE TABLE subject_batches (
    batch INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    PRIMARY KEY (batch, subject)
) STRICT, WITHOUT ROWID;
";

/// The version of the file's schema.
pub(crate) fn schema(path: &Path) -> Result<Schema, OpenError> {
    let read =
        |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
    match greenroom_sqlite::schema_version(path, read) {
        Ok(found) => Ok(Schema { found, known: VERSION }),
        Err(source) => Err(greenroom_sqlite::OpenError::Sqlite { path: path.to_owned(), source }.into()),
    }
}

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
        if found < VERSION {
            let transaction = connection.transaction()?;
            transaction.execute_batch(if found == 0 { SCHEMA } else { TO_VERSION_2 })?;
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

/// The batch that a sequence is in.
pub(super) fn batch(sequence: u64) -> u64 {
    sequence >> BATCH_BITS
}

/// The bit of the block that a sequence is in, among those of its batch.
pub(super) fn block_bit(sequence: u64) -> u64 {
    1 << ((sequence >> BLOCK_BITS) & 63)
}

/// The key of a batch: as an entry's, without the place in the batch.
pub(super) fn batch_key(stream: i64, batch: u64) -> i64 {
    key(stream, batch << BATCH_BITS) >> BATCH_BITS
}

/// The age of a stream that a sequence is in: what a subject that nothing has any more is known by.
pub(super) fn age(sequence: u64) -> u64 {
    sequence >> AGE_BITS
}

pub(super) fn sequence_of(key: i64) -> u64 {
    key as u64 & SEQUENCE_MAX
}

pub(super) const STREAM_COLUMNS: &str =
    "id, name, first, last, bytes, bytes_max, entries_max, age_max_ms, consumers_max, refuse, indexed";

/// A row of `streams`.
pub(super) struct StreamRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) bytes: u64,
    pub(super) limits: StreamLimits,
    pub(super) indexed: u64,
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
            indexed: row.get::<_, i64>(10)? as u64,
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
