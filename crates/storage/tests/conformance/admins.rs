//! Administrators, their sessions, invitations and tokens, the audit log.

use greenroom_protocol::{AdminId, AdminSessionId, InviteId, PersonalTokenId};
use greenroom_storage::{Admin, AdminInvite, AdminRole, AdminSession, NewAudit, PersonalToken, StorageError};

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
        id: AdminSessionId::new(format!("session-{token}")).unwrap(),
        token_hash: [token; 32],
        admin: of.id.clone(),
        csrf_secret: [9; 32],
        address: Some("192.0.2.1".to_owned()),
        user_agent: None,
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

pub(crate) async fn sessions_are_listed_and_ended_by_their_owner(fixture: Fixture) {
    let admins = fixture.storage.admins();
    let (ada, bo) = (admin("a1", "ada"), admin("a2", "bo"));
    for (admin, token) in [(&ada, 1), (&bo, 2)] {
        admins.create(admin).await.unwrap();
        admins.create_session(&session(token, admin)).await.unwrap();
    }
    assert_eq!(admins.sessions_of(&ada.id, at(50), 10).await.unwrap(), vec![session(1, &ada)]);
    assert!(admins.sessions_of(&ada.id, at(100), 10).await.unwrap().is_empty(), "it has expired");
    let of_bo = session(2, &bo).id;
    assert!(!admins.end_session_of(&ada.id, &of_bo, at(50)).await.unwrap(), "another's");
    assert!(admins.end_session_of(&bo.id, &of_bo, at(50)).await.unwrap());
    assert!(!admins.end_session_of(&bo.id, &of_bo, at(51)).await.unwrap(), "ended before");
    assert!(admins.sessions_of(&bo.id, at(50), 10).await.unwrap().is_empty());
}

fn invite(id: &str, token: u8, by: &Admin) -> AdminInvite {
    AdminInvite {
        id: InviteId::new(id).unwrap(),
        token_hash: [token; 32],
        role: AdminRole::Operator,
        invited_by: by.id.clone(),
        created_at: at(1),
        expires_at: at(100),
    }
}

pub(crate) async fn an_invitation_is_spent_once(fixture: Fixture) {
    let storage = &fixture.storage;
    let ada = admin("a1", "ada");
    assert!(matches!(
        storage.admin_invites().create(&invite("i1", 1, &ada)).await,
        Err(StorageError::NotFound { .. })
    ));
    storage.admins().create(&ada).await.unwrap();
    storage.admin_invites().create(&invite("i1", 1, &ada)).await.unwrap();
    assert_eq!(storage.admin_invites().find(&[1; 32]).await.unwrap(), Some(invite("i1", 1, &ada)));
    assert_eq!(storage.admin_invites().list(at(50), 10).await.unwrap().len(), 1);
    assert!(storage.admin_invites().list(at(100), 10).await.unwrap().is_empty());
    let accept = async |id: &str, name: &str, now: i64| {
        storage.apply(storage.admin_invites().accept_unit(&[1; 32], &admin(id, name), at(now))).await
    };
    assert!(matches!(accept("a2", "bo", 100).await, Err(StorageError::NotFound { .. })), "too late");
    assert!(matches!(accept("a2", "ada", 50).await, Err(StorageError::Conflict { .. })), "the name is taken");
    accept("a2", "bo", 50).await.expect("a refused name has not spent it");
    assert!(matches!(accept("a3", "cy", 50).await, Err(StorageError::NotFound { .. })), "spent");
    assert_eq!(storage.admins().find("cy").await.unwrap(), None);
}

pub(crate) async fn invitations_end_with_the_right_to_make_them(fixture: Fixture) {
    let storage = &fixture.storage;
    let (ada, bo) = (admin("a1", "ada"), admin("a2", "bo"));
    for (one, id, token) in [(&ada, "i1", 1), (&bo, "i2", 2)] {
        storage.admins().create(one).await.unwrap();
        storage.admin_invites().create(&invite(id, token, one)).await.unwrap();
    }
    storage.admins().set_role(&ada.id, AdminRole::Viewer).await.unwrap();
    assert_eq!(storage.admin_invites().list(at(50), 10).await.unwrap(), vec![invite("i2", 2, &bo)]);
    assert!(storage.admins().delete(&bo.id).await.unwrap());
    assert!(storage.admin_invites().list(at(50), 10).await.unwrap().is_empty());
    storage.admin_invites().create(&invite("i3", 3, &ada)).await.unwrap();
    assert!(storage.admin_invites().delete(&InviteId::new("i3").unwrap()).await.unwrap());
    assert!(!storage.admin_invites().delete(&InviteId::new("i3").unwrap()).await.unwrap());
    storage.admin_invites().create(&invite("i4", 4, &ada)).await.unwrap();
    assert_eq!(storage.admin_invites().delete_expired(at(101), 10).await.unwrap(), 1);
}

