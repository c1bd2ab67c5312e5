//! Administrators of the installation.

use axum::{Json, extract::State, http::StatusCode};
use greenroom_protocol::{AdminId, Timestamp};
use greenroom_storage::{Admin, AdminRole};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::Api,
    credentials::Caller,
    error::ApiResult,
    extract::{self, Query},
};

/// Administrators of one page unless said otherwise.
const PAGE_DEFAULT: u32 = 100;

/// A new administrator, who signs in to the console.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AddAdmin {
    /// The name to sign in with: 1 to 64 characters, unique.
    name: String,
    /// 10 characters or more, at most 256 bytes.
    password: String,
    /// What this one may do; `operator` unless given.
    #[serde(default)]
    role: Role,
}

/// What an administrator may do.
#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Look.
    Viewer,
    /// Look, and act on what runs.
    #[default]
    Operator,
    /// Everything, administrators included.
    Owner,
}

/// An administrator.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminView {
    /// Unique for ever.
    id: AdminId,
    /// The name to sign in with.
    name: String,
    /// What this one may do.
    role: Role,
    /// When it was made.
    created_at: Timestamp,
}

/// A page of administrators.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminList {
    /// In the order of their names.
    admins: Vec<AdminView>,
    /// Gets the next page as `?cursor=`; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

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
    let admin = api.node.admins.add(&request.name, &request.password, request.role.into()).await?;
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

fn view(admin: Admin) -> AdminView {
    let role = match admin.role {
        AdminRole::Viewer => Role::Viewer,
        AdminRole::Operator => Role::Operator,
        AdminRole::Owner => Role::Owner,
    };
    AdminView { id: admin.id, name: admin.name, role, created_at: admin.created_at }
}

impl From<Role> for AdminRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Operator => Self::Operator,
            Role::Owner => Self::Owner,
        }
    }
}
