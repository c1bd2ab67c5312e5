//! Sessions and their refresh tokens.

use greenroom_protocol::Timestamp;
use greenroom_storage::{NewSession, Rotation, StorageError};
use tokio::task::JoinSet;

use crate::fixture::{Fixture, at, new_player, new_session};

pub(crate) async fn a_session_is_found_again(mut fixture: Fixture) {
    let new = new_session("s1", &fixture.player("p1").await);
    fixture.storage.sessions().create(&new).await.unwrap();
    fixture.restart().await;
    let session = fixture.storage.sessions().get(&new.id).await.unwrap().unwrap();
    assert_eq!((&session.player, &session.game, session.created_at), (&new.player, &new.game, at(1_000)));
    assert_eq!((session.user_agent.as_deref(), session.address.as_deref()), (Some("agent"), None));
    assert!(session.is_live(at(9_999)) && !session.is_live(at(10_000)));
    assert_eq!(fixture.storage.sessions().get(&new_session("s2", &new.player).id).await.unwrap(), None);
    assert!(matches!(fixture.storage.sessions().create(&new).await, Err(StorageError::Conflict { .. })));
}

pub(crate) async fn a_session_needs_its_player(fixture: Fixture) {
    let orphan = new_session("s1", &new_player("nobody", "").id);
    let result = fixture.storage.sessions().create(&orphan).await;
    assert!(matches!(result, Err(StorageError::NotFound { .. })), "{result:?}");
}

pub(crate) async fn of_two_rotations_one_wins(fixture: Fixture) {
    let new = new_session("s1", &fixture.player("p1").await);
    fixture.storage.sessions().create(&new).await.unwrap();
    let mut presented = [1; 32];
    for round in 0..10_u8 {
        let mut callers = JoinSet::new();
        for caller in 0..4_u8 {
            let (storage, id) = (fixture.storage.clone(), new.id.clone());
            let next = [100 + 4 * round + caller; 32];
            callers.spawn(async move {
                let rotation =
                    storage.sessions().rotate(&id, &presented, &next, at(10_000), at(2_000)).await.unwrap();
                (next, rotation)
            });
        }
        let rotations = callers.join_all().await;
        let won: Vec<_> = rotations.iter().filter(|(_, r)| matches!(r, Rotation::Rotated(_))).collect();
        let reused = rotations.iter().filter(|(_, r)| matches!(r, Rotation::Reused(_))).count();
        assert_eq!((won.len(), reused), (1, 3), "{rotations:?}");
        presented = won[0].0;
    }
}

pub(crate) async fn a_reused_token_is_told(mut fixture: Fixture) {
    let player = fixture.player("p1").await;
    let new = new_session("s1", &player);
    let id = &new.id;
    fixture.storage.sessions().create(&new).await.unwrap();
    let sessions = fixture.storage.sessions();
    let rotated = sessions.rotate(id, &[1; 32], &[2; 32], at(20_000), at(2_000)).await.unwrap();
    assert!(
        matches!(&rotated, Rotation::Rotated(session) if session.expires_at == at(20_000)),
        "{rotated:?}"
    );
    // Repeated by a caller that never got the answer, it is the same rotation.
    let again = sessions.rotate(id, &[1; 32], &[2; 32], at(20_000), at(2_000)).await.unwrap();
    assert_eq!(again, rotated);
    fixture.restart().await;
    let sessions = fixture.storage.sessions();
    let reused = sessions.rotate(id, &[1; 32], &[3; 32], at(20_000), at(2_000)).await.unwrap();
    assert!(matches!(&reused, Rotation::Reused(session) if session.player == player), "{reused:?}");
    let strange = sessions.rotate(id, &[9; 32], &[3; 32], at(20_000), at(2_000)).await.unwrap();
    assert_eq!(strange, Rotation::Refused);
    // The one who holds the current token is not harmed by either.
    let rotated = sessions.rotate(id, &[2; 32], &[3; 32], at(20_000), at(2_000)).await.unwrap();
    assert!(matches!(rotated, Rotation::Rotated(_)));
}

