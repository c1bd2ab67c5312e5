//! A game's players and bans, as its studio sees them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    PlayerId, Timestamp,
    auth::{BanView, DiscordUser},
};

/// A player.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlayerView {
    /// Unique for ever.
    pub id: PlayerId,
    /// How it is called; not unique.
    pub username: String,
    /// The Discord user it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discord: Option<DiscordUser>,
    /// When it signed in for the first time.
    pub created_at: Timestamp,
    /// When it last signed in.
    pub last_seen_at: Timestamp,
    /// Its ban, if one holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ban: Option<BanView>,
}

/// A page of players.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlayerPage {
    /// In the order of their names.
    pub players: Vec<PlayerView>,
    /// Gets the next page as `?cursor=`; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A page of bans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BanPage {
    /// Newest first.
    pub bans: Vec<BanView>,
    /// Gets the next page as `?cursor=`; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
