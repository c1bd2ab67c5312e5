//! The audit log.

use axum::{Json, extract::State};
use greenroom_protocol::admins::AuditPage;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{api::Api, credentials::Caller, error::ApiResult, extract::Query};

/// Entries of one page unless said otherwise.
const PAGE_DEFAULT: u32 = 100;

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 100 unless given, 500 at most.
    limit: Option<u32>,
}

/// What was changed, by whom, from where
///
/// Every change that an administrator, an API key or the admin token made, newest first.
#[utoipa::path(
    get, path = "/v1/audit", tag = "admins", operation_id = "audit_log", params(AuditQuery),
    responses((status = 200, body = AuditPage)),
    security(("admin" = [])),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> ApiResult<Json<AuditPage>> {
    caller.must_be_admin()?;
    let after = super::cursor(query.cursor.as_deref())?;
    Ok(Json(api.node.admins.audit_log(after.as_ref(), query.limit.unwrap_or(PAGE_DEFAULT)).await?))
}
