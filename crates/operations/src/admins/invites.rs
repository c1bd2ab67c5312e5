//! Invitations: a link that is good once and for a while, by which somebody becomes an administrator.

use std::time::Duration;

use greenroom_protocol::{AdminId, ErrorCode, InviteId, Timestamp};
use greenroom_storage::{Admin, AdminInvite, AdminRole, StorageError};
use uuid::Uuid;

use super::{Actor, Admins, ConsoleClient, NewConsoleSession, Via};
use crate::{failure::Failure, passwords, secret};

/// Invitations that are open at once; one more is refused.
pub const INVITES_MAX: usize = 100;

/// How long a link is good unless said otherwise.
pub const INVITE_TERM_DEFAULT: Duration = Duration::from_hours(3 * 24);

/// How long a link is good at most.
pub const INVITE_TERM_MAX: Duration = Duration::from_hours(30 * 24);

const PREFIX: &str = "gi_";

impl Admins {
    /// Invites somebody to become an administrator. The token that it gives is shown this once; only its
    /// hash is kept.
    pub async fn invite(
        &self,
        by: &AdminId,
        role: AdminRole,
        expires_at: Option<Timestamp>,
    ) -> Result<(AdminInvite, String), Failure> {
        let now = self.clock.now();
        let expires_at = expires_at.unwrap_or(now.after(INVITE_TERM_DEFAULT));
        if expires_at <= now || expires_at > now.after(INVITE_TERM_MAX) {
            let sentence = "`expiresAt` lies in the future, and at most 30 days ahead.";
            return Err(Failure::new(ErrorCode::Invalid, sentence));
        }
        if self.invites().await?.len() >= INVITES_MAX {
            let sentence = format!("There are {INVITES_MAX} open invitations. Withdraw one, and try again.");
            return Err(Failure::new(ErrorCode::LimitReached, sentence));
        }
        let token = format!("{PREFIX}{}", secret::new_secret()?);
        let invite = AdminInvite {
            id: InviteId::new(Uuid::now_v7().to_string()).map_err(Failure::internal)?,
            token_hash: secret::hash(&token),
            role,
            invited_by: by.clone(),
            created_at: now,
            expires_at,
        };
        self.storage.admin_invites().create(&invite).await.map_err(Failure::storage)?;
        Ok((invite, token))
    }

    /// The invitations that are open.
    pub async fn invites(&self) -> Result<Vec<AdminInvite>, Failure> {
        let (now, limit) = (self.clock.now(), INVITES_MAX as u32);
        self.storage.admin_invites().list(now, limit).await.map_err(Failure::storage)
    }

    /// The invitation of this token, if it is open.
    pub async fn invitation(&self, token: &str) -> Result<AdminInvite, Failure> {
        let found =
            self.storage.admin_invites().find(&secret::hash(token)).await.map_err(Failure::storage)?;
        found.filter(|invite| self.clock.now() < invite.expires_at).ok_or_else(gone)
    }

    /// Withdraws an invitation: its link is worth nothing any more.
    pub async fn withdraw_invite(&self, id: &InviteId) -> Result<(), Failure> {
        if self.storage.admin_invites().delete(id).await.map_err(Failure::storage)? {
            Ok(())
        } else {
            Err(Failure::new(ErrorCode::NotFound, "There is no such invitation."))
        }
    }

    /// Accepts an invitation: makes the administrator that it was for. It is spent in the same commit, so
    /// that of two who accept at once one becomes an administrator.
    pub async fn accept_invite(
        &self,
        token: &str,
        name: &str,
        password: &str,
        client: &ConsoleClient,
    ) -> Result<Admin, Failure> {
        let name = super::checked_name(name)?;
        passwords::check(password)?;
        let invite = self.invitation(token).await?;
        let admin = Admin {
            id: AdminId::new(Uuid::now_v7().to_string()).map_err(Failure::internal)?,
            name: name.to_owned(),
            password_hash: Some(self.passwords.hash(password.to_owned()).await?),
            role: invite.role,
            created_at: self.clock.now(),
        };
        let actor = Actor::admin(&admin.name, Via::Invitation, client.address);
        let detail = serde_json::json!({
            "name": admin.name, "role": admin.role.as_str(), "invitation": invite.id, "invitedBy": invite.invited_by,
        });
        let entry = self.audit_entry(&actor, "invite.accept", admin.id.as_str(), detail);
        let unit = self.storage.admin_invites().accept_unit(&invite.token_hash, &admin, self.clock.now());
        let unit = unit.and(self.storage.audit().append_unit(&entry));
        self.storage.apply(unit).await.map_err(|error| match error {
            StorageError::NotFound { .. } => gone(),
            StorageError::Conflict { .. } => super::name_taken(),
            other => Failure::storage(other),
        })?;
        tracing::info!(
            admin = admin.name,
            role = admin.role.as_str(),
            "somebody became an administrator by invitation"
        );
        Ok(admin)
    }

    /// The same at the console, where who accepts is signed in at once.
    pub async fn join(
        &self,
        token: &str,
        name: &str,
        password: &str,
        client: ConsoleClient,
    ) -> Result<NewConsoleSession, Failure> {
        let admin = self.accept_invite(token, name, password, &client).await?;
        self.begin_session(admin, client).await
    }
}

fn gone() -> Failure {
    let sentence = "This invitation is not good any more: it was used, withdrawn, or its time is over. Ask for another one.";
    Failure::new(ErrorCode::NotFound, sentence)
}
