//! API keys of a studio.

use axum::{Json, extract::State, http::StatusCode};
use greenroom_operations::{Principal, studios::KeyRequest};
use greenroom_protocol::{
    KeyId, StudioId,
    keys::{CreateKey, KeyList, KeyView, NewKey},
};
use greenroom_storage::{ApiKey, KeyPermissions};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::Api,
    credentials::Caller,
    error::{ApiError, ApiResult},
    extract::{self, Path, Query},
};

/// Keys of one page unless said otherwise.
const PAGE_DEFAULT: u32 = 100;

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeysQuery {
    /// Whose; for administrators every studio's unless given.
    studio: Option<StudioId>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 100 unless given, 500 at most.
    limit: Option<u32>,
}

/// Make an API key
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys", request_body = CreateKey,
    params(("studio" = Option<String>, Query, description = "Whose, if the body does not say")),
    responses((status = 201, body = NewKey)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<KeysQuery>,
    extract::Json(request): extract::Json<CreateKey>,
) -> ApiResult<(StatusCode, Json<NewKey>)> {
    let studio = caller.principal.studio(request.studio.as_ref().or(query.studio.as_ref()))?;
    caller.must_govern(&studio)?;
    let permissions = KeyPermissions {
        hosting: request.hosting,
        admin: request.admin,
        publish: request.publish,
        subscribe: request.subscribe,
    };
    let request =
        KeyRequest { name: request.name, game: request.game, permissions, expires_at: request.expires_at };
    let (key, text) = api.node.keys.create(&studio, request).await?;
    let detail = serde_json::json!({
        "studio": studio, "game": key.game, "name": key.name, "hosting": key.permissions.hosting,
        "admin": key.permissions.admin, "expiresAt": key.expires_at,
    });
    caller.audit(&api, "key.create", key.id.as_str(), detail).await;
    Ok((StatusCode::CREATED, Json(NewKey { key: text, view: view(key) })))
}

/// The API keys, without their secrets
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys", params(KeysQuery),
    responses((status = 200, body = KeyList)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<KeysQuery>,
) -> ApiResult<Json<KeyList>> {
    let studio = match &caller.principal {
        Principal::Admin(_) => query.studio,
        Principal::Key(_) | Principal::Server(_) => Some(caller.principal.studio(query.studio.as_ref())?),
    };
    if let Some(studio) = &studio {
        caller.must_administer(studio)?;
    }
    let after = super::cursor(query.cursor.as_deref())?;
    let page =
        api.node.keys.list(studio.as_ref(), after.as_ref(), query.limit.unwrap_or(PAGE_DEFAULT)).await?;
    let next = page.next.map(|cursor| cursor.to_string());
    Ok(Json(KeyList { keys: page.items.into_iter().map(view).collect(), next }))
}

/// Revoke an API key at once
#[utoipa::path(
    delete, path = "/v1/keys/{key}", tag = "keys",
    params(("key" = String, Path, description = "The key's id")),
    responses((status = 204, description = "It is revoked"), (status = 404, description = "No key of this studio")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<KeyId>,
) -> ApiResult<StatusCode> {
    if let Principal::Key(key) = &caller.principal {
        caller.must_administer(&key.studio)?;
    } else {
        caller.must_own()?;
    }
    let key = api.node.keys.get(&id).await?;
    // Another studio's key is not there, rather than forbidden: its existence is nobody's business.
    caller.must_administer(&key.studio).map_err(|_| ApiError::not_found("There is no such key."))?;
    api.node.keys.revoke(&id).await?;
    let detail = serde_json::json!({ "studio": key.studio });
    caller.audit(&api, "key.revoke", id.as_str(), detail).await;
    Ok(StatusCode::NO_CONTENT)
}

fn view(key: ApiKey) -> KeyView {
    KeyView {
        id: key.id,
        name: key.name,
        studio: key.studio,
        game: key.game,
        hosting: key.permissions.hosting,
        admin: key.permissions.admin,
        publish: key.permissions.publish,
        subscribe: key.permissions.subscribe,
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        last_used_at: key.last_used_at,
    }
}
