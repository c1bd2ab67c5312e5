//! What can be told of a database that nobody has open.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// The version of a database's schema, beside the newest that this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// What the file has; 0 where it is new or missing.
    pub found: i64,
    /// The newest that this program knows.
    pub known: i64,
}

/// Reads the version of the database at `path` by `read`; 0 if there is no such file. Blocks.
pub fn schema_version(
    path: &Path,
    read: impl FnOnce(&Connection) -> Result<i64, rusqlite::Error>,
) -> Result<i64, rusqlite::Error> {
    if !path.exists() {
        return Ok(0);
    }
    // Not read-only: a log that a killed process left is taken in first.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    read(&Connection::open_with_flags(path, flags)?)
}

/// Takes in the write-ahead log beside the database at `path`, if there is one, and looks whether
/// every page is where it belongs: `Some` is what SQLite found wrong. Blocks; reads the whole file.
pub fn check(path: &Path) -> Result<Option<String>, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Ok(Some(found));
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(None)
}
