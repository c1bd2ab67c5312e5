//! Administrators of the installation.

use axum::{Json, extract::State, http::StatusCode};
use greenroom_protocol::{
    AdminId,
    admins::{AddAdmin, AdminList, AdminView, ChangeAdmin, ChangePassword, Role},
};
use greenroom_storage::{Admin, AdminRole};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::Api,
    credentials::{AnyAdmin, Caller},
    error::{ApiError, ApiResult},
    extract::{self, Path, Query},
};

/// Administrators of one page unless said otherwise.
const PAGE_DEFAULT: u32 = 100;

/// Stands in a path for who asks.
const ME: &str = "me";

/// Which administrators.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AdminsQuery {
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 100 unless given, 500 at most.
    limit: Option<u32>,
}

/// Add an administrator
///
/// For owners. An invitation does the same without that anybody knows another's password.
#[utoipa::path(
    post, path = "/v1/admins", tag = "admins", request_body = AddAdmin,
    responses((status = 201, body = AdminView), (status = 409, description = "There is one of this name")),
    security(("admin" = [])),
)]
pub(crate) async fn add(
    State(api): State<Api>,
    caller: Caller,
    extract::Json(request): extract::Json<AddAdmin>,
) -> ApiResult<(StatusCode, Json<AdminView>)> {
    caller.must_own()?;
    let admin = api.node.admins.add(&request.name, &request.password, role_of(request.role)).await?;
    caller.audit(&api, "admin.add", admin.id.as_str(), detail(&admin)).await;
    Ok((StatusCode::CREATED, Json(view(admin))))
}

/// The administrators
#[utoipa::path(
    get, path = "/v1/admins", tag = "admins", params(AdminsQuery),
    responses((status = 200, body = AdminList)),
    security(("admin" = [])),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<AdminsQuery>,
) -> ApiResult<Json<AdminList>> {
    caller.must_be_admin()?;
    let after = super::cursor(query.cursor.as_deref())?;
    let page = api.node.admins.list(after.as_ref(), query.limit.unwrap_or(PAGE_DEFAULT)).await?;
    let next = page.next.map(|cursor| cursor.to_string());
    Ok(Json(AdminList { admins: page.items.into_iter().map(view).collect(), next }))
}

/// An administrator
///
/// `me` is who asks.
#[utoipa::path(
    get, path = "/v1/admins/{admin}", tag = "admins",
    params(("admin" = String, Path, description = "The administrator's id, or `me`")),
    responses((status = 200, body = AdminView), (status = 404, description = "There is no such administrator")),
    security(("admin" = [])),
)]
pub(crate) async fn get(
    State(api): State<Api>,
    AnyAdmin { admin: asking, .. }: AnyAdmin,
    Path(id): Path<AdminId>,
) -> ApiResult<Json<AdminView>> {
    let id = if id.as_str() == ME { asking.id } else { id };
    Ok(Json(view(api.node.admins.get(&id).await?)))
}

/// Give an administrator another role
///
/// For owners. Holds at the next request of this one; the invitations that it made are withdrawn. The one
/// that the admin token stands for is always an owner.
#[utoipa::path(
    put, path = "/v1/admins/{admin}/role", tag = "admins", request_body = ChangeAdmin,
    params(("admin" = String, Path, description = "The administrator's id")),
    responses(
        (status = 200, body = AdminView),
        (status = 404, description = "There is no such administrator"),
        (status = 409, description = "It is the one that the admin token stands for"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn set_role(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<AdminId>,
    extract::Json(request): extract::Json<ChangeAdmin>,
) -> ApiResult<Json<AdminView>> {
    caller.must_own()?;
    let admin = api.node.admins.set_role(&id, role_of(request.role)).await?;
    caller.audit(&api, "admin.role", id.as_str(), detail(&admin)).await;
    Ok(Json(view(admin)))
}

/// Remove an administrator
///
/// For owners. Ends its sessions, tokens and invitations at once. The one that the admin token stands for
/// cannot be removed.
#[utoipa::path(
    delete, path = "/v1/admins/{admin}", tag = "admins",
    params(("admin" = String, Path, description = "The administrator's id")),
    responses(
        (status = 204, description = "It is removed"),
        (status = 404, description = "There is no such administrator"),
        (status = 409, description = "It is the one that the admin token stands for"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<AdminId>,
) -> ApiResult<StatusCode> {
    caller.must_own()?;
    let admin = api.node.admins.remove(&id).await?;
    caller.audit(&api, "admin.remove", id.as_str(), detail(&admin)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Change one's own password
///
/// Ends one's sessions at the console. Wrong guesses count as attempts to sign in.
#[utoipa::path(
    post, path = "/v1/admins/{admin}/password", tag = "admins", request_body = ChangePassword,
    params(("admin" = String, Path, description = "`me`, or one's own id")),
    responses((status = 204, description = "It is changed"), (status = 409, description = "One has no password")),
    security(("admin" = [])),
)]
pub(crate) async fn change_password(
    State(api): State<Api>,
    AnyAdmin { admin, caller }: AnyAdmin,
    client: crate::credentials::Client,
    Path(id): Path<AdminId>,
    extract::Json(request): extract::Json<ChangePassword>,
) -> ApiResult<StatusCode> {
    if id.as_str() != ME && id != admin.id {
        return Err(ApiError::forbidden("Only one's own password can be changed."));
    }
    api.limits.sign_in.check(&client.limited_as())?;
    api.node.admins.change_password(&admin.id, &request.current, &request.password).await?;
    caller.audit(&api, "admin.password", admin.id.as_str(), serde_json::Value::Null).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose sessions or tokens are meant: one's own, or for an owner anybody's.
pub(super) fn own_or_owned(asking: &AnyAdmin, id: AdminId) -> ApiResult<AdminId> {
    if id.as_str() == ME || id == asking.admin.id {
        return Ok(asking.admin.id.clone());
    }
    asking.caller.must_own()?;
    Ok(id)
}

pub(super) const fn role(role: AdminRole) -> Role {
    match role {
        AdminRole::Viewer => Role::Viewer,
        AdminRole::Operator => Role::Operator,
        AdminRole::Owner => Role::Owner,
    }
}

pub(super) const fn role_of(role: Role) -> AdminRole {
    match role {
        Role::Viewer => AdminRole::Viewer,
        Role::Operator => AdminRole::Operator,
        Role::Owner => AdminRole::Owner,
    }
}

pub(super) fn view(admin: Admin) -> AdminView {
    AdminView { id: admin.id, name: admin.name, role: role(admin.role), created_at: admin.created_at }
}

fn detail(admin: &Admin) -> serde_json::Value {
    serde_json::json!({ "name": admin.name, "role": admin.role.as_str() })
}
