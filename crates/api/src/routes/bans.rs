//! Bans of players.

use axum::{Json, extract::State, http::StatusCode};
use greenroom_protocol::{
    GameId, PlayerId,
    auth::{BanRequest, BanView},
    players::BanPage,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::Api,
    credentials::Caller,
    error::ApiResult,
    extract::{Game, OptionalJson, Path, Query},
};

/// Bans of one page unless said otherwise.
const PAGE_DEFAULT: u32 = 50;

/// Which bans.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BansQuery {
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 50 unless given, 500 at most.
    limit: Option<u32>,
}

/// Ban a player
///
/// Ends its sessions and closes its sockets at once. A second ban takes the place of the first.
#[utoipa::path(
    post, path = "/v1/games/{game}/players/{player}/ban", tag = "players", request_body = Option<BanRequest>,
    params(("game" = String, Path, description = "The game"), ("player" = String, Path, description = "The player")),
    responses((status = 200, body = BanView)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn ban(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, player)): Path<(GameId, PlayerId)>,
    OptionalJson(request): OptionalJson<BanRequest>,
) -> ApiResult<Json<BanView>> {
    caller.must_administer(&game.settings()?.studio)?;
    let ban = api.node.players.ban(game.id(), &player, request).await?;
    let detail = serde_json::json!({ "game": game.id(), "reason": ban.reason, "until": ban.until });
    caller.audit(&api, "player.ban", player.as_str(), detail).await;
    Ok(Json(ban))
}

/// Lift a player's ban
#[utoipa::path(
    delete, path = "/v1/games/{game}/players/{player}/ban", tag = "players",
    params(("game" = String, Path, description = "The game"), ("player" = String, Path, description = "The player")),
    responses((status = 204, description = "The player may sign in again")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn unban(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, player)): Path<(GameId, PlayerId)>,
) -> ApiResult<StatusCode> {
    caller.must_administer(&game.settings()?.studio)?;
    api.node.players.unban(game.id(), &player).await?;
    let detail = serde_json::json!({ "game": game.id() });
    caller.audit(&api, "player.unban", player.as_str(), detail).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The bans of a game
#[utoipa::path(
    get, path = "/v1/games/{game}/bans", tag = "players",
    params(("game" = String, Path, description = "The game"), BansQuery),
    responses((status = 200, body = BanPage)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Query(query): Query<BansQuery>,
) -> ApiResult<Json<BanPage>> {
    caller.must_administer(&game.settings()?.studio)?;
    let after = super::cursor(query.cursor.as_deref())?;
    let page = api.node.players.bans(game.id(), after.as_ref(), query.limit.unwrap_or(PAGE_DEFAULT)).await?;
    Ok(Json(BanPage { bans: page.items, next: page.next.map(|cursor| cursor.to_string()) }))
}
