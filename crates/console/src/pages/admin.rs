//! One administrator, for owners: the role, the sign-ins, the tokens, and the removal.

use axum::{Form, response::Response};
use greenroom_operations::Failure;
use greenroom_protocol::{AdminId, AdminSessionId, ErrorCode, PersonalTokenId};
use greenroom_storage::Admin;
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Id,
    account::{sessions_table, tokens_table},
    admins::{ROLES, admin_path, role_badge, role_of},
};
use crate::{
    parts::{self, fact},
    view::{Notice, Section, View},
};

#[derive(Default, Deserialize)]
pub(crate) struct RoleForm {
    #[serde(default)]
    role: String,
}

pub(crate) async fn show(view: View, Id(id): Id<AdminId>) -> Response {
    if !view.is_owner() {
        let failure =
            Failure::new(ErrorCode::Forbidden, "Another\u{2019}s sign-ins and tokens are for owners to see.");
        return view.problem(Section::Admins, &failure);
    }
    let admins = &view.node().admins;
    let found = async {
        Ok::<_, Failure>((admins.get(&id).await?, admins.sessions(&id).await?, admins.tokens(&id).await?))
    };
    let (admin, sessions, tokens) = match found.await {
        Ok(found) => found,
        Err(failure) => return view.problem(Section::Admins, &failure),
    };
    let base = admin_path(&id);
    let content = html! {
        div.title { h1 { (admin.name) } (role_badge(admin.role)) }
        div.columns {
            section.panel {
                h2 { "Who it is" }
                dl.facts {
                    (fact("Id", &parts::copyable(admin.id.as_str())))
                    (fact("Since", &view.times().at(admin.created_at)))
                }
            }
            (role_panel(&view, &admin))
            (remove_panel(&view, &admin))
        }
        section { h2 { "Signed in" } (sessions_table(&view, &sessions, &base)) }
        @if !tokens.is_empty() { section { h2 { "Personal tokens" } (tokens_table(&view, &tokens, &base)) } }
    };
    view.page(Section::Admins, &[&admin.name], &content)
}

pub(crate) async fn set_role(view: View, Id(id): Id<AdminId>, Form(form): Form<RoleForm>) -> Response {
    let changed = async { view.node().admins.set_role(&id, role_of(&form.role)?).await };
    match changed.await {
        Ok(admin) => {
            let detail = serde_json::json!({ "name": admin.name, "role": admin.role.as_str() });
            view.audit("admin.role", id.as_str(), detail).await;
            view.go(Section::Admins.path(), Notice::AdminRole)
        }
        Err(failure) => view.problem(Section::Admins, &failure),
    }
}

pub(crate) async fn remove(view: View, Id(id): Id<AdminId>) -> Response {
    match view.node().admins.remove(&id).await {
        Ok(admin) => {
            let detail = serde_json::json!({ "name": admin.name, "role": admin.role.as_str() });
            view.audit("admin.remove", id.as_str(), detail).await;
            view.go(Section::Admins.path(), Notice::AdminRemoved)
        }
        Err(failure) => view.problem(Section::Admins, &failure),
    }
}

pub(crate) async fn end_session(view: View, Id((id, session)): Id<(AdminId, AdminSessionId)>) -> Response {
    if let Err(failure) = view.node().admins.end_session(&id, &session).await {
        return view.problem(Section::Admins, &failure);
    }
    view.audit("session.end", session.as_str(), serde_json::json!({ "of": id })).await;
    view.go(&admin_path(&id), Notice::SessionEnded)
}

pub(crate) async fn revoke_token(view: View, Id((id, token)): Id<(AdminId, PersonalTokenId)>) -> Response {
    if let Err(failure) = view.node().admins.revoke_token(&id, &token).await {
        return view.problem(Section::Admins, &failure);
    }
    view.audit("token.revoke", token.as_str(), serde_json::json!({ "of": id })).await;
    view.go(&admin_path(&id), Notice::TokenRevoked)
}

fn role_panel(view: &View, admin: &Admin) -> Markup {
    let api = format!("/v1/admins/{}/role", admin.id);
    let body = serde_json::json!({ "role": "operator" });
    html! {
        section.panel.change {
            h2 { "Role" }
            @if admin.password_hash.is_none() {
                p.soft { "The admin token stands for this one, who is always an owner." }
            } @else {
                form.inline method="post" action=(format!("{}/role", admin_path(&admin.id))) {
                    (view.csrf())
                    (parts::select("role", "Role", admin.role.as_str(), &ROLES))
                    button type="submit" { "Change the role" }
                }
                (parts::curl(&parts::curl_command(&view.base_url, "PUT", &api, Some(&body))))
            }
        }
    }
}

fn remove_panel(view: &View, admin: &Admin) -> Markup {
    let api = format!("/v1/admins/{}", admin.id);
    html! {
        @if admin.password_hash.is_some() {
            section.panel.change {
                h2 { "Remove" }
                details.confirm {
                    summary.button.danger { "Remove this administrator…" }
                    form method="post" action=(format!("{}/remove", admin_path(&admin.id))) {
                        (view.csrf())
                        p { "Sign-ins, tokens and open invitations of this one end at once. What it did stays in the audit log." }
                        button.danger type="submit" { "Remove " (admin.name) }
                    }
                }
                (parts::curl(&parts::curl_command(&view.base_url, "DELETE", &api, None)))
            }
        }
    }
}
