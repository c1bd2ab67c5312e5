//! Watches: what is told, in which order, and what never is.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    LOBBY, PRESENCE, ROOM, Setup,
    client::{commit, get, in_time, is_delete_of, is_put_of, next, text, until},
    game,
};
use crate::{Change, Expected, Notice};

fn is_current(notice: &Notice) -> bool {
    *notice == Notice::Current
}

fn without_repeats(mut notices: Vec<Notice>) -> Vec<Notice> {
    notices.dedup();
    notices
}

pub(super) async fn tells_what_stands_then_what_changes(setup: &impl Setup) {
    let (directory, skirmish, chess) = (setup.open().await, game("skirmish"), game("chess"));
    commit(&directory, &skirmish, vec![Change::put(LOBBY, "a", Expected::Any, "1")]).await.unwrap();
    commit(&directory, &chess, vec![Change::put(LOBBY, "b", Expected::Any, "2")]).await.unwrap();
    commit(&directory, &chess, vec![Change::put(PRESENCE, "c", Expected::Any, "3")]).await.unwrap();
    commit(&directory, &skirmish, vec![Change::put(LOBBY, "d", Expected::Any, "4")]).await.unwrap();
    commit(&directory, &skirmish, vec![Change::delete(LOBBY, "d", Expected::Any)]).await.unwrap();

    let mut watch = directory.watch(&[LOBBY, PRESENCE]).await.unwrap();
    let told = without_repeats(until(&mut watch, is_current).await);
    let stands: BTreeSet<String> = told
        .iter()
        .filter_map(|notice| match notice {
            Notice::Put(document) => Some(format!("{} {}", document.key.id, text(document))),
            Notice::Deleted { .. } | Notice::Current => None,
        })
        .collect();
    assert_eq!(stands, ["a 1", "b 2", "c 3"].map(str::to_owned).into());
    assert!(!told.iter().any(is_delete_of("a")));

    commit(&directory, &skirmish, vec![Change::put(LOBBY, "a", Expected::Any, "5")]).await.unwrap();
    let document = get(&directory, &skirmish, LOBBY, "a").await.unwrap();
    assert_eq!(next(&mut watch).await, Notice::Put(document));
    commit(&directory, &chess, vec![Change::delete(LOBBY, "b", Expected::Any)]).await.unwrap();
    in_time(until(&mut watch, is_delete_of("b"))).await;
    commit(&directory, &chess, vec![Change::delete(PRESENCE, "c", Expected::Any)]).await.unwrap();
    let told = until(&mut watch, is_delete_of("c")).await;
    assert!(!told.contains(&Notice::Current), "it comes once");
}

pub(super) async fn skips_states_that_were_not_told(setup: &impl Setup) {
    const CHANGES: usize = 50;
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let mut watch = directory.watch(&[LOBBY]).await.unwrap();
    until(&mut watch, is_current).await;
    for n in 0..CHANGES {
        let hot = Change::put(LOBBY, "hot", Expected::Any, format!("hot {n}"));
        commit(&directory, &skirmish, vec![hot]).await.unwrap();
    }
    commit(&directory, &skirmish, vec![Change::put(LOBBY, "last", Expected::Any, "last")]).await.unwrap();
    let told = without_repeats(until(&mut watch, is_put_of("last", "last")).await);
    let hot: Vec<_> = told.iter().filter(|notice| !is_put_of("last", "last")(notice)).collect();
    assert!(is_put_of("hot", &format!("hot {}", CHANGES - 1))(hot.last().unwrap()));
    assert!(hot.len() < CHANGES, "nobody read, and yet all {} states waited", hot.len());
}

