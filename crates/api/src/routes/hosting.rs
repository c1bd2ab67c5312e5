//! Dedicated servers: allocated, listed, shown, stopped, their logs.

use std::{collections::HashSet, time::Duration};

use axum::{
    Json,
    body::{Body as AnswerBody, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use greenroom_domain::{settings::GameSettings, text};
use greenroom_fleet::{LOG_TAIL_LINES_MAX, LogQuery};
use greenroom_operations::{
    Principal,
    servers::{ALLOCATE_MAX, AllocateRequest as Allocation, ServerError},
};
use greenroom_protocol::{
    GameId, ServerId,
    hosting::{
        AllocateRequest, AllocateResponse, AllocatedServer, RegionList, RegionView, ServerList, ServerState,
        ServerView,
    },
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::streams;
use crate::{
    api::Api,
    credentials::Caller,
    error::{ApiError, ApiResult},
    extract::{Body, Game, Path, Query, header_text},
};

/// Servers of one page unless said otherwise, and at most.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 500;

/// Lines of a log unless said otherwise.
const TAIL_DEFAULT: usize = 200;

/// Allocate a server
///
/// Answered when the server accepts players. The same `Idempotency-Key` gives the same server for
/// 24 hours. The body is read as JSON whatever its Content-Type.
#[utoipa::path(
    post, path = "/v1/games/{game}/servers", tag = "hosting", request_body = AllocateRequest,
    params(
        ("game" = String, Path, description = "The game"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 bytes; repeats get the same server"),
    ),
    responses(
        (status = 200, body = AllocateResponse),
        (status = 400, description = "The body is not JSON, or the region is unknown"),
        (status = 403, description = "The credentials have no right to this game"),
        (status = 404, description = "There is no such game"),
        (status = 413, description = "The payload has more than 64 KiB"),
        (status = 422, description = "A field has the wrong type, or the key came with another body"),
        (status = 429, description = "A limit of running servers is reached, or the caller asks too often"),
        (status = 503, description = "No server could be started in time; see `Retry-After`"),
    ),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn allocate(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    headers: HeaderMap,
    Body(body): Body,
) -> ApiResult<Json<AllocateResponse>> {
    caller.must_host(game.settings()?)?;
    api.limits.allocate.check(&caller.name)?;
    let asked = AllocateRequest::parse(&body)
        .map_err(|error| ApiError::new(error.code(), sentence(&error.to_string())))?;
    let detail = serde_json::json!({
        "game": game.id(), "region": asked.region, "version": asked.version, "title": asked.title,
        "listed": asked.listed, "payloadBytes": asked.payload.as_ref().map_or(0, String::len),
    });
    let request = Allocation {
        game: game.id().clone(),
        region: asked.region,
        title: asked.title.as_deref().and_then(text::title),
        listed: asked.listed,
        version: asked.version,
        payload: asked.payload,
        idempotency: header_text(&headers, "idempotency-key")?.map(str::to_owned),
        match_id: None,
        caller: caller.name.to_string(),
        timeout: asked.timeout_seconds.and_then(timeout),
    };
    let allocated = api.node.servers.allocate(request).await?;
    caller.audit(&api, "server.start", allocated.server.id.as_str(), detail).await;
    Ok(Json(AllocateResponse { server: allocated_server(allocated.server) }))
}

/// Which servers.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ServersQuery {
    /// Only those in this state.
    state: Option<ServerState>,
    /// At most so many; 100 unless given, 500 at most.
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    #[serde(alias = "after")]
    cursor: Option<String>,
}

/// List game servers
///
/// Those that live, then those that have ended and are remembered; newest first. A page may have
/// fewer servers than `limit` and still have a next one.
#[utoipa::path(
    get, path = "/v1/games/{game}/servers", tag = "hosting",
    params(("game" = String, Path, description = "The game"), ServersQuery),
    responses((status = 200, body = ServerList)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Query(query): Query<ServersQuery>,
) -> ApiResult<Json<ServerList>> {
    caller.must_host(game.settings()?)?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let place = Place::parse(query.cursor.as_deref())?;
    let wanted = |server: &ServerView| query.state.is_none_or(|state| server.state == state);
    let mut page = ServerList::default();
    if let Place::Living(after) = &place {
        let living = api.node.servers.list(Some(game.id())).into_iter().filter(wanted);
        let is_after = |server: &ServerView| {
            let place = (server.created_at.as_millis(), server.id.as_str());
            after.as_ref().is_none_or(|(ms, id)| place < (*ms, id.as_str()))
        };
        page.servers = living.filter(is_after).take(limit as usize + 1).collect();
        if page.servers.len() > limit as usize {
            page.servers.truncate(limit as usize);
            page.next = page.servers.last().map(Place::after);
            return Ok(Json(page));
        }
    }
    if query.state.is_some_and(|state| !state.is_final()) {
        return Ok(Json(page));
    }
    let room = limit - page.servers.len() as u32;
    if room == 0 {
        page.next = Some(Place::ENDED.into());
        return Ok(Json(page));
    }
    let after = place.ended()?;
    let ended = api.node.servers.list_ended(game.id(), after.as_ref(), room).await?;
    // A server that ended while the page was read is in both parts; its end is the newer word.
    let ended_ids: HashSet<&ServerId> = ended.servers.iter().map(|server| &server.id).collect();
    page.servers.retain(|server| !ended_ids.contains(&server.id));
    page.servers.extend(ended.servers.into_iter().filter(wanted));
    page.next = ended.next.map(|cursor| format!("{}{cursor}", Place::ENDED));
    Ok(Json(page))
}

/// A game server
#[utoipa::path(
    get, path = "/v1/games/{game}/servers/{server}", tag = "hosting",
    params(("game" = String, Path, description = "The game"), ("server" = String, Path, description = "The server")),
    responses((status = 200, body = ServerView)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn get_of_game(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, server)): Path<(GameId, ServerId)>,
) -> ApiResult<Json<ServerView>> {
    caller.must_host(game.settings()?)?;
    Ok(Json(api.node.servers.get(game.id(), &server).await?))
}

/// Stop a game server
///
/// Answered at once; it is told to end, and killed if it does not within its grace time.
#[utoipa::path(
    delete, path = "/v1/games/{game}/servers/{server}", tag = "hosting",
    params(("game" = String, Path, description = "The game"), ("server" = String, Path, description = "The server")),
    responses((status = 202, description = "It is stopping, or has ended", body = ServerView)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn stop_of_game(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, server)): Path<(GameId, ServerId)>,
) -> ApiResult<(StatusCode, Json<ServerView>)> {
    caller.must_host(game.settings()?)?;
    stop_server(&api, &caller, game.id(), &server).await
}

/// Which lines of a log.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogsQuery {
    /// So many of the last lines; 200 unless given.
    tail: Option<usize>,
    /// Whether the answer goes on with what is written until the server has ended.
    #[serde(default)]
    follow: bool,
}

