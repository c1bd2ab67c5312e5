//! The link of an invitation: whoever has it becomes an administrator, with a name and a password of one's own.

use std::time::Instant;

use axum::{
    Form,
    extract::{Path, State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use greenroom_operations::{
    admins::ADMIN_NAME_CHARS_MAX,
    passwords::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN},
};
use greenroom_protocol::ErrorCode;
use greenroom_storage::AdminInvite;
use maud::{Markup, html};
use serde::Deserialize;

use super::{CSRF_FIELD, cookies::Cookie, equal, origin, sign_in};
use crate::{Console, assets, pages::problem, parts::Times, view};

#[derive(Default, Deserialize)]
pub(crate) struct Joining {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

pub(crate) async fn show(
    State(console): State<Console>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    form(&console, &headers, &token, StatusCode::OK, &Joining::default(), None).await
}

/// Makes the administrator, and signs it in.
pub(crate) async fn join(
    State(console): State<Console>,
    Path(token): Path<String>,
    parts: Parts,
    given: Result<Form<Joining>, FormRejection>,
) -> Response {
    let (headers, secure) = (&parts.headers, console.0.settings.secure_cookies);
    let again = async |status: StatusCode, given: &Joining, problem: &str| {
        form(&console, headers, &token, status, given, Some(problem)).await
    };
    let Ok(Form(given)) = given else {
        let sentence = "The form could not be read. Try again.";
        return again(StatusCode::BAD_REQUEST, &Joining::default(), sentence).await;
    };
    let proof = Cookie::Form.read(headers, secure);
    if !origin::is_ours(headers) || proof.is_none_or(|proof| !equal(proof, &given.csrf)) {
        sign_in::count("invalid");
        let sentence =
            "This form was no longer valid. Try again; your browser must accept cookies of this site.";
        return again(StatusCode::FORBIDDEN, &given, sentence).await;
    }
    let address = console.0.settings.client_address.of(&parts);
    if let Err(wait) = console.0.attempts.take(address, Instant::now()) {
        sign_in::count("limited");
        let seconds = wait.as_secs() + 1;
        let sentence = format!("Too many attempts from your address. Try again in {seconds} s.");
        let mut response = again(StatusCode::TOO_MANY_REQUESTS, &given, &sentence).await;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return response;
    }
    if given.password != given.again {
        let sentence = "The two passwords differ. Type the same one twice.";
        return again(StatusCode::UNPROCESSABLE_ENTITY, &given, sentence).await;
    }
    let client = sign_in::client(&console, &parts);
    match console.node().admins.join(&token, &given.name, &given.password, client).await {
        Ok(session) => {
            sign_in::count("joined");
            sign_in::begun(&session, "/console", secure)
        }
        Err(failure) if failure.code() == ErrorCode::NotFound => problem::page(&failure),
        Err(failure) => {
            problem::log(&failure, "an invitation could not be accepted");
            let status =
                StatusCode::from_u16(failure.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            again(status, &given, failure.sentence()).await
        }
    }
}

async fn form(
    console: &Console,
    headers: &HeaderMap,
    token: &str,
    status: StatusCode,
    given: &Joining,
    problem: Option<&str>,
) -> Response {
    let secure = console.0.settings.secure_cookies;
    let invite = match console.node().admins.invitation(token).await {
        Ok(invite) => invite,
        Err(failure) => return problem::page(&failure),
    };
    let proof = match sign_in::proof(headers, secure) {
        Ok(proof) => proof,
        Err(failure) => return problem::page(&failure),
    };
    let times = Times::relative(console.node().clock.now());
    let page = document(&invite, token, given, &proof, problem, times);
    let mut response = (status, view::html(page)).into_response();
    response.headers_mut().append(header::SET_COOKIE, Cookie::Form.set(&proof, secure));
    response
}

fn document(
    invite: &AdminInvite,
    token: &str,
    given: &Joining,
    proof: &str,
    problem: Option<&str>,
    times: Times,
) -> Markup {
    let passwords = "new-password";
    view::document(
        "Join",
        &html! {
            main.sign-in {
                img.mark src=(assets::path("icon.svg")) alt="" width="56" height="56";
                h1 { "Greenroom console" }
                p { "You are invited as " b { (invite.role.as_str()) } ". Choose how you sign in from now on. This link is good once, and ends " (times.at(invite.expires_at)) "." }
                @if let Some(problem) = problem { p.notice.bad #problem role="alert" { (problem) } }
                form.panel method="post" action=(format!("/console/join/{token}")) {
                    input type="hidden" name=(CSRF_FIELD) value=(proof);
                    label for="name" { "Name" }
                    input #name name="name" value=(given.name) autocomplete="username" required maxlength=(ADMIN_NAME_CHARS_MAX)
                        spellcheck="false" autocapitalize="none" autofocus;
                    label for="password" { "Password " span.soft { "(" (PASSWORD_CHARS_MIN) " characters or more)" } }
                    input #password name="password" type="password" autocomplete=(passwords) required
                        minlength=(PASSWORD_CHARS_MIN) maxlength=(PASSWORD_BYTES_MAX) aria-describedby=[problem.map(|_| "problem")];
                    label for="again" { "The password again" }
                    input #again name="again" type="password" autocomplete=(passwords) required
                        minlength=(PASSWORD_CHARS_MIN) maxlength=(PASSWORD_BYTES_MAX);
                    button.primary type="submit" { "Join" }
                }
            }
        },
    )
}
