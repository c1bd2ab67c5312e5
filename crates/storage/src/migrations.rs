//! Migrations of the embedded engine: numbered, forward only, checked against what was applied.

use std::path::Path;

use greenroom_sqlite::Schema;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::OpenError;

struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

/// In order, without gaps. An entry that was released is never changed: a database that has it
/// would be refused.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "records", sql: include_str!("../migrations/sqlite/0001_records.sql") },
    Migration {
        version: 2,
        name: "server-versions",
        sql: include_str!("../migrations/sqlite/0002_server_versions.sql"),
    },
    Migration { version: 3, name: "accounts", sql: include_str!("../migrations/sqlite/0003_accounts.sql") },
    Migration {
        version: 4,
        name: "admin-access",
        sql: include_str!("../migrations/sqlite/0004_admin_access.sql"),
    },
];

pub(crate) enum MigrateError {
    Sqlite(rusqlite::Error),
    Refused(OpenError),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The version of the file's schema.
pub(crate) fn schema(path: &Path) -> Result<Schema, OpenError> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    let read = |connection: &Connection| Ok(applied(connection)?.last().map_or(0, |(version, _)| *version));
    match greenroom_sqlite::schema_version(path, read) {
        Ok(found) => Ok(Schema { found, known }),
        Err(source) => Err(greenroom_sqlite::OpenError::Sqlite { path: path.to_owned(), source }.into()),
    }
}

/// Brings the database up to this program's schema, or refuses one that is newer or different.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), MigrateError> {
    let applied = applied(connection)?;
    check(&applied, path).map_err(MigrateError::Refused)?;
    if applied.len() == MIGRATIONS.len() {
        return Ok(());
    }
    // Another process may have migrated since: what is missing is decided under the lock.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (
            version INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            checksum TEXT NOT NULL
        ) STRICT",
    )?;
    let applied = self::applied(&transaction)?;
    check(&applied, path).map_err(MigrateError::Refused)?;
    for migration in MIGRATIONS.iter().skip(applied.len()) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migrations (version, name, checksum) VALUES (?1, ?2, ?3)",
            (migration.version, migration.name, checksum(migration.sql)),
        )?;
        tracing::debug!(version = migration.version, name = migration.name, "migrated the records");
    }
    transaction.commit()?;
    Ok(())
}

fn applied(connection: &Connection) -> Result<Vec<(i64, String)>, rusqlite::Error> {
    let exists = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'", [], |_| Ok(()))
        .optional()?;
    if exists.is_none() {
        return Ok(Vec::new());
    }
    connection
        .prepare("SELECT version, checksum FROM migrations ORDER BY version")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn check(applied: &[(i64, String)], path: &Path) -> Result<(), OpenError> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    let found = applied.last().map_or(0, |(version, _)| *version);
    if found > known {
        let path = path.to_owned();
        return Err(greenroom_sqlite::OpenError::TooNew { path, found, known }.into());
    }
    for (index, (version, sum)) in applied.iter().enumerate() {
        let same = MIGRATIONS
            .get(index)
            .is_some_and(|migration| migration.version == *version && checksum(migration.sql) == *sum);
        if !same {
            return Err(OpenError::MigrationDiffers { version: *version });
        }
    }
    Ok(())
}

/// FNV-1a of 64 bits: it guards against a mistake, not against an attacker.
fn checksum(sql: &str) -> String {
    let hash = sql.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}
