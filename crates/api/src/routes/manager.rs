//! On-demand servers as shipped game clients ask for them: `/api/manager`. The same allocation as
//! on the native path, with the contract's checks in the contract's order.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
};
use greenroom_domain::{fleet::Limit, placement::NoPlace, settings::GameSettings, text, versions::Verdict};
use greenroom_operations::servers::{AllocateError, AllocateRequest};
use greenroom_protocol::{
    ErrorCode, ServerId,
    hosting::ServerView,
    manager::{ManagerError, ServerAnswer, ServerRequest},
};

use crate::{
    api::Api,
    credentials::{API_KEY, Caller, Client},
    error::{ApiError, ApiResult},
    extract::{Body, Game},
};

/// Most supported versions that a sentence lists.
const VERSIONS_LISTED_MAX: usize = 20;

/// Whether on-demand servers are served here
#[utoipa::path(
    get, path = "/api/manager", tag = "manager",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(crate) async fn home() -> &'static str {
    "ok\n"
}

/// Whether on-demand servers are served here, by its other name
#[utoipa::path(
    get, path = "/api/manager/healthcheck", tag = "manager",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(crate) async fn healthcheck() -> &'static str {
    "ok\n"
}

/// Start a server for players
///
/// Answered when the server accepts players. `version` is a semantic version without `v`. Public;
/// with an API key the rate of the key counts instead of that of the address.
#[utoipa::path(
    post, path = "/api/manager/request", tag = "manager", request_body = ServerRequest,
    responses(
        (status = 201, body = ServerAnswer),
        (status = 400, description = "The name cannot be, or the version is none that is supported", body = ManagerError),
        (status = 422, description = "A field is missing or has the wrong type", body = ManagerError),
        (status = 426, description = "The version is older than the oldest that is supported", body = ManagerError),
        (status = 429, description = "As many servers run as may, or the caller asks too often", body = ManagerError),
        (status = 500, description = "No server came up", body = ManagerError),
        (status = 503, description = "No port is free, or no host can be reached", body = ManagerError),
    ),
)]
pub(crate) async fn request(
    State(api): State<Api>,
    game: Game,
    client: Client,
    ApiKey(key): ApiKey,
    Body(body): Body,
) -> ApiResult<(StatusCode, Json<ServerAnswer>)> {
    let settings = game.settings()?;
    let caller = if let Some(caller) = &key {
        caller.must_host(settings)?;
        api.limits.allocate.check(&caller.name)?;
        caller.name.to_string()
    } else {
        api.limits.allocate_public.check(&client.limited_as())?;
        format!("address:{}", client.address)
    };
    let asked =
        ServerRequest::parse(&body).map_err(|error| ApiError::new(ErrorCode::Invalid, error.to_string()))?;
    if settings.fleet.is_none() {
        return Err(ApiError::not_found("This game has no servers that could be started."));
    }
    let version = admit(&api, settings, &asked).await?;
    let request = AllocateRequest {
        game: settings.id.clone(),
        region: None,
        title: Some(asked.name),
        listed: asked.list,
        version: Some(version),
        payload: None,
        idempotency: None,
        match_id: None,
        caller,
        timeout: None,
    };
    let detail = serde_json::json!({
        "game": settings.id, "version": request.version, "title": request.title, "listed": request.listed,
    });
    let allocated = api.node.servers.allocate(request).await.map_err(refused)?;
    // What a player asks for without a key is the game's own course, and no change of who runs it.
    if let Some(caller) = &key {
        caller.audit(&api, "server.start", allocated.server.id.as_str(), detail).await;
    }
    Ok((StatusCode::CREATED, Json(answer(settings, allocated.server)?)))
}

