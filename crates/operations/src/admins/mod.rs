//! Administrators of the installation: who they are and what they may do; how they are let in, and the
//! audit log of what they did.

mod audit;
mod invites;
mod sessions;
mod tokens;

use std::{sync::Arc, time::Duration};

use greenroom_protocol::{AdminId, ErrorCode, Timestamp};
use greenroom_storage::{Admin, AdminRole, Cursor, Page, Storage, StorageError};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    context::Clock,
    failure::Failure,
    passwords::{self, Passwords},
    principal::AdminPrincipal,
    secret,
};

pub use audit::{Actor, Via};
pub use invites::{INVITE_TERM_DEFAULT, INVITE_TERM_MAX, INVITES_MAX};
pub use sessions::{ConsoleClient, NewConsoleSession, SignedInAdmin};
pub use tokens::{PERSONAL_TOKEN_PREFIX, PERSONAL_TOKENS_MAX, TOKEN_NAME_CHARS_MAX};

/// Longest name of an administrator, in characters.
pub const ADMIN_NAME_CHARS_MAX: usize = 64;

/// How often what has expired is deleted.
const TIDY_EVERY: Duration = Duration::from_hours(1);

/// Rows that one commit deletes at most, so that nothing else waits for it.
const TIDY_ROWS_MAX: u32 = 500;

/// Name of the administrator that the installation's own token stands for.
const ROOT_NAME: &str = "root";

/// Administrators. Cheap to clone.
#[derive(Clone)]
pub struct Admins {
    storage: Storage,
    clock: Arc<dyn Clock>,
    token_hash: [u8; 32],
    passwords: Passwords,
    terms: AdminTerms,
}

/// How long things of administrators last.
#[derive(Clone, Copy, Debug)]
pub struct AdminTerms {
    /// A sign-in to the console.
    pub session: Duration,
    /// An entry of the audit log.
    pub audit: Duration,
}

impl Admins {
    /// The administrators that `storage` holds, and whoever has `admin_token`.
    pub async fn open(
        storage: Storage,
        clock: Arc<dyn Clock>,
        admin_token: &str,
        terms: AdminTerms,
    ) -> Result<Self, Failure> {
        let admins = Self {
            storage,
            clock,
            token_hash: secret::hash(admin_token),
            // Their own, so that no crowd of players keeps an operator out.
            passwords: Passwords::default(),
            terms,
        };
        admins.root().await?;
        Ok(admins)
    }

    /// Deletes what has expired, again and again, until `shutdown`.
    pub fn tidy_up(&self, tracker: &TaskTracker, shutdown: CancellationToken) {
        let admins = self.clone();
        let tidying = async move {
            let mut ticks = interval(TIDY_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Err(error) = admins.tidy_once().await {
                    tracing::warn!(%error, "expired sessions, invitations and audit entries could not be deleted");
                }
            }
        };
        // Cancelled anywhere it leaves nothing half done: every commit is whole.
        tracker.spawn(async move { shutdown.run_until_cancelled(tidying).await });
    }

    /// Who presents the installation's admin token.
    pub fn authenticate_token(&self, token: &str) -> Result<AdminPrincipal, Failure> {
        if secret::equal(&secret::hash(token), &self.token_hash) {
            let id = AdminId::new(ROOT_NAME).map_err(Failure::internal)?;
            Ok(AdminPrincipal { id, name: ROOT_NAME.into(), role: AdminRole::Owner, via: Via::AdminToken })
        } else {
            Err(Failure::new(ErrorCode::Unauthorized, "The admin token is not the one of this installation."))
        }
    }

    /// Adds an administrator who signs in with a password.
    pub async fn add(&self, name: &str, password: &str, role: AdminRole) -> Result<Admin, Failure> {
        let name = checked_name(name)?;
        passwords::check(password)?;
        let admin = Admin {
            id: AdminId::new(Uuid::now_v7().to_string()).map_err(Failure::internal)?,
            name: name.to_owned(),
            password_hash: Some(self.passwords.hash(password.to_owned()).await?),
            role,
            created_at: self.clock.now(),
        };
        self.storage.admins().create(&admin).await.map_err(|error| match error {
            StorageError::Conflict { .. } => name_taken(),
            other => Failure::storage(other),
        })?;
        Ok(admin)
    }

