//! The installation itself: health, metrics, keys of tickets, descriptions.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use crate::{
    api::Api,
    credentials::bearer,
    error::{ApiError, ApiResult},
};

const HOME: &str = "<!doctype html><html lang=\"en\"><title>Greenroom</title>\
                    <meta http-equiv=\"refresh\" content=\"0; url=/console\">\
                    <p>Greenroom. <a href=\"/console\">The console</a></p></html>\n";

/// How long the keys of tickets may be remembered, in seconds.
const JWKS_CACHE: &str = "public, max-age=300";

/// The way to the console
///
/// 200 and no redirect: managers of game servers that Greenroom takes the place of are asked here for
/// their health.
#[utoipa::path(get, path = "/", tag = "system", responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn home() -> Html<&'static str> {
    Html(HOME)
}

/// The public keys that tickets are checked with
///
/// A JWK set (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "system", responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn jwks(State(api): State<Api>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, JWKS_CACHE)];
    (headers, api.node.players.jwks().to_owned()).into_response()
}

/// Whether the process answers
#[utoipa::path(get, path = "/healthz", tag = "system", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests may be sent here
#[utoipa::path(
    get, path = "/readyz", tag = "system",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, description = "It is starting or stopping", body = String, content_type = "text/plain"),
    ),
)]
pub(crate) async fn readyz(State(api): State<Api>) -> (StatusCode, &'static str) {
    if *api.ready.borrow() && !api.closing.is_cancelled() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

/// Numbers for Prometheus
///
/// Open to everybody, or with the admin token only: as the operator has it.
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(api): State<Api>, headers: HeaderMap) -> ApiResult<Response> {
    if !api.settings.metrics_are_public {
        let token = bearer(&headers).unwrap_or_default();
        let admin = api.node.admins.authenticate(token).await;
        admin
            .map_err(|_| ApiError::unauthorized("This wants the admin token, or an administrator's own."))?;
    }
    // Counted when asked for: what grows and never falls is a leak.
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    metrics::gauge!("greenroom_tasks").set(tasks as f64);
    let counts = api.node.hub.counts();
    metrics::gauge!("greenroom_lobbies").set(counts.lobbies as f64);
    metrics::gauge!("greenroom_players_connected").set(counts.players as f64);
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((headers, api.metrics.render()).into_response())
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "system", responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn openapi() -> ApiResult<Response> {
    let json = crate::openapi::openapi().to_json().map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// The description of sockets and subjects
///
/// AsyncAPI 3.0.
#[utoipa::path(get, path = "/asyncapi.json", tag = "system", responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn asyncapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], crate::asyncapi::asyncapi().to_string()).into_response()
}

/// What no path is.
pub(crate) async fn not_found() -> ApiError {
    ApiError::not_found("There is nothing at this path. `/openapi.json` lists what there is.")
}
