//! The pages that links in mails lead to, where a studio has none of its own. Opening one changes nothing:
//! programs that look at mails open links too.

use axum::{
    Form,
    extract::{State, rejection::FormRejection},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use greenroom_operations::{Failure, secret};
use greenroom_protocol::{ErrorCode, accounts::EmailReset};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::Api,
    credentials::Client,
    error::ApiResult,
    extract::{Game, Query},
};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:28rem;margin:15vh auto;padding:0 1rem;\
    color-scheme:light dark}input,button{font:inherit;display:block;width:100%;box-sizing:border-box;\
    padding:.6rem;margin:.6rem 0}";

/// The link of a mail.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Link {
    /// The token of the mail.
    #[serde(default)]
    token: String,
}

/// What the page to confirm an address sends.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ConfirmForm {
    token: String,
}

/// What the page to choose a new password sends.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ResetForm {
    token: String,
    password: String,
}

/// The page to confirm an e-mail address
#[utoipa::path(
    get, path = "/v1/games/{game}/account/confirm", tag = "accounts",
    params(("game" = String, Path, description = "The game"), Link),
    responses((status = 200, description = "A page with a button", body = String, content_type = "text/html")),
)]
pub(crate) async fn confirm(game: Game, Query(link): Query<Link>) -> Response {
    let game = game.id();
    page(
        StatusCode::OK,
        "Confirm your address",
        &html! {
            p { "This makes it your address for " strong { (game) } "." }
            form method="post" {
                input type="hidden" name="token" value=(link.token);
                button type="submit" { "Confirm" }
            }
        },
    )
}

/// Confirm an e-mail address from the page
#[utoipa::path(
    post, path = "/v1/games/{game}/account/confirm", tag = "accounts",
    params(("game" = String, Path, description = "The game")),
    request_body(content = ConfirmForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "A page that says so", body = String, content_type = "text/html")),
)]
pub(crate) async fn confirmed(
    State(api): State<Api>,
    game: Game,
    client: Client,
    form: Result<Form<ConfirmForm>, FormRejection>,
) -> ApiResult<Response> {
    api.limits.sign_in.check(&client.limited_as())?;
    let Ok(Form(form)) = form else { return Ok(refused(&incomplete())) };
    Ok(match api.node.players.confirm_email(game.id(), &form.token).await {
        Ok(()) => page(
            StatusCode::OK,
            "Your address is confirmed",
            &html! { p { "You can sign in to " strong { (game.id()) } " with it and your password now." } },
        ),
        Err(failure) => told(failure)?,
    })
}

/// The page to choose a new password
#[utoipa::path(
    get, path = "/v1/games/{game}/account/reset", tag = "accounts",
    params(("game" = String, Path, description = "The game"), Link),
    responses((status = 200, description = "A page with a form", body = String, content_type = "text/html")),
)]
pub(crate) async fn reset(game: Game, Query(link): Query<Link>) -> Response {
    let game = game.id();
    page(
        StatusCode::OK,
        "Choose a new password",
        &html! {
            p { "It is for " strong { (game) } ". You are signed out everywhere." }
            form method="post" {
                input type="hidden" name="token" value=(link.token);
                label { "New password, 10 characters or more"
                    input type="password" name="password" minlength="10" maxlength="256"
                        autocomplete="new-password" required autofocus;
                }
                button type="submit" { "Change the password" }
            }
        },
    )
}

/// Choose a new password from the page
#[utoipa::path(
    post, path = "/v1/games/{game}/account/reset", tag = "accounts",
    params(("game" = String, Path, description = "The game")),
    request_body(content = ResetForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "A page that says so", body = String, content_type = "text/html")),
)]
pub(crate) async fn changed(
    State(api): State<Api>,
    game: Game,
    client: Client,
    form: Result<Form<ResetForm>, FormRejection>,
) -> ApiResult<Response> {
    api.limits.sign_in.check(&client.limited_as())?;
    let Ok(Form(form)) = form else { return Ok(refused(&incomplete())) };
    let request = EmailReset { token: form.token, password: form.password };
    Ok(match api.node.players.reset_password(game.id(), request).await {
        Ok(()) => page(
            StatusCode::OK,
            "Your password is changed",
            &html! { p { "You can sign in to " strong { (game.id()) } " with it now." } },
        ),
        Err(failure) => told(failure)?,
    })
}

/// What the reader can act on as a page; what only the operator can goes the way of every error.
pub(super) fn told(failure: Failure) -> ApiResult<Response> {
    if failure.is_ours() { Err(failure.into()) } else { Ok(refused(&failure)) }
}

fn incomplete() -> Failure {
    Failure::new(ErrorCode::BadRequest, "This form is not complete. Open the link in the mail again.")
}

fn refused(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.code().status()).unwrap_or(StatusCode::BAD_REQUEST);
    page(status, "This did not work", &html! { p { (failure.sentence()) } })
}

/// A page that nothing is loaded for, that no other frames, and whose address nobody is told: it has a
/// token in it.
fn page(status: StatusCode, title: &str, content: &Markup) -> Response {
    let Ok(nonce) = secret::new_secret() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style nonce=(nonce) { (maud::PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (content) } }
        }
    };
    let mut response = (status, Html(markup.into_string())).into_response();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