pub(crate) async fn a_personal_token_has_its_administrators_role(fixture: Fixture) {
    let storage = &fixture.storage;
    let mut ada = admin("a1", "ada");
    let token = PersonalToken {
        id: PersonalTokenId::new("t1").unwrap(),
        token_hash: [1; 32],
        admin: ada.id.clone(),
        name: "laptop".to_owned(),
        created_at: at(1),
        expires_at: Some(at(100)),
        last_used_at: None,
    };
    assert!(matches!(storage.personal_tokens().create(&token).await, Err(StorageError::NotFound { .. })));
    storage.admins().create(&ada).await.unwrap();
    storage.personal_tokens().create(&token).await.unwrap();
    storage.admins().set_role(&ada.id, AdminRole::Viewer).await.unwrap();
    ada.role = AdminRole::Viewer;
    assert_eq!(storage.personal_tokens().find(&[1; 32]).await.unwrap(), Some((token.clone(), ada.clone())));
    assert!(token.is_live(at(99)) && !token.is_live(at(100)));
    storage.personal_tokens().touch(&token.id, at(50)).await.unwrap();
    storage.personal_tokens().touch(&token.id, at(40)).await.unwrap();
    let listed = storage.personal_tokens().list(&ada.id, 10).await.unwrap();
    assert_eq!(listed, vec![PersonalToken { last_used_at: Some(at(50)), ..token.clone() }]);
    let another = AdminId::new("a2").unwrap();
    assert!(!storage.personal_tokens().delete(&another, &token.id).await.unwrap());
    assert!(storage.personal_tokens().delete(&ada.id, &token.id).await.unwrap());
    storage.personal_tokens().create(&token).await.unwrap();
    storage.admins().delete(&ada.id).await.unwrap();
    assert_eq!(storage.personal_tokens().find(&[1; 32]).await.unwrap(), None);
}

pub(crate) async fn the_audit_log_pages_backwards(fixture: Fixture) {
    let audit = fixture.storage.audit();
    let entry = |number: i64| NewAudit {
        at: at(number),
        actor: "admin:ada".to_owned(),
        via: "console".to_owned(),
        address: (number == 2).then(|| "192.0.2.1".to_owned()),
        action: "server.stop".to_owned(),
        subject: format!("server-{number}"),
        detail: serde_json::json!({ "grace_ms": number }),
    };
    for number in 1..=3 {
        audit.append(&entry(number)).await.unwrap();
    }
    let first = audit.list(None, 2).await.unwrap();
    let second = audit.list(first.next.as_ref(), 2).await.unwrap();
    let all: Vec<_> = first.items.into_iter().chain(second.items).map(|audited| audited.entry).collect();
    assert_eq!((all, second.next), (vec![entry(3), entry(2), entry(1)], None));
}

pub(crate) async fn the_audit_log_is_bounded(fixture: Fixture) {
    let audit = fixture.storage.audit();
    for number in 1..=6 {
        let entry = NewAudit {
            at: at(number),
            actor: "admin:ada".to_owned(),
            via: "console".to_owned(),
            address: None,
            action: "server.stop".to_owned(),
            subject: format!("server-{number}"),
            detail: serde_json::Value::Null,
        };
        audit.append(&entry).await.unwrap();
    }
    let left = async || {
        let page = audit.list(None, 10).await.unwrap();
        page.items.iter().rev().map(|one| one.entry.at.as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(audit.delete_before(at(3), 1).await.unwrap(), 1);
    assert_eq!(audit.delete_before(at(3), 10).await.unwrap(), 1);
    assert_eq!(left().await, [3, 4, 5, 6]);
    assert_eq!(audit.delete_beyond(2, 10).await.unwrap(), 2);
    assert_eq!(audit.delete_beyond(2, 10).await.unwrap(), 0);
    assert_eq!(left().await, [5, 6]);
}
