//! The games, and what each was told.

use axum::response::Response;
use greenroom_protocol::{
    GameId,
    system::{ConfigurationSection, GameView},
};
use maud::{Markup, html};

use super::{OfGame, system::configuration};
use crate::{
    parts::{self, fact},
    view::{Section, View},
};

pub(crate) async fn show(view: View) -> Response {
    let games = view.node().system.games();
    let content = html! {
        h1 { "Games" }
        @if games.is_empty() {
            (parts::empty("No game is configured", &html! { "Add one to the configuration file, and start Greenroom again. " a href="/console" { "The overview" } " shows how." }))
        } @else {
            (table(&games))
        }
        (parts::curl(&parts::curl_command(&view.base_url, "GET", "/v1/games", None)))
    };
    view.page(Section::Games, &[], &content)
}

pub(crate) async fn one(view: View, OfGame(id): OfGame) -> Response {
    let found = match view.node().system.game(&id) {
        Ok(found) => found,
        Err(failure) => return view.problem(Section::Games, &failure),
    };
    let sections: Vec<&ConfigurationSection> = found.configuration.iter().collect();
    let api = format!("/v1/games/{id}/settings");
    let content = html! {
        h1 { (id) }
        section.panel {
            dl.facts {
                (fact("Studio", &html! { (found.game.studio) }))
                (fact("Servers", &html! { (runs(&found.game)) }))
                @if !found.game.hosts.is_empty() { (fact("Hosts", &html! { (found.game.hosts.join(", ")) })) }
                (fact("See", &links(&id, &found.game)))
            }
        }
        section {
            h2 { "Settings" }
            p.soft { "They are set in the configuration file and hold from the next start; without secrets." }
            (configuration(&sections))
        }
        (parts::curl(&parts::curl_command(&view.base_url, "GET", &api, None)))
    };
    view.page(Section::Games, &[id.as_str()], &content)
}

fn links(id: &GameId, game: &GameView) -> Markup {
    html! {
        @if game.provider.is_some() {
            a href=(format!("/console/servers?game={id}")) { "game servers" } ", "
            a href=(format!("/console/builds?game={id}")) { "builds" } ", "
        }
        a href=(format!("/console/lobbies?game={id}")) { "lobbies" } ", "
        a href=(format!("/console/players?game={id}")) { "players" }
    }
}

fn table(games: &[GameView]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th { "Game" } th { "Studio" } th { "Servers" } th.wide { "Hosts" } } }
                tbody {
                    @for game in games {
                        tr {
                            td { a href=(format!("/console/games/{}", game.id)) { (game.id) } }
                            td { (game.studio) }
                            td { (runs(game)) }
                            td.wide { @if game.hosts.is_empty() { "–" } @else { (game.hosts.join(", ")) } }
                        }
                    }
                }
            }
        }
    }
}

fn runs(game: &GameView) -> &'static str {
    match game.provider.as_deref() {
        None => "none",
        Some("process") => "processes",
        Some("docker") => "containers",
        Some(_) => "another installation\u{2019}s",
    }
}
