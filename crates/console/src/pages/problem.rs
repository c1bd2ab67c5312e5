//! What is shown instead of a page.

use std::error::Error;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use greenroom_operations::Failure;
use maud::{Markup, html};

use crate::view::{self, Section, View};

/// A page without navigation: nobody may be signed in.
pub(crate) fn page(failure: &Failure) -> Response {
    log(failure, "a console page failed");
    let title = failure.code().title();
    let body = html! {
        main.sign-in { (said(failure)) p { a.button href="/console" { "To the overview" } } }
    };
    (status(failure), view::html(view::document(title, &body))).into_response()
}

impl View {
    /// The same within `section`.
    pub(crate) fn problem(&self, section: Section, failure: &Failure) -> Response {
        log(failure, "a console page failed");
        let content = html! {
            (said(failure))
            p { a.button href=(section.path()) { "Back to " (section.title().to_lowercase()) } }
        };
        self.page_with(status(failure), section, &[failure.code().title()], None, &content)
    }
}

/// Logs what is ours to mend, with its whole chain.
pub(crate) fn log(failure: &Failure, what: &'static str) {
    if failure.is_ours() {
        let mut cause = String::new();
        let mut next = failure.source();
        while let Some(error) = next {
            cause.push_str(if cause.is_empty() { "" } else { ": " });
            cause.push_str(&error.to_string());
            next = error.source();
        }
        tracing::error!(code = failure.code().as_str(), cause, "{what}");
    }
}

/// The status of a page that says above its content what went wrong, if anything did.
pub(crate) fn status_of(failure: Option<&Failure>, what: &'static str) -> StatusCode {
    failure.map_or(StatusCode::OK, |failure| {
        log(failure, what);
        status(failure)
    })
}

fn said(failure: &Failure) -> Markup {
    html! {
        h1 { (failure.code().title()) }
        p.notice.bad role="alert" { (failure.sentence()) }
    }
}

fn status(failure: &Failure) -> StatusCode {
    StatusCode::from_u16(failure.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
