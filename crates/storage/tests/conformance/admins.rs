//! Administrators, their sessions, the audit log.

use greenroom_protocol::AdminId;
use greenroom_storage::{Admin, AdminRole, AdminSession, NewAudit, StorageError};

use crate::fixture::{Fixture, at};

fn admin(id: &str, name: &str) -> Admin {
    Admin {
        id: AdminId::new(id).unwrap(),
        name: name.to_owned(),
        password_hash: Some("$argon2id$…".to_owned()),
        role: AdminRole::Operator,
        created_at: at(1),
    }
}

fn session(token: u8, of: &Admin) -> AdminSession {
    AdminSession {
        token_hash: [token; 32],
        admin: of.id.clone(),
        csrf_secret: [9; 32],
        created_at: at(1),
        expires_at: at(100),
        ended_at: None,
    }
}

pub(crate) async fn names_are_unique(mut fixture: Fixture) {
    let (ada, bo) = (admin("a1", "ada"), admin("a2", "bo"));
    let admins = fixture.storage.admins();
    admins.create(&bo).await.unwrap();
    admins.create(&ada).await.unwrap();
    let taken = admins.create(&admin("a3", "ada")).await;
    assert!(matches!(&taken, Err(StorageError::Conflict { what }) if what == "admins_name_key"), "{taken:?}");
    fixture.restart().await;
    let admins = fixture.storage.admins();
    assert_eq!(admins.find("ada").await.unwrap().as_ref(), Some(&ada));
    assert_eq!(admins.get(&bo.id).await.unwrap().as_ref(), Some(&bo));
    assert_eq!(admins.find("Ada").await.unwrap(), None);
    let first = admins.list(None, 1).await.unwrap();
    let second = admins.list(first.next.as_ref(), 1).await.unwrap();
    assert_eq!((first.items, second.items, second.next), (vec![ada], vec![bo.clone()], None));
    admins.set_role(&bo.id, AdminRole::Owner).await.unwrap();
    assert_eq!(admins.find("bo").await.unwrap().unwrap().role, AdminRole::Owner);
    let nobody = admins.set_role(&AdminId::new("nobody").unwrap(), AdminRole::Viewer).await;
    assert!(matches!(nobody, Err(StorageError::NotFound { .. })));
}

pub(crate) async fn sessions_end(fixture: Fixture) {
    let admins = fixture.storage.admins();
    let ada = admin("a1", "ada");
    assert!(matches!(admins.create_session(&session(1, &ada)).await, Err(StorageError::NotFound { .. })));
    admins.create(&ada).await.unwrap();
    admins.create_session(&session(1, &ada)).await.unwrap();
    assert_eq!(admins.session(&[1; 32]).await.unwrap(), Some((session(1, &ada), ada.clone())));
    assert!(session(1, &ada).is_live(at(99)) && !session(1, &ada).is_live(at(100)));
    assert_eq!(admins.session(&[2; 32]).await.unwrap(), None);
    assert!(admins.end_session(&[1; 32], at(50)).await.unwrap());
    assert!(!admins.end_session(&[1; 32], at(51)).await.unwrap());
    let (ended, _) = admins.session(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((ended.ended_at, ended.is_live(at(51))), (Some(at(50)), false));
    assert_eq!(admins.delete_expired_sessions(at(100), 10).await.unwrap(), 0);
    assert_eq!(admins.delete_expired_sessions(at(101), 10).await.unwrap(), 1);
}

pub(crate) async fn another_password_ends_the_sessions(fixture: Fixture) {
    let admins = fixture.storage.admins();
    let (ada, bo) = (admin("a1", "ada"), admin("a2", "bo"));
    for (admin, token) in [(&ada, 1), (&bo, 2)] {
        admins.create(admin).await.unwrap();
        admins.create_session(&session(token, admin)).await.unwrap();
    }
    admins.set_password(&ada.id, "new", at(50)).await.unwrap();
    assert_eq!(admins.get(&ada.id).await.unwrap().unwrap().password_hash.as_deref(), Some("new"));
    assert!(!admins.session(&[1; 32]).await.unwrap().unwrap().0.is_live(at(50)));
    assert!(admins.session(&[2; 32]).await.unwrap().unwrap().0.is_live(at(50)));
}

pub(crate) async fn one_that_is_deleted_takes_its_sessions_along(fixture: Fixture) {
    let admins = fixture.storage.admins();
    let (ada, bo) = (admin("a1", "ada"), admin("a2", "bo"));
    for (admin, token) in [(&ada, 1), (&bo, 2)] {
        admins.create(admin).await.unwrap();
        admins.create_session(&session(token, admin)).await.unwrap();
    }
    assert!(admins.delete(&ada.id).await.unwrap());
    assert!(!admins.delete(&ada.id).await.unwrap());
    assert_eq!((admins.get(&ada.id).await.unwrap(), admins.session(&[1; 32]).await.unwrap()), (None, None));
    assert!(admins.session(&[2; 32]).await.unwrap().is_some());
    admins.create(&admin("a3", "ada")).await.unwrap();
}

pub(crate) async fn the_audit_log_pages_backwards(fixture: Fixture) {
    let admins = fixture.storage.admins();
    let entry = |number: i64| NewAudit {
        at: at(number),
        actor: "ada".to_owned(),
        action: "server.stop".to_owned(),
        subject: format!("server-{number}"),
        detail: serde_json::json!({ "grace_ms": number }),
    };
    for number in 1..=3 {
        admins.audit(&entry(number)).await.unwrap();
    }
    let first = admins.audit_log(None, 2).await.unwrap();
    let second = admins.audit_log(first.next.as_ref(), 2).await.unwrap();
    let all: Vec<_> = first.items.into_iter().chain(second.items).map(|audited| audited.entry).collect();
    assert_eq!((all, second.next), (vec![entry(3), entry(2), entry(1)], None));
}