    /// An administrator.
    pub async fn get(&self, id: &AdminId) -> Result<Admin, Failure> {
        self.storage.admins().get(id).await.map_err(Failure::storage)?.ok_or_else(no_such_admin)
    }

    /// Gives an administrator another role, which holds at its next request; its open invitations are
    /// withdrawn. The one that the admin token stands for stays an owner, so that there is always one.
    pub async fn set_role(&self, id: &AdminId, role: AdminRole) -> Result<Admin, Failure> {
        let admin = self.get(id).await?;
        not_root(id, "The administrator that the admin token stands for is always an owner.")?;
        self.storage.admins().set_role(id, role).await.map_err(|error| match error {
            StorageError::NotFound { .. } => no_such_admin(),
            other => Failure::storage(other),
        })?;
        Ok(Admin { role, ..admin })
    }

    /// Gives an administrator who knows its present password another one, and ends its sessions.
    pub async fn change_password(&self, id: &AdminId, current: &str, password: &str) -> Result<(), Failure> {
        let admin = self.get(id).await?;
        if admin.password_hash.is_none() {
            let sentence = "This administrator signs in with the admin token, which is not changed here.";
            return Err(Failure::new(ErrorCode::Conflict, sentence));
        }
        passwords::check(password)?;
        if !self.passwords.verify(current.to_owned(), admin.password_hash).await? {
            return Err(Failure::new(ErrorCode::Invalid, "The present password is not right."));
        }
        let hash = self.passwords.hash(password.to_owned()).await?;
        self.storage.admins().set_password(id, &hash, self.clock.now()).await.map_err(Failure::storage)
    }

    /// Removes an administrator with its sessions, tokens and invitations, at once. The one that the admin
    /// token stands for stays: there is always an owner.
    pub async fn remove(&self, id: &AdminId) -> Result<Admin, Failure> {
        let admin = self.get(id).await?;
        not_root(id, "The administrator that the admin token stands for cannot be removed.")?;
        let is_removed = self.storage.admins().delete(id).await.map_err(Failure::storage)?;
        if is_removed { Ok(admin) } else { Err(no_such_admin()) }
    }

    /// The administrators.
    pub async fn list(&self, after: Option<&Cursor>, limit: u32) -> Result<Page<Admin>, Failure> {
        self.storage.admins().list(after, limit).await.map_err(Failure::storage)
    }

    async fn tidy_once(&self) -> Result<(), StorageError> {
        let now = self.clock.now();
        let audit_ms = i64::try_from(self.terms.audit.as_millis()).unwrap_or(i64::MAX);
        let audit_before = Timestamp::from_millis(now.as_millis().saturating_sub(audit_ms));
        loop {
            let sessions = self.storage.admins().delete_expired_sessions(now, TIDY_ROWS_MAX).await?;
            let invites = self.storage.admin_invites().delete_expired(now, TIDY_ROWS_MAX).await?;
            let entries = self.prune_audit(audit_before, TIDY_ROWS_MAX).await?;
            if sessions + invites + entries == 0 {
                return Ok(());
            }
            tracing::debug!(sessions, invites, entries, "deleted what has expired");
        }
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

fn checked_name(name: &str) -> Result<&str, Failure> {
    let name = name.trim();
    if (1..=ADMIN_NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(name);
    }
    let sentence =
        format!("`name` has 1 to {ADMIN_NAME_CHARS_MAX} characters, none of them a control character.");
    Err(Failure::new(ErrorCode::Invalid, sentence))
}

fn not_root(id: &AdminId, otherwise: &'static str) -> Result<(), Failure> {
    if id.as_str() == ROOT_NAME { Err(Failure::new(ErrorCode::Conflict, otherwise)) } else { Ok(()) }
}

fn no_such_admin() -> Failure {
    Failure::new(ErrorCode::NotFound, "There is no such administrator.")
}

fn name_taken() -> Failure {
    Failure::new(ErrorCode::Conflict, "There is an administrator of this name.")
}
