//! Data folders of other versions.

use std::{fs, path::Path};

use greenroom_backup::{DATABASES, Header, RESTORING, UPGRADES, Upgrade, UpgradeError, restore};
use greenroom_event_log::{EventLog, EventLogConfig, StreamLimits};
use greenroom_protocol::Timestamp;
use greenroom_sqlite::rusqlite;
use greenroom_storage::{Storage, StorageConfig};

use crate::{INSTALLATION, close, counts_of_first, open, stream, write};

/// What makes a history of the second version one of the first.
const TO_VERSION_1: &str = "DROP TABLE subject_batches; CREATE TABLE subject_blocks (a); \
    ALTER TABLE streams DROP COLUMN indexed; ALTER TABLE subjects DROP COLUMN age; PRAGMA user_version = 1";

/// Makes the databases in `folder` those of an older Greenroom, with one acknowledged fact in each.
async fn older(folder: &Path) {
    let ports = open(folder).await;
    ports.event_log.create_stream(&stream(0), StreamLimits::default()).await.unwrap();
    write(&ports, 0, 1).await;
    close(&ports).await;
    sql(folder, DATABASES[1], TO_VERSION_1);
}

fn sql(folder: &Path, name: &str, statements: &str) {
    rusqlite::Connection::open(folder.join(name)).unwrap().execute_batch(statements).unwrap();
}

fn upgrade(folder: &Path, at: i64) -> Upgrade<'_> {
    let header = Header {
        program: "2.0.0".into(),
        installation: INSTALLATION.into(),
        taken_at: Timestamp::from_millis(1_795_199_999_000 + at),
    };
    Upgrade { folder, header, files: Vec::new(), used_by: Some("3.1.0".into()) }
}

fn copies(folder: &Path) -> usize {
    fs::read_dir(folder.join(UPGRADES)).map_or(0, Iterator::count)
}

#[tokio::test]
async fn an_older_folder_is_copied_before_it_is_brought_up_and_the_last_three_copies_stay() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    assert_eq!(upgrade(data, 0).carry_out().await.unwrap(), None, "a new one has nothing to lose");
    older(data).await;
    let copy = upgrade(data, 1).carry_out().await.unwrap().unwrap();
    assert_eq!(upgrade(data, 2).carry_out().await.unwrap(), None, "it is up to date");
    let ports = open(data).await;
    assert_eq!(counts_of_first(&ports).await, [1, 1, 1]);
    close(&ports).await;
    // The copy is what was there before.
    let back = data.join("back");
    restore(&copy, &back).unwrap();
    let schema = EventLog::schema(&EventLogConfig::Embedded { path: back.join(DATABASES[1]) }).unwrap();
    assert_eq!(schema.found, 1);
    for at in 3..8 {
        sql(data, DATABASES[1], TO_VERSION_1);
        upgrade(data, at).carry_out().await.unwrap().unwrap();
    }
    assert_eq!(copies(data), 3);
}

#[tokio::test]
async fn one_that_cannot_be_brought_up_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    older(data).await;
    // The history can be brought up, the records cannot: what the migration adds is there.
    let last = Storage::schema(&StorageConfig::Embedded { path: data.join(DATABASES[2]) }).unwrap().known;
    let remove = format!(
        "CREATE TABLE saved AS SELECT * FROM migrations WHERE version = {last}; \
         DELETE FROM migrations WHERE version = {last}"
    );
    sql(data, DATABASES[2], &remove);
    let error = upgrade(data, 1).carry_out().await.unwrap_err();
    assert!(matches!(error, UpgradeError::PutBack { .. }), "{error}");
    assert!(error.to_string().contains("it is as it was before"), "{error}");
    let schema = EventLog::schema(&EventLogConfig::Embedded { path: data.join(DATABASES[1]) }).unwrap();
    assert_eq!(schema.found, 1, "the history is of the old version again");
    assert!(!data.join(RESTORING).exists());
    // Mended, it is brought up with everything in it.
    sql(data, DATABASES[2], "INSERT INTO migrations SELECT * FROM saved; DROP TABLE saved");
    upgrade(data, 2).carry_out().await.unwrap().unwrap();
    let ports = open(data).await;
    assert_eq!(counts_of_first(&ports).await, [1, 1, 1]);
    close(&ports).await;
}

#[tokio::test]
async fn a_newer_folder_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    close(&open(data).await).await;
    sql(data, DATABASES[0], "PRAGMA user_version = 99");
    let error = upgrade(data, 1).carry_out().await.unwrap_err().to_string();
    assert!(
        error.contains("was used by Greenroom 3.1.0, and this is Greenroom 2.0.0: its state of now has version 99, and this Greenroom knows up to version 1; start Greenroom 3.1.0 or a newer one"),
        "{error}"
    );
    assert_eq!(copies(data), 0);
}
