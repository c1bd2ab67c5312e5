//! A player sees itself, and the matches it has played.

use axum::{Json, extract::State};
use greenroom_protocol::{
    MatchId,
    auth::{AccountMe, ContractError},
    events::{PlayerMatch, PlayerMatches},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::Api,
    credentials::Player,
    error::ApiResult,
    extract::{Path, Query},
};

/// Matches of one page unless said otherwise.
const MATCHES_DEFAULT: u32 = 20;

/// Which matches.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MatchesQuery {
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 20 unless given, 500 at most.
    limit: Option<u32>,
}

/// The player that asks (contract)
#[utoipa::path(
    get, path = "/accounts/me", tag = "contract",
    responses((status = 200, body = AccountMe), (status = 401, description = "No good token", body = ContractError)),
    security(("player" = [])),
)]
pub(crate) async fn contract_me(
    State(api): State<Api>,
    Player(player): Player,
) -> ApiResult<Json<AccountMe>> {
    Ok(Json(api.node.players.me(&player.id).await?))
}

/// The player that asks
#[utoipa::path(
    get, path = "/v1/players/me", tag = "players",
    responses((status = 200, body = AccountMe)),
    security(("player" = [])),
)]
pub(crate) async fn me(State(api): State<Api>, Player(player): Player) -> ApiResult<Json<AccountMe>> {
    Ok(Json(api.node.players.me(&player.id).await?))
}

/// The player's own match history, newest first
#[utoipa::path(
    get, path = "/v1/players/me/matches", tag = "players", params(MatchesQuery),
    responses((status = 200, body = PlayerMatches)),
    security(("player" = [])),
)]
pub(crate) async fn matches(
    State(api): State<Api>,
    Player(player): Player,
    Query(query): Query<MatchesQuery>,
) -> ApiResult<Json<PlayerMatches>> {
    let limit = query.limit.unwrap_or(MATCHES_DEFAULT);
    Ok(Json(api.node.players.matches(&player.id, query.cursor.as_deref(), limit).await?))
}

/// One match of the player's own history
#[utoipa::path(
    get, path = "/v1/players/me/matches/{match}", tag = "players",
    params(("match" = String, Path, description = "The match")),
    responses((status = 200, body = PlayerMatch), (status = 404, description = "The player played no such match")),
    security(("player" = [])),
)]
pub(crate) async fn one_match(
    State(api): State<Api>,
    Player(player): Player,
    Path(id): Path<MatchId>,
) -> ApiResult<Json<PlayerMatch>> {
    Ok(Json(api.node.players.match_of(&player.id, &id).await?))
}
