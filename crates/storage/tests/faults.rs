//! What the embedded engine answers when it cannot make a change durable.
#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use greenroom_protocol::{GameId, PlayerId, Timestamp};
use greenroom_storage::{NewPlayer, Statement, Storage, StorageConfig, StorageError, UnitOfWork};
use tokio::task::JoinSet;

fn new_player(id: String) -> NewPlayer {
    NewPlayer {
        id: PlayerId::new(&id).unwrap(),
        game: GameId::new("g").unwrap(),
        username: id,
        created_at: Timestamp::from_millis(1),
        identity: None,
    }
}

fn open(dir: &tempfile::TempDir) -> Storage {
    Storage::open(StorageConfig::Embedded { path: dir.path().join("records.sqlite") }).unwrap()
}

/// Keeps the writer busy while further units queue up, so that they share the next group commit.
fn slow_unit() -> UnitOfWork {
    Statement::new(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000)
         SELECT COUNT(*) FROM c",
        [],
    )
    .into()
}

/// Applies well, and makes the commit fail: a foreign key that is looked at only then.
fn unit_that_breaks_the_commit() -> UnitOfWork {
    UnitOfWork::new().then(Statement::new("PRAGMA defer_foreign_keys = ON", [])).then(Statement::new(
        "INSERT INTO sessions (id, player, game, created_at, expires_at) VALUES ('s', 'nobody', 'g', 1, 2)",
        [],
    ))
}

#[tokio::test]
async fn a_group_commit_that_fails_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(&dir);
    let mut callers = JoinSet::new();
    for number in 0..=50 {
        let storage = storage.clone();
        callers.spawn(async move {
            match number {
                0 => storage.apply(slow_unit()).await.map(|_| 0),
                25 => storage.apply(unit_that_breaks_the_commit()).await.map(|_| 0),
                _ => storage.players().create(&new_player(format!("p{number}"))).await.map(|()| 1),
            }
        });
    }
    let (mut acknowledged, mut refused) = (0, 0);
    while let Some(result) = callers.join_next().await {
        match result.unwrap() {
            Ok(players) => acknowledged += players,
            Err(error) => {
                assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
                assert!(error.is_retryable());
                refused += 1;
            }
        }
    }
    let kept = storage.players().count(&GameId::new("g").unwrap()).await.unwrap();
    assert_eq!(kept, acknowledged, "what is there is what was acknowledged");
    assert!(refused > 1, "nobody shared the commit that failed");

    // The next commit is good again.
    storage.players().create(&new_player("later".to_owned())).await.unwrap();
    storage.close().await;
    assert_eq!(open(&dir).players().count(&GameId::new("g").unwrap()).await.unwrap(), kept + 1);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let game = GameId::new("g").unwrap();
    let storage = open(&dir);
    // The bound is at least what the file has now.
    storage.apply(Statement::new("PRAGMA max_page_count = 1", []).into()).await.unwrap();
    let (mut acknowledged, mut refused) = (0, 0);
    for number in 0..400 {
        match storage.players().create(&new_player(format!("{number:0100}"))).await {
            Ok(()) => acknowledged += 1,
            Err(error) => {
                assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the disk was never full");
    assert_eq!(storage.players().count(&game).await.unwrap(), acknowledged);
    storage.apply(Statement::new("PRAGMA max_page_count = 1000000", []).into()).await.unwrap();
    storage.players().create(&new_player("later".to_owned())).await.unwrap();
    storage.close().await;
    assert_eq!(open(&dir).players().count(&game).await.unwrap(), acknowledged + 1);
}
