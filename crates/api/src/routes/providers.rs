//! Signing in by Steam's tickets, and through the pages of Discord and of OpenID providers.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use greenroom_operations::players::{Callback, FLOW_TTL, TokenKind};
use greenroom_protocol::{
    GameId,
    accounts::{FlowBegin, FlowBegun, FlowComplete, SignInWays, SteamSignIn},
    auth::SignedIn,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::account_pages;
use crate::{
    api::Api,
    credentials::Client,
    error::ApiResult,
    extract::{self, Game, Path, Query},
};

/// The cookie that what a provider sends back is bound to.
const COOKIE: &str = "greenroom_sign_in";

/// What a begun sign-in is known by.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Go {
    /// As the answer to `begin` has it.
    #[serde(default)]
    flow: String,
}

/// What the provider sends the browser back with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Returned {
    /// What we gave it.
    #[serde(default)]
    state: String,
    /// Good for tokens of the provider's, once.
    #[serde(default)]
    code: String,
    /// Why there is no code.
    #[serde(default)]
    error: String,
}

/// How players sign in to the game
#[utoipa::path(
    get, path = "/v1/games/{game}/auth/providers", tag = "accounts",
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = SignInWays)),
)]
pub(crate) async fn list(State(api): State<Api>, game: Game) -> Json<SignInWays> {
    Json(api.node.players.sign_in_ways(game.id()))
}

/// Sign in by a ticket of Steam
///
/// The same Steam user gets the same player.
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/steam", tag = "accounts", request_body = SteamSignIn,
    params(("game" = String, Path, description = "The game")),
    responses(
        (status = 200, body = SignedIn),
        (status = 401, description = "Steam does not know the ticket"),
        (status = 403, description = "The player is banned, or has borrowed the game where that is not enough"),
        (status = 404, description = "Players of this game do not sign in by Steam"),
    ),
)]
pub(crate) async fn steam(
    State(api): State<Api>,
    game: Game,
    client: Client,
    extract::Json(request): extract::Json<SteamSignIn>,
) -> ApiResult<Json<SignedIn>> {
    api.limits.sign_in.check(&client.limited_as())?;
    let players = &api.node.players;
    Ok(Json(players.sign_in_steam(game.id(), request, TokenKind::Native, client.info()).await?))
}

/// Begin to sign in through a provider's pages
///
/// Open the address that is answered in a browser. It comes back to `returnTo` with `code`, which `complete`
/// takes together with the secret that `challenge` was made of; or with `error`.
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/providers/{provider}/begin", tag = "accounts", request_body = FlowBegin,
    params(
        ("game" = String, Path, description = "The game"),
        ("provider" = String, Path, description = "`discord`, or the name of an OpenID provider"),
    ),
    responses(
        (status = 200, body = FlowBegun),
        (status = 404, description = "Players of this game do not sign in by this provider"),
        (status = 503, description = "The provider does not answer"),
    ),
)]
pub(crate) async fn begin(
    State(api): State<Api>,
    game: Game,
    client: Client,
    Path((_, provider)): Path<(GameId, String)>,
    extract::Json(request): extract::Json<FlowBegin>,
) -> ApiResult<Json<FlowBegun>> {
    api.limits.sign_in.check(&client.limited_as())?;
    Ok(Json(api.node.players.begin_flow(game.id(), &provider, request, None).await?))
}

/// Where a browser goes to the provider from
///
/// The address is good once. What follows is bound to this browser by a cookie.
#[utoipa::path(
    get, path = "/v1/games/{game}/auth/providers/{provider}/go", tag = "accounts",
    params(
        ("game" = String, Path, description = "The game"),
        ("provider" = String, Path, description = "`discord`, or the name of an OpenID provider"),
        Go,
    ),
    responses(
        (status = 303, description = "To the provider"),
        (status = 410, description = "A page: the address was used, or its time is over"),
    ),
)]
pub(crate) async fn go(
    State(api): State<Api>,
    game: Game,
    client: Client,
    Path((_, provider)): Path<(GameId, String)>,
    Query(query): Query<Go>,
) -> ApiResult<Response> {
    api.limits.sign_in.check(&client.limited_as())?;
    let away = match api.node.players.go_flow(game.id(), &provider, &query.flow).await {
        Ok(away) => away,
        Err(failure) => return account_pages::told(failure),
    };
    Ok(redirect(&away.location, &cookie(&api, game.id(), &provider, &away.cookie, FLOW_TTL.as_secs())))
}

/// Where a provider sends a browser back to
#[utoipa::path(
    get, path = "/v1/games/{game}/auth/providers/{provider}/callback", tag = "accounts",
    params(
        ("game" = String, Path, description = "The game"),
        ("provider" = String, Path, description = "`discord`, or the name of an OpenID provider"),
        Returned,
    ),
    responses(
        (status = 303, description = "To `returnTo`, with `code` or `error`"),
        (status = 400, description = "A page: it is not the browser that went, or it was here before"),
    ),
)]
pub(crate) async fn callback(
    State(api): State<Api>,
    game: Game,
    client: Client,
    headers: HeaderMap,
    Path((_, provider)): Path<(GameId, String)>,
    Query(returned): Query<Returned>,
) -> ApiResult<Response> {
    api.limits.sign_in.check(&client.limited_as())?;
    let Returned { state, code, error } = returned;
    let callback = Callback { state, code, error };
    let players = &api.node.players;
    match players.return_flow(game.id(), &provider, read_cookie(&headers), callback).await {
        Ok(location) => Ok(redirect(&location, &cookie(&api, game.id(), &provider, "", 0))),
        Err(failure) => account_pages::told(failure),
    }
}

/// Sign in with what a browser came back with
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/complete", tag = "accounts", request_body = FlowComplete,
    params(("game" = String, Path, description = "The game")),
    responses(
        (status = 200, body = SignedIn),
        (status = 401, description = "The secret is not the one that this was begun with"),
        (status = 410, description = "The code was used, or its time is over"),
    ),
)]
pub(crate) async fn complete(
    State(api): State<Api>,
    game: Game,
    client: Client,
    extract::Json(request): extract::Json<FlowComplete>,
) -> ApiResult<Json<SignedIn>> {
    api.limits.sign_in.check(&client.limited_as())?;
    let players = &api.node.players;
    Ok(Json(players.complete_flow(game.id(), request, TokenKind::Native, client.info()).await?))
}

fn redirect(location: &str, cookie: &str) -> Response {
    let (Ok(location), Ok(cookie)) = (HeaderValue::from_str(location), HeaderValue::from_str(cookie)) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::LOCATION, location),
        (header::SET_COOKIE, cookie),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// For the one path that the provider sends the browser back to. `Lax`, or the browser would leave it out:
/// it comes from elsewhere.
fn cookie(api: &Api, game: &GameId, provider: &str, value: &str, seconds: u64) -> String {
    let secure = if api.node.players.is_public_by_https() { "; Secure" } else { "" };
    let path = format!("/v1/games/{game}/auth/providers/{provider}/callback");
    format!("{COOKIE}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

fn read_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}
