//! Lobbies, looked at from outside their sockets.

use axum::{Json, extract::State, http::StatusCode};
use greenroom_protocol::{GameId, LobbyId, auth::ContractError, lobby::LobbyView};

use crate::{
    api::Api,
    credentials::{Caller, Player, PlayerOrCaller},
    error::ApiResult,
    extract::{Game, Path},
};

/// The public lobbies (contract)
#[utoipa::path(
    get, path = "/lobbies", tag = "contract",
    responses((status = 200, body = Vec<LobbyView>), (status = 401, description = "No good token", body = ContractError)),
    security(("player" = [])),
)]
pub(crate) async fn contract_list(
    State(api): State<Api>,
    Player(player): Player,
) -> ApiResult<Json<Vec<LobbyView>>> {
    Ok(Json(api.node.lobbies.list_public(&player.game).await?))
}

/// The lobbies of a game
///
/// A player sees the public ones, the game's studio sees all.
#[utoipa::path(
    get, path = "/v1/games/{game}/lobbies", tag = "lobbies",
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = Vec<LobbyView>)),
    security(("player" = []), ("key" = []), ("admin" = [])),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    asker: PlayerOrCaller,
    game: Game,
) -> ApiResult<Json<Vec<LobbyView>>> {
    match asker {
        PlayerOrCaller::Player(player) => Ok(Json(api.node.lobbies.list_public(&player.game).await?)),
        PlayerOrCaller::Caller(caller) => {
            caller.must_administer(&game.settings()?.studio)?;
            Ok(Json(api.node.lobbies.list(game.id()).await?))
        }
    }
}

/// A lobby of a game
#[utoipa::path(
    get, path = "/v1/games/{game}/lobbies/{lobby}", tag = "lobbies",
    params(("game" = String, Path, description = "The game"), ("lobby" = String, Path, description = "The lobby")),
    responses((status = 200, body = LobbyView), (status = 404, description = "There is no such lobby")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, lobby)): Path<(GameId, LobbyId)>,
) -> ApiResult<Json<LobbyView>> {
    caller.must_administer(&game.settings()?.studio)?;
    Ok(Json(api.node.lobbies.get(game.id(), &lobby).await?))
}

/// Close a lobby
///
/// Its members are told `lobby:deleted`. A match that it has started goes on.
#[utoipa::path(
    post, path = "/v1/games/{game}/lobbies/{lobby}/close", tag = "lobbies",
    params(("game" = String, Path, description = "The game"), ("lobby" = String, Path, description = "The lobby")),
    responses((status = 204, description = "It is closed"), (status = 404, description = "There is no such lobby")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn close(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, lobby)): Path<(GameId, LobbyId)>,
) -> ApiResult<StatusCode> {
    caller.must_administer(&game.settings()?.studio)?;
    api.node.lobbies.close(game.id(), &lobby).await?;
    let detail = serde_json::json!({ "game": game.id() });
    caller.audit(&api, "lobby.close", lobby.as_str(), detail).await;
    Ok(StatusCode::NO_CONTENT)
}
