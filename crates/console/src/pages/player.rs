//! One player: who it is, what it played, and its ban.

use std::time::Duration;

use axum::{
    Form, Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use greenroom_operations::{Failure, lobbies::LobbyError};
use greenroom_protocol::{
    ErrorCode, GameId, LobbyId, PlayerId,
    accounts::IdentityView,
    auth::{BanRequest, SessionView},
    events::PlayerMatch,
};
use greenroom_storage::Player;
use maud::{Markup, html};
use serde::Deserialize;

use super::{Named, players::ban_badge};
use crate::{
    parts::{self, Times, fact},
    view::{Notice, Section, View},
};

/// Matches that are shown.
const MATCHES_MAX: u32 = 20;

const HOUR: u64 = 60 * 60;

/// How long a ban may last: the value of the field, the words, seconds.
const TERMS: [(&str, &str, Option<u64>); 6] = [
    ("1h", "1 hour", Some(HOUR)),
    ("1d", "1 day", Some(24 * HOUR)),
    ("7d", "7 days", Some(7 * 24 * HOUR)),
    ("30d", "30 days", Some(30 * 24 * HOUR)),
    ("1y", "1 year", Some(365 * 24 * HOUR)),
    ("ever", "for ever", None),
];

#[derive(Deserialize)]
pub(crate) struct BanForm {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    term: String,
}

pub(crate) async fn show(view: View, Named(game, id): Named<PlayerId>) -> Response {
    let player = match view.node().players.of_game(&game, &id).await {
        Ok(player) => player,
        Err(failure) => return view.problem(Section::Players, &failure),
    };
    let lobby = match view.node().lobbies.lobby_of(&game, &id).await {
        Ok(lobby) => lobby,
        Err(LobbyError::Failed(failure)) => return view.problem(Section::Players, &failure),
        Err(LobbyError::Refused(_)) => None,
    };
    let matches = match view.node().players.matches(&id, None, MATCHES_MAX).await {
        Ok(page) => page.matches,
        Err(failure) => return view.problem(Section::Players, &failure),
    };
    let identities = match view.node().players.identities(&id).await {
        Ok(list) => list.identities,
        Err(failure) => return view.problem(Section::Players, &failure),
    };
    let sessions = match view.node().players.sessions_of(&game, &id).await {
        Ok(list) => list.sessions,
        Err(failure) => return view.problem(Section::Players, &failure),
    };
    let times = view.times();
    let content = html! {
        div.title { h1 { (player.username) } (ban_badge(&player, view.now)) }
        div.columns {
            section.panel {
                h2 { "Who it is" }
                dl.facts { (facts(&game, &player, lobby.as_ref(), times)) }
            }
            (ban_panel(&view, &game, &player))
        }
        section {
            h2 { "Identities" }
            (identities_table(&identities, times))
        }
        section {
            h2 { "Signed in" }
            (sessions_table(&sessions, times))
        }
        (account_panel(&view, &game, &player))
        section {
            h2 { "Matches" }
            (matches_table(&matches, times))
        }
    };
    view.page(Section::Players, &[&player.username], &content)
}

pub(crate) async fn ban(view: View, Named(game, id): Named<PlayerId>, Form(form): Form<BanForm>) -> Response {
    let Some((_, _, seconds)) = TERMS.iter().find(|(value, _, _)| *value == form.term) else {
        let failure = Failure::new(ErrorCode::Invalid, "Choose how long the ban lasts.");
        return view.problem(Section::Players, &failure);
    };
    let until = seconds.map(|seconds| view.now.after(Duration::from_secs(seconds)));
    let ban = match view.node().players.ban(&game, &id, BanRequest { reason: form.reason, until }).await {
        Ok(ban) => ban,
        Err(failure) => return view.problem(Section::Players, &failure),
    };
    let detail = serde_json::json!({ "game": game, "reason": ban.reason, "until": ban.until });
    view.audit("player.ban", id.as_str(), detail).await;
    view.go(&parts::player_path(&game, &id), Notice::PlayerBanned)
}

pub(crate) async fn unban(view: View, Named(game, id): Named<PlayerId>) -> Response {
    if let Err(failure) = view.node().players.unban(&game, &id).await {
        return view.problem(Section::Players, &failure);
    }
    view.audit("player.unban", id.as_str(), serde_json::json!({ "game": game })).await;
    view.go(&parts::player_path(&game, &id), Notice::PlayerUnbanned)
}

/// Everything that is kept about the player, as a file.
pub(crate) async fn export(view: View, Named(game, id): Named<PlayerId>) -> Response {
    let export = match view.node().players.export(&game, &id).await {
        Ok(export) => export,
        Err(failure) => return view.problem(Section::Players, &failure),
    };
    view.audit("player.export", id.as_str(), serde_json::json!({ "game": game })).await;
    let mut response = Json(export).into_response();
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"player-{id}.json\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

pub(crate) async fn delete(view: View, Named(game, id): Named<PlayerId>) -> Response {
    if let Err(failure) = view.node().players.delete(&game, &id).await {
        return view.problem(Section::Players, &failure);
    }
    view.audit("player.delete", id.as_str(), serde_json::json!({ "game": game })).await;
    view.go(Section::Players.path(), Notice::PlayerDeleted)
}

fn facts(game: &GameId, player: &Player, lobby: Option<&LobbyId>, times: Times) -> Markup {
    html! {
        (fact("Id", &parts::copyable(player.id.as_str())))
        (fact("Game", &html! { (game) }))
        (fact("Signs in", &html! {
            @if let Some(discord) = &player.discord { "with Discord, as " (discord.username) } @else { "by name" }
        }))
        (fact("Last seen", &times.at(player.last_seen_at)))
        (fact("Since", &times.at(player.created_at)))
        (fact("Lobby", &html! {
            @if let Some(lobby) = lobby { a href=(parts::lobby_path(game, lobby)) { "Open its lobby" } }
            @else { span.soft { "in none" } }
        }))
    }
}

fn ban_panel(view: &View, game: &GameId, player: &Player) -> Markup {
    let path = parts::player_path(game, &player.id);
    let api = format!("/v1/games/{game}/players/{}/ban", player.id);
    let ban = player.ban.as_ref().filter(|ban| ban.holds(view.now));
    html! {
        section.panel.change {
            @if let Some(ban) = ban {
                h2 { "Banned" }
                dl.facts {
                    (fact("Reason", &html! { @if ban.reason.is_empty() { span.soft { "none given" } } @else { (ban.reason) } }))
                    (fact("Since", &view.times().at(ban.at)))
                    (fact("Until", &html! { @if let Some(until) = ban.until { (view.times().at(until)) } @else { "for ever" } }))
                }
                @if view.may_change() {
                    form method="post" action=(format!("{path}/unban")) {
                        (view.csrf())
                        button type="submit" { "Lift the ban" }
                    }
                }
                (parts::curl(&parts::curl_command(&view.base_url, "DELETE", &api, None)))
            } @else {
                h2 { "Ban" }
                @if view.may_change() {
                    details.confirm {
                        summary.button.danger { "Ban this player…" }
                        form method="post" action=(format!("{path}/ban")) {
                            (view.csrf())
                            p { "It is signed out everywhere at once and cannot sign in to " (game) " again while the ban holds." }
                            label { span { "Reason " span.soft { "(the player is told)" } }
                                input name="reason" maxlength="200" autocomplete="off"; }
                            label { span { "How long" }
                                select name="term" {
                                    @for (value, words, _) in TERMS { option value=(value) selected[value == "7d"] { (words) } }
                                }
                            }
                            button.danger type="submit" { "Ban " (player.username) }
                        }
                    }
                } @else {
                    p.soft { "Your role may look, but not change anything." }
                }
                @let body = serde_json::json!({ "reason": "why" });
                (parts::curl(&parts::curl_command(&view.base_url, "POST", &api, Some(&body))))
            }
        }
    }
}

fn account_panel(view: &View, game: &GameId, player: &Player) -> Markup {
    let path = parts::player_path(game, &player.id);
    let api = format!("/v1/games/{game}/players/{}", player.id);
    html! {
        section.panel.change {
            h2 { "The account" }
            @if view.is_owner() {
                p { a href=(format!("{path}/export")) { "Download everything that is kept about this player" } }
                details.confirm {
                    summary.button.danger { "Delete this player…" }
                    form method="post" action=(format!("{path}/delete")) {
                        (view.csrf())
                        p { "For ever: its records go, its identities are free again, it is signed out everywhere. \
                             What the history says of its id stays." }
                        button.danger type="submit" { "Delete " (player.username) }
                    }
                }
            } @else {
                p.soft { "This takes an owner." }
            }
            (parts::curl(&parts::curl_command(&view.base_url, "GET", &format!("{api}/export"), None)))
            (parts::curl(&parts::curl_command(&view.base_url, "DELETE", &api, None)))
        }
    }
}

fn identities_table(identities: &[IdentityView], times: Times) -> Markup {
    html! {
        @if identities.is_empty() {
            (parts::empty("It has none", &html! { "It signed in by a name, and lives as long as its tokens are kept." }))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "Provider" } th { "There it is" } th { "Called" } th { "Since" } } }
                    tbody {
                        @for identity in identities {
                            tr {
                                td { (identity.provider) }
                                td.mono.text { (identity.subject) }
                                td { (identity.name.as_deref().unwrap_or("–")) }
                                td { @if identity.linked_at.as_millis() > 0 { (times.at(identity.linked_at)) } @else { "–" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn sessions_table(sessions: &[SessionView], times: Times) -> Markup {
    html! {
        @if sessions.is_empty() {
            (parts::empty("Signed in nowhere", &html! { "Sign-ins are shown here while they are good." }))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "Since" } th { "Ends unless refreshed" } th.wide { "Program" } } }
                    tbody {
                        @for session in sessions {
                            tr {
                                td { (times.at(session.created_at)) }
                                td { (times.at(session.expires_at)) }
                                td.wide.text { (session.user_agent.as_deref().unwrap_or("–")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn matches_table(matches: &[PlayerMatch], times: Times) -> Markup {
    html! {
        @if matches.is_empty() {
            (parts::empty("No match has been reported", &html! { "Matches appear here when a game server reports their end." }))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "Ended" } th { "Result" } th { "Team" } th.end { "Score" } th.wide { "Match" } } }
                    tbody {
                        @for one in matches {
                            tr {
                                td { @if let Some(at) = one.ended_at { (times.at(at)) } @else { "–" } }
                                td { @match one.won {
                                    Some(true) => { (parts::badge("good", "Won")) }
                                    Some(false) => { (parts::badge("off", "Lost")) }
                                    None => { "–" }
                                } }
                                td { @if let Some(team) = one.team { (format!("{team:?}")) } @else { "–" } }
                                td.end { @if let Some(score) = one.score { (score) } @else { "–" } }
                                td.mono.wide { (one.match_id) }
                            }
                        }
                    }
                }
            }
        }
    }
}
