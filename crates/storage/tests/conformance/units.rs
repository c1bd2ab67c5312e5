//! What a unit of work promises, and the smallest repositories.

use greenroom_protocol::StudioId;
use greenroom_storage::{Miss, Query, Row, Statement, StorageError, UnitOfWork, Value};
use tokio::task::JoinSet;

use crate::fixture::{Fixture, at, game, new_player, new_session};

pub(crate) async fn a_unit_is_applied_whole(mut fixture: Fixture) {
    let player = new_player("p1", "Ada");
    let session = new_session("s1", &player.id);
    let storage = &fixture.storage;
    let unit = storage.players().create_unit(&player).unwrap().and(storage.sessions().create_unit(&session));
    assert_eq!(unit.len(), 2);
    let applied = storage.apply(unit).await.unwrap();
    assert_eq!((applied.rows(0), applied.rows(1), applied.rows(2)), (1, 1, 0));
    fixture.restart().await;
    assert!(fixture.storage.players().get(&player.id).await.unwrap().is_some());
    assert!(fixture.storage.sessions().get(&session.id).await.unwrap().is_some());
}

pub(crate) async fn a_unit_that_fails_leaves_nothing(fixture: Fixture) {
    let storage = &fixture.storage;
    let first = new_player("p1", "Ada");
    storage.players().create(&first).await.unwrap();
    let other = new_player("p2", "Bo");
    let unit =
        storage.players().create_unit(&other).unwrap().and(storage.players().create_unit(&first).unwrap());
    let error = storage.apply(unit).await.unwrap_err();
    assert!(matches!(&error, StorageError::Conflict { what } if what == "players_pkey"), "{error:?}");
    assert!(!error.is_retryable());
    assert_eq!(storage.players().get(&other.id).await.unwrap(), None);
}

pub(crate) async fn a_unit_that_fails_harms_no_other(fixture: Fixture) {
    let taken = new_player("taken", "taken");
    fixture.storage.players().create(&taken).await.unwrap();
    let mut callers = JoinSet::new();
    for number in 0..200 {
        let (storage, taken) = (fixture.storage.clone(), taken.clone());
        callers.spawn(async move {
            let mut unit = storage.players().create_unit(&new_player(&format!("p{number}"), "x")).unwrap();
            if number % 3 == 0 {
                unit = unit.and(storage.players().create_unit(&taken).unwrap());
            }
            (number, storage.apply(unit).await.is_ok())
        });
    }
    while let Some(done) = callers.join_next().await {
        let (number, ok) = done.unwrap();
        assert_eq!(ok, number % 3 != 0, "unit {number}");
    }
    assert_eq!(fixture.storage.players().count(&game()).await.unwrap(), 1 + 133);
}

pub(crate) async fn a_missed_expectation_undoes_the_unit(fixture: Fixture) {
    let storage = &fixture.storage;
    let nobody = new_player("nobody", "x").id;
    for (miss, expected) in [
        (Miss::NotFound("player"), "there is no such player"),
        (Miss::Conflict("turn"), "it conflicts with what is stored: turn"),
        (Miss::AlreadyApplied, "it was applied before"),
    ] {
        let missing = Statement::new("UPDATE players SET username = 'y' WHERE id = $1", [(&nobody).into()])
            .expect_one(miss);
        let unit = storage.players().create_unit(&new_player("p1", "x")).unwrap().then(missing);
        assert_eq!(storage.apply(unit).await.unwrap_err().to_string(), expected);
    }
    // More than one row is a miss too.
    fixture.player("p2").await;
    fixture.player("p3").await;
    let too_many =
        Statement::new("UPDATE players SET username = 'y'", []).expect_one(Miss::Conflict("only one"));
    assert!(matches!(storage.apply(too_many.into()).await, Err(StorageError::Conflict { .. })));
    let names =
        storage.query(Query::new("SELECT username FROM players ORDER BY id", []), Row::take::<String>);
    assert_eq!(names.await.unwrap(), ["p2", "p3"]);
}

pub(crate) async fn statements_see_what_those_before_them_did(fixture: Fixture) {
    let storage = &fixture.storage;
    let unit = storage
        .players()
        .create_unit(&new_player("p1", "Ada"))
        .unwrap()
        .then(Statement::new("SELECT username FROM players WHERE id = $1", ["p1".into()]));
    let mut applied = storage.apply(unit).await.unwrap();
    assert_eq!(applied.returned(1, Row::take::<String>).unwrap(), ["Ada"]);
}

