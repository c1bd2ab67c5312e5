//! Accounts by e-mail and password. No answer tells whether an address has an account.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use greenroom_domain::text;
use greenroom_operations::players::TokenKind;
use greenroom_protocol::{
    GameId,
    accounts::{EmailConfirm, EmailForgot, EmailReset, EmailSignIn, EmailSignUp},
    auth::SignedIn,
};

use crate::{
    api::Api,
    credentials::Client,
    error::ApiResult,
    extract::{self, Game},
};

/// Ask for an account by e-mail and password
///
/// A mail to the address says how it goes on; the answer is the same whether the address has an account or
/// not. There is an account once the link in the mail was opened.
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/email/sign-up", tag = "accounts", request_body = EmailSignUp,
    params(("game" = String, Path, description = "The game")),
    responses(
        (status = 202, description = "A mail is sent to the address"),
        (status = 404, description = "Players of this game do not sign in by e-mail"),
        (status = 422, description = "The address, the password or the name is not one"),
    ),
)]
pub(crate) async fn sign_up(
    State(api): State<Api>,
    game: Game,
    client: Client,
    extract::Json(request): extract::Json<EmailSignUp>,
) -> ApiResult<StatusCode> {
    may_send_mail(&api, game.id(), &client, &request.email)?;
    api.node.players.sign_up_email(game.id(), request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Confirm an e-mail address
///
/// Makes the account that was asked for, or adds the address to the player that asked for that. The token is
/// the one of the link in the mail, and good for one use.
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/email/confirm", tag = "accounts", request_body = EmailConfirm,
    params(("game" = String, Path, description = "The game")),
    responses(
        (status = 204, description = "The player can sign in by its address and password"),
        (status = 409, description = "The address has an account by now"),
        (status = 410, description = "The token was used, or its time is over"),
    ),
)]
pub(crate) async fn confirm(
    State(api): State<Api>,
    game: Game,
    client: Client,
    extract::Json(request): extract::Json<EmailConfirm>,
) -> ApiResult<StatusCode> {
    api.limits.sign_in.check(&client.limited_as())?;
    api.node.players.confirm_email(game.id(), &request.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign in by e-mail and password
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/email", tag = "accounts", request_body = EmailSignIn,
    params(("game" = String, Path, description = "The game")),
    responses(
        (status = 200, body = SignedIn),
        (status = 401, description = "Address and password do not go together, or the address is not confirmed"),
        (status = 403, description = "The player is banned"),
    ),
)]
pub(crate) async fn sign_in(
    State(api): State<Api>,
    game: Game,
    client: Client,
    extract::Json(request): extract::Json<EmailSignIn>,
) -> ApiResult<Json<SignedIn>> {
    api.limits.sign_in.check(&client.limited_as())?;
    api.limits.password.check(&account(game.id(), &request.email))?;
    let signed_in =
        api.node.players.sign_in_email(game.id(), request, TokenKind::Native, client.info()).await?;
    Ok(Json(signed_in))
}

/// Ask for a new password
///
/// If the address has an account, a mail to it has a link; the answer is the same if not.
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/email/forgot", tag = "accounts", request_body = EmailForgot,
    params(("game" = String, Path, description = "The game")),
    responses((status = 202, description = "A mail is sent to the address, if it has an account")),
)]
pub(crate) async fn forgot(
    State(api): State<Api>,
    game: Game,
    client: Client,
    extract::Json(request): extract::Json<EmailForgot>,
) -> ApiResult<StatusCode> {
    may_send_mail(&api, game.id(), &client, &request.email)?;
    api.node.players.forgot_password(game.id(), &request.email).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Choose a new password
///
/// The token is the one of the link in the mail, and good for one use. The player is signed out everywhere.
#[utoipa::path(
    post, path = "/v1/games/{game}/auth/email/reset", tag = "accounts", request_body = EmailReset,
    params(("game" = String, Path, description = "The game")),
    responses(
        (status = 204, description = "The new password holds"),
        (status = 410, description = "The token was used, or its time is over"),
        (status = 422, description = "The password cannot be one"),
    ),
)]
pub(crate) async fn reset(
    State(api): State<Api>,
    game: Game,
    client: Client,
    extract::Json(request): extract::Json<EmailReset>,
) -> ApiResult<StatusCode> {
    api.limits.sign_in.check(&client.limited_as())?;
    api.node.players.reset_password(game.id(), request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes one mail off what the client may have us send, and one off what the recipient may get.
pub(super) fn may_send_mail(api: &Api, game: &GameId, client: &Client, email: &str) -> ApiResult<()> {
    api.limits.mail.check(&client.limited_as())?;
    api.limits.mail_to.check(&account(game, email))
}

/// An account, as limits count it. What is no address is one account altogether.
fn account(game: &GameId, email: &str) -> Arc<str> {
    format!("{game}/{}", text::email(email).unwrap_or_default()).into()
}
