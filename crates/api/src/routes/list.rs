//! The server browser as shipped games have it.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use greenroom_protocol::{ErrorCode, auth::ContractError, browser::ListedServer};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::Api,
    credentials::{Client, bearer},
    error::{ApiError, ApiResult},
    extract::{Game, Query},
    socket::{
        Connected, Upgrade,
        list::{Announcer, open, proved},
    },
};

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// So many are left out at the beginning; none unless given.
    offset: Option<String>,
    /// At most so many; all unless given.
    limit: Option<String>,
}

/// The game servers that players may choose from (contract)
///
/// The longest listed first. Servers of the fleet, and those that announced themselves.
#[utoipa::path(
    get, path = "/api/list/servers", tag = "contract", operation_id = "contract_servers",
    params(ListQuery),
    responses(
        (status = 200, body = Vec<ListedServer>),
        (status = 422, description = "`offset` or `limit` is no whole number from 0 on", body = ContractError),
    ),
)]
pub(crate) async fn servers(
    State(api): State<Api>,
    game: Game,
    Query(query): Query<ListQuery>,
) -> ApiResult<Response> {
    metrics::counter!("server_list_requests").increment(1);
    let offset = number("offset", query.offset.as_deref())?.unwrap_or(0);
    let limit = number("limit", query.limit.as_deref())?;
    let list = api.node.browser.contract_list(game.id(), offset, limit);
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, list).into_response())
}

/// A number of the query. An empty text is the same as none; more than any list has is all of it.
fn number(name: &str, text: Option<&str>) -> ApiResult<Option<usize>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(text.parse().unwrap_or(usize::MAX)));
    }
    Err(ApiError::new(ErrorCode::Invalid, format!("`{name}` must be a whole number from 0 on.")))
}

/// Whether the list answers (contract)
#[utoipa::path(
    get, path = "/api/list/healthcheck", tag = "contract", operation_id = "contract_list_health",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(crate) async fn healthcheck() -> &'static str {
    "Success!"
}

#[derive(Deserialize)]
pub(crate) struct TokenQuery {
    token: Option<String>,
}

/// Announce a game server (contract)
///
/// A WebSocket of JSON in text frames, opened by the game server; it may offer the subprotocol
/// `json`. Its first message announces it: `{"name": "Ann's Game", "port": 7003, "tls": false}`,
/// where `tls` may be missing; `players`, `playersMax`, `region` and `version` may be told too. Later
/// messages say `{"players": 3}`. The server is listed for as long as the socket lives. A first
/// message that does not fit closes the socket with 1008 and a reason; a later one is ignored. A
/// server that Greenroom started may show its token; then it is known for what it is, wherever it
/// connects from.
#[utoipa::path(
    get, path = "/api/list/ws", tag = "contract", operation_id = "contract_list_socket",
    params(("token" = Option<String>, Query, description = "The game server's own token; also good as a bearer token")),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 400, description = "The request is no upgrade", body = ContractError),
        (status = 401, description = "A token was shown that is not good", body = ContractError),
    ),
)]
pub(crate) async fn announce(
    State(api): State<Api>,
    client: Client,
    connected: Connected,
    headers: HeaderMap,
    token: Result<Query<TokenQuery>, ApiError>,
    upgrade: Upgrade,
    game: ApiResult<Game>,
) -> ApiResult<Response> {
    let in_query = token.ok().and_then(|Query(query)| query.token);
    let (game, server) = match in_query.as_deref().or_else(|| bearer(&headers)) {
        Some(token) => proved(&api, token).map(|(game, server)| (game, Some(server)))?,
        None => (game?.id().clone(), None),
    };
    let connected = connected.map(|place| place.0);
    open(api, Announcer { game, server, client, connected }, upgrade)
}
