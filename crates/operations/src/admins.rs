//! Administrators of the installation: signing in to the console, sessions, the audit log.

use std::{sync::Arc, time::Duration};

use greenroom_protocol::{AdminId, ErrorCode};
use greenroom_storage::{
    Admin, AdminRole, AdminSession, AuditEntry, Cursor, NewAudit, Page, Storage, StorageError,
};
use uuid::Uuid;

use crate::{
    context::Clock,
    failure::Failure,
    passwords::{self, Passwords},
    secret,
};

/// Name of the administrator that the installation's own token stands for.
const ROOT_NAME: &str = "root";

/// Administrators. Cheap to clone.
#[derive(Clone)]
pub struct Admins {
    storage: Storage,
    clock: Arc<dyn Clock>,
    token_hash: [u8; 32],
    passwords: Passwords,
    session_ttl: Duration,
}

/// An administrator whose session is good.
#[derive(Clone, Debug)]
pub struct SignedInAdmin {
    /// Who.
    pub id: AdminId,
    /// How this one is called.
    pub name: String,
    /// What this one may do.
    pub role: AdminRole,
    /// What every change made from a page must carry.
    pub csrf_token: String,
}

/// A new session: both are for the browser alone.
pub struct NewConsoleSession {
    /// The cookie's value.
    pub token: String,
    /// Who signed in.
    pub admin: SignedInAdmin,
}

impl Admins {
    /// The administrators that `storage` holds, and whoever has `admin_token`; a sign-in lasts
    /// `session_ttl`.
    pub async fn open(
        storage: Storage,
        clock: Arc<dyn Clock>,
        admin_token: &str,
        session_ttl: Duration,
    ) -> Result<Self, Failure> {
        let admins = Self {
            storage,
            clock,
            token_hash: secret::hash(admin_token),
            // Their own, so that no crowd of players keeps an operator out.
            passwords: Passwords::default(),
            session_ttl,
        };
        admins.root().await?;
        Ok(admins)
    }

    /// Who presents the installation's admin token.
    pub fn authenticate_token(&self, token: &str) -> Result<AdminId, Failure> {
        if secret::equal(&secret::hash(token), &self.token_hash) {
            AdminId::new(ROOT_NAME).map_err(Failure::internal)
        } else {
            Err(Failure::new(ErrorCode::Unauthorized, "The admin token is not the one of this installation."))
        }
    }

    /// Signs in to the console with the admin token, or with a name and a password.
    pub async fn sign_in(&self, name: Option<&str>, password: &str) -> Result<NewConsoleSession, Failure> {
        let refused = || {
            Failure::new(ErrorCode::Unauthorized, "This is not right. Check what you typed and try again.")
        };
        let admin = match name.map(str::trim).filter(|name| !name.is_empty()) {
            None => {
                self.authenticate_token(password).map_err(|_| refused())?;
                self.root().await?
            }
            Some(name) => {
                let admin = self.storage.admins().find(name).await.map_err(Failure::storage)?;
                let hash = admin.as_ref().and_then(|admin| admin.password_hash.clone());
                // A name that is not there costs as much time as one that is.
                let good = self.passwords.verify(password.to_owned(), hash).await?;
                admin.filter(|_| good).ok_or_else(refused)?
            }
        };
        let token = secret::new_secret()?;
        let now = self.clock.now();
        let session = AdminSession {
            token_hash: secret::hash(&token),
            admin: admin.id.clone(),
            csrf_secret: secret::hash(&csrf_of(&token)),
            created_at: now,
            expires_at: now.after(self.session_ttl),
            ended_at: None,
        };
        self.storage.admins().create_session(&session).await.map_err(Failure::storage)?;
        self.audit(&admin.name, "signed_in", "console", serde_json::Value::Null).await;
        let admin =
            SignedInAdmin { id: admin.id, name: admin.name, role: admin.role, csrf_token: csrf_of(&token) };
        Ok(NewConsoleSession { token, admin })
    }

