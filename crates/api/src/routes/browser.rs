//! The server browser: which game servers players may choose from.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use greenroom_protocol::{
    RegionId,
    browser::{BrowserFilter, BrowserPage, BrowserSort, LATENCIES_MAX},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::Api,
    error::{ApiError, ApiResult},
    extract::{Game, Query},
};

/// How long an answer may be given again by whoever stands between.
const CACHE: &str = "public, max-age=1";

/// Which servers, and how.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BrowserQuery {
    /// Only those of this region.
    region: Option<RegionId>,
    /// Only those that run this version.
    version: Option<String>,
    /// Only those that are not known to be full.
    #[serde(default)]
    not_full: bool,
    /// Only those that somebody plays on.
    #[serde(default)]
    has_players: bool,
    /// Only those whose name has this in it, in whatever case.
    text: Option<String>,
    /// By `latency`, `players` or `name`. By latency where latencies are given, else by players.
    sort: Option<BrowserSort>,
    /// The client's latency to each region in milliseconds, such as `eu:30,us:120`.
    latencies: Option<String>,
    /// At most so many; 50 unless given, 200 at most.
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before, with the same filter.
    cursor: Option<String>,
}

/// The server browser
///
/// The servers of the fleet that are listed, and those that announced themselves at `/api/list/ws`.
/// Open to everybody. The same live: `browser:watch` over the player's socket.
#[utoipa::path(
    get, path = "/v1/games/{game}/browser", tag = "browser",
    params(("game" = String, Path, description = "The game"), BrowserQuery),
    responses(
        (status = 200, body = BrowserPage),
        (status = 400, description = "A parameter is not valid"),
        (status = 404, description = "There is no such game"),
    ),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    game: Game,
    Query(query): Query<BrowserQuery>,
) -> ApiResult<Response> {
    let filter = BrowserFilter {
        region: query.region,
        version: query.version,
        not_full: query.not_full,
        has_players: query.has_players,
        text: query.text,
        sort: query.sort,
        latencies: latencies(query.latencies.as_deref().unwrap_or_default())?,
        limit: query.limit,
    };
    let page = api.node.browser.list_encoded(game.id(), filter, query.cursor.as_deref())?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, CACHE)];
    Ok((headers, page).into_response())
}

fn latencies(text: &str) -> ApiResult<BTreeMap<RegionId, u32>> {
    let refused = || {
        let sentence = "`latencies` must be regions with milliseconds, such as `eu:30,us:120`, at most 64.";
        ApiError::bad_request(sentence)
    };
    let read = |part: &str| {
        let (region, latency) = part.split_once(':')?;
        let latency = latency.trim().parse::<f64>().ok()?;
        let is_fit = (0.0..=f64::from(u32::MAX)).contains(&latency);
        Some((RegionId::new(region.trim()).ok()?, is_fit.then_some(latency as u32)?))
    };
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    let read = parts.take(LATENCIES_MAX + 1).map(read).collect::<Option<BTreeMap<_, _>>>();
    read.filter(|all| all.len() <= LATENCIES_MAX).ok_or_else(refused)
}
