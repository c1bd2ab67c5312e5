//! API keys.

use greenroom_protocol::{KeyId, StudioId};
use greenroom_storage::{KeyPermissions, NewApiKey, StorageError};

use crate::fixture::{Fixture, at, game};

fn new_key(id: &str, studio: &str, created: i64) -> NewApiKey {
    NewApiKey {
        id: KeyId::new(id).unwrap(),
        studio: StudioId::new(studio).unwrap(),
        game: Some(game()),
        name: format!("key {id}"),
        permissions: KeyPermissions {
            hosting: true,
            admin: false,
            publish: vec!["matches.*.events.*".to_owned()],
            subscribe: vec![],
        },
        secret_hash: [5; 32],
        created_at: at(created),
        expires_at: Some(at(10_000)),
    }
}

pub(crate) async fn a_key_is_found_again(mut fixture: Fixture) {
    let new = new_key("k1", "demo", 1);
    fixture.storage.api_keys().create(&new).await.unwrap();
    fixture.restart().await;
    let key = fixture.storage.api_keys().get(&new.id).await.unwrap().unwrap();
    assert_eq!((&key.studio, &key.game, &key.name), (&new.studio, &new.game, &new.name));
    assert_eq!((&key.permissions, key.secret_hash), (&new.permissions, new.secret_hash));
    assert!(key.is_live(at(9_999)) && !key.is_live(at(10_000)));
    assert_eq!(fixture.storage.api_keys().get(&KeyId::new("k2").unwrap()).await.unwrap(), None);
    let again = fixture.storage.api_keys().create(&new).await;
    assert!(matches!(&again, Err(StorageError::Conflict { what }) if what == "api_keys_pkey"), "{again:?}");
}

pub(crate) async fn revoking_and_touching(fixture: Fixture) {
    let keys = fixture.storage.api_keys();
    let new = NewApiKey { expires_at: None, ..new_key("k1", "demo", 1) };
    keys.create(&new).await.unwrap();
    keys.touch(&new.id, at(500)).await.unwrap();
    keys.touch(&new.id, at(400)).await.unwrap();
    let key = keys.get(&new.id).await.unwrap().unwrap();
    assert_eq!(key.last_used_at, Some(at(500)));
    assert!(key.is_live(at(i64::MAX)));
    assert!(keys.revoke(&new.id, at(600)).await.unwrap());
    assert!(!keys.revoke(&new.id, at(700)).await.unwrap());
    let key = keys.get(&new.id).await.unwrap().unwrap();
    assert_eq!((key.revoked_at, key.is_live(at(0))), (Some(at(600)), false));
}

pub(crate) async fn lists_by_studio(fixture: Fixture) {
    let keys = fixture.storage.api_keys();
    for (id, studio, created) in [("k1", "demo", 1), ("k2", "acme", 2), ("k3", "demo", 3), ("k4", "demo", 3)]
    {
        keys.create(&new_key(id, studio, created)).await.unwrap();
    }
    let demo = StudioId::new("demo").unwrap();
    let first = keys.list(Some(&demo), None, 2).await.unwrap();
    let second = keys.list(Some(&demo), first.next.as_ref(), 2).await.unwrap();
    let ids: Vec<_> = first.items.iter().chain(&second.items).map(|key| key.id.as_str()).collect();
    assert_eq!((ids, second.next), (vec!["k4", "k3", "k1"], None));
    assert_eq!(keys.list(None, None, 10).await.unwrap().items.len(), 4);
}
