//! The hosts that game servers run on.

use axum::{Json, extract::State};
use greenroom_protocol::hosting::HostList;

use crate::{api::Api, credentials::Caller, error::ApiResult};

/// The hosts, and whether they can be reached
///
/// They belong to the installation and not to a studio, so that a studio's key does not see them.
#[utoipa::path(
    get, path = "/v1/hosts", tag = "hosting",
    responses((status = 200, body = HostList)),
    security(("admin" = [])),
)]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> ApiResult<Json<HostList>> {
    caller.must_be_admin()?;
    Ok(Json(HostList { hosts: api.node.servers.hosts() }))
}
