//! The SQLite file behind the memory: loaded once, then only written.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use greenroom_sqlite::{Durability, Schema, Writer, WriterOptions};
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::{
    clock::Clock,
    memory::{Entry, Expiry, Memory},
};
use crate::{Kind, OpenError, Partition, Revision, lease::LEASE};

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
    BEGIN;
    -- No revision up to `reserved` may be given out again by a later start.
    CREATE TABLE partitions (
        name TEXT PRIMARY KEY,
        reserved INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE documents (
        partition TEXT NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        value BLOB NOT NULL,
        -- Both or neither: when it expires by the wall clock, and how long after its put that is.
        deadline_ms INTEGER,
        term_ms INTEGER,
        PRIMARY KEY (partition, kind, id)
    ) STRICT;
    PRAGMA user_version = 1;
    COMMIT;
";

const RESERVE: &str = "INSERT INTO partitions (name, reserved) VALUES (?1, ?2)
    ON CONFLICT (name) DO UPDATE SET reserved = excluded.reserved";

const PUT: &str = "INSERT INTO documents (partition, kind, id, revision, value, deadline_ms, term_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (partition, kind, id) DO UPDATE SET revision = excluded.revision, value = excluded.value,
        deadline_ms = excluded.deadline_ms, term_ms = excluded.term_ms";

const DELETE: &str = "DELETE FROM documents WHERE partition = ?1 AND kind = ?2 AND id = ?3";

/// How many kinds the database may hold. They are constants of the program, so there are a few
/// dozen; the names of those found in a file are kept for the life of the process.
const KINDS_MAX: usize = 1_024;

/// How long the write-ahead log grows, in pages of 4 KiB, before it is moved into the database:
/// which syncs, and keeps the commits of that moment waiting. Longer than SQLite's 1,000, so that
/// fewer than one group commit in a hundred meets it; a start after a crash reads it once.
const LOG_PAGES: i64 = 8_192;

/// What a kept commit writes.
pub(super) struct Write {
    pub(super) partition: Partition,
    pub(super) reserves: Option<u64>,
    pub(super) rows: Vec<Row>,
}

/// A document as it is written.
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) id: Arc<str>,
    /// `None` deletes it.
    pub(super) entry: Option<Entry>,
}

impl Write {
    pub(super) fn execute(
        &self,
        connection: &Connection,
        now: Duration,
        wall_ms: i64,
    ) -> rusqlite::Result<()> {
        let partition = self.partition.as_str();
        if let Some(reserved) = self.reserves {
            connection.prepare_cached(RESERVE)?.execute(params![partition, reserved as i64])?;
        }
        for Row { kind, id, entry } in &self.rows {
            let Some(entry) = entry else {
                connection.prepare_cached(DELETE)?.execute(params![partition, kind.name(), &**id])?;
                continue;
            };
            let deadline_ms =
                entry.expiry.map(|expiry| wall_ms + milliseconds(expiry.deadline.saturating_sub(now)));
            let term_ms = entry.expiry.map(|expiry| milliseconds(expiry.term));
            connection.prepare_cached(PUT)?.execute(params![
                partition,
                kind.name(),
                &**id,
                entry.revision.0 as i64,
                &*entry.value,
                deadline_ms,
                term_ms
            ])?;
        }
        Ok(())
    }
}

/// The version of the file's schema.
pub(crate) fn schema(path: &Path) -> Result<Schema, OpenError> {
    let read =
        |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
    match greenroom_sqlite::schema_version(path, read) {
        Ok(found) => Ok(Schema { found, known: SCHEMA_VERSION }),
        Err(source) => Err(greenroom_sqlite::OpenError::Sqlite { path: path.to_owned(), source }.into()),
    }
}

/// Opens the file and reads all of it. Blocks.
pub(super) fn open(
    path: &Path,
    clock: &dyn Clock,
    queue_jobs_max: usize,
) -> Result<(Writer, Vec<(Partition, Memory)>), OpenError> {
    let options = WriterOptions { name: "directory", durability: Durability::ProcessDeath, queue_jobs_max };
    let mut loaded = Ok(Vec::new());
    let opened = Writer::open(path, options, |connection| {
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        let version = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?;
        if version > SCHEMA_VERSION {
            let found = version;
            let too_new =
                greenroom_sqlite::OpenError::TooNew { path: path.to_owned(), found, known: SCHEMA_VERSION };
            loaded = Err(OpenError::Database(too_new));
            return Ok(());
        }
        if version == 0 {
            connection.execute_batch(SCHEMA)?;
        }
        loaded = load(connection, clock)?;
        Ok(())
    });
    let writer = opened?;
    Ok((writer, loaded?))
}

type Loaded = Result<Vec<(Partition, Memory)>, OpenError>;

fn load(connection: &Connection, clock: &dyn Clock) -> rusqlite::Result<Loaded> {
    let (now, wall_ms) = (clock.running(), clock.wall_ms());
    let mut partitions: Vec<(Partition, Memory)> = Vec::new();
    let mut query = connection.prepare("SELECT name, reserved FROM partitions ORDER BY name")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let partition = Partition::from_stored(row.get_ref(0)?.as_str()?);
        let memory = Memory::new(partition.clone(), row.get::<_, i64>(1)? as u64);
        partitions.push((partition, memory));
    }
    let mut query = connection.prepare(
        "SELECT partition, kind, id, revision, value, deadline_ms, term_ms FROM documents ORDER BY partition",
    )?;
    let mut rows = query.query([])?;
    let mut at = 0;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str()?;
        // Both are sorted by the partition's name.
        while partitions.get(at).is_some_and(|(partition, _)| partition.as_str() != name) {
            at += 1;
        }
        let Some((_, memory)) = partitions.get_mut(at) else {
            return Ok(Err(OpenError::Damaged("a document of a partition that is not there")));
        };
        let Some(kind) = stored_kind(row.get_ref(1)?.as_str()?) else {
            return Ok(Err(OpenError::Damaged("more than 1024 kinds of documents")));
        };
        let id = Arc::from(row.get_ref(2)?.as_str()?);
        let expiry = match (row.get::<_, Option<i64>>(5)?, row.get::<_, Option<i64>>(6)?) {
            (Some(deadline_ms), Some(term_ms)) => {
                // A clock that was set back while we were down prolongs nothing beyond its term.
                let left_ms = if kind == LEASE { term_ms } else { (deadline_ms - wall_ms).min(term_ms) };
                let term = Duration::from_millis(term_ms.max(0) as u64);
                let left = Duration::from_millis(left_ms.max(0) as u64);
                Some(Expiry { deadline: now.saturating_add(left), term })
            }
            _ => None,
        };
        let revision = Revision(row.get::<_, i64>(3)? as u64);
        let value = Bytes::copy_from_slice(row.get_ref(4)?.as_blob()?);
        memory.load(kind, id, Entry { value, revision, expiry });
    }
    Ok(Ok(partitions))
}

/// The kind of this name. Names live as long as the process, so each is kept once, however often
/// a database is opened.
fn stored_kind(name: &str) -> Option<Kind> {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock();
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return Some(Kind::kept(known));
    }
    if names.len() == KINDS_MAX {
        return None;
    }
    let name: &'static str = Box::leak(name.into());
    names.insert(name);
    Some(Kind::kept(name))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
