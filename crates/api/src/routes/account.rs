//! A player's own account: its identities, what is kept about it, its end. And the same for its studio.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use greenroom_protocol::{
    GameId, PlayerId,
    accounts::{EmailSignIn, FlowBegin, FlowBegun, FlowComplete, IdentityList, PlayerExport, SteamSignIn},
};

use super::email::may_send_mail;
use crate::{
    api::Api,
    credentials::{Caller, Client, Player},
    error::ApiResult,
    extract::{self, Game, Path},
};

/// The player's own identities
#[utoipa::path(
    get, path = "/v1/me/identities", tag = "accounts",
    responses((status = 200, body = IdentityList)),
    security(("player" = [])),
)]
pub(crate) async fn identities(
    State(api): State<Api>,
    Player(player): Player,
) -> ApiResult<Json<IdentityList>> {
    Ok(Json(api.node.players.identities(&player.id).await?))
}

/// Link an e-mail address
///
/// A mail to the address has a link that confirms it; then the player can sign in by it and this password.
#[utoipa::path(
    post, path = "/v1/me/link/email", tag = "accounts", request_body = EmailSignIn,
    responses(
        (status = 202, description = "A mail is sent to the address"),
        (status = 409, description = "The player has an address"),
    ),
    security(("player" = [])),
)]
pub(crate) async fn link_email(
    State(api): State<Api>,
    Player(player): Player,
    client: Client,
    extract::Json(request): extract::Json<EmailSignIn>,
) -> ApiResult<StatusCode> {
    may_send_mail(&api, &player.game, &client, &request.email)?;
    api.node.players.link_email(&player, request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Link a Steam user
#[utoipa::path(
    post, path = "/v1/me/link/steam", tag = "accounts", request_body = SteamSignIn,
    responses(
        (status = 200, body = IdentityList),
        (status = 409, description = "The Steam user is another player's, or the player has one"),
    ),
    security(("player" = [])),
)]
pub(crate) async fn link_steam(
    State(api): State<Api>,
    Player(player): Player,
    client: Client,
    extract::Json(request): extract::Json<SteamSignIn>,
) -> ApiResult<Json<IdentityList>> {
    api.limits.sign_in.check(&client.limited_as())?;
    api.node.players.link_steam(&player, request).await?;
    Ok(Json(api.node.players.identities(&player.id).await?))
}

/// Begin to link an identity through a provider's pages
#[utoipa::path(
    post, path = "/v1/me/link/{provider}/begin", tag = "accounts", request_body = FlowBegin,
    params(("provider" = String, Path, description = "`discord`, or the name of an OpenID provider")),
    responses(
        (status = 200, body = FlowBegun),
        (status = 404, description = "Players of this game do not sign in by this provider"),
    ),
    security(("player" = [])),
)]
pub(crate) async fn begin_link(
    State(api): State<Api>,
    Player(player): Player,
    client: Client,
    Path(provider): Path<String>,
    extract::Json(request): extract::Json<FlowBegin>,
) -> ApiResult<Json<FlowBegun>> {
    api.limits.sign_in.check(&client.limited_as())?;
    Ok(Json(api.node.players.begin_flow(&player.game, &provider, request, Some(&player)).await?))
}

/// Link the identity that a browser came back with
#[utoipa::path(
    post, path = "/v1/me/link/complete", tag = "accounts", request_body = FlowComplete,
    responses(
        (status = 200, body = IdentityList),
        (status = 409, description = "The identity is another player's, or the player has one of this provider"),
        (status = 410, description = "The code was used, or its time is over"),
    ),
    security(("player" = [])),
)]
pub(crate) async fn complete_link(
    State(api): State<Api>,
    Player(player): Player,
    client: Client,
    extract::Json(request): extract::Json<FlowComplete>,
) -> ApiResult<Json<IdentityList>> {
    api.limits.sign_in.check(&client.limited_as())?;
    api.node.players.complete_link(&player, request).await?;
    Ok(Json(api.node.players.identities(&player.id).await?))
}

/// Unlink an identity
///
/// The last one stays.
#[utoipa::path(
    delete, path = "/v1/me/identities/{provider}", tag = "accounts",
    params(("provider" = String, Path, description = "`email`, `discord`, `steam`, or the name of an OpenID provider")),
    responses(
        (status = 204, description = "It is free again"),
        (status = 404, description = "The player has no such identity"),
        (status = 409, description = "It is the player's last one"),
    ),
    security(("player" = [])),
)]
pub(crate) async fn unlink(
    State(api): State<Api>,
    Player(player): Player,
    Path(provider): Path<String>,
) -> ApiResult<StatusCode> {
    api.node.players.unlink(&player, &provider).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Everything that is kept about the player that asks
#[utoipa::path(
    get, path = "/v1/me/export", tag = "accounts",
    responses((status = 200, body = PlayerExport)),
    security(("player" = [])),
)]
pub(crate) async fn export(
    State(api): State<Api>,
    Player(player): Player,
    client: Client,
) -> ApiResult<Response> {
    api.limits.sign_in.check(&client.limited_as())?;
    Ok(download(api.node.players.export(&player.game, &player.id).await?))
}

/// Delete the account of the player that asks
///
/// At once and for ever: its records are gone, its identities free, its sessions ended, its sockets closed.
#[utoipa::path(
    delete, path = "/v1/me", tag = "accounts",
    responses((status = 204, description = "There is no such player any more")),
    security(("player" = [])),
)]
pub(crate) async fn delete(State(api): State<Api>, Player(player): Player) -> ApiResult<StatusCode> {
    api.node.players.delete(&player.game, &player.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Everything that is kept about a player
#[utoipa::path(
    get, path = "/v1/games/{game}/players/{player}/export", tag = "players",
    params(("game" = String, Path, description = "The game"), ("player" = String, Path, description = "The player")),
    responses((status = 200, body = PlayerExport)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn export_of(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, player)): Path<(GameId, PlayerId)>,
) -> ApiResult<Response> {
    caller.must_govern(&game.settings()?.studio)?;
    let export = api.node.players.export(game.id(), &player).await?;
    let detail = serde_json::json!({ "game": game.id() });
    caller.audit(&api, "player.export", player.as_str(), detail).await;
    Ok(download(export))
}

/// Delete a player
///
/// At once and for ever, as the player itself could.
#[utoipa::path(
    delete, path = "/v1/games/{game}/players/{player}", tag = "players",
    params(("game" = String, Path, description = "The game"), ("player" = String, Path, description = "The player")),
    responses((status = 204, description = "There is no such player any more")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn delete_of(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, player)): Path<(GameId, PlayerId)>,
) -> ApiResult<StatusCode> {
    caller.must_govern(&game.settings()?.studio)?;
    api.node.players.delete(game.id(), &player).await?;
    let detail = serde_json::json!({ "game": game.id() });
    caller.audit(&api, "player.delete", player.as_str(), detail).await;
    Ok(StatusCode::NO_CONTENT)
}

/// As a file, where a browser asks.
fn download(export: PlayerExport) -> Response {
    let name = format!("attachment; filename=\"player-{}.json\"", export.id);
    let mut response = Json(export).into_response();
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
