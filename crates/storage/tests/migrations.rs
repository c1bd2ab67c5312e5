//! The schema of the embedded engine: made, recognised, refused.
#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use std::{fs, path::PathBuf, thread};

use greenroom_protocol::{StudioId, Timestamp};
use greenroom_storage::{OpenError, Storage, StorageConfig};
use rusqlite::Connection;

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("records.sqlite")
}

fn open(dir: &tempfile::TempDir) -> Result<Storage, OpenError> {
    Storage::open(StorageConfig::Embedded { path: file(dir) })
}

async fn make(dir: &tempfile::TempDir) {
    let storage = open(dir).unwrap();
    storage.studios().ensure(&StudioId::new("demo").unwrap(), Timestamp::from_millis(1)).await.unwrap();
    storage.close().await;
}

#[tokio::test]
async fn the_schema_after_all_migrations() {
    let dir = tempfile::tempdir().unwrap();
    make(&dir).await;
    let connection = Connection::open(file(&dir)).unwrap();
    let mut statement = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name")
        .unwrap();
    let schema: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    insta::assert_snapshot!(schema.join(";\n"));
}

#[tokio::test]
async fn an_up_to_date_file_is_opened_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    make(&dir).await;
    make(&dir).await;
    let storage = open(&dir).unwrap();
    assert_eq!(storage.studios().list().await.unwrap().len(), 1);
    assert_eq!(storage.commits(), 0, "opening wrote");
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    make(&dir).await;
    let connection = Connection::open(file(&dir)).unwrap();
    connection.execute("INSERT INTO migrations VALUES (999, 'later', 'x')", []).unwrap();
    let error = open(&dir).unwrap_err();
    assert!(matches!(error, OpenError::Embedded(greenroom_sqlite::OpenError::TooNew { found: 999, .. })));
    let sentence = error.to_string();
    assert!(
        sentence.contains("schema version 999") && sentence.ends_with("start a newer Greenroom"),
        "{sentence}"
    );
}

#[tokio::test]
async fn another_migration_under_the_same_number_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    make(&dir).await;
    let connection = Connection::open(file(&dir)).unwrap();
    connection.execute("UPDATE migrations SET checksum = 'x' WHERE version = 1", []).unwrap();
    assert!(matches!(open(&dir), Err(OpenError::MigrationDiffers { version: 1 })));
}

#[test]
fn what_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(&dir), "this is a letter, and not a database at all".repeat(100)).unwrap();
    let refused = open(&dir);
    assert!(matches!(refused, Err(OpenError::Embedded(greenroom_sqlite::OpenError::Sqlite { .. }))));
    let nowhere = StorageConfig::Embedded { path: dir.path().join("missing/records.sqlite") };
    assert!(Storage::open(nowhere).is_err());
}

#[test]
fn two_at_once_migrate_once() {
    let dir = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        let openers: Vec<_> = (0..4).map(|_| scope.spawn(|| open(&dir).map(drop))).collect();
        for opener in openers {
            opener.join().unwrap().unwrap();
        }
    });
    let connection = Connection::open(file(&dir)).unwrap();
    let (count, last): (i64, i64) = connection
        .query_row("SELECT COUNT(*), MAX(version) FROM migrations", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(count, last, "each once");
}
