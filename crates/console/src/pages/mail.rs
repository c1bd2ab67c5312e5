//! Mail to players: whether it is sent, and without a mail server what would have been.

use axum::response::Response;
use greenroom_operations::mail::{MailServer, MailTls, ShownMail};
use maud::{Markup, html};

use crate::{
    parts::{self, Times, fact},
    view::{Section, View},
};

pub(crate) async fn show(view: View) -> Response {
    let waiting = match view.node().players.letters_waiting().await {
        Ok(waiting) => waiting,
        Err(failure) => return view.problem(Section::Mail, &failure),
    };
    let post = view.node().players.post();
    let content = html! {
        h1 { "Mail" }
        section.panel {
            h2 { "To players" }
            dl.facts {
                (fact("Sent by", &sent_by(post.server())))
                (fact("Waiting", &html! { (waiting) }))
            }
        }
        @if post.server().is_none() {
            @if view.may_change() {
                (shown(&post.shown(), view.times()))
            } @else {
                p.soft { "Mails have links that open players' accounts. Your role may not see them." }
            }
        }
    };
    view.page(Section::Mail, &[], &content)
}

fn sent_by(server: Option<&MailServer>) -> Markup {
    let Some(server) = server else {
        return html! {
            "nobody: " code { "[mail]" } " in the configuration names no server, so mails are shown here instead. \
             They are kept in memory alone."
        };
    };
    html! {
        code { (server.host) ":" (server.port) } " "
        span.soft { @match server.tls {
            MailTls::Implicit => { "with TLS" }
            MailTls::StartTls => { "with STARTTLS" }
            MailTls::None => { "unencrypted" }
        } }
    }
}

fn shown(mails: &[ShownMail], times: Times) -> Markup {
    html! {
        @if mails.is_empty() {
            (parts::empty("No mail yet", &html! {
                "One appears here when a player asks for an account or forgets a password."
            }))
        }
        @for mail in mails {
            section.panel {
                h2 { (mail.subject) }
                dl.facts {
                    (fact("To", &html! { (mail.to) }))
                    (fact("When", &times.at(mail.at)))
                }
                div.command { pre tabindex="0" { code { (mail.body) } } }
                @if let Some(link) = link(&mail.body) {
                    p { a href=(link) rel="noreferrer" { "Open its link" } }
                }
            }
        }
    }
}

/// The web address in a mail.
fn link(body: &str) -> Option<&str> {
    body.split_whitespace().find(|word| word.starts_with("http://") || word.starts_with("https://"))
}