    /// Whose session cookie this is.
    pub async fn session(&self, token: &str) -> Result<SignedInAdmin, Failure> {
        let refused = || Failure::new(ErrorCode::Unauthorized, "Sign in to see this.");
        let found = self.storage.admins().session(&secret::hash(token)).await.map_err(Failure::storage)?;
        let (session, admin) = found.ok_or_else(refused)?;
        if !session.is_live(self.clock.now()) {
            return Err(refused());
        }
        Ok(SignedInAdmin { id: admin.id, name: admin.name, role: admin.role, csrf_token: csrf_of(token) })
    }

    /// Ends a session of the console.
    pub async fn sign_out(&self, token: &str) -> Result<(), Failure> {
        let now = self.clock.now();
        self.storage.admins().end_session(&secret::hash(token), now).await.map(drop).map_err(Failure::storage)
    }

    /// Adds an administrator who signs in with a password.
    pub async fn add(&self, name: &str, password: &str, role: AdminRole) -> Result<Admin, Failure> {
        let name = name.trim();
        let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if !fits {
            return Err(Failure::new(
                ErrorCode::Invalid,
                "`name` has 1 to 64 characters, none of them a control character.",
            ));
        }
        passwords::check(password)?;
        let admin = Admin {
            id: AdminId::new(Uuid::now_v7().to_string()).map_err(Failure::internal)?,
            name: name.to_owned(),
            password_hash: Some(self.passwords.hash(password.to_owned()).await?),
            role,
            created_at: self.clock.now(),
        };
        self.storage.admins().create(&admin).await.map_err(|error| match error {
            StorageError::Conflict { .. } => {
                Failure::new(ErrorCode::Conflict, "There is an administrator of this name.")
            }
            other => Failure::storage(other),
        })?;
        Ok(admin)
    }

    /// Removes an administrator and ends its sessions at once. The one that the admin token stands for
    /// stays, or nobody could add another.
    pub async fn remove(&self, id: &AdminId) -> Result<Admin, Failure> {
        let repository = self.storage.admins();
        let found = repository.get(id).await.map_err(Failure::storage)?;
        let gone = || Failure::new(ErrorCode::NotFound, "There is no such administrator.");
        let admin = found.ok_or_else(gone)?;
        if id.as_str() == ROOT_NAME {
            let sentence = "The administrator that the admin token stands for cannot be removed.";
            return Err(Failure::new(ErrorCode::Conflict, sentence));
        }
        if repository.delete(id).await.map_err(Failure::storage)? { Ok(admin) } else { Err(gone()) }
    }

    /// The administrators.
    pub async fn list(&self, after: Option<&Cursor>, limit: u32) -> Result<Page<Admin>, Failure> {
        self.storage.admins().list(after, limit).await.map_err(Failure::storage)
    }

    /// Writes down what an administrator did.
    pub async fn audit(&self, actor: &str, action: &str, subject: &str, detail: serde_json::Value) {
        let entry = NewAudit {
            at: self.clock.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail,
        };
        if let Err(error) = self.storage.admins().audit(&entry).await {
            tracing::error!(actor, action, subject, %error, "a deed could not be written into the audit log");
        }
    }

    /// What administrators did, newest first.
    pub async fn audit_log(&self, after: Option<&Cursor>, limit: u32) -> Result<Page<AuditEntry>, Failure> {
        self.storage.admins().audit_log(after, limit).await.map_err(Failure::storage)
    }

    /// The administrator that the admin token stands for; made at the first start.
    async fn root(&self) -> Result<Admin, Failure> {
        let repository = self.storage.admins();
        if let Some(admin) = repository.find(ROOT_NAME).await.map_err(Failure::storage)? {
            return Ok(admin);
        }
        let admin = Admin {
            id: AdminId::new(ROOT_NAME).map_err(Failure::internal)?,
            name: ROOT_NAME.into(),
            password_hash: None,
            role: AdminRole::Owner,
            created_at: self.clock.now(),
        };
        repository.create(&admin).await.map_err(Failure::storage)?;
        Ok(admin)
    }
}

/// The token that a page's forms carry: made of the session's, and good for nothing else.
fn csrf_of(session_token: &str) -> String {
    secret::hex(&secret::hash(&format!("csrf:{session_token}")))
}