/// The log of a game server
///
/// What it wrote, line by line, as plain text.
#[utoipa::path(
    get, path = "/v1/games/{game}/servers/{server}/logs", tag = "hosting",
    params(
        ("game" = String, Path, description = "The game"),
        ("server" = String, Path, description = "The server"),
        LogsQuery,
    ),
    responses((status = 200, body = String, content_type = "text/plain")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn logs_of_game(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, server)): Path<(GameId, ServerId)>,
    Query(query): Query<LogsQuery>,
) -> ApiResult<Response> {
    caller.must_host(game.settings()?)?;
    read_log(&api, &caller, game.id(), &server, &query).await
}

/// The regions of a game
#[utoipa::path(
    get, path = "/v1/games/{game}/regions", tag = "hosting",
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = RegionList)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn regions(caller: Caller, game: Game) -> ApiResult<Json<RegionList>> {
    let game = game.settings()?;
    caller.must_host(game)?;
    let regions = game.fleet.iter().flat_map(|fleet| &fleet.regions);
    Ok(Json(RegionList { regions: regions.map(|id| RegionView { id: id.clone() }).collect() }))
}

/// A game server, of whichever game
///
/// A game server may ask for itself.
#[utoipa::path(
    get, path = "/v1/servers/{server}", tag = "hosting",
    params(("server" = String, Path, description = "The server")),
    responses((status = 200, body = ServerView), (status = 404, description = "No server that the caller may see")),
    security(("key" = []), ("admin" = []), ("server" = [])),
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(server): Path<ServerId>,
) -> ApiResult<Json<ServerView>> {
    if let Principal::Server(own) = &caller.principal
        && own.id == server
    {
        return Ok(Json(api.node.servers.get(&own.game, &server).await?));
    }
    find(&api, &caller, &server).await.map(Json)
}

