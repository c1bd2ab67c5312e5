//! Administrators of the installation: what adds one, and how they are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AdminId, Timestamp};

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Look, and act on what runs.
    #[default]
    Operator,
    /// Everything, administrators included.
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
