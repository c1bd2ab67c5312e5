//! Administrators of the installation: what adds one, how they are let in, and what they did.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AdminId, AdminSessionId, InviteId, PersonalTokenId, Timestamp};

/// A new administrator, who signs in to the console.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddAdmin {
    /// The name to sign in with: 1 to 64 characters, unique.
    pub name: String,
    /// 10 characters or more, at most 256 bytes.
    pub password: String,
    /// What this one may do; `operator` unless given.
    #[serde(default)]
    pub role: Role,
}

/// What an administrator may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See everything but secrets.
    Viewer,
    /// The same, and do what running the games takes.
    #[default]
    Operator,
    /// Everything: administrators, API keys and what cannot be taken back included.
    Owner,
}

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminView {
    /// Unique for ever.
    pub id: AdminId,
    /// The name to sign in with.
    pub name: String,
    /// What this one may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A page of administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminList {
    /// In the order of their names.
    pub admins: Vec<AdminView>,
    /// Gets the next page as `?cursor=`; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Another role for an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeAdmin {
    /// What this one may do from now on.
    pub role: Role,
}

/// Another password for oneself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangePassword {
    /// The present one.
    pub current: String,
    /// The new one: 10 characters or more, at most 256 bytes.
    pub password: String,
}

/// How somebody is to be invited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateInvite {
    /// What the invited person may do; `operator` unless given.
    #[serde(default)]
    pub role: Role,
    /// When the link ends: in three days unless given, in 30 at most.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// An invitation that nobody has accepted yet, without its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InviteView {
    /// Unique for ever.
    pub id: InviteId,
    /// What the invited person may do.
    pub role: Role,
    /// Who invited.
    pub invited_by: AdminId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the link ends.
    pub expires_at: Timestamp,
}

/// A new invitation, with what is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewInvite {
    /// What is presented to accept it.
    pub token: String,
    /// The link's path below the console's host.
    pub path: String,
    /// The rest.
    #[serde(flatten)]
    pub view: InviteView,
}

/// The invitations that nobody has accepted yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteList {
    /// Those first that end first.
    pub invites: Vec<InviteView>,
}

/// What an invited person answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptInvite {
    /// The invitation's token.
    pub token: String,
    /// The name to sign in with: 1 to 64 characters, unique.
    pub name: String,
    /// 10 characters or more, at most 256 bytes.
    pub password: String,
}

/// A sign-in at the console that is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminSessionView {
    /// Unique for ever.
    pub id: AdminSessionId,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How the browser called itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// An administrator's sign-ins at the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminSessionList {
    /// Newest first.
    pub sessions: Vec<AdminSessionView>,
}

/// How a new personal token is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatePersonalToken {
    /// A name for people: 1 to 100 characters.
    pub name: String,
    /// When it ends; never unless given.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A personal token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonalTokenView {
    /// Unique for ever.
    pub id: PersonalTokenId,
    /// A name for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last presented, to within a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// A new personal token, with what is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewPersonalToken {
    /// What is presented as `Authorization: Bearer …`.
    pub token: String,
    /// The rest.
    #[serde(flatten)]
    pub view: PersonalTokenView,
}

/// An administrator's personal tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonalTokenList {
    /// Newest first.
    pub tokens: Vec<PersonalTokenView>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditView {
    /// When.
    pub at: Timestamp,
    /// Who: `admin:<name>`, `key:<id>`, `server:<id>`.
    pub actor: String,
    /// By what: `console`, `admin-token`, `personal-token`, `api-key`, `server-token`, `invitation`.
    pub via: String,
    /// From where, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What: `server.stop`, `player.ban`, …
    pub action: String,
    /// To what: an id.
    pub subject: String,
    /// Anything further.
    pub detail: serde_json::Value,
}

/// A page of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditView>,
    /// Gets the next page as `?cursor=`; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
