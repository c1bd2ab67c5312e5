//! Signing in and out.

use std::time::Instant;

use axum::{
    Form,
    extract::{State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use greenroom_operations::{
    Failure,
    admins::{ConsoleClient, NewConsoleSession},
    secret,
};
use greenroom_protocol::ErrorCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::{CSRF_FIELD, Visitor, cookies::Cookie, equal, origin};
use crate::{
    Console, assets,
    pages::{Asked, problem},
    view::{self, Notice},
};

pub(crate) const PATH: &str = "/console/sign-in";
pub(crate) const SIGN_OUT_PATH: &str = "/console/sign-out";

/// Longest path that is come back to after signing in, in bytes.
const NEXT_BYTES_MAX: usize = 512;

#[derive(Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    next: String,
}

#[derive(Default, Deserialize)]
pub(crate) struct SignIn {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

/// Where to sign in before what `parts` asks for is shown.
pub(crate) fn path_to(parts: &Parts) -> String {
    let wanted = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if parts.method != Method::GET || wanted == "/console" || checked_next(wanted) != wanted {
        return PATH.to_owned();
    }
    format!("{PATH}?next={}", crate::format::query_value(wanted))
}

pub(crate) async fn show(
    State(console): State<Console>,
    Asked(asked): Asked<Wanted>,
    parts: Parts,
) -> Response {
    let next = checked_next(&asked.next);
    // Who comes by a link of another site brings no cookie to the page itself, but has one here.
    if console.visitor(&parts, true).await.is_ok() {
        return Redirect::to(next).into_response();
    }
    form(
        &console,
        &parts.headers,
        StatusCode::OK,
        &SignIn { next: next.to_owned(), ..SignIn::default() },
        None,
    )
}

pub(crate) async fn sign_in(
    State(console): State<Console>,
    parts: Parts,
    given: Result<Form<SignIn>, FormRejection>,
) -> Response {
    let (headers, secure) = (&parts.headers, console.0.settings.secure_cookies);
    let Ok(Form(given)) = given else {
        let sentence = "The form could not be read. Try again.";
        return form(&console, headers, StatusCode::BAD_REQUEST, &SignIn::default(), Some(sentence));
    };
    let proof = Cookie::Form.read(headers, secure);
    if !origin::is_ours(headers) || proof.is_none_or(|proof| !equal(proof, &given.csrf)) {
        count("invalid");
        let sentence =
            "This form was no longer valid. Try again; your browser must accept cookies of this site.";
        return form(&console, headers, StatusCode::FORBIDDEN, &given, Some(sentence));
    }
    let address = console.0.settings.client_address.of(&parts);
    if let Err(wait) = console.0.attempts.take(address, Instant::now()) {
        count("limited");
        tracing::warn!(address = ?address, "too many attempts to sign in to the console");
        let seconds = wait.as_secs() + 1;
        let sentence = format!("Too many attempts from your address. Try again in {seconds} s.");
        let mut response = form(&console, headers, StatusCode::TOO_MANY_REQUESTS, &given, Some(&sentence));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return response;
    }
    let name = Some(given.name.as_str()).filter(|name| !name.trim().is_empty());
    // A token is copied with its line end at times; in a password a space is a character.
    let password = if name.is_none() { given.password.trim() } else { &given.password };
    match console.node().admins.sign_in(name, password, client(&console, &parts)).await {
        Ok(session) => {
            count("ok");
            tracing::info!(admin = session.admin.name, address = ?address, "signed in to the console");
            begun(&session, checked_next(&given.next), secure)
        }
        Err(failure) => {
            count("refused");
            problem::log(&failure, "an administrator could not be signed in");
            let status =
                StatusCode::from_u16(failure.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let is_wrong = failure.code() == ErrorCode::Unauthorized;
            let sentence = match (is_wrong, name) {
                (true, None) => "This is not the admin token of this installation.",
                (true, Some(_)) => "This name and password do not go together.",
                (false, _) => failure.sentence(),
            };
            form(&console, headers, status, &given, Some(sentence))
        }
    }
}

pub(crate) async fn sign_out(State(console): State<Console>, visitor: Visitor) -> Response {
    if let Err(failure) = console.node().admins.sign_out(visitor.token()).await {
        return problem::page(&failure);
    }
    let secure = console.0.settings.secure_cookies;
    tracing::info!(admin = visitor.admin().name, "signed out of the console");
    let session = visitor.admin().session.as_str();
    console.node().admins.audit(&visitor.actor(), "session.end", session, serde_json::Value::Null).await;
    let mut response = Redirect::to(PATH).into_response();
    response.headers_mut().append(header::SET_COOKIE, Cookie::Session.clear(secure));
    response.headers_mut().append(header::SET_COOKIE, Notice::SignedOut.set(secure));
    response
}

/// What is known of who signs in.
pub(super) fn client(console: &Console, parts: &Parts) -> ConsoleClient {
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    ConsoleClient {
        address: console.0.settings.client_address.of(parts),
        user_agent: user_agent.map(str::to_owned),
    }
}

/// A session has begun: leads to `next` with its cookie.
pub(super) fn begun(session: &NewConsoleSession, next: &str, secure: bool) -> Response {
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().append(header::SET_COOKIE, Cookie::Session.set(&session.token, secure));
    response.headers_mut().append(header::SET_COOKIE, Cookie::Form.clear(secure));
    response
}

/// The proof of a form that nobody signed in sends: the one that the browser has, or a new one. A second
/// tab must not make the form of the first invalid.
pub(super) fn proof(headers: &HeaderMap, secure: bool) -> Result<String, Failure> {
    let known = Cookie::Form.read(headers, secure).filter(|value| value.len() == PROOF_CHARS);
    known.map(str::to_owned).map_or_else(secret::new_secret, Ok)
}

/// `next` if it is a path of ours, else the first page: a link must not lead elsewhere.
fn checked_next(next: &str) -> &str {
    let is_below = next == "/console" || next.starts_with("/console/") || next.starts_with("/console?");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let leads_back = next.starts_with(PATH) || next.starts_with("/console/live/");
    if is_below && is_plain && !leads_back && next.len() <= NEXT_BYTES_MAX { next } else { "/console" }
}

fn form(
    console: &Console,
    headers: &HeaderMap,
    status: StatusCode,
    given: &SignIn,
    problem: Option<&str>,
) -> Response {
    let secure = console.0.settings.secure_cookies;
    let proof = match proof(headers, secure) {
        Ok(proof) => proof,
        Err(failure) => return problem::page(&failure),
    };
    let notice = Notice::read(headers, secure);
    let page = document(given, &proof, problem, notice);
    let mut response = (status, view::html(page)).into_response();
    response.headers_mut().append(header::SET_COOKIE, Cookie::Form.set(&proof, secure));
    if notice.is_some() {
        response.headers_mut().append(header::SET_COOKIE, Cookie::Notice.clear(secure));
    }
    response
}

/// Characters of a proof: 32 bytes as base64.
const PROOF_CHARS: usize = 43;

fn document(given: &SignIn, proof: &str, problem: Option<&str>, notice: Option<Notice>) -> Markup {
    view::document(
        "Sign in",
        &html! {
            main.sign-in {
                img.mark src=(assets::path("icon.svg")) alt="" width="56" height="56";
                h1 { "Greenroom console" }
                @if let Some(notice) = notice { p.notice.good role="status" { (notice.sentence()) } }
                @if let Some(problem) = problem { p.notice.bad #problem role="alert" { (problem) } }
                form.panel method="post" action=(PATH) {
                    input type="hidden" name=(CSRF_FIELD) value=(proof);
                    input type="hidden" name="next" value=(checked_next(&given.next));
                    label for="name" { "Name " span.soft { "(empty with the admin token)" } }
                    input #name name="name" value=(given.name) autocomplete="username" maxlength="64"
                        spellcheck="false" autocapitalize="none" autofocus[!given.name.is_empty() || problem.is_none()];
                    label for="password" { "Password or admin token" }
                    input #password name="password" type="password" autocomplete="current-password" required
                        maxlength="256" aria-describedby=[problem.map(|_| "problem")];
                    button.primary type="submit" { "Sign in" }
                }
                details.help {
                    summary { "Where is the admin token?" }
                    p {
                        code { "greenroom dev" } " prints it at every start and keeps it in " code { "dev.json" }
                        " in its data folder. " code { "greenroom serve" } " prints it once, at the first start."
                    }
                }
            }
        },
    )
}

pub(super) fn count(outcome: &'static str) {
    metrics::counter!("greenroom_console_sign_ins_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use super::checked_next;

    #[test]
    fn what_comes_after_signing_in_is_ours() {
        for good in ["/console", "/console/servers?state=ready", "/console?x=1"] {
            assert_eq!(checked_next(good), good);
        }
        let long = format!("/console/{}", "a".repeat(600));
        for bad in [
            "",
            "https://elsewhere.test/",
            "//elsewhere.test/console",
            "/consolexyz",
            "/console/\\elsewhere",
            "/console/\r\nSet-Cookie: a=b",
            "/console/sign-in?next=/console/sign-in",
            "/console/live/overview",
            &long,
        ] {
            assert_eq!(checked_next(bad), "/console", "{bad}");
        }
    }
}
