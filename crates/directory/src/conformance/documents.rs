//! Documents: what a commit demands, does and survives.

use std::{collections::BTreeSet, time::Duration};

use tokio::task::JoinSet;

use super::{
    LOBBY, PRESENCE, ROOM, Setup,
    client::{commit, eventually, get, value},
    game,
};
use crate::{
    COMMIT_CHANGES_MAX, Change, DOCUMENT_BYTES_MAX, DirectoryError, Expected, Key, Kind, Partition, Revision,
};

pub(super) async fn puts_gets_and_deletes(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    assert_eq!(get(&directory, &skirmish, LOBBY, "a").await, None);
    let put = vec![Change::put(LOBBY, "a", Expected::Any, "one")];
    let revision = commit(&directory, &skirmish, put).await.unwrap()[0];
    let found = get(&directory, &skirmish, LOBBY, "a").await.unwrap();
    assert_eq!((&found.value[..], found.revision), (&b"one"[..], revision));
    assert_eq!(found.key, Key::new(skirmish.clone(), LOBBY, "a"));
    commit(&directory, &skirmish, vec![Change::put(LOBBY, "a", Expected::At(revision), "")]).await.unwrap();
    assert_eq!(value(&directory, &skirmish, LOBBY, "a").await.unwrap(), "");
    commit(&directory, &skirmish, vec![Change::delete(LOBBY, "a", Expected::Any)]).await.unwrap();
    assert_eq!(get(&directory, &skirmish, LOBBY, "a").await, None);
    // What is not there can be deleted all the same.
    commit(&directory, &skirmish, vec![Change::delete(LOBBY, "a", Expected::Any)]).await.unwrap();
    commit(&directory, &skirmish, vec![Change::delete(LOBBY, "never", Expected::Absent)]).await.unwrap();
}

pub(super) async fn an_expectation_must_hold(setup: &impl Setup) {
    for kind in [LOBBY, PRESENCE] {
        let (directory, skirmish) = (setup.open().await, game("skirmish"));
        let conflict = Err(DirectoryError::Conflict(Key::new(skirmish.clone(), kind, "a")));
        let one = commit(&directory, &skirmish, vec![Change::put(kind, "a", Expected::Absent, "one")]).await;
        let one = one.unwrap()[0];
        let again = vec![Change::put(kind, "a", Expected::Absent, "again")];
        assert_eq!(commit(&directory, &skirmish, again).await, conflict);
        let two = vec![Change::put(kind, "a", Expected::At(one), "two")];
        let two = commit(&directory, &skirmish, two).await.unwrap()[0];
        let stale = vec![Change::put(kind, "a", Expected::At(one), "stale")];
        assert_eq!(commit(&directory, &skirmish, stale).await, conflict);
        let stale = vec![Change::delete(kind, "a", Expected::At(one))];
        assert_eq!(commit(&directory, &skirmish, stale).await, conflict);
        assert_eq!(value(&directory, &skirmish, kind, "a").await.unwrap(), "two");
        commit(&directory, &skirmish, vec![Change::delete(kind, "a", Expected::At(two))]).await.unwrap();
        let gone = vec![Change::put(kind, "a", Expected::At(two), "gone")];
        assert_eq!(commit(&directory, &skirmish, gone).await, conflict);
        commit(&directory, &skirmish, vec![Change::put(kind, "a", Expected::Absent, "new")]).await.unwrap();
        directory.close().await;
    }
}

