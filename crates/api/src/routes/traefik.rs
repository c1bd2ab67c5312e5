//! What a Traefik in front is told.

use std::net::SocketAddr;

use axum::{
    Extension, Json,
    extract::{ConnectInfo, State},
    http::HeaderMap,
};
use greenroom_operations::servers::TraefikConfig;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::{
    api::Api,
    credentials::bearer,
    error::{ApiError, ApiResult},
};

/// What a proxy adds to what it passes on: whoever asks through one is not on this machine.
const FORWARDED: [&str; 4] = ["x-forwarded-for", "x-real-ip", "forwarded", "via"];

/// Routes to game servers, for Traefik
///
/// The dynamic configuration of Traefik's HTTP provider, which asks for it again and again: routers,
/// services and middlewares of every living server whose players come through Traefik. With a
/// configured token for who presents it as a bearer token; else for programs on this machine alone.
#[utoipa::path(
    get, path = "/traefik/config", tag = "system", operation_id = "traefik_config",
    responses(
        (status = 200, body = serde_json::Value),
        (status = 401, description = "The configured token is not presented"),
        (status = 403, description = "Who asks is not on this machine"),
    ),
)]
pub(crate) async fn config(
    State(api): State<Api>,
    connected: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> ApiResult<Json<TraefikConfig>> {
    if let Some(token) = &api.settings.traefik_token {
        let presented = bearer(&headers).unwrap_or_default();
        if !bool::from(presented.as_bytes().ct_eq(token.expose_secret().as_bytes())) {
            return Err(ApiError::unauthorized("This wants the token of [traefik] in the configuration."));
        }
    } else {
        let is_here =
            connected.is_some_and(|Extension(ConnectInfo(peer))| peer.ip().to_canonical().is_loopback());
        if !is_here || FORWARDED.iter().any(|name| headers.contains_key(*name)) {
            let sentence = "This is told to programs on this machine alone. Set token in [traefik] for a Traefik elsewhere.";
            return Err(ApiError::forbidden(sentence));
        }
    }
    Ok(Json(api.node.servers.traefik_config()))
}
