//! An installation at a glance.

use axum::{Json, extract::State};
use greenroom_protocol::overview::{GameOverview, OVERVIEW_SERVERS_MAX, Overview};

use crate::{api::Api, credentials::Caller, error::ApiResult};

/// What there is at this moment
///
/// Counts of players, lobbies and game servers, the hosts and what they use, the newest game servers.
#[utoipa::path(
    get, path = "/v1/overview", tag = "system",
    responses((status = 200, body = Overview)),
    security(("admin" = [])),
)]
pub(crate) async fn overview(State(api): State<Api>, caller: Caller) -> ApiResult<Json<Overview>> {
    caller.must_be_admin()?;
    let (settings, hub) = (api.node.settings.borrow().clone(), api.node.hub.counts());
    let mut counts = api.node.servers.counts();
    let games = settings.games.values().map(|game| GameOverview {
        id: game.id.clone(),
        studio: game.studio.clone(),
        servers: counts.remove(&game.id).unwrap_or_default(),
        running_max: game.fleet.as_ref().map(|fleet| fleet.running_max),
    });
    Ok(Json(Overview {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: api.node.clock.now(),
        players: hub.players as u64,
        sockets: hub.sockets as u64,
        lobbies: hub.lobbies as u64,
        allocations: api.node.servers.handed_out(),
        games: games.collect(),
        hosts: api.node.servers.hosts(),
        servers: api.node.servers.newest(OVERVIEW_SERVERS_MAX),
    }))
}
