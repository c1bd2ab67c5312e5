//! Signing in and out.

use axum::{Json, extract::State, http::StatusCode};
use greenroom_operations::players::TokenKind;
use greenroom_protocol::{
    GameId,
    auth::{
        AnonymousRequest, ContractError, DiscordRequest, RefreshRequest, SessionList, SignOutRequest,
        SignedIn, TokenPair, parse_body,
    },
};
use serde::de::DeserializeOwned;

use crate::{
    api::Api,
    credentials::{Client, Player},
    error::{ApiError, ApiResult},
    extract::{self, Body, Game, OptionalJson},
};

/// Sign in by a name (contract)
///
/// Makes a new player. The token is good for 30 days.
#[utoipa::path(
    post, path = "/auth/anonymous", tag = "contract", request_body = AnonymousRequest,
    responses(
        (status = 200, body = SignedIn),
        (status = 400, description = "`Username required` or `Invalid request body`", body = ContractError),
    ),
)]
pub(crate) async fn contract_anonymous(
    State(api): State<Api>,
    game: Game,
    client: Client,
    Body(body): Body,
) -> ApiResult<Json<SignedIn>> {
    sign_in_anonymous(&api, game.id(), client, &body, TokenKind::Contract).await
}

/// Sign in as a Discord user (contract)
///
/// The same Discord user gets the same account. The token is good for 30 days.
#[utoipa::path(
    post, path = "/auth/discord", tag = "contract", request_body = DiscordRequest,
    responses(
        (status = 200, body = SignedIn),
        (status = 400, description = "`Discord token required` or `Invalid request body`", body = ContractError),
        (status = 401, description = "`Invalid Discord token`", body = ContractError),
    ),
)]
pub(crate) async fn contract_discord(
    State(api): State<Api>,
    game: Game,
    client: Client,
    Body(body): Body,
) -> ApiResult<Json<SignedIn>> {
    sign_in_discord(&api, game.id(), client, &body, TokenKind::Contract).await
}

/// Sign in by a name
///
/// Makes a new player, and answers with a short-lived access token and a refresh token.
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/anonymous", tag = "players", request_body = AnonymousRequest,
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = SignedIn)),
)]
pub(crate) async fn anonymous(
    State(api): State<Api>,
    game: Game,
    client: Client,
    Body(body): Body,
) -> ApiResult<Json<SignedIn>> {
    sign_in_anonymous(&api, game.id(), client, &body, TokenKind::Native).await
}

/// Sign in as a Discord user
///
/// The same Discord user gets the same player.
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/discord", tag = "players", request_body = DiscordRequest,
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = SignedIn)),
)]
pub(crate) async fn discord(
    State(api): State<Api>,
    game: Game,
    client: Client,
    Body(body): Body,
) -> ApiResult<Json<SignedIn>> {
    sign_in_discord(&api, game.id(), client, &body, TokenKind::Native).await
}

/// Exchange a refresh token, of the game of the Host
///
/// A refresh token is good for one use. One that comes a second time ends the session.
#[utoipa::path(
    post, path = "/v1/auth/refresh", tag = "players", request_body = RefreshRequest,
    responses((status = 200, body = TokenPair), (status = 401, description = "The token is not valid; sign in again")),
)]
pub(crate) async fn refresh(
    State(api): State<Api>,
    game: Game,
    client: Client,
    extract::Json(request): extract::Json<RefreshRequest>,
) -> ApiResult<Json<TokenPair>> {
    exchange(&api, game.id(), client, &request).await
}

/// Exchange a refresh token
///
/// A refresh token is good for one use. One that comes a second time ends the session.
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/refresh", tag = "players", request_body = RefreshRequest,
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = TokenPair), (status = 401, description = "The token is not valid; sign in again")),
)]
pub(crate) async fn refresh_of_game(
    State(api): State<Api>,
    game: Game,
    client: Client,
    extract::Json(request): extract::Json<RefreshRequest>,
) -> ApiResult<Json<TokenPair>> {
    exchange(&api, game.id(), client, &request).await
}

/// Sign out
///
/// Ends the session, or all of the player's, and closes their sockets.
#[utoipa::path(
    post, path = "/v1/auth/sign-out", tag = "players", request_body = Option<SignOutRequest>,
    responses((status = 204, description = "Signed out")),
    security(("player" = [])),
)]
pub(crate) async fn sign_out(
    State(api): State<Api>,
    Player(player): Player,
    OptionalJson(request): OptionalJson<SignOutRequest>,
) -> ApiResult<StatusCode> {
    api.node.players.sign_out(&player, request.everywhere).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The player's own sign-ins
#[utoipa::path(
    get, path = "/v1/auth/sessions", tag = "players",
    responses((status = 200, body = SessionList)),
    security(("player" = [])),
)]
pub(crate) async fn sessions(State(api): State<Api>, Player(player): Player) -> ApiResult<Json<SessionList>> {
    Ok(Json(api.node.players.sessions(&player).await?))
}

async fn sign_in_anonymous(
    api: &Api,
    game: &GameId,
    client: Client,
    body: &[u8],
    kind: TokenKind,
) -> ApiResult<Json<SignedIn>> {
    api.limits.sign_in.check(&client.limited_as())?;
    let request: AnonymousRequest = parsed(body)?;
    let username = request.username.as_deref();
    Ok(Json(api.node.players.sign_in_anonymous(game, username, kind, client.info()).await?))
}

async fn sign_in_discord(
    api: &Api,
    game: &GameId,
    client: Client,
    body: &[u8],
    kind: TokenKind,
) -> ApiResult<Json<SignedIn>> {
    api.limits.sign_in.check(&client.limited_as())?;
    let request: DiscordRequest = parsed(body)?;
    let token = request.discord_token.as_deref();
    Ok(Json(api.node.players.sign_in_discord(game, token, kind, client.info()).await?))
}

async fn exchange(
    api: &Api,
    game: &GameId,
    client: Client,
    request: &RefreshRequest,
) -> ApiResult<Json<TokenPair>> {
    api.limits.sign_in.check(&client.limited_as())?;
    Ok(Json(api.node.players.refresh(game, &request.refresh_token).await?))
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> ApiResult<T> {
    parse_body(body).map_err(|error| ApiError::bad_request(error.to_string()))
}
