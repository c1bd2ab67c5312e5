//! The audit log: every change that an administrator or a studio's program makes is written down, with
//! who, by what, from where.

use std::net::IpAddr;

use greenroom_protocol::{
    ServerId, Timestamp,
    admins::{AuditPage, AuditView},
};
use greenroom_storage::{Cursor, NewAudit, StorageError};

use super::Admins;
use crate::{
    failure::Failure,
    principal::{AdminPrincipal, Principal},
};

/// Most entries that are kept; the oldest make room.
const AUDIT_ENTRIES_MAX: u32 = 1_000_000;

/// By what somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The pages of the console.
    Console,
    /// The admin token of the installation.
    AdminToken,
    /// An administrator's own token.
    PersonalToken,
    /// A studio's API key.
    ApiKey,
    /// A game server's own token.
    ServerToken,
    /// The link of an invitation.
    Invitation,
}

impl Via {
    /// As it is written in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::AdminToken => "admin-token",
            Self::PersonalToken => "personal-token",
            Self::ApiKey => "api-key",
            Self::ServerToken => "server-token",
            Self::Invitation => "invitation",
        }
    }
}

/// Who does something, by what, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who: `admin:<name>`, `key:<id>`, `server:<id>`.
    pub name: String,
    /// By what.
    pub via: Via,
    /// From where, as far as it is known.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// An administrator of this name.
    pub fn admin(name: &str, via: Via, address: Option<IpAddr>) -> Self {
        Self { name: format!("admin:{name}"), via, address }
    }

    /// Who presented credentials to the API.
    pub fn of(principal: &Principal, address: Option<IpAddr>) -> Self {
        let of_server = |id: &ServerId| format!("server:{id}");
        match principal {
            Principal::Admin(AdminPrincipal { name, via, .. }) => Self::admin(name, *via, address),
            Principal::Key(key) => Self { name: format!("key:{}", key.id), via: Via::ApiKey, address },
            Principal::Server(server) => Self { name: of_server(&server.id), via: Via::ServerToken, address },
        }
    }
}

impl Admins {
    /// Writes down what `actor` did. What was done stays done if it cannot be written; that is an error in
    /// the log of the program, with all that the entry would have said.
    pub async fn audit(&self, actor: &Actor, action: &str, subject: &str, detail: serde_json::Value) {
        let entry = self.audit_entry(actor, action, subject, detail);
        if let Err(error) = self.storage.audit().append(&entry).await {
            metrics::counter!("greenroom_audit_failures_total").increment(1);
            let NewAudit { actor, via, address, detail, .. } = &entry;
            tracing::error!(actor, via, address, action, subject, %detail, %error, "a change could not be written into the audit log");
        }
    }

    /// What was done, newest first.
    pub async fn audit_log(&self, after: Option<&Cursor>, limit: u32) -> Result<AuditPage, Failure> {
        let page = self.storage.audit().list(after, limit).await.map_err(|error| match error {
            StorageError::BadCursor => Failure::bad_cursor(),
            other => Failure::storage(other),
        })?;
        let entries = page.items.into_iter().map(|one| one.entry).map(|entry| AuditView {
            at: entry.at,
            actor: entry.actor,
            via: entry.via,
            address: entry.address,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
        });
        Ok(AuditPage { entries: entries.collect(), next: page.next.map(|cursor| cursor.to_string()) })
    }

    pub(super) fn audit_entry(
        &self,
        actor: &Actor,
        action: &str,
        subject: &str,
        detail: serde_json::Value,
    ) -> NewAudit {
        NewAudit {
            at: self.clock.now(),
            actor: actor.name.clone(),
            via: actor.via.as_str().to_owned(),
            address: actor.address.map(|address| address.to_string()),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail,
        }
    }

    /// Deletes one chunk of what is too old or too much, and says how many entries that were.
    pub(super) async fn prune_audit(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let audit = self.storage.audit();
        Ok(audit.delete_before(before, limit).await? + audit.delete_beyond(AUDIT_ENTRIES_MAX, limit).await?)
    }
}
