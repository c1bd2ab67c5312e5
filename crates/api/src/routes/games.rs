//! The games and what they were told, and the installation itself.

use axum::{Json, extract::State};
use greenroom_protocol::system::{GameList, GameSettingsView, SystemView};

use crate::{api::Api, credentials::Caller, error::ApiResult, extract::Game};

/// The games
#[utoipa::path(
    get, path = "/v1/games", tag = "system", operation_id = "games",
    responses((status = 200, body = GameList)),
    security(("admin" = [])),
)]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> ApiResult<Json<GameList>> {
    caller.must_be_admin()?;
    Ok(Json(GameList { games: api.node.system.games() }))
}

/// What a game was told
///
/// Its part of the configuration with every default, without secrets.
#[utoipa::path(
    get, path = "/v1/games/{game}/settings", tag = "system", operation_id = "game_settings",
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = GameSettingsView)),
    security(("admin" = [])),
)]
pub(crate) async fn settings(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
) -> ApiResult<Json<GameSettingsView>> {
    caller.must_be_admin()?;
    Ok(Json(api.node.system.game(game.id())?))
}

/// The installation
///
/// Its version, how each part is, what takes room, jobs, and the configuration without secrets.
#[utoipa::path(
    get, path = "/v1/system", tag = "system", operation_id = "system",
    responses((status = 200, body = SystemView)),
    security(("admin" = [])),
)]
pub(crate) async fn system(State(api): State<Api>, caller: Caller) -> ApiResult<Json<SystemView>> {
    caller.must_be_admin()?;
    Ok(Json(api.node.system.look().await))
}
