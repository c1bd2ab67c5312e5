//! The administrators, and the invitations of those who may become one.

use std::collections::HashMap;

use axum::{Form, response::Response};
use greenroom_operations::{Failure, admins::INVITES_MAX};
use greenroom_protocol::{AdminId, ErrorCode, InviteId};
use greenroom_storage::{Admin, AdminInvite, AdminRole, Cursor};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, Id, Term, end_of_term, query, term_choices};
use crate::{
    parts,
    view::{Notice, Section, View},
};

/// Administrators on one page.
const ADMINS_MAX: u32 = 100;

pub(super) const ROLES: [(&str, &str); 3] = [
    ("viewer", "viewer: sees everything but secrets"),
    ("operator", "operator: runs the games"),
    ("owner", "owner: everything"),
];

const TERMS: [Term; 4] = [
    ("1d", "1 day", Some(1)),
    ("3d", "3 days", Some(3)),
    ("7d", "7 days", Some(7)),
    ("30d", "30 days", Some(30)),
];

#[derive(Default, Deserialize)]
pub(crate) struct Part {
    #[serde(default)]
    after: String,
}

#[derive(Default, Deserialize)]
pub(crate) struct InviteForm {
    #[serde(default)]
    role: String,
    #[serde(default)]
    term: String,
}

pub(crate) async fn show(view: View, Asked(asked): Asked<Part>) -> Response {
    page(&view, &asked, None, None).await
}

/// Invites somebody, and shows the link this once.
pub(crate) async fn invite(view: View, Form(form): Form<InviteForm>) -> Response {
    let asked = Part::default();
    let id = &view.visitor.admin().id;
    let invited = async {
        let expires_at = end_of_term(&TERMS, &form.term, view.now)?;
        view.node().admins.invite(id, role_of(&form.role)?, expires_at).await
    };
    match invited.await {
        Ok((invite, token)) => {
            let detail = serde_json::json!({ "role": invite.role.as_str(), "expiresAt": invite.expires_at });
            view.audit("invite.create", invite.id.as_str(), detail).await;
            let link = format!("{}/console/join/{token}", view.base_url);
            page(&view, &asked, Some(&link), None).await
        }
        Err(failure) => page(&view, &asked, None, Some(&failure)).await,
    }
}

pub(crate) async fn withdraw(view: View, Id(id): Id<InviteId>) -> Response {
    if let Err(failure) = view.node().admins.withdraw_invite(&id).await {
        return view.problem(Section::Admins, &failure);
    }
    view.audit("invite.withdraw", id.as_str(), serde_json::Value::Null).await;
    view.go(Section::Admins.path(), Notice::InviteWithdrawn)
}

pub(super) fn role_of(text: &str) -> Result<AdminRole, Failure> {
    [AdminRole::Viewer, AdminRole::Operator, AdminRole::Owner]
        .into_iter()
        .find(|role| role.as_str() == text)
        .ok_or(Failure::new(ErrorCode::Invalid, "Choose a role."))
}

/// What a role means, in a few words.
pub(super) const fn role_words(role: AdminRole) -> &'static str {
    match role {
        AdminRole::Viewer => "sees everything but secrets",
        AdminRole::Operator => "runs the games",
        AdminRole::Owner => "everything, administrators and API keys included",
    }
}

pub(super) fn role_badge(role: AdminRole) -> Markup {
    let look = match role {
        AdminRole::Viewer => "off",
        AdminRole::Operator => "calm",
        AdminRole::Owner => "key",
    };
    parts::badge(look, role.as_str())
}

async fn page(view: &View, asked: &Part, link: Option<&str>, failure: Option<&Failure>) -> Response {
    let node = view.node();
    let after = asked.after.parse::<Cursor>().ok();
    let (admins, invites) =
        match (node.admins.list(after.as_ref(), ADMINS_MAX).await, node.admins.invites().await) {
            (Ok(admins), Ok(invites)) => (admins, invites),
            (Err(failure), _) | (_, Err(failure)) => return view.problem(Section::Admins, &failure),
        };
    let next = admins.next.map(|next| format!("/console/admins{}", query(&[("after", &next.to_string())])));
    let names: HashMap<_, _> = admins.items.iter().map(|admin| (&admin.id, admin.name.as_str())).collect();
    let content = html! {
        h1 { "Administrators" }
        @if let Some(link) = link {
            (parts::shown_once("The link of the invitation: send it to whom you invite", link))
        }
        (admins_table(view, &admins.items))
        (parts::pages_on(after.map(|_| Section::Admins.path().to_owned()), next))
        section {
            h2 { "Invitations" }
            @if !invites.is_empty() { (invites_table(view, &invites, &names)) }
            @if view.is_owner() { (invite_panel(view, invites.len())) } @else { (parts::for_owners()) }
        }
    };
    let status = super::problem::status_of(failure, "somebody could not be invited");
    view.page_with(status, Section::Admins, &[], failure.map(Failure::sentence), &content)
}

fn admins_table(view: &View, admins: &[Admin]) -> Markup {
    let own = &view.visitor.admin().id;
    html! {
        div.scroll {
            table {
                thead { tr { th { "Name" } th { "Role" } th.wide { "Signs in" } th.wide { "Since" } } }
                tbody {
                    @for admin in admins {
                        tr {
                            td.name {
                                @if admin.id == *own { a href=(Section::Account.path()) { (admin.name) } " " span.soft { "(you)" } }
                                @else if view.is_owner() { a href=(admin_path(&admin.id)) { (admin.name) } }
                                @else { (admin.name) }
                            }
                            td { (role_badge(admin.role)) }
                            td.wide { @if admin.password_hash.is_some() { "with a password" } @else { "with the admin token" } }
                            td.wide { (view.times().at(admin.created_at)) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn admin_path(id: &AdminId) -> String {
    format!("/console/admins/{id}")
}

fn invites_table(view: &View, invites: &[AdminInvite], names: &HashMap<&AdminId, &str>) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th { "As" } th { "By" } th { "Link ends" } th {} } }
                tbody {
                    @for invite in invites {
                        tr {
                            td { (role_badge(invite.role)) }
                            td.name { (names.get(&invite.invited_by).copied().unwrap_or(invite.invited_by.as_str())) }
                            td { (view.times().at(invite.expires_at)) }
                            td.end {
                                @if view.is_owner() {
                                    form method="post" action=(format!("/console/admins/invites/{}/withdraw", invite.id)) {
                                        (view.csrf()) button type="submit" { "Withdraw" }
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

fn invite_panel(view: &View, open: usize) -> Markup {
    let body = serde_json::json!({ "role": "operator" });
    html! {
        @if open >= INVITES_MAX {
            p.notice.warn { "There are " (INVITES_MAX) " open invitations. Withdraw one to make another." }
        } @else {
            form.panel.form method="post" action="/console/admins/invite" {
                (view.csrf())
                p.soft { "Who opens the link chooses a name and a password, and is an administrator then. It is good once." }
                div.fields {
                    (parts::select("role", "Role", "operator", &ROLES))
                    (parts::select("term", "The link is good for", "3d", &term_choices(&TERMS)))
                }
                div.deeds { button.primary type="submit" { "Make an invitation" } }
            }
            (parts::curl(&parts::curl_command(&view.base_url, "POST", "/v1/invites", Some(&body))))
        }
    }
}
