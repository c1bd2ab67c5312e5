//! Backups of the installation.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use greenroom_protocol::backups::BackupList;

use crate::{api::Api, credentials::Caller, error::ApiResult};

/// The backups
///
/// What the store has, what is being made, and when the next one is.
#[utoipa::path(
    get, path = "/v1/backups", tag = "system",
    responses((status = 200, body = BackupList)),
    security(("admin" = [])),
)]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> ApiResult<Json<BackupList>> {
    caller.must_own()?;
    Ok(Json(api.node.backups.list().await))
}

/// Make a backup into the store
///
/// Answered when it has begun; `GET /v1/backups` tells how it fares. There is one at a time.
#[utoipa::path(
    post, path = "/v1/backups", tag = "system",
    responses(
        (status = 202, description = "It has begun"),
        (status = 409, description = "No store is configured"),
        (status = 503, description = "One is being made already"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn begin(State(api): State<Api>, caller: Caller) -> ApiResult<StatusCode> {
    caller.must_own()?;
    api.node.backups.begin()?;
    caller.audit(&api, "backup.begin", "", serde_json::Value::Null).await;
    Ok(StatusCode::ACCEPTED)
}

/// Download a backup
///
/// Made while it is sent, of the moment of this request. It contains every secret of the installation.
/// One that was cut short says so itself: `greenroom verify` refuses it. There is one at a time.
#[utoipa::path(
    post, path = "/v1/backups/download", tag = "system",
    responses(
        (status = 200, body = String, content_type = "application/octet-stream"),
        (status = 503, description = "One is being made already"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn download(State(api): State<Api>, caller: Caller) -> ApiResult<Response> {
    caller.must_own()?;
    let download = api.node.backups.download().await?;
    caller.audit(&api, "backup.download", &download.name, serde_json::Value::Null).await;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", download.name)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(download.chunks)).into_response())
}
