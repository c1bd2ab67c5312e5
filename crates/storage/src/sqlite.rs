//! The embedded engine: SQLite, units of work committed in groups.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use greenroom_sqlite::{
    Durability, Gate, QUEUE_JOBS_MAX, ReadError, Readers, Snapshot, SnapshotError, WriteError, Writer,
    WriterOptions,
};
use rusqlite::{CachedStatement, Connection, ErrorCode, ffi, types::ValueRef};

use crate::{
    OpenError, StorageError,
    engine::Engine,
    migrations,
    unit::{Applied, Expect, Query, Row, Statement, StatementOutcome, UnitOfWork},
    value::Value,
};

#[derive(Debug)]
pub(crate) struct SqliteEngine {
    writer: Writer,
    readers: Readers,
    closed: AtomicBool,
}

impl SqliteEngine {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let mut refused = None;
        let opened = Writer::open(
            path,
            WriterOptions {
                name: "records",
                durability: Durability::PowerLoss,
                queue_jobs_max: QUEUE_JOBS_MAX,
            },
            |connection| {
                migrations::migrate(connection, path).map_err(|error| match error {
                    migrations::MigrateError::Sqlite(error) => error,
                    migrations::MigrateError::Refused(error) => {
                        refused = Some(error);
                        rusqlite::Error::InvalidQuery
                    }
                })
            },
        );
        if let Some(error) = refused {
            return Err(error);
        }
        Ok(Self { writer: opened?, readers: Readers::new(path), closed: AtomicBool::new(false) })
    }

    fn check_open(&self) -> Result<(), StorageError> {
        if self.closed.load(Ordering::Acquire) { Err(StorageError::Closed) } else { Ok(()) }
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    async fn apply(&self, unit: UnitOfWork) -> Result<Applied, StorageError> {
        self.check_open()?;
        let applied = self.writer.run(move |connection| execute_unit(connection, &unit)).await;
        applied.map_err(write_error)?
    }

    async fn query(&self, query: Query) -> Result<Vec<Row>, StorageError> {
        self.check_open()?;
        let rows = self
            .readers
            .read(move |connection| {
                let mut statement = connection.prepare_cached(query.sql)?;
                bind(&mut statement, &query.values)?;
                collect(&mut statement)
            })
            .await;
        rows.map_err(|error| match error {
            ReadError::Sqlite(error) => sql_error(&error),
            ReadError::Closed => StorageError::Closed,
        })
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.writer.close().await;
    }

    async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError> {
        self.writer.snapshot(gate).await
    }

    fn commits(&self) -> u64 {
        self.writer.commits()
    }
}

fn execute_unit(connection: &Connection, unit: &UnitOfWork) -> Result<Applied, StorageError> {
    let mut applied = Applied { statements: Vec::with_capacity(unit.statements.len()) };
    for statement in &unit.statements {
        let outcome = execute(connection, statement).map_err(|error| sql_error(&error))?;
        if let Expect::One(miss) = statement.expect
            && outcome.rows != 1
        {
            return Err(miss.into());
        }
        applied.statements.push(outcome);
    }
    Ok(applied)
}

fn execute(connection: &Connection, statement: &Statement) -> Result<StatementOutcome, rusqlite::Error> {
    let mut prepared = connection.prepare_cached(statement.sql)?;
    bind(&mut prepared, &statement.values)?;
    if prepared.column_count() == 0 {
        let rows = prepared.raw_execute()? as u64;
        return Ok(StatementOutcome { rows, returned: Vec::new() });
    }
    let returned = collect(&mut prepared)?;
    Ok(StatementOutcome { rows: returned.len() as u64, returned })
}

/// Binds `$n` to the n-th value. To SQLite `$n` is a name, numbered by where it appears first.
fn bind(statement: &mut CachedStatement<'_>, values: &[Value]) -> Result<(), rusqlite::Error> {
    let count = statement.parameter_count();
    if count != values.len() {
        return Err(rusqlite::Error::InvalidParameterCount(values.len(), count));
    }
    for index in 1..=count {
        let named = statement.parameter_name(index).and_then(|name| name.strip_prefix('$'));
        let value = named
            .and_then(|number| number.parse::<usize>().ok())
            .and_then(|number| values.get(number.checked_sub(1)?))
            .ok_or_else(|| rusqlite::Error::InvalidParameterName(format!("parameter {index} is not $n")))?;
        match value {
            Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null)?,
            Value::Integer(value) => statement.raw_bind_parameter(index, value)?,
            Value::Real(value) => statement.raw_bind_parameter(index, value)?,
            Value::Text(value) => statement.raw_bind_parameter(index, value)?,
            Value::Blob(value) => statement.raw_bind_parameter(index, value)?,
        }
    }
    Ok(())
}

fn collect(statement: &mut CachedStatement<'_>) -> Result<Vec<Row>, rusqlite::Error> {
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut collected = Vec::new();
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(columns);
        for index in 0..columns {
            values.push(match row.get_ref(index)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(value) => Value::Integer(value),
                ValueRef::Real(value) => Value::Real(value),
                ValueRef::Text(value) => Value::Text(String::from_utf8_lossy(value).into_owned()),
                ValueRef::Blob(value) => Value::Blob(value.to_vec()),
            });
        }
        collected.push(Row::new(values));
    }
    Ok(collected)
}

fn write_error(error: WriteError) -> StorageError {
    match error {
        WriteError::Busy => StorageError::Busy,
        WriteError::Closed => StorageError::Closed,
        WriteError::Commit(error) => StorageError::Unavailable { reason: error.to_string().into() },
    }
}

fn sql_error(error: &rusqlite::Error) -> StorageError {
    let rusqlite::Error::SqliteFailure(failure, message) = error else {
        return StorageError::corrupt(error.to_string());
    };
    let message = message.as_deref().unwrap_or_default();
    match (failure.code, failure.extended_code) {
        (_, ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID) => {
            StorageError::Conflict { what: constraint_name(message, true).into() }
        }
        (_, ffi::SQLITE_CONSTRAINT_UNIQUE) => {
            StorageError::Conflict { what: constraint_name(message, false).into() }
        }
        // Its one meaning here: the record that this one belongs to is not there.
        (_, ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => StorageError::NotFound { what: "parent record".into() },
        (ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::Unknown, _) => {
            StorageError::corrupt(error.to_string())
        }
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => StorageError::corrupt(error.to_string()),
        _ => StorageError::Unavailable { reason: error.to_string().into() },
    }
}

/// The name that PostgreSQL gives by default to the constraint of
/// `UNIQUE constraint failed: admins.name`: `admins_name_key`; to a primary key `admins_pkey`.
fn constraint_name(message: &str, primary: bool) -> String {
    let columns = message.rsplit_once(": ").map_or(message, |(_, columns)| columns);
    let mut name = String::new();
    for column in columns.split(", ") {
        let (table, column) = column.split_once('.').unwrap_or(("", column));
        if name.is_empty() {
            name.push_str(table);
        }
        if !primary {
            name.push('_');
            name.push_str(column);
        }
    }
    name + if primary { "_pkey" } else { "_key" }
}