/// Everything that is checked of a request that has the right form, in the contract's order; the
/// tag that is to be run.
async fn admit(api: &Api, game: &GameSettings, asked: &ServerRequest) -> ApiResult<String> {
    if !greenroom_domain::versions::is_version(&asked.version) {
        let sentence = "The version of the game must be a semantic version such as 1.2.3.";
        return Err(ApiError::bad_request(format!("{sentence} {}", listed(&supported(api, game).await))));
    }
    text::check_server_name(&asked.name).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if let Some(limit) = api.node.servers.reached_limit(&game.id) {
        return Err(full(limit));
    }
    match api.node.builds.check_version(&game.id, &asked.version).await? {
        Verdict::Supported(tag) => Ok(tag),
        Verdict::TooOld { oldest, supported } => {
            let sentence =
                format!("This version of the game is too old: {oldest} is the oldest that is supported.");
            let sentence = format!("{sentence} Update the game. {}", listed(&supported));
            Err(ApiError::new(ErrorCode::VersionTooOld, sentence))
        }
        Verdict::Unsupported { supported } => {
            let sentence = "There are no servers for this version of the game.";
            Err(ApiError::bad_request(format!("{sentence} {}", listed(&supported))))
        }
        Verdict::NotAVersion => {
            Err(ApiError::bad_request("The version of the game must be a semantic version such as 1.2.3."))
        }
    }
}

/// The versions that can be asked for, newest first; none if they cannot be looked up.
async fn supported(api: &Api, game: &GameSettings) -> Vec<String> {
    api.node.builds.supported(&game.id).await.unwrap_or_default()
}

fn answer(game: &GameSettings, server: ServerView) -> ApiResult<ServerAnswer> {
    let has_code = game.fleet.as_ref().is_some_and(|fleet| fleet.connection.code_length().is_some());
    match (has_code, server.code, server.port) {
        (true, Some(game_id), _) => Ok(ServerAnswer::GameId { game_id }),
        (false, _, Some(port)) => Ok(ServerAnswer::Port { port }),
        _ => Err(ApiError::internal(NowhereToReach(server.id))),
    }
}

/// The allocation's errors in the contract's statuses and a player's words.
fn refused(error: AllocateError) -> ApiError {
    match error {
        AllocateError::LimitReached(limit) => full(limit),
        AllocateError::NoPlace { why: NoPlace::Full { servers_max, .. }, .. } => all_in_use(servers_max),
        AllocateError::NoPort { .. } => {
            ApiError::new(ErrorCode::NoServer, "No port is free for another server. Try again later.")
        }
        // No start was tried: nothing is wrong with the game, and it is worth asking again.
        AllocateError::NoPlace { .. } => {
            ApiError::new(ErrorCode::NoServer, "No server can be started at the moment. Try again later.")
        }
        AllocateError::NoServer { .. } => {
            ApiError::new(ErrorCode::Internal, "The server could not be started. Try again later.")
        }
        error => error.into(),
    }
}

fn full(limit: Limit) -> ApiError {
    let (Limit::Game(max) | Limit::Studio(max)) = limit;
    all_in_use(max)
}

fn all_in_use(servers_max: u32) -> ApiError {
    let sentence = format!("All {servers_max} servers are in use. Join one of them, or try again later.");
    ApiError::new(ErrorCode::LimitReached, sentence)
}

fn listed(versions: &[String]) -> String {
    if versions.is_empty() {
        return "No version is supported at the moment.".into();
    }
    let more = if versions.len() > VERSIONS_LISTED_MAX { ", …" } else { "" };
    let first: Vec<_> = versions.iter().take(VERSIONS_LISTED_MAX).map(String::as_str).collect();
    format!("Supported versions: {}{more}.", first.join(", "))
}

/// What a caller presents who has an API key of the game's studio; nobody needs one.
pub(crate) struct ApiKey(Option<Caller>);

impl FromRequestParts<Api> for ApiKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> ApiResult<Self> {
        if !parts.headers.contains_key(API_KEY) {
            return Ok(Self(None));
        }
        Caller::from_request_parts(parts, api).await.map(|caller| Self(Some(caller)))
    }
}

#[derive(Debug)]
struct NowhereToReach(ServerId);

impl std::fmt::Display for NowhereToReach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the game server {} became ready without a port or a code that players could be told",
            self.0
        )
    }
}

impl std::error::Error for NowhereToReach {}
