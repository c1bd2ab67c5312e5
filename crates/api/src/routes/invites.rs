//! Invitations of administrators.

use axum::{Json, extract::State, http::StatusCode};
use greenroom_protocol::{
    InviteId,
    admins::{AcceptInvite, AdminView, CreateInvite, InviteList, InviteView, NewInvite},
};
use greenroom_storage::AdminInvite;

use super::admins::{role, role_of, view as admin_view};
use crate::{
    api::Api,
    credentials::{Caller, Client},
    error::ApiResult,
    extract::{self, OptionalJson, Path},
};

/// Invite somebody to become an administrator
///
/// For owners. The answer has the link, this once: who opens it chooses a name and a password. It is good
/// once, for three days unless said otherwise.
#[utoipa::path(
    post, path = "/v1/invites", tag = "admins", request_body = Option<CreateInvite>,
    responses((status = 201, body = NewInvite)),
    security(("admin" = [])),
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    OptionalJson(request): OptionalJson<CreateInvite>,
) -> ApiResult<(StatusCode, Json<NewInvite>)> {
    let admin = caller.must_own()?;
    let (invite, token) =
        api.node.admins.invite(&admin.id, role_of(request.role), request.expires_at).await?;
    let detail = serde_json::json!({ "role": invite.role.as_str(), "expiresAt": invite.expires_at });
    caller.audit(&api, "invite.create", invite.id.as_str(), detail).await;
    let path = format!("/console/join/{token}");
    Ok((StatusCode::CREATED, Json(NewInvite { token, path, view: view(invite) })))
}

/// The invitations that nobody has accepted yet
#[utoipa::path(
    get, path = "/v1/invites", tag = "admins",
    responses((status = 200, body = InviteList)),
    security(("admin" = [])),
)]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> ApiResult<Json<InviteList>> {
    caller.must_be_admin()?;
    Ok(Json(InviteList { invites: api.node.admins.invites().await?.into_iter().map(view).collect() }))
}

/// Withdraw an invitation
///
/// For owners. Its link is worth nothing any more.
#[utoipa::path(
    delete, path = "/v1/invites/{invite}", tag = "admins",
    params(("invite" = String, Path, description = "The invitation's id")),
    responses((status = 204, description = "It is withdrawn"), (status = 404, description = "There is no such invitation")),
    security(("admin" = [])),
)]
pub(crate) async fn withdraw(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<InviteId>,
) -> ApiResult<StatusCode> {
    caller.must_own()?;
    api.node.admins.withdraw_invite(&id).await?;
    caller.audit(&api, "invite.withdraw", id.as_str(), serde_json::Value::Null).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Accept an invitation
///
/// For who has its token. Makes an administrator of the role that the invitation is for.
#[utoipa::path(
    post, path = "/v1/invites/accept", tag = "admins", request_body = AcceptInvite,
    responses(
        (status = 201, body = AdminView),
        (status = 404, description = "The invitation was used, withdrawn, or its time is over"),
        (status = 409, description = "There is an administrator of this name"),
    ),
)]
pub(crate) async fn accept(
    State(api): State<Api>,
    client: Client,
    extract::Json(request): extract::Json<AcceptInvite>,
) -> ApiResult<(StatusCode, Json<AdminView>)> {
    api.limits.sign_in.check(&client.limited_as())?;
    let AcceptInvite { token, name, password } = request;
    let admin = api.node.admins.accept_invite(&token, &name, &password, &client.of_console()).await?;
    Ok((StatusCode::CREATED, Json(admin_view(admin))))
}

fn view(invite: AdminInvite) -> InviteView {
    InviteView {
        id: invite.id,
        role: role(invite.role),
        invited_by: invite.invited_by,
        created_at: invite.created_at,
        expires_at: invite.expires_at,
    }
}