pub(crate) async fn only_a_live_session_rotates(fixture: Fixture) {
    let sessions = fixture.storage.sessions();
    let player = fixture.player("p1").await;
    let rotate = async |new: &NewSession, now: Timestamp| {
        sessions.rotate(&new.id, &[1; 32], &[2; 32], at(20_000), now).await.unwrap()
    };
    let new = new_session("s1", &player);
    assert_eq!(rotate(&new, at(2_000)).await, Rotation::Refused);
    sessions.create(&new).await.unwrap();
    assert_eq!(rotate(&new, at(10_000)).await, Rotation::Refused);
    sessions.end(&new.id, "signed_out", at(3_000)).await.unwrap();
    assert_eq!(rotate(&new, at(4_000)).await, Rotation::Refused);
    let without = NewSession { refresh_hash: None, ..new_session("s2", &player) };
    sessions.create(&without).await.unwrap();
    assert_eq!(rotate(&without, at(4_000)).await, Rotation::Refused);
}

pub(crate) async fn ending_one_and_all(fixture: Fixture) {
    let sessions = fixture.storage.sessions();
    let (player, other) = (fixture.player("p1").await, fixture.player("p2").await);
    for (id, of) in [("s1", &player), ("s2", &player), ("s3", &player), ("o1", &other)] {
        sessions.create(&new_session(id, of)).await.unwrap();
    }
    let expired = NewSession { expires_at: at(1_500), ..new_session("s4", &player) };
    sessions.create(&expired).await.unwrap();
    let first = new_session("s1", &player).id;
    let live = sessions.require_live_unit(&first, at(2_000));
    fixture.storage.apply(live.clone()).await.unwrap();
    assert!(sessions.end(&first, "signed_out", at(2_000)).await.unwrap());
    assert!(!sessions.end(&first, "again", at(3_000)).await.unwrap());
    assert!(matches!(fixture.storage.apply(live).await, Err(StorageError::NotFound { .. })));
    let mut ended = sessions.end_all(&player, "banned", at(4_000)).await.unwrap();
    ended.sort();
    assert_eq!(ended, [new_session("s2", &player).id, new_session("s3", &player).id]);
    let read = sessions.get(&first).await.unwrap().unwrap();
    assert_eq!((read.ended_at, read.ended_why.as_deref()), (Some(at(2_000)), Some("signed_out")));
    assert!(sessions.get(&new_session("o1", &other).id).await.unwrap().unwrap().is_live(at(4_000)));
}

pub(crate) async fn lists_pages_newest_first(fixture: Fixture) {
    let sessions = fixture.storage.sessions();
    let player = fixture.player("p1").await;
    for (id, created) in [("a", 1), ("b", 2), ("c", 2), ("d", 2), ("e", 3)] {
        let new = NewSession { created_at: at(created), ..new_session(id, &player) };
        sessions.create(&new).await.unwrap();
    }
    let mut listed = Vec::new();
    let mut page = sessions.list(&player, None, 2).await.unwrap();
    loop {
        listed.extend(page.items.iter().map(|session| session.id.to_string()));
        let Some(next) = page.next else { break };
        page = sessions.list(&player, Some(&next), 2).await.unwrap();
    }
    assert_eq!(listed, ["e", "d", "c", "b", "a"]);
}

pub(crate) async fn expired_ones_are_deleted_in_chunks(fixture: Fixture) {
    let sessions = fixture.storage.sessions();
    let player = fixture.player("p1").await;
    for number in 0..5 {
        let new = NewSession { expires_at: at(100 + number), ..new_session(&format!("s{number}"), &player) };
        sessions.create(&new).await.unwrap();
    }
    sessions.create(&new_session("live", &player)).await.unwrap();
    let deleted = [
        sessions.delete_expired(at(1_000), 2).await.unwrap(),
        sessions.delete_expired(at(1_000), 2).await.unwrap(),
        sessions.delete_expired(at(1_000), 2).await.unwrap(),
    ];
    assert_eq!(deleted, [2, 2, 1]);
    assert_eq!(sessions.list(&player, None, 10).await.unwrap().items.len(), 1);
}
