//! Builds: the versions of a game's server, where they are, and how they get there.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use greenroom_operations::builds::Builds;
use greenroom_protocol::{GameId, builds::BuildList};
use tokio::{sync::watch, time::Instant};

use super::streams;
use crate::{
    api::Api,
    credentials::Caller,
    error::ApiResult,
    extract::{Game, Path},
};

/// The shortest time between two states of a stream: a pull changes more often than anybody reads.
const STATES_APART: Duration = Duration::from_millis(250);

/// A stream looks this often for what no pull tells, such as a new version.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// A quiet stream shows this often that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The versions of a game
///
/// Newest first, which of them are supported, which hosts have them, and how far pulls are.
#[utoipa::path(
    get, path = "/v1/games/{game}/builds", tag = "builds",
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = BuildList), (status = 404, description = "No such game, or it has no servers")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn list(State(api): State<Api>, caller: Caller, game: Game) -> ApiResult<Json<BuildList>> {
    caller.must_host(game.settings()?)?;
    Ok(Json(api.node.builds.list(game.id()).await?))
}

/// Follow the versions of a game
///
/// Server-sent events: the `data` of each is the whole list, at first and after every change.
#[utoipa::path(
    get, path = "/v1/games/{game}/builds/stream", tag = "builds",
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = String, content_type = "text/event-stream")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn follow(State(api): State<Api>, caller: Caller, game: Game) -> ApiResult<Response> {
    caller.must_host(game.settings()?)?;
    let first = api.node.builds.list(game.id()).await?;
    let place = streams::take_place(&api, &caller)?;
    let states = states(api.node.builds.clone(), game.id().clone(), first);
    let states = streams::bounded(&api, place, states);
    let mut response = Sse::new(states).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Look the versions up again
///
/// Answered with what is there by now; versions that came are pulled to the hosts.
#[utoipa::path(
    post, path = "/v1/games/{game}/builds/refresh", tag = "builds",
    params(("game" = String, Path, description = "The game")),
    responses((status = 200, body = BuildList)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn refresh(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
) -> ApiResult<Json<BuildList>> {
    caller.must_host(game.settings()?)?;
    let list = api.node.builds.refresh(game.id()).await?;
    caller.audit(&api, "build.refresh", game.id().as_str(), serde_json::Value::Null).await;
    Ok(Json(list))
}

/// Pull a version to the game's hosts
///
/// Answered as soon as it is on its way; the list of builds tells how far it is.
#[utoipa::path(
    post, path = "/v1/games/{game}/builds/{version}/pull", tag = "builds",
    params(
        ("game" = String, Path, description = "The game"),
        ("version" = String, Path, description = "The version, or its tag"),
    ),
    responses(
        (status = 202, description = "It is being pulled where it is missing", body = BuildList),
        (status = 404, description = "There is no such version"),
        (status = 409, description = "The game's servers are no containers, or have no host"),
    ),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn pull(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, version)): Path<(GameId, String)>,
) -> ApiResult<(StatusCode, Json<BuildList>)> {
    caller.must_host(game.settings()?)?;
    let list = api.node.builds.pull(game.id(), &version).await?;
    let detail = serde_json::json!({ "game": game.id() });
    caller.audit(&api, "build.pull", &version, detail).await;
    Ok((StatusCode::ACCEPTED, Json(list)))
}

struct Follower {
    builds: Builds,
    game: GameId,
    changes: watch::Receiver<u64>,
    /// What is to be told next.
    next: Option<BuildList>,
    told: Option<BuildList>,
}

fn states(builds: Builds, game: GameId, first: BuildList) -> impl Stream<Item = Result<Event, Infallible>> {
    let changes = builds.pull_changes();
    let follower = Follower { builds, game, changes, next: Some(first), told: None };
    stream::unfold(follower, |mut follower| async move {
        let list = match follower.next.take() {
            Some(first) => first,
            None => follower.changed().await?,
        };
        let event = Event::default().json_data(&list).ok()?;
        follower.told = Some(list);
        Some((Ok(event), follower))
    })
}

impl Follower {
    /// The next list that is another one than was told; none once the game is gone.
    async fn changed(&mut self) -> Option<BuildList> {
        loop {
            let earliest = Instant::now() + STATES_APART;
            // The order does not matter: both lead to a look.
            tokio::select! {
                _ = self.changes.changed() => {}
                () = tokio::time::sleep(LOOK_PERIOD) => {}
            }
            tokio::time::sleep_until(earliest).await;
            self.changes.mark_unchanged();
            let list = self.builds.list(&self.game).await.ok()?;
            if self.told.as_ref() != Some(&list) {
                return Some(list);
            }
        }
    }
}
