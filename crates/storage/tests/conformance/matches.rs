//! Matches and the positions of read models.

use greenroom_protocol::{MatchId, PlayerId};
use greenroom_storage::{MatchPlayer, MatchRecord, Position, Statement, StorageError, UnitOfWork};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, at, game, new_player};

fn player(id: &str) -> PlayerId {
    PlayerId::new(id).unwrap()
}

fn record(id: &str, ended: i64, players: &[&str]) -> MatchRecord {
    MatchRecord {
        id: MatchId::new(id).unwrap(),
        game: game(),
        started_at: at(ended - 10),
        ended_at: at(ended),
        result: json!({ "winner": "A" }),
        players: players
            .iter()
            .map(|id| MatchPlayer {
                player: player(id),
                team: Some("A".to_owned()),
                score: Some(2.0),
                won: Some(true),
            })
            .collect(),
    }
}

fn position(sequence: u64) -> Position<'static> {
    Position { model: "matches", stream: "demo", sequence }
}

pub(crate) async fn an_event_is_applied_once(mut fixture: Fixture) {
    let matches = fixture.storage.matches();
    let first = record("m1", 100, &["p1", "p2"]);
    assert_eq!(matches.position("matches", "demo").await.unwrap(), 0);
    assert!(matches.record_match(&first, position(7)).await.unwrap());
    let other = record("m1", 999, &["p3"]);
    assert!(!matches.record_match(&other, position(7)).await.unwrap());
    assert!(!matches.record_match(&other, position(6)).await.unwrap());
    fixture.restart().await;
    let matches = fixture.storage.matches();
    assert!(!matches.record_match(&other, position(7)).await.unwrap());
    assert_eq!(matches.get(&first.id).await.unwrap(), Some(first));
    assert!(matches.skip(position(9)).await.unwrap());
    assert!(!matches.skip(position(9)).await.unwrap());
    assert_eq!(matches.position("matches", "demo").await.unwrap(), 9);
    assert_eq!(matches.position("matches", "acme").await.unwrap(), 0);
    assert_eq!(matches.position("other", "demo").await.unwrap(), 0);
}

pub(crate) async fn a_match_is_replaced_whole(fixture: Fixture) {
    let matches = fixture.storage.matches();
    let mut corrected = record("m1", 200, &["p2", "p3"]);
    corrected.players[0] = MatchPlayer { player: player("p2"), team: None, score: None, won: None };
    matches.record_match(&record("m1", 100, &["p1", "p2"]), position(1)).await.unwrap();
    matches.record_match(&corrected, position(2)).await.unwrap();
    assert_eq!(matches.get(&corrected.id).await.unwrap().as_ref(), Some(&corrected));
    assert_eq!(matches.list_matches(&player("p1"), None, 10).await.unwrap().items, []);
    let own = matches.list_matches(&player("p2"), None, 10).await.unwrap().items;
    assert_eq!((&own[0].own, own[0].ended_at), (&corrected.players[0], at(200)));
    // Without players it is a match all the same.
    let empty = record("m2", 1, &[]);
    matches.record_match(&empty, position(3)).await.unwrap();
    assert_eq!(matches.get(&empty.id).await.unwrap(), Some(empty));
}

pub(crate) async fn a_failed_application_moves_no_position(fixture: Fixture) {
    let matches = fixture.storage.matches();
    let twice = record("m1", 100, &["p1", "p1"]);
    let failed = matches.record_match(&twice, position(1)).await;
    assert!(matches!(failed, Err(StorageError::Conflict { .. })), "{failed:?}");
    assert_eq!(matches.position("matches", "demo").await.unwrap(), 0);
    assert_eq!(matches.get(&twice.id).await.unwrap(), None);
    assert!(matches.record_match(&record("m1", 100, &["p1"]), position(1)).await.unwrap());
}

pub(crate) async fn of_many_appliers_one_wins(fixture: Fixture) {
    fixture.storage.players().create(&new_player("p1", "0")).await.unwrap();
    for sequence in 1..=10 {
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            let storage = fixture.storage.clone();
            callers.spawn(async move {
                let unit: UnitOfWork =
                    Statement::new("UPDATE players SET last_seen_at = last_seen_at + 1 WHERE id = 'p1'", [])
                        .into();
                storage.matches().apply_at(unit, position(sequence)).await.unwrap()
            });
        }
        assert_eq!(callers.join_all().await.iter().filter(|won| **won).count(), 1);
    }
    let counted = fixture.storage.players().get(&player("p1")).await.unwrap().unwrap().last_seen_at;
    assert_eq!(counted, at(1_010));
}

pub(crate) async fn a_player_lists_its_matches(fixture: Fixture) {
    let matches = fixture.storage.matches();
    let played = [("a", 3, "p1"), ("b", 1, "p1"), ("c", 3, "p1"), ("d", 2, "p2"), ("e", 2, "p1")];
    for (sequence, (id, ended, who)) in (1..).zip(played) {
        matches.record_match(&record(id, ended, &[who]), position(sequence)).await.unwrap();
    }
    let first = matches.list_matches(&player("p1"), None, 3).await.unwrap();
    let second = matches.list_matches(&player("p1"), first.next.as_ref(), 3).await.unwrap();
    let ids: Vec<_> = first.items.iter().chain(&second.items).map(|played| played.id.as_str()).collect();
    assert_eq!((ids, second.next), (vec!["c", "a", "e", "b"], None));
    assert_eq!(first.items[0].result, json!({ "winner": "A" }));
}
