//! How an administrator gets in: sessions at the console, personal tokens. Each sees and ends its own; owners
//! everybody's.

use axum::{Json, extract::State, http::StatusCode};
use greenroom_protocol::{
    AdminId, AdminSessionId, PersonalTokenId,
    admins::{
        AdminSessionList, AdminSessionView, CreatePersonalToken, NewPersonalToken, PersonalTokenList,
        PersonalTokenView,
    },
};
use greenroom_storage::{AdminSession, PersonalToken};

use super::admins::own_or_owned;
use crate::{
    api::Api,
    credentials::AnyAdmin,
    error::{ApiError, ApiResult},
    extract::{self, Path},
};

/// An administrator's sessions at the console
#[utoipa::path(
    get, path = "/v1/admins/{admin}/sessions", tag = "admins", operation_id = "admin_sessions",
    params(("admin" = String, Path, description = "The administrator's id, or `me`")),
    responses((status = 200, body = AdminSessionList)),
    security(("admin" = [])),
)]
pub(crate) async fn sessions(
    State(api): State<Api>,
    asking: AnyAdmin,
    Path(id): Path<AdminId>,
) -> ApiResult<Json<AdminSessionList>> {
    let id = own_or_owned(&asking, id)?;
    let sessions = api.node.admins.sessions(&id).await?;
    Ok(Json(AdminSessionList { sessions: sessions.into_iter().map(session_view).collect() }))
}

/// End a session at the console
#[utoipa::path(
    delete, path = "/v1/admins/{admin}/sessions/{session}", tag = "admins",
    params(
        ("admin" = String, Path, description = "The administrator's id, or `me`"),
        ("session" = String, Path, description = "The session's id"),
    ),
    responses((status = 204, description = "It has ended"), (status = 404, description = "There is no such session")),
    security(("admin" = [])),
)]
pub(crate) async fn end_session(
    State(api): State<Api>,
    asking: AnyAdmin,
    Path((id, session)): Path<(AdminId, AdminSessionId)>,
) -> ApiResult<StatusCode> {
    let id = own_or_owned(&asking, id)?;
    api.node.admins.end_session(&id, &session).await?;
    asking.caller.audit(&api, "session.end", session.as_str(), serde_json::json!({ "of": id })).await;
    Ok(StatusCode::NO_CONTENT)
}

/// An administrator's personal tokens, without their secrets
#[utoipa::path(
    get, path = "/v1/admins/{admin}/tokens", tag = "admins",
    params(("admin" = String, Path, description = "The administrator's id, or `me`")),
    responses((status = 200, body = PersonalTokenList)),
    security(("admin" = [])),
)]
pub(crate) async fn tokens(
    State(api): State<Api>,
    asking: AnyAdmin,
    Path(id): Path<AdminId>,
) -> ApiResult<Json<PersonalTokenList>> {
    let id = own_or_owned(&asking, id)?;
    let tokens = api.node.admins.tokens(&id).await?;
    Ok(Json(PersonalTokenList { tokens: tokens.into_iter().map(token_view).collect() }))
}

/// Make a personal token
///
/// For oneself. It permits what one's role does at the time that it is presented, and is shown this once.
#[utoipa::path(
    post, path = "/v1/admins/{admin}/tokens", tag = "admins", request_body = CreatePersonalToken,
    params(("admin" = String, Path, description = "`me`, or one's own id")),
    responses((status = 201, body = NewPersonalToken)),
    security(("admin" = [])),
)]
pub(crate) async fn create_token(
    State(api): State<Api>,
    asking: AnyAdmin,
    Path(id): Path<AdminId>,
    extract::Json(request): extract::Json<CreatePersonalToken>,
) -> ApiResult<(StatusCode, Json<NewPersonalToken>)> {
    let id = own_or_owned(&asking, id)?;
    if id != asking.admin.id {
        return Err(ApiError::forbidden("A token can only be made for oneself."));
    }
    let (made, token) = api.node.admins.create_token(&id, &request.name, request.expires_at).await?;
    let detail = serde_json::json!({ "name": made.name, "expiresAt": made.expires_at });
    asking.caller.audit(&api, "token.create", made.id.as_str(), detail).await;
    Ok((StatusCode::CREATED, Json(NewPersonalToken { token, view: token_view(made) })))
}

/// Revoke a personal token at once
#[utoipa::path(
    delete, path = "/v1/admins/{admin}/tokens/{token}", tag = "admins",
    params(
        ("admin" = String, Path, description = "The administrator's id, or `me`"),
        ("token" = String, Path, description = "The token's id"),
    ),
    responses((status = 204, description = "It is revoked"), (status = 404, description = "There is no such token")),
    security(("admin" = [])),
)]
pub(crate) async fn revoke_token(
    State(api): State<Api>,
    asking: AnyAdmin,
    Path((id, token)): Path<(AdminId, PersonalTokenId)>,
) -> ApiResult<StatusCode> {
    let id = own_or_owned(&asking, id)?;
    api.node.admins.revoke_token(&id, &token).await?;
    asking.caller.audit(&api, "token.revoke", token.as_str(), serde_json::json!({ "of": id })).await;
    Ok(StatusCode::NO_CONTENT)
}

fn session_view(session: AdminSession) -> AdminSessionView {
    AdminSessionView {
        id: session.id,
        address: session.address,
        user_agent: session.user_agent,
        created_at: session.created_at,
        expires_at: session.expires_at,
    }
}

fn token_view(token: PersonalToken) -> PersonalTokenView {
    PersonalTokenView {
        id: token.id,
        name: token.name,
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
    }
}