/// Stop a game server, of whichever game
#[utoipa::path(
    delete, path = "/v1/servers/{server}", tag = "hosting",
    params(("server" = String, Path, description = "The server")),
    responses((status = 202, description = "It is stopping, or has ended", body = ServerView)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn stop(
    State(api): State<Api>,
    caller: Caller,
    Path(server): Path<ServerId>,
) -> ApiResult<(StatusCode, Json<ServerView>)> {
    let game = find(&api, &caller, &server).await?.game;
    stop_server(&api, &caller, &game, &server).await
}

/// The log of a game server, of whichever game
#[utoipa::path(
    get, path = "/v1/servers/{server}/logs", tag = "hosting",
    params(("server" = String, Path, description = "The server"), LogsQuery),
    responses((status = 200, body = String, content_type = "text/plain")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn logs(
    State(api): State<Api>,
    caller: Caller,
    Path(server): Path<ServerId>,
    Query(query): Query<LogsQuery>,
) -> ApiResult<Response> {
    let game = find(&api, &caller, &server).await?.game;
    read_log(&api, &caller, &game, &server, &query).await
}

/// A server among the games that the caller may host. One of another studio is not there for it.
async fn find(api: &Api, caller: &Caller, id: &ServerId) -> ApiResult<ServerView> {
    let settings = std::sync::Arc::clone(&api.node.settings.borrow());
    let hosted = |game: &GameSettings| caller.must_host(game).is_ok();
    if !settings.games.values().any(hosted) {
        return Err(ApiError::forbidden("The credentials have no right to any game's servers."));
    }
    let server = api.node.servers.find(id).await?;
    let is_seen = settings.games.get(&server.game).is_some_and(hosted);
    if is_seen { Ok(server) } else { Err(ServerError::NotFound.into()) }
}

async fn stop_server(
    api: &Api,
    caller: &Caller,
    game: &GameId,
    id: &ServerId,
) -> ApiResult<(StatusCode, Json<ServerView>)> {
    let view = api.node.servers.stop(game, id).await?;
    caller.audit(api, "server.stop", id.as_str(), serde_json::json!({ "game": game })).await;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

async fn read_log(
    api: &Api,
    caller: &Caller,
    game: &GameId,
    id: &ServerId,
    query: &LogsQuery,
) -> ApiResult<Response> {
    let place = streams::take_place(api, caller)?;
    let tail_lines = query.tail.unwrap_or(TAIL_DEFAULT).min(LOG_TAIL_LINES_MAX);
    let lines = api.node.servers.logs(game, id, LogQuery { tail_lines, follow: query.follow }).await?;
    let lines = stream::unfold(lines, |mut lines| async move {
        let mut text = lines.next().await?.text;
        text.push('\n');
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), lines))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, AnswerBody::from_stream(streams::bounded(api, place, lines))).into_response())
}

/// Where a page of servers begins.
enum Place {
    /// Among those that live: after this time and id, or at the newest.
    Living(Option<(i64, String)>),
    /// Among those that have ended: after this cursor, or at the newest.
    Ended(String),
}

impl Place {
    const ENDED: &'static str = "e.";
    const LIVING: &'static str = "l.";

    fn parse(cursor: Option<&str>) -> ApiResult<Self> {
        let invalid = || ApiError::bad_request("`cursor` is not one that a page gave.");
        let Some(cursor) = cursor else { return Ok(Self::Living(None)) };
        if let Some(place) = cursor.strip_prefix(Self::ENDED) {
            return Ok(Self::Ended(place.to_owned()));
        }
        let place =
            cursor.strip_prefix(Self::LIVING).and_then(|place| place.split_once('~')).ok_or_else(invalid)?;
        Ok(Self::Living(Some((place.0.parse().map_err(|_| invalid())?, place.1.to_owned()))))
    }

    fn after(server: &ServerView) -> String {
        format!("{}{}~{}", Self::LIVING, server.created_at.as_millis(), server.id)
    }

    fn ended(&self) -> ApiResult<Option<greenroom_storage::Cursor>> {
        match self {
            Self::Ended(place) if !place.is_empty() => place
                .parse()
                .map(Some)
                .map_err(|_| ApiError::bad_request("`cursor` is not one that a page gave.")),
            Self::Living(_) | Self::Ended(_) => Ok(None),
        }
    }
}

fn allocated_server(view: ServerView) -> AllocatedServer {
    AllocatedServer {
        name: view.name,
        address: view.address,
        port: view.port.unwrap_or_default(),
        id: view.id,
        state: view.state,
        region: view.region,
        ports: view.ports,
    }
}

/// 0 means as long as the game says.
fn timeout(seconds: f64) -> Option<Duration> {
    if seconds <= 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds).map_or(ALLOCATE_MAX, |timeout| timeout.min(ALLOCATE_MAX)))
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
