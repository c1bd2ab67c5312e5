//! An installation at a glance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    GameId, StudioId, Timestamp,
    hosting::{HostView, ServerState, ServerView},
};

/// Most game servers that an [`Overview`] has.
pub const OVERVIEW_SERVERS_MAX: usize = 50;

/// The answer of `GET /v1/overview`: what there is at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Greenroom's own version.
    pub version: String,
    /// When that was.
    pub at: Timestamp,
    /// Players with at least one open socket.
    pub players: u64,
    /// Open player sockets.
    pub sockets: u64,
    /// Lobbies of all games.
    pub lobbies: u64,
    /// Game servers handed out since Greenroom was started.
    pub allocations: u64,
    /// By id.
    pub games: Vec<GameOverview>,
    /// By id.
    pub hosts: Vec<HostView>,
    /// The newest game servers that have not ended, at most [`OVERVIEW_SERVERS_MAX`].
    pub servers: Vec<ServerView>,
}

/// One game of an [`Overview`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GameOverview {
    /// Its id.
    pub id: GameId,
    /// Whose it is.
    pub studio: StudioId,
    /// How many of its game servers are in each state; states that none is in are left out.
    pub servers: BTreeMap<ServerState, u32>,
    /// Most game servers at once; missing if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_max: Option<u32>,
}