pub(super) async fn a_stale_change_rejects_the_whole_commit(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let first = vec![
        Change::put(LOBBY, "lobby", Expected::Absent, "open"),
        Change::put(ROOM, "code", Expected::Absent, "of lobby"),
        Change::put(ROOM, "seat", Expected::Absent, "free"),
    ];
    let revisions = commit(&directory, &skirmish, first).await.unwrap();
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
    let newer = vec![Change::put(ROOM, "seat", Expected::At(revisions[2]), "taken")];
    commit(&directory, &skirmish, newer).await.unwrap();
    let stale = vec![
        Change::put(LOBBY, "lobby", Expected::At(revisions[0]), "closed"),
        Change::delete(ROOM, "code", Expected::At(revisions[1])),
        Change::put(LOBBY, "other", Expected::Absent, "new"),
        Change::put(ROOM, "seat", Expected::At(revisions[2]), "mine"),
    ];
    let conflict = DirectoryError::Conflict(Key::new(skirmish.clone(), ROOM, "seat"));
    assert_eq!(commit(&directory, &skirmish, stale).await, Err(conflict));
    assert_eq!(get(&directory, &skirmish, LOBBY, "lobby").await.unwrap().revision, revisions[0]);
    assert_eq!(get(&directory, &skirmish, ROOM, "code").await.unwrap().revision, revisions[1]);
    assert_eq!(value(&directory, &skirmish, ROOM, "seat").await.unwrap(), "taken");
    assert_eq!(get(&directory, &skirmish, LOBBY, "other").await, None);
}

