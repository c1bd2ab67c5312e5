//! Administrators of the installation.

use axum::{Json, extract::State, http::StatusCode};
use greenroom_protocol::{
    AdminId,
    admins::{AddAdmin, AdminList, AdminView, Role},
};
use greenroom_storage::{Admin, AdminRole};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::Api,
    credentials::Caller,
    error::ApiResult,
    extract::{self, Path, Query},
};

/// Administrators of one page unless said otherwise.
const PAGE_DEFAULT: u32 = 100;

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
    caller.must_be_admin()?;
    let admin = api.node.admins.add(&request.name, &request.password, role_of(request.role)).await?;
    let detail = serde_json::json!({ "name": admin.name, "role": admin.role.as_str() });
    api.node.admins.audit(&caller.name, "admin_added", admin.id.as_str(), detail).await;
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

/// Remove an administrator
///
/// Ends its sessions at once. The one that the admin token stands for cannot be removed.
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
    caller.must_be_admin()?;
    let admin = api.node.admins.remove(&id).await?;
    let detail = serde_json::json!({ "name": admin.name, "role": admin.role.as_str() });
    api.node.admins.audit(&caller.name, "admin_removed", id.as_str(), detail).await;
    Ok(StatusCode::NO_CONTENT)
}

fn view(admin: Admin) -> AdminView {
    let role = match admin.role {
        AdminRole::Viewer => Role::Viewer,
        AdminRole::Operator => Role::Operator,
        AdminRole::Owner => Role::Owner,
    };
    AdminView { id: admin.id, name: admin.name, role, created_at: admin.created_at }
}

const fn role_of(role: Role) -> AdminRole {
    match role {
        Role::Viewer => AdminRole::Viewer,
        Role::Operator => AdminRole::Operator,
        Role::Owner => AdminRole::Owner,
    }
}
