//! One lobby: who is in it, and the button that closes it.

use axum::response::Response;
use greenroom_operations::{Failure, Node, lobbies::LobbyError};
use greenroom_protocol::{
    ErrorCode, GameId, LobbyId,
    lobby::{LobbyView, MemberView},
};
use maud::{Markup, html};

use super::{Named, lobbies::name};
use crate::{
    parts::{self, Times, fact},
    view::{Notice, Section, View},
};

pub(crate) async fn show(view: View, Named(game, id): Named<LobbyId>) -> Response {
    let lobby = match view.node().lobbies.get(&game, &id).await {
        Ok(lobby) => lobby,
        Err(failure) => return view.problem(Section::Lobbies, &failure),
    };
    let content = html! {
        div.live data-live=(format!("/console/live/lobbies/{game}/{id}")) { (drawn(&game, &lobby, view.times())) }
        (close_panel(&view, &game, &lobby))
    };
    view.page(Section::Lobbies, &[&name(&lobby)], &content)
}

pub(crate) async fn close(view: View, Named(game, id): Named<LobbyId>) -> Response {
    match view.node().lobbies.close(&game, &id).await {
        Ok(_) => {}
        Err(LobbyError::Failed(failure)) => return view.problem(Section::Lobbies, &failure),
        Err(LobbyError::Refused(refusal)) => {
            let failure = Failure::new(refusal.code(), format!("{refusal}."));
            return view.problem(Section::Lobbies, &failure);
        }
    }
    view.audit("lobby.close", id.as_str(), serde_json::json!({ "game": game })).await;
    view.go(Section::Lobbies.path(), Notice::LobbyClosed)
}

pub(crate) async fn fragment(node: &Node, game: &GameId, id: &LobbyId, times: Times) -> Markup {
    match node.lobbies.get(game, id).await {
        Ok(lobby) => drawn(game, &lobby, times),
        Err(failure) if failure.code() == ErrorCode::NotFound => html! {
            div.title data-final { h1 { "This lobby is gone" } }
            p { "It was left or closed, or its match has started. " a href="/console/lobbies" { "To the lobbies" } }
        },
        Err(failure) => html! { p.notice.bad { (failure.sentence()) } },
    }
}

fn drawn(game: &GameId, lobby: &LobbyView, times: Times) -> Markup {
    html! {
        div.title { h1 { (name(lobby)) } (parts::phase_badge(lobby.phase)) }
        div.columns {
            (team(game, lobby, "Team A", &lobby.team_a, times))
            (team(game, lobby, "Team B", &lobby.team_b, times))
            section.panel {
                h2 { "Settings" }
                dl.facts {
                    (fact("Code", &parts::copyable(&lobby.code)))
                    (fact("Id", &parts::copyable(lobby.id.as_str())))
                    (fact("Game", &html! { a href=(format!("/console/lobbies?game={game}")) { (game) } }))
                    (fact("Made", &times.at(lobby.created_at)))
                    (fact("Listed", &html! { @if lobby.is_private { "no, by code only" } @else { "yes" } }))
                    (fact("Password", &html! { @if lobby.has_password { "yes" } @else { "none" } }))
                    @if let Some(map) = &lobby.map { (fact("Map", &html! { (map) })) }
                    @if let Some(mode) = &lobby.mode { (fact("Mode", &html! { (mode) })) }
                    (fact("Places", &html! {
                        (lobby.members_max)
                        @if let Some(size) = lobby.team_size { ", " (size) " a team" }
                    }))
                    (fact("After its match", &html! { @if lobby.keep { "waits for the next" } @else { "is gone" } }))
                    @if let Some(id) = &lobby.match_id {
                        (fact("Match", &html! {
                            (parts::copyable(id.as_str())) " "
                            a href=(format!("/console/servers?find={id}")) { "Its game server" }
                        }))
                    }
                }
            }
        }
    }
}

fn team(game: &GameId, lobby: &LobbyView, title: &str, members: &[MemberView], times: Times) -> Markup {
    html! {
        section.panel {
            h2 { (title) " " span.soft { (members.len()) } }
            @if members.is_empty() { p.soft { "Nobody" } }
            ul.members {
                @for member in members {
                    li id=(format!("member-{}", member.account_id)) {
                        @if member.bot { span { (member.username) } }
                        @else { a href=(parts::player_path(game, &member.account_id)) { (member.username) } }
                        span.badges {
                            @if member.account_id == lobby.owner_id { (parts::badge("key", "Owner")) }
                            @if member.bot { (parts::badge("off", "Bot")) }
                            @else if !member.connected { (parts::badge("warn", "Away")) }
                            @if member.ready { (parts::badge("good", "Ready")) } @else { (parts::badge("calm", "Not ready")) }
                        }
                        span.soft.since { "joined " (times.at(member.joined_at)) }
                    }
                }
            }
        }
    }
}

fn close_panel(view: &View, game: &GameId, lobby: &LobbyView) -> Markup {
    let path = parts::lobby_path(game, &lobby.id);
    let api = format!("/v1/games/{game}/lobbies/{}/close", lobby.id);
    html! {
        section.panel.change.unless-final {
            h2 { "Close it" }
            @if view.may_change() {
                details.confirm {
                    summary.button.danger { "Close this lobby…" }
                    form method="post" action=(format!("{path}/close")) {
                        (view.csrf())
                        p { "Its members are told that it is gone, and may make or join another. A match that runs goes on." }
                        button.danger type="submit" { "Close " (name(lobby)) }
                    }
                }
            } @else {
                p.soft { "Your role may look, but not change anything." }
            }
            (parts::curl(&parts::curl_command(&view.base_url, "POST", &api, None)))
        }
    }
}
