//! API keys of a studio: what makes one, and how they are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{GameId, KeyId, StudioId, Timestamp};

/// How a new key is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateKey {
    /// A name for people: 1 to 100 characters.
    pub name: String,
    /// Whose; that of the asking key unless given.
    #[serde(default)]
    pub studio: Option<StudioId>,
    /// The one game it is good for; all of the studio's unless given.
    #[serde(default)]
    pub game: Option<GameId>,
    /// May allocate, list and stop game servers.
    #[serde(default)]
    pub hosting: bool,
    /// May do whatever the studio may do, making keys included.
    #[serde(default)]
    pub admin: bool,
    /// Filters of the subjects it may append to; at most 32.
    #[serde(default)]
    pub publish: Vec<String>,
    /// Filters of the subjects it may read; at most 32.
    #[serde(default)]
    pub subscribe: Vec<String>,
    /// When it ends; never unless given.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    /// The public half.
    pub id: KeyId,
    /// A name for people.
    pub name: String,
    /// Whose.
    pub studio: StudioId,
    /// The one game it is good for; all of the studio's if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub game: Option<GameId>,
    /// May allocate, list and stop game servers.
    pub hosting: bool,
    /// May do whatever the studio may do.
    pub admin: bool,
    /// Filters of the subjects it may append to.
    pub publish: Vec<String>,
    /// Filters of the subjects it may read.
    pub subscribe: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// When it was last presented, to within a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    /// What its holder presents; shown this once and not kept.
    pub key: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub view: KeyView,
}

/// A page of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// Newest first, revoked ones included.
    pub keys: Vec<KeyView>,
    /// Gets the next page as `?cursor=`; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