pub(super) async fn concurrent_increments_lose_nothing(setup: &impl Setup) {
    const TASKS: usize = 8;
    const TIMES: usize = 20;
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (directory, skirmish) = (directory.clone(), skirmish.clone());
        tasks.spawn(async move {
            for n in 0..TIMES {
                // Who did what is in the document, so that a lost answer is found in it.
                let mine = format!("{task}.{n};");
                loop {
                    let found = get(&directory, &skirmish, LOBBY, "counter").await;
                    let before = found.as_ref().map(super::client::text).unwrap_or_default();
                    if before.contains(&format!(";{mine}")) || before.starts_with(&mine) {
                        break;
                    }
                    let expected = found.map_or(Expected::Absent, |document| Expected::At(document.revision));
                    let after = Change::put(LOBBY, "counter", expected, before + &mine);
                    match directory.commit(&skirmish, vec![after]).await {
                        Ok(_) => break,
                        Err(error) => assert!(
                            !matches!(error, DirectoryError::TooLarge(_) | DirectoryError::Malformed(_)),
                            "{error}"
                        ),
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let counter = value(&directory, &skirmish, LOBBY, "counter").await.unwrap();
    let done: Vec<&str> = counter.split_terminator(';').collect();
    assert_eq!(done.len(), TASKS * TIMES, "one was done twice, or lost");
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), TASKS * TIMES);
}

pub(super) async fn revisions_are_never_reused(setup: &impl Setup) {
    let skirmish = game("skirmish");
    let mut newest = Revision(0);
    for round in 0..3 {
        let directory = setup.open().await;
        for n in 0..3 {
            for kind in [LOBBY, PRESENCE] {
                let put = vec![Change::put(kind, "a", Expected::Absent, format!("{round} {n}"))];
                let revision = commit(&directory, &skirmish, put).await.unwrap()[0];
                assert!(revision > newest, "{revision:?} after {newest:?}");
                newest = revision;
                commit(&directory, &skirmish, vec![Change::delete(kind, "a", Expected::Any)]).await.unwrap();
            }
        }
        directory.close().await;
    }
}

pub(super) async fn lists_by_partition_and_id(setup: &impl Setup) {
    let directory = setup.open().await;
    assert_eq!(directory.list(&game("none"), LOBBY).await, Ok(vec![]));
    for (partition, kind, id) in [
        (game("skirmish"), LOBBY, "b"),
        (game("chess"), LOBBY, "c"),
        (game("skirmish"), LOBBY, "a"),
        (game("skirmish"), ROOM, "r"),
        (Partition::installation(), LOBBY, "i"),
    ] {
        let put = Change::put(kind, id, Expected::Absent, format!("{partition:?} {id}"));
        commit(&directory, &partition, vec![put]).await.unwrap();
    }
    let ids = |documents: Vec<crate::Document>| {
        documents.iter().map(|document| document.key.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(directory.list(&game("skirmish"), LOBBY).await.unwrap()), ["a", "b"]);
    assert_eq!(ids(directory.list(&game("chess"), LOBBY).await.unwrap()), ["c"]);
    assert_eq!(ids(directory.list(&game("chess"), ROOM).await.unwrap()), Vec::<String>::new());
    assert_eq!(ids(directory.list_all(LOBBY).await.unwrap()), ["i", "c", "a", "b"]);
}

pub(super) async fn a_restart_keeps_what_is_kept(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let changes = vec![
        Change::put(LOBBY, "kept", Expected::Absent, "kept"),
        Change::put(LOBBY, "deleted", Expected::Absent, "deleted"),
    ];
    let revisions = commit(&directory, &skirmish, changes).await.unwrap();
    commit(&directory, &skirmish, vec![Change::put(PRESENCE, "p", Expected::Absent, "here")]).await.unwrap();
    let delete = vec![Change::delete(LOBBY, "deleted", Expected::At(revisions[1]))];
    commit(&directory, &skirmish, delete).await.unwrap();
    let kept = get(&directory, &skirmish, LOBBY, "kept").await;
    directory.close().await;

    let directory = setup.open().await;
    assert_eq!(directory.list(&skirmish, LOBBY).await.unwrap(), Vec::from_iter(kept));
    assert_eq!(directory.list(&skirmish, PRESENCE).await.unwrap(), []);
    let next = vec![Change::put(LOBBY, "kept", Expected::At(revisions[0]), "built upon")];
    commit(&directory, &skirmish, next).await.unwrap();
}

pub(super) async fn a_mixed_commit_is_one(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let mixed = |value: &str| {
        vec![
            Change::put(PRESENCE, "p", Expected::Absent, value.to_owned()),
            Change::put(LOBBY, "l", Expected::Absent, value.to_owned()),
        ]
    };
    let revisions = commit(&directory, &skirmish, mixed("one")).await.unwrap();
    assert_eq!(get(&directory, &skirmish, PRESENCE, "p").await.unwrap().revision, revisions[0]);
    assert_eq!(get(&directory, &skirmish, LOBBY, "l").await.unwrap().revision, revisions[1]);
    commit(&directory, &skirmish, vec![Change::delete(PRESENCE, "p", Expected::Any)]).await.unwrap();
    let conflict = DirectoryError::Conflict(Key::new(skirmish.clone(), LOBBY, "l"));
    assert_eq!(commit(&directory, &skirmish, mixed("two")).await, Err(conflict));
    assert_eq!(get(&directory, &skirmish, PRESENCE, "p").await, None);
}

pub(super) async fn what_is_over_a_limit_is_refused(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let put = |id: &str, bytes: usize| Change::put(LOBBY, id, Expected::Any, vec![b'x'; bytes]);
    let many = |count: usize| (0..count).map(|n| put(&n.to_string(), 10)).collect::<Vec<_>>();
    for too_large in [vec![put("a", 1), put("b", DOCUMENT_BYTES_MAX + 1)], many(COMMIT_CHANGES_MAX + 1)] {
        let refused = commit(&directory, &skirmish, too_large).await;
        assert!(matches!(refused, Err(DirectoryError::TooLarge(_))), "{refused:?}");
    }
    let of_kind = |name| vec![Change::put(Kind::kept(name), "a", Expected::Any, "")];
    let mut twice = many(20);
    twice.push(put("7", 1));
    let at_once = Change::put_expiring(LOBBY, "a", Expected::Any, "", Duration::ZERO);
    for malformed in [
        vec![],
        vec![put("a", 1), put("a", 2)],
        twice,
        vec![put("", 1)],
        vec![put("a b", 1)],
        vec![put("a..b", 1)],
        vec![put(".a", 1)],
        vec![put("*", 1)],
        vec![put(">", 1)],
        vec![put("ä", 1)],
        vec![put(&"a".repeat(129), 1)],
        vec![at_once],
        of_kind(""),
        of_kind("Lobby"),
        of_kind("a.b"),
        of_kind("_lease"),
    ] {
        let refused = commit(&directory, &skirmish, malformed.clone()).await;
        assert!(matches!(refused, Err(DirectoryError::Malformed(_))), "{malformed:?}: {refused:?}");
    }
    let wrong = Key::new(skirmish.clone(), LOBBY, "a b");
    assert!(matches!(directory.get(&wrong).await, Err(DirectoryError::Malformed(_))));
    assert!(matches!(directory.list_all(Kind::kept("_lease")).await, Err(DirectoryError::Malformed(_))));
    assert!(matches!(directory.watch(&[Kind::kept(">")]).await, Err(DirectoryError::Malformed(_))));
    assert_eq!(directory.list_all(LOBBY).await.unwrap(), []);

    // Just within.
    commit(&directory, &skirmish, many(COMMIT_CHANGES_MAX)).await.unwrap();
    commit(&directory, &skirmish, vec![put(&"A-z_0=.9".repeat(16), DOCUMENT_BYTES_MAX)]).await.unwrap();
    assert_eq!(directory.list_all(LOBBY).await.unwrap().len(), COMMIT_CHANGES_MAX + 1);
}

pub(super) async fn expired_documents_are_gone(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let expires_after = Duration::from_millis(900);
    let changes = [LOBBY, PRESENCE]
        .map(|kind| Change::put_expiring(kind, "a", Expected::Absent, "passes", expires_after));
    commit(&directory, &skirmish, changes.into()).await.unwrap();
    for kind in [LOBBY, PRESENCE] {
        eventually(async || get(&directory, &skirmish, kind, "a").await.is_none().then_some(())).await;
        assert_eq!(directory.list(&skirmish, kind).await.unwrap(), []);
        let put = vec![Change::put(kind, "a", Expected::Absent, "anew")];
        commit(&directory, &skirmish, put).await.unwrap();
    }
}

pub(super) async fn a_put_without_expiry_stays(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let second = Duration::from_secs(1);
    let expiring = |id: &str| Change::put_expiring(LOBBY, id, Expected::Any, format!("{id} passes"), second);
    commit(&directory, &skirmish, vec![expiring("a"), expiring("b")]).await.unwrap();
    commit(&directory, &skirmish, vec![Change::put(LOBBY, "a", Expected::Any, "stays")]).await.unwrap();
    // What was put with the same deadline shows that it has passed.
    eventually(async || get(&directory, &skirmish, LOBBY, "b").await.is_none().then_some(())).await;
    assert_eq!(value(&directory, &skirmish, LOBBY, "a").await.unwrap(), "stays");
}

pub(super) async fn everything_is_refused_after_close(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let mut watch = directory.watch(&[LOBBY]).await.unwrap();
    commit(&directory, &skirmish, vec![Change::put(LOBBY, "a", Expected::Any, "one")]).await.unwrap();
    directory.close().await;
    directory.close().await;
    // What was acknowledged is still told.
    let told = super::client::until(&mut watch, super::client::is_put_of("a", "one"));
    super::client::in_time(told).await;
    super::client::in_time(async { while watch.next().await.is_some() {} }).await;
    assert!(refused(directory.get(&Key::new(skirmish.clone(), LOBBY, "a")).await));
    assert!(refused(directory.list_all(LOBBY).await));
    assert!(refused(directory.watch(&[LOBBY]).await));
    assert!(refused(directory.subscribe("a").await));
    assert!(refused(directory.acquire_lease("a", "me", Duration::from_secs(1)).await));
    let put = vec![Change::put(LOBBY, "a", Expected::Any, "two")];
    assert!(directory.commit(&skirmish, put).await.is_err());
}

fn refused<T>(result: Result<T, DirectoryError>) -> bool {
    matches!(result, Err(DirectoryError::Unavailable(_)))
}
