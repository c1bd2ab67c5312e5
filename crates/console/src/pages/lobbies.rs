//! All lobbies.

use axum::response::Response;
use greenroom_operations::{Failure, Node};
use greenroom_protocol::{
    GameId,
    lobby::{LobbyPhase, LobbyView, MemberView},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, PAGE_MAX, ROWS_MAX, cut, games, games_of, part, query};
use crate::{
    format,
    parts::{self, Times},
    view::{Section, View},
};

const PHASES: [(&str, &str); 4] =
    [("", "All"), ("waiting", "Gathering"), ("starting", "Starting"), ("playing", "Playing")];

/// Which lobbies are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Filter {
    /// Of this game; of all if empty.
    #[serde(default)]
    game: String,
    /// How far they are; all if empty.
    #[serde(default)]
    phase: String,
    /// Whose code, name, id or member has this in it.
    #[serde(default)]
    find: String,
    /// Which part of the list, from 0.
    #[serde(default)]
    page: usize,
}

impl Filter {
    /// The same with every text within its bounds.
    pub(crate) fn bounded(self) -> Self {
        Self {
            game: cut(&self.game),
            phase: cut(&self.phase),
            find: cut(&self.find).to_lowercase(),
            page: self.page.min(PAGE_MAX),
        }
    }

    fn query(&self, page: usize) -> String {
        let page = if page == 0 { String::new() } else { page.to_string() };
        query(&[("game", &self.game), ("phase", &self.phase), ("find", &self.find), ("page", &page)])
    }

    fn fits(&self, lobby: &LobbyView) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.find);
        let phase = match lobby.phase {
            LobbyPhase::Waiting => "waiting",
            LobbyPhase::Starting => "starting",
            LobbyPhase::Playing => "playing",
        };
        (self.phase.is_empty() || phase == self.phase)
            && (self.find.is_empty()
                || has(&lobby.code)
                || has(lobby.id.as_str())
                || lobby.name.as_deref().is_some_and(has)
                || members(lobby).any(|member| has(&member.username)))
    }
}

pub(crate) async fn show(view: View, Asked(filter): Asked<Filter>) -> Response {
    let filter = filter.bounded();
    let path = format!("/console/live/lobbies{}", filter.query(filter.page));
    let games = games(view.node());
    let mut choices = vec![("", "All games")];
    choices.extend(games.iter().map(|game| (game.as_str(), game.as_str())));
    let content = html! {
        h1 { "Lobbies" }
        form.filter method="get" action="/console/lobbies" role="search" data-filter {
            (parts::select("game", "Game", &filter.game, &choices))
            (parts::select("phase", "State", &filter.phase, &PHASES))
            label { span { "Find" } input type="search" name="find" value=(filter.find) placeholder="code, name or player" maxlength="64"; }
            button type="submit" { "Show" }
        }
        div.live data-live=(path) { (fragment(view.node(), &filter, view.times()).await) }
    };
    view.page(Section::Lobbies, &[], &content)
}

pub(crate) async fn fragment(node: &Node, filter: &Filter, times: Times) -> Markup {
    match all(node, filter).await {
        Ok(all) => listed(&all, filter, times),
        Err(failure) => {
            super::problem::log(&failure, "the lobbies could not be listed");
            html! { p.notice.bad { (failure.sentence()) } }
        }
    }
}

/// The members of both teams.
pub(crate) fn members(lobby: &LobbyView) -> impl Iterator<Item = &MemberView> {
    lobby.team_a.iter().chain(&lobby.team_b)
}

/// What a lobby is called: its name, else its code.
pub(crate) fn name(lobby: &LobbyView) -> String {
    lobby.name.clone().unwrap_or_else(|| format!("Lobby {}", lobby.code))
}

/// The lobbies of the games that the filter means, newest first.
async fn all(node: &Node, filter: &Filter) -> Result<Vec<(GameId, LobbyView)>, Failure> {
    let mut all = Vec::new();
    for game in games_of(node, &filter.game) {
        let lobbies = node.lobbies.list(&game).await?;
        all.extend(lobbies.into_iter().map(|lobby| (game.clone(), lobby)));
    }
    all.sort_by(|(_, a), (_, b)| (b.created_at, b.id.as_str()).cmp(&(a.created_at, a.id.as_str())));
    Ok(all)
}

fn listed(all: &[(GameId, LobbyView)], filter: &Filter, times: Times) -> Markup {
    let fitting: Vec<_> = all.iter().filter(|(_, lobby)| filter.fits(lobby)).collect();
    let (shown, earlier, later) = part(&fitting, filter.page);
    html! {
        p.count {
            (format::counted(fitting.len() as u64, "lobby", "lobbies"))
            @if fitting.len() < all.len() { " of " (format::count(all.len() as u64)) }
            @if earlier || later { ", " (filter.page * ROWS_MAX + 1) " to " (filter.page * ROWS_MAX + shown.len()) }
        }
        @if shown.is_empty() && all.is_empty() {
            (parts::empty("There is no lobby", &html! { "Lobbies appear here as soon as players make one." }))
        } @else if shown.is_empty() {
            (parts::empty("No lobby fits", &html! { a href="/console/lobbies" { "Show all" } }))
        } @else {
            (table(shown, times))
        }
        (parts::pages(
            earlier.then(|| format!("/console/lobbies{}", filter.query(filter.page - 1))),
            later.then(|| format!("/console/lobbies{}", filter.query(filter.page + 1))),
        ))
    }
}

fn table(lobbies: &[&(GameId, LobbyView)], times: Times) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "Lobby" } th.wide { "Code" } th.wide { "Game" } th { "State" } th { "Members" }
                    th.end.wide { "Ready" } th.end.wide { "Away" } th.wide { "Owner" } th { "Made" }
                } }
                tbody { @for (game, lobby) in lobbies { (row(game, lobby, times)) } }
            }
        }
    }
}

fn row(game: &GameId, lobby: &LobbyView, times: Times) -> Markup {
    let count = |fits: fn(&MemberView) -> bool| members(lobby).filter(|member| fits(member)).count();
    let owner = members(lobby).find(|member| member.account_id == lobby.owner_id);
    html! {
        tr id=(lobby.id) {
            td.name { a href=(parts::lobby_path(game, &lobby.id)) { (name(lobby)) } @if lobby.is_private { " " (parts::badge("off", "Private")) } }
            td.mono.wide { (lobby.code) }
            td.wide { (game) }
            td { (parts::phase_badge(lobby.phase)) }
            td { (count(|_| true)) " of " (lobby.members_max) }
            td.end.wide { (count(|member| member.ready)) }
            td.end.wide { (count(|member| !member.connected)) }
            td.wide { (owner.map_or("–", |owner| owner.username.as_str())) }
            td { (times.at(lobby.created_at)) }
        }
    }
}

#[cfg(test)]
mod tests;