pub(crate) async fn placeholders_are_bound_by_their_number(fixture: Fixture) {
    let query = Query::new("SELECT $2, $1, $2", ["first".into(), "second".into()]);
    let rows = fixture
        .storage
        .query(query, |row| Ok([row.take::<String>()?, row.take::<String>()?, row.take::<String>()?]));
    assert_eq!(rows.await.unwrap(), [["second", "first", "second"]]);
}

pub(crate) async fn a_wrong_number_of_values_is_refused(fixture: Fixture) {
    let update = Statement::new("UPDATE players SET username = $1 WHERE id = $2", ["x".into()]);
    let error = fixture.storage.apply(update.into()).await.unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
}

pub(crate) async fn an_empty_unit_does_nothing(fixture: Fixture) {
    assert!(UnitOfWork::new().is_empty());
    fixture.storage.apply(UnitOfWork::new()).await.unwrap();
}

pub(crate) async fn values_come_back_as_they_went(fixture: Fixture) {
    let storage = &fixture.storage;
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(storage.secrets().get_or_create("bytes", &bytes).await.unwrap(), bytes);
    let name = "Zoë \u{1} 🎲 '; DROP TABLE players; --";
    storage.players().create(&new_player("p1", name)).await.unwrap();
    let read = storage.players().get(&new_player("p1", "").id).await.unwrap().unwrap();
    assert_eq!(read.username, name);
    assert_eq!(Value::from(None::<&str>), Value::Null);
    let wrong = storage.query(Query::new("SELECT username FROM players", []), Row::take::<i64>).await;
    assert!(matches!(wrong, Err(StorageError::Corrupt { .. })));
    let too_few = storage.query(Query::new("SELECT username FROM players", []), |row| {
        row.take::<String>()?;
        row.take::<String>()
    });
    assert!(matches!(too_few.await, Err(StorageError::Corrupt { .. })));
}

pub(crate) async fn reads_see_what_was_acknowledged(fixture: Fixture) {
    let mut callers = JoinSet::new();
    for number in 0..100 {
        let storage = fixture.storage.clone();
        callers.spawn(async move {
            let player = new_player(&format!("p{number}"), "x");
            storage.players().create(&player).await.unwrap();
            assert!(storage.players().get(&player.id).await.unwrap().is_some(), "player {number}");
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let commits = fixture.storage.commits();
    assert!((1..=100).contains(&commits), "{commits} commits");
}

pub(crate) async fn after_close_everything_is_closed(fixture: Fixture) {
    let clone = fixture.storage.clone();
    fixture.storage.close().await;
    fixture.storage.close().await;
    let player = new_player("p1", "x");
    assert!(matches!(clone.players().create(&player).await, Err(StorageError::Closed)));
    assert!(matches!(clone.players().get(&player.id).await, Err(StorageError::Closed)));
}

pub(crate) async fn secrets_are_made_once(mut fixture: Fixture) {
    assert_eq!(fixture.storage.secrets().get("key").await.unwrap(), None);
    let mut callers = JoinSet::new();
    for number in 0..16_u8 {
        let storage = fixture.storage.clone();
        callers.spawn(async move { storage.secrets().get_or_create("key", &[number; 32]).await.unwrap() });
    }
    let made = callers.join_all().await;
    assert!(made.iter().all(|secret| *secret == made[0]), "{made:?}");
    fixture.restart().await;
    assert_eq!(fixture.storage.secrets().get("key").await.unwrap().as_ref(), Some(&made[0]));
    assert_eq!(fixture.storage.secrets().get_or_create("key", &[99; 32]).await.unwrap(), made[0]);
}

pub(crate) async fn studios_are_recorded_once(fixture: Fixture) {
    let studios = fixture.storage.studios();
    let (demo, acme) = (StudioId::new("demo").unwrap(), StudioId::new("acme").unwrap());
    studios.ensure(&demo, at(1)).await.unwrap();
    studios.ensure(&demo, at(2)).await.unwrap();
    studios.ensure(&acme, at(3)).await.unwrap();
    let listed: Vec<_> = studios.list().await.unwrap().into_iter().map(|s| (s.id, s.created_at)).collect();
    assert_eq!(listed, [(acme, at(3)), (demo, at(1))]);
}
