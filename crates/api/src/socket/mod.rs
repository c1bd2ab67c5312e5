//! Player sockets: let in, then served by a [`session`] each.

mod keep_alive;
pub(crate) mod list;
mod session;

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use greenroom_operations::PlayerPrincipal;
use greenroom_protocol::{ErrorCode, GameId};
use serde::Deserialize;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{
    api::Api,
    credentials::{Client, bearer, player_of},
    error::{ApiError, ApiResult},
    extract::{Game, Query},
    limits::Place,
    serve::ConnectionPlace,
};

/// What a socket reads at once, in bytes: it is held for as long as the socket is open. Commands of
/// players have some hundred bytes; a longer message is read in pieces.
const READ_BUFFER_BYTES: usize = 512;

/// What is gathered before it is written, in bytes.
const WRITE_BUFFER_BYTES: usize = 4_096;

/// The subprotocol that native clients offer.
const PROTOCOL: &str = "greenroom.v1";

/// A browser cannot set headers: it offers its token as a subprotocol that begins so.
const TOKEN_PROTOCOL_PREFIX: &str = "greenroom.token.";

#[derive(Deserialize)]
pub(crate) struct TokenQuery {
    token: Option<String>,
}

pub(crate) type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;
pub(crate) type Connected = Option<axum::Extension<ConnectionPlace>>;

/// Open a player's socket (contract)
///
/// Always answered 101; without a good token the first frame is an `error`, and the socket is
/// closed. What travels on it is described by `/asyncapi.json`.
#[utoipa::path(
    get, path = "/_ws", tag = "contract", operation_id = "contract_socket",
    params(("token" = Option<String>, Query, description = "The player's access token")),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 404, description = "The request is no upgrade", body = greenroom_protocol::auth::ContractError),
    ),
)]
pub(crate) async fn contract(
    State(api): State<Api>,
    game: Game,
    client: Client,
    connected: Connected,
    token: Result<Query<TokenQuery>, ApiError>,
    upgrade: Upgrade,
) -> ApiResult<Response> {
    let upgrade = upgrade.map_err(|_| ApiError::not_found("There is nothing here but a WebSocket."))?;
    let token = token.ok().and_then(|Query(query)| query.token);
    Ok(open(api, game.id().clone(), client, connected, token, upgrade).await)
}

/// Open a player's socket
///
/// The token comes in the query, in `Authorization`, or from a browser as the subprotocol
/// `greenroom.token.<token>` beside `greenroom.v1`. Always answered 101 once the game is known;
/// without a good token the first frame is an `error`, and the socket is closed with 4401. What
/// travels on it is described by `/asyncapi.json`.
#[utoipa::path(
    get, path = "/v1/games/{game}/socket", tag = "players", operation_id = "socket",
    params(
        ("game" = String, Path, description = "The game"),
        ("token" = Option<String>, Query, description = "The player's access token"),
    ),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 400, description = "The request is no upgrade", body = greenroom_protocol::Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such game", body = greenroom_protocol::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn native(
    State(api): State<Api>,
    game: Game,
    client: Client,
    connected: Connected,
    headers: HeaderMap,
    token: Result<Query<TokenQuery>, ApiError>,
    upgrade: Upgrade,
) -> ApiResult<Response> {
    let upgrade = upgrade
        .map_err(|_| ApiError::bad_request("This is a WebSocket: ask for an upgrade, version 13."))?
        .protocols([PROTOCOL]);
    let in_query = token.ok().and_then(|Query(query)| query.token);
    let token = in_query.or_else(|| bearer(&headers).map(str::to_owned)).or_else(|| offered_token(&headers));
    Ok(open(api, game.id().clone(), client, connected, token, upgrade).await)
}

/// What is no upgrade is not there, whatever its method.
pub(crate) async fn not_found() -> ApiError {
    ApiError::not_found("There is nothing here but a WebSocket.")
}

fn offered_token(headers: &HeaderMap) -> Option<String> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut texts =
        offers.iter().filter_map(|value: &HeaderValue| value.to_str().ok()).flat_map(|v| v.split(','));
    texts.find_map(|text| text.trim().strip_prefix(TOKEN_PROTOCOL_PREFIX)).map(str::to_owned)
}

/// What a socket holds for as long as it is open.
pub(crate) struct Held {
    _token: TaskTrackerToken,
    _connection: Option<ConnectionPlace>,
    _place: Option<Place<std::net::IpAddr>>,
}

/// Why a socket is closed as soon as it is open.
struct Refused {
    message: String,
    code: ErrorCode,
    close: u16,
}

async fn open(
    api: Api,
    game: GameId,
    client: Client,
    connected: Connected,
    token: Option<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let place = api.limits.sockets.take(&client.limited_as());
    let admitted = match &place {
        None => Err(Refused {
            message: "Too many sockets are open from your address. Close one, and try again.".into(),
            code: ErrorCode::RateLimited,
            close: session::POLICY,
        }),
        Some(_) => admit(&api, &game, token.filter(|token| !token.is_empty())).await,
    };
    // Taken before the upgrade: no moment passes in which the socket is counted by nobody.
    let token = api.tracker.token();
    let held = Held { _token: token, _connection: connected.map(|place| place.0), _place: place };
    let limits = api.settings.sockets;
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(limits.message_bytes_max)
        .max_frame_size(limits.message_bytes_max)
        .on_upgrade(move |socket: WebSocket| async move {
            match admitted {
                Ok(player) => session::run(socket, api, player).await,
                Err(refused) => {
                    session::refuse(socket, &refused.message, refused.code, refused.close, &limits).await;
                }
            }
            drop(held);
        })
        .into_response()
}

async fn admit(api: &Api, game: &GameId, token: Option<String>) -> Result<PlayerPrincipal, Refused> {
    let refused = |message: &str, code: ErrorCode| {
        let close = if code.status() >= 500 { session::TRY_AGAIN_LATER } else { session::SESSION_ENDED };
        Refused { message: message.to_owned(), code, close }
    };
    let token = token.ok_or_else(|| refused("Token required", ErrorCode::Unauthorized))?;
    player_of(api, &token, Some(game)).await.map_err(|failure| {
        let failure = ApiError::from(failure);
        failure.log("", "GET", "socket");
        refused(failure.detail(), failure.code())
    })
}
