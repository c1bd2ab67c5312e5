//! What administrators did.

use axum::response::Response;
use greenroom_protocol::admins::AuditView;
use greenroom_storage::Cursor;
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, query};
use crate::{
    parts::{self, Times},
    view::{Section, View},
};

/// Entries on one page.
const ENTRIES_MAX: u32 = 100;

#[derive(Default, Deserialize)]
pub(crate) struct Part {
    #[serde(default)]
    after: String,
}

pub(crate) async fn show(view: View, Asked(asked): Asked<Part>) -> Response {
    let after = asked.after.parse::<Cursor>().ok();
    let page = match view.node().admins.audit_log(after.as_ref(), ENTRIES_MAX).await {
        Ok(page) => page,
        Err(failure) => return view.problem(Section::Audit, &failure),
    };
    let next = page.next.as_ref().map(|next| format!("/console/audit{}", query(&[("after", next)])));
    let content = html! {
        h1 { "Audit log" }
        p.count { "What was changed by administrators and by studios\u{2019} API keys: here, on the command line and by the API; newest first." }
        (table(&page.entries, view.times()))
        @let command = parts::curl_command(&view.base_url, "GET", "/v1/audit", None);
        (parts::curl(&command))
        (parts::pages_on(after.map(|_| Section::Audit.path().to_owned()), next))
    };
    view.page(Section::Audit, &[], &content)
}

fn table(entries: &[AuditView], times: Times) -> Markup {
    html! {
        @if entries.is_empty() {
            (parts::empty("Nothing is written here", &html! { "Every change that an administrator makes is." }))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "When" } th { "Who" } th { "What" } th { "To what" } th.wide { "From" } th.wide { "More" } } }
                    tbody {
                        @for entry in entries {
                            tr {
                                td { (times.at(entry.at)) }
                                td.name { (entry.actor.strip_prefix("admin:").unwrap_or(&entry.actor)) }
                                td { (words(&entry.action)) }
                                td.mono.text { (entry.subject) }
                                td.wide { @if let Some(address) = &entry.address { span.mono { (address) } " " } span.soft { (via(&entry.via)) } }
                                td.wide.soft.text { (detail(&entry.detail)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The action in words; one that is not known here stays as it is written.
fn words(action: &str) -> &str {
    match action {
        "session.begin" => "Signed in",
        "session.end" => "Ended a session",
        "server.start" => "Started a game server",
        "server.stop" => "Stopped a game server",
        "build.pull" => "Pulled a version",
        "build.refresh" => "Looked versions up again",
        "lobby.close" => "Closed a lobby",
        "player.ban" => "Banned a player",
        "player.unban" => "Lifted a ban",
        "player.export" => "Downloaded what is kept about a player",
        "player.delete" => "Deleted a player",
        "backup.begin" => "Made a backup",
        "backup.download" => "Downloaded a backup",
        "events.append" => "Appended events",
        "key.create" => "Made an API key",
        "key.revoke" => "Revoked an API key",
        "admin.add" => "Added an administrator",
        "admin.role" => "Changed a role",
        "admin.remove" => "Removed an administrator",
        "admin.password" => "Changed the password",
        "invite.create" => "Invited somebody",
        "invite.accept" => "Accepted an invitation",
        "invite.withdraw" => "Withdrew an invitation",
        "token.create" => "Made a personal token",
        "token.revoke" => "Revoked a personal token",
        other => other,
    }
}

fn via(via: &str) -> &str {
    match via {
        "console" => "in the console",
        "admin-token" => "with the admin token",
        "personal-token" => "with a personal token",
        "api-key" => "with an API key",
        "server-token" => "with a server\u{2019}s token",
        "invitation" => "by an invitation",
        other => other,
    }
}

fn detail(detail: &serde_json::Value) -> String {
    let Some(fields) = detail.as_object() else {
        return if detail.is_null() { String::new() } else { detail.to_string() };
    };
    let said = fields.iter().filter(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    let said = said.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}: {text}"),
        None => format!("{name}: {value}"),
    });
    said.collect::<Vec<_>>().join(", ")
}
