//! One's own account: the password, personal tokens, where one is signed in.

use axum::{Form, response::Response};
use greenroom_operations::{
    Failure,
    admins::TOKEN_NAME_CHARS_MAX,
    passwords::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN},
};
use greenroom_protocol::{AdminSessionId, ErrorCode, PersonalTokenId};
use greenroom_storage::{AdminSession, PersonalToken};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Id, Term, end_of_term, term_choices};
use crate::{
    access::sign_in,
    parts::{self, fact},
    view::{Notice, Section, View},
};

const TERMS: [Term; 5] = [
    ("7d", "7 days", Some(7)),
    ("30d", "30 days", Some(30)),
    ("90d", "90 days", Some(90)),
    ("1y", "1 year", Some(365)),
    ("ever", "until it is revoked", None),
];

#[derive(Default, Deserialize)]
pub(crate) struct TokenForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    term: String,
}

#[derive(Default, Deserialize)]
pub(crate) struct PasswordForm {
    #[serde(default)]
    current: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

pub(crate) async fn show(view: View) -> Response {
    page(&view, None, None).await
}

/// Changes the password, which signs out everywhere.
pub(crate) async fn change_password(view: View, Form(form): Form<PasswordForm>) -> Response {
    let admin = view.visitor.admin();
    if form.password != form.again {
        let failure = Failure::new(ErrorCode::Invalid, "The two passwords differ. Type the same one twice.");
        return page(&view, None, Some(&failure)).await;
    }
    let address = view.visitor.actor().address;
    if let Err(wait) = view.console.0.attempts.take(address, std::time::Instant::now()) {
        let sentence = format!("Too many attempts from your address. Try again in {} s.", wait.as_secs() + 1);
        return page(&view, None, Some(&Failure::new(ErrorCode::RateLimited, sentence))).await;
    }
    match view.node().admins.change_password(&admin.id, &form.current, &form.password).await {
        Ok(()) => {
            view.audit("admin.password", admin.id.as_str(), serde_json::Value::Null).await;
            view.go(sign_in::PATH, Notice::PasswordChanged)
        }
        Err(failure) => page(&view, None, Some(&failure)).await,
    }
}

/// Makes a token, and shows it this once.
pub(crate) async fn create_token(view: View, Form(form): Form<TokenForm>) -> Response {
    let id = &view.visitor.admin().id;
    let expires_at = match end_of_term(&TERMS, &form.term, view.now) {
        Ok(expires_at) => expires_at,
        Err(failure) => return page(&view, None, Some(&failure)).await,
    };
    match view.node().admins.create_token(id, &form.name, expires_at).await {
        Ok((made, text)) => {
            let detail = serde_json::json!({ "name": made.name, "expiresAt": made.expires_at });
            view.audit("token.create", made.id.as_str(), detail).await;
            page(&view, Some(&text), None).await
        }
        Err(failure) => page(&view, None, Some(&failure)).await,
    }
}

pub(crate) async fn revoke_token(view: View, Id(token): Id<PersonalTokenId>) -> Response {
    let id = &view.visitor.admin().id;
    if let Err(failure) = view.node().admins.revoke_token(id, &token).await {
        return view.problem(Section::Account, &failure);
    }
    view.audit("token.revoke", token.as_str(), serde_json::json!({ "of": id })).await;
    view.go(Section::Account.path(), Notice::TokenRevoked)
}

pub(crate) async fn end_session(view: View, Id(session): Id<AdminSessionId>) -> Response {
    let id = &view.visitor.admin().id;
    if let Err(failure) = view.node().admins.end_session(id, &session).await {
        return view.problem(Section::Account, &failure);
    }
    view.audit("session.end", session.as_str(), serde_json::json!({ "of": id })).await;
    view.go(Section::Account.path(), Notice::SessionEnded)
}

/// Sign-ins with a button each that ends it; forms go to below `base`.
pub(super) fn sessions_table(view: &View, sessions: &[AdminSession], base: &str) -> Markup {
    let (times, own) = (view.times(), &view.visitor.admin().session);
    html! {
        @if sessions.is_empty() {
            (parts::empty("Signed in nowhere", &html! { "Sign-ins at the console are shown here while they are good." }))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "Since" } th { "From" } th.wide { "Browser" } th.wide { "Ends" } th {} } }
                    tbody {
                        @for session in sessions {
                            tr {
                                td { (times.at(session.created_at)) }
                                td.mono { (session.address.as_deref().unwrap_or("–")) }
                                td.wide.text { (session.user_agent.as_deref().unwrap_or("–")) }
                                td.wide { (times.at(session.expires_at)) }
                                td.end {
                                    @if session.id == *own { (parts::badge("good", "This one")) }
                                    @else {
                                        form method="post" action=(format!("{base}/sessions/{}/end", session.id)) {
                                            (view.csrf()) button type="submit" { "End it" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Personal tokens with a button each that revokes it; forms go to below `base`.
pub(super) fn tokens_table(view: &View, tokens: &[PersonalToken], base: &str) -> Markup {
    let times = view.times();
    html! {
        @if !tokens.is_empty() {
            div.scroll {
                table {
                    thead { tr { th { "Name" } th.wide { "Made" } th { "Last used" } th.wide { "Ends" } th {} } }
                    tbody {
                        @for token in tokens {
                            tr {
                                td.name { (token.name) }
                                td.wide { (times.at(token.created_at)) }
                                td { @if let Some(at) = token.last_used_at { (times.at(at)) } @else { span.soft { "never" } } }
                                td.wide {
                                    @if !token.is_live(view.now) { (parts::badge("off", "Expired")) }
                                    @else if let Some(at) = token.expires_at { (times.at(at)) }
                                    @else { span.soft { "when it is revoked" } }
                                }
                                td.end {
                                    form method="post" action=(format!("{base}/tokens/{}/revoke", token.id)) {
                                        (view.csrf()) button type="submit" { "Revoke" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

async fn page(view: &View, made: Option<&str>, failure: Option<&Failure>) -> Response {
    let admins = &view.node().admins;
    let admin = view.visitor.admin();
    let (sessions, tokens) = match (admins.sessions(&admin.id).await, admins.tokens(&admin.id).await) {
        (Ok(sessions), Ok(tokens)) => (sessions, tokens),
        (Err(failure), _) | (_, Err(failure)) => return view.problem(Section::Account, &failure),
    };
    let base = Section::Account.path();
    let content = html! {
        h1 { "Your account" }
        @if let Some(made) = made { (parts::shown_once("Your new token", made)) }
        div.columns {
            section.panel {
                h2 { "Who you are" }
                dl.facts {
                    (fact("Name", &html! { (admin.name) }))
                    (fact("Role", &html! { (admin.role.as_str()) " " span.soft { "– " (super::admins::role_words(admin.role)) } }))
                }
            }
            @if admin.has_password { (password_panel(view)) }
        }
        section {
            h2 { "Where you are signed in" }
            (sessions_table(view, &sessions, base))
            (parts::curl(&parts::curl_command(&view.base_url, "GET", "/v1/admins/me/sessions", None)))
        }
        section {
            h2 { "Personal tokens" }
            p.soft { "With one of them your own programs and the command line ask as you, with your role." }
            (tokens_table(view, &tokens, base))
            (token_panel(view))
        }
    };
    let status = super::problem::status_of(failure, "the account could not be changed");
    let sentence = failure.map(Failure::sentence);
    view.page_with(status, Section::Account, &[], sentence, &content)
}

fn password_panel(view: &View) -> Markup {
    let body = serde_json::json!({ "current": "…", "password": "…" });
    html! {
        section.panel.change {
            h2 { "Change the password" }
            details.confirm {
                summary.button { "Change it…" }
                form method="post" action="/console/account/password" {
                    (view.csrf())
                    label { span { "The present one" }
                        input name="current" type="password" autocomplete="current-password" required maxlength=(PASSWORD_BYTES_MAX); }
                    label { span { "The new one, " (PASSWORD_CHARS_MIN) " characters or more" }
                        input name="password" type="password" autocomplete="new-password" required minlength=(PASSWORD_CHARS_MIN) maxlength=(PASSWORD_BYTES_MAX); }
                    label { span { "The new one again" }
                        input name="again" type="password" autocomplete="new-password" required minlength=(PASSWORD_CHARS_MIN) maxlength=(PASSWORD_BYTES_MAX); }
                    p.soft { "You are signed out everywhere. Your tokens stay good." }
                    button.primary type="submit" { "Change the password" }
                }
            }
            (parts::curl(&parts::curl_command(&view.base_url, "POST", "/v1/admins/me/password", Some(&body))))
        }
    }
}

fn token_panel(view: &View) -> Markup {
    let body = serde_json::json!({ "name": "laptop" });
    html! {
        form.panel.form method="post" action="/console/account/tokens" {
            (view.csrf())
            div.fields {
                label { span { "Name" } input name="name" required maxlength=(TOKEN_NAME_CHARS_MAX) placeholder="laptop" autocomplete="off"; }
                (parts::select("term", "Good for", "90d", &term_choices(&TERMS)))
            }
            div.deeds { button.primary type="submit" { "Make a token" } }
        }
        (parts::curl(&parts::curl_command(&view.base_url, "POST", "/v1/admins/me/tokens", Some(&body))))
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::Timestamp;

    use super::*;

    #[test]
    fn terms_are_the_ones_that_are_offered() {
        let now = Timestamp::from_millis(0);
        let week = end_of_term(&TERMS, "7d", now).unwrap().unwrap();
        assert_eq!(week.as_millis(), 7 * 24 * 3_600_000);
        assert_eq!(end_of_term(&TERMS, "ever", now).unwrap(), None);
        assert!(end_of_term(&TERMS, "1000y", now).is_err());
    }
}
