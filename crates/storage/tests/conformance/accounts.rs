//! Identities, passwords, one-time tokens, and what a deletion leaves.

use greenroom_protocol::PlayerId;
use greenroom_storage::{Ban, Identity, OneTimeToken, StorageError};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, at, game, new_session};

fn identity(provider: &str, subject: &str) -> Identity {
    let profile = json!({ "name": subject });
    Identity::Other { provider: provider.to_owned(), subject: subject.to_owned(), profile }
}

async fn link(fixture: &Fixture, player: &PlayerId, identity: &Identity) -> Result<(), StorageError> {
    let unit = fixture.storage.identities().link_unit(&game(), player, identity, at(7))?;
    fixture.storage.apply(unit).await.map(drop)
}

fn token(hash: u8, subject: &str, player: Option<&PlayerId>) -> OneTimeToken {
    OneTimeToken {
        hash: [hash; 32],
        kind: "reset".to_owned(),
        game: game(),
        player: player.cloned(),
        subject: subject.to_owned(),
        data: json!({ "n": hash }),
        expires_at: at(100),
    }
}

async fn issue(fixture: &Fixture, token: &OneTimeToken) {
    fixture.storage.apply(fixture.storage.one_time_tokens().issue_unit(token)).await.unwrap();
}

pub(crate) async fn the_last_identity_stays(fixture: Fixture) {
    let player = fixture.player("p1").await;
    let identities = fixture.storage.identities();
    link(&fixture, &player, &identity("steam", "1")).await.unwrap();
    link(&fixture, &player, &identity("email", "a@b.test")).await.unwrap();
    let unknown = fixture.storage.apply(identities.unlink_unit(&player, "discord")).await;
    assert!(matches!(unknown, Err(StorageError::Conflict { .. })));
    let mut unlinkers = JoinSet::new();
    for provider in ["steam", "email"] {
        let (storage, unit) = (fixture.storage.clone(), identities.unlink_unit(&player, provider));
        unlinkers.spawn(async move { storage.apply(unit).await.is_ok() });
    }
    let unlinked = unlinkers.join_all().await;
    assert_eq!(unlinked.iter().filter(|done| **done).count(), 1, "one of the two stays");
    assert_eq!(identities.of_player(&player).await.unwrap().len(), 1);
}

pub(crate) async fn an_identity_is_linked_once(fixture: Fixture) {
    let (first, second) = (fixture.player("p1").await, fixture.player("p2").await);
    link(&fixture, &first, &identity("steam", "1")).await.unwrap();
    for (player, taken) in [(&second, identity("steam", "1")), (&first, identity("steam", "2"))] {
        let conflict = link(&fixture, player, &taken).await;
        assert!(matches!(conflict, Err(StorageError::Conflict { .. })), "{conflict:?}");
    }
    let linked = fixture.storage.identities().of_player(&first).await.unwrap();
    assert_eq!(
        (linked[0].provider.as_str(), linked[0].subject.as_str(), &linked[0].profile, linked[0].linked_at),
        ("steam", "1", &json!({ "name": "1" }), at(7))
    );
    let found = fixture.storage.players().find_by_identity(&game(), "steam", "1").await.unwrap();
    assert_eq!(found.unwrap().id, first);
}

pub(crate) async fn passwords_are_replaced(fixture: Fixture) {
    let player = fixture.player("p1").await;
    let identities = fixture.storage.identities();
    for hash in ["one", "two"] {
        fixture.storage.apply(identities.set_password_unit(&player, hash, at(1))).await.unwrap();
        assert_eq!(identities.password(&player).await.unwrap().as_deref(), Some(hash));
    }
    fixture.storage.apply(identities.delete_password_unit(&player)).await.unwrap();
    assert_eq!(identities.password(&player).await.unwrap(), None);
}

