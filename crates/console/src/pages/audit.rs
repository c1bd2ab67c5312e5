//! What administrators did.

use axum::response::Response;
use greenroom_storage::{AuditEntry, Cursor};
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
    let next = page.next.map(|next| format!("/console/audit{}", query(&[("after", &next.to_string())])));
    let content = html! {
        h1 { "Audit log" }
        p.count { "What administrators changed, here, on the command line and by the API; newest first." }
        (table(&page.items, view.times()))
        (parts::pages_on(after.map(|_| Section::Audit.path().to_owned()), next))
    };
    view.page(Section::Audit, &[], &content)
}

fn table(entries: &[AuditEntry], times: Times) -> Markup {
    html! {
        @if entries.is_empty() {
            (parts::empty("Nothing is written here", &html! { "Every change that an administrator makes is." }))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "When" } th { "Who" } th { "What" } th { "To what" } th.wide { "More" } } }
                    tbody {
                        @for AuditEntry { entry, .. } in entries {
                            tr {
                                td { (times.at(entry.at)) }
                                td { (entry.actor.strip_prefix("admin:").unwrap_or(&entry.actor)) }
                                td { (words(&entry.action)) }
                                td.mono.text { (entry.subject) }
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
        "signed_in" => "Signed in",
        "signed_out" => "Signed out",
        "server.start" => "Started a game server",
        "server.stop" | "server_stopped" => "Stopped a game server",
        "build.pull" | "build_pulled" => "Pulled a version",
        "lobby.close" | "lobby_closed" => "Closed a lobby",
        "player.ban" | "player_banned" => "Banned a player",
        "player.unban" | "player_unbanned" => "Lifted a ban",
        "player.export" | "player_exported" => "Downloaded what is kept about a player",
        "player.delete" | "player_deleted" => "Deleted a player",
        "admin_added" => "Added an administrator",
        "admin_removed" => "Removed an administrator",
        "backup_begun" => "Made a backup",
        "backup_downloaded" => "Downloaded a backup",
        "key_created" => "Made an API key",
        "key_revoked" => "Revoked an API key",
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