pub(super) async fn keeps_the_order_of_commits(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let mut watch = directory.watch(&[ROOM, LOBBY]).await.unwrap();
    until(&mut watch, is_current).await;
    let mut expected = Vec::new();
    for n in 0..20 {
        let (lobby, room) = (format!("lobby-{n}"), format!("room-{n}"));
        let changes = vec![
            Change::put(ROOM, &room, Expected::Absent, room.clone()),
            Change::put(LOBBY, &lobby, Expected::Absent, lobby.clone()),
        ];
        commit(&directory, &skirmish, changes).await.unwrap();
        expected.extend([room, lobby]);
    }
    let told = without_repeats(until(&mut watch, is_put_of("lobby-19", "lobby-19")).await);
    let told: Vec<String> = told
        .iter()
        .map(|notice| match notice {
            Notice::Put(document) => text(document),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, expected);
}

pub(super) async fn replaces_an_untold_state_in_its_place(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let mut watch = directory.watch(&[LOBBY]).await.unwrap();
    until(&mut watch, is_current).await;
    for (id, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
        commit(&directory, &skirmish, vec![Change::put(LOBBY, id, Expected::Any, value)]).await.unwrap();
    }
    // A document that changes all the time is told all the same.
    let told = until(&mut watch, is_put_of("b", "2")).await;
    assert!(matches!(&told[0], Notice::Put(document) if &*document.key.id == "a"), "{told:?}");
}

pub(super) async fn tells_only_what_was_applied(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let mut watch = directory.watch(&[LOBBY, PRESENCE]).await.unwrap();
    let mut applied = BTreeSet::new();
    for n in 0..40 {
        let id = format!("id-{}", n % 3);
        let kind = if n % 2 == 0 { LOBBY } else { PRESENCE };
        let value = format!("value {n}");
        let expected = if n % 5 == 0 { Expected::Any } else { Expected::Absent };
        let change = Change::put(kind, &id, expected, value.clone());
        if commit(&directory, &skirmish, vec![change]).await.is_ok() {
            applied.insert(value);
        }
    }
    commit(&directory, &skirmish, vec![Change::put(LOBBY, "end", Expected::Any, "end")]).await.unwrap();
    let mut revisions = BTreeMap::new();
    for notice in until(&mut watch, is_put_of("end", "end")).await {
        if let Notice::Put(document) = notice {
            let value = text(&document);
            assert!(value == "end" || applied.contains(&value), "{value} was refused and yet told");
            let before = revisions.insert(document.key.clone(), document.revision);
            assert!(before.is_none_or(|before| before <= document.revision), "{document:?} goes back");
        }
    }
}

pub(super) async fn tells_only_of_its_kinds(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    commit(&directory, &skirmish, vec![Change::put(ROOM, "r", Expected::Any, "0")]).await.unwrap();
    let mut watch = directory.watch(&[LOBBY]).await.unwrap();
    let changes =
        vec![Change::put(ROOM, "r", Expected::Any, "1"), Change::put(LOBBY, "l", Expected::Any, "1")];
    commit(&directory, &skirmish, changes).await.unwrap();
    let told = until(&mut watch, is_put_of("l", "1")).await;
    assert!(!told.iter().any(|notice| is_put_of("r", "0")(notice) || is_put_of("r", "1")(notice)));
}

pub(super) async fn tells_of_expiry(setup: &impl Setup) {
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let mut watch = directory.watch(&[LOBBY, PRESENCE]).await.unwrap();
    let second = Duration::from_secs(1);
    for (kind, id) in [(LOBBY, "l"), (PRESENCE, "p")] {
        let change = Change::put_expiring(kind, id, Expected::Absent, id.to_owned(), second);
        commit(&directory, &skirmish, vec![change]).await.unwrap();
    }
    let mut gone = BTreeSet::new();
    while gone.len() < 2 {
        if let Notice::Deleted { key, .. } = next(&mut watch).await {
            assert_eq!(directory.get(&key).await.unwrap(), None);
            gone.insert(key.id);
        }
    }
}

pub(super) async fn starts_amid_commits_without_a_gap(setup: &impl Setup) {
    const WRITERS: usize = 4;
    const COMMITS: usize = 25;
    let (directory, skirmish) = (setup.open().await, game("skirmish"));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (directory, skirmish) = (directory.clone(), skirmish.clone());
        writers.spawn(async move {
            for n in 0..COMMITS {
                let change = Change::put(LOBBY, format!("{writer}-{}", n % 3), Expected::Any, format!("{n}"));
                commit(&directory, &skirmish, vec![change]).await.unwrap();
            }
        });
    }
    let mut watches = Vec::new();
    while !writers.is_empty() {
        watches.push(directory.watch(&[LOBBY]).await.unwrap());
        writers.join_next().await.unwrap().unwrap();
    }
    commit(&directory, &skirmish, vec![Change::put(LOBBY, "end", Expected::Any, "end")]).await.unwrap();
    let stands: BTreeMap<_, _> = directory
        .list(&skirmish, LOBBY)
        .await
        .unwrap()
        .into_iter()
        .map(|document| (document.key.clone(), document))
        .collect();
    for mut watch in watches {
        let mut told = BTreeMap::new();
        for notice in until(&mut watch, is_put_of("end", "end")).await {
            if let Notice::Put(document) = notice {
                told.insert(document.key.clone(), document);
            }
        }
        assert_eq!(told, stands);
    }
}