pub(crate) async fn a_token_is_used_once(mut fixture: Fixture) {
    issue(&fixture, &token(1, "s", None)).await;
    fixture.restart().await;
    let tokens = fixture.storage.one_time_tokens();
    let found = tokens.get(&[1; 32], "reset", &game(), at(99)).await.unwrap();
    assert_eq!(found, Some(token(1, "s", None)));
    assert_eq!(tokens.get(&[1; 32], "confirm", &game(), at(99)).await.unwrap(), None);
    assert_eq!(tokens.get(&[1; 32], "reset", &game(), at(100)).await.unwrap(), None, "its time is over");
    let late = fixture.storage.apply(tokens.use_unit(&[1; 32], "reset", at(100))).await;
    assert!(matches!(late, Err(StorageError::NotFound { .. })));
    let mut users = JoinSet::new();
    for _ in 0..8 {
        let (storage, unit) = (fixture.storage.clone(), tokens.use_unit(&[1; 32], "reset", at(99)));
        users.spawn(async move { storage.apply(unit).await.is_ok() });
    }
    assert_eq!(users.join_all().await.iter().filter(|used| **used).count(), 1);
}

pub(crate) async fn of_one_subject_the_newest_token_is_good(fixture: Fixture) {
    let player = fixture.player("p1").await;
    for hash in [1, 2] {
        issue(&fixture, &token(hash, "same", Some(&player))).await;
    }
    issue(&fixture, &token(3, "other", Some(&player))).await;
    let tokens = fixture.storage.one_time_tokens();
    let is_there = async |hash| tokens.get(&[hash; 32], "reset", &game(), at(1)).await.unwrap().is_some();
    assert_eq!((is_there(1).await, is_there(2).await, is_there(3).await), (false, true, true));
    fixture.storage.apply(tokens.take_back_unit(&player, "reset")).await.unwrap();
    assert_eq!((is_there(2).await, is_there(3).await), (false, false));
}

pub(crate) async fn tokens_end(fixture: Fixture) {
    let tokens = fixture.storage.one_time_tokens();
    assert_eq!(tokens.first_end().await.unwrap(), None);
    for (hash, expires_at) in [(1, 100), (2, 200), (3, 300)] {
        let token = OneTimeToken { expires_at: at(expires_at), ..token(hash, &format!("s{hash}"), None) };
        issue(&fixture, &token).await;
    }
    assert_eq!(tokens.delete_expired(at(300), 1).await.unwrap(), 1);
    assert_eq!(tokens.delete_expired(at(300), 10).await.unwrap(), 1);
    assert_eq!(tokens.first_end().await.unwrap(), Some(at(300)));
}

pub(crate) async fn a_deleted_player_leaves_nothing(fixture: Fixture) {
    let (player, other) = (fixture.player("p1").await, fixture.player("p2").await);
    let storage = &fixture.storage;
    link(&fixture, &player, &identity("steam", "1")).await.unwrap();
    issue(&fixture, &token(1, "s", Some(&player))).await;
    storage.apply(storage.identities().set_password_unit(&player, "hash", at(1))).await.unwrap();
    storage.sessions().create(&new_session("s1", &player)).await.unwrap();
    let ban = Ban { reason: String::new(), until: None, at: at(1) };
    storage.players().ban(&player, &ban).await.unwrap();

    let elsewhere = greenroom_protocol::GameId::new("elsewhere").unwrap();
    let wrong = storage.apply(storage.players().delete_unit(&elsewhere, &player)).await;
    assert!(matches!(wrong, Err(StorageError::NotFound { .. })));
    storage.apply(storage.players().delete_unit(&game(), &player)).await.unwrap();
    assert_eq!(storage.players().get(&player).await.unwrap(), None);
    assert!(storage.identities().of_player(&player).await.unwrap().is_empty());
    assert_eq!(storage.identities().password(&player).await.unwrap(), None);
    assert_eq!(storage.sessions().get(&new_session("s1", &player).id).await.unwrap(), None);
    assert_eq!(storage.one_time_tokens().first_end().await.unwrap(), None);
    assert!(storage.players().bans(&game(), None, 10).await.unwrap().items.is_empty());
    link(&fixture, &other, &identity("steam", "1")).await.expect("the identity is free again");
}
