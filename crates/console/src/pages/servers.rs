//! All game servers: those that run, live, and those that have ended.

use std::{collections::HashSet, sync::Arc};

use axum::response::Response;
use greenroom_domain::server::{Purpose, Server};
use greenroom_operations::{Failure, Node};
use greenroom_protocol::{
    HostId,
    hosting::{HostState, ServerState, ServerView},
};
use greenroom_storage::Cursor;
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, PAGE_MAX, ROWS_MAX, cut, games, games_of, part, query};
use crate::{
    format,
    parts::{self, Times},
    view::{Section, View},
};

/// The value of the filter's state that means those that have ended.
const ENDED: &str = "ended";

const STATES: [(&str, &str); 6] = [
    ("", "Running"),
    ("starting", "Starting"),
    ("ready", "Ready"),
    ("allocated", "Allocated"),
    ("stopping", "Stopping"),
    (ENDED, "Ended"),
];

/// Which servers are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Filter {
    /// Of this game; of all if empty.
    #[serde(default)]
    game: String,
    /// In this state; all that run if empty.
    #[serde(default)]
    state: String,
    /// Whose name, title, id, host or match has this in it.
    #[serde(default)]
    find: String,
    /// Which part of the list, from 0.
    #[serde(default)]
    page: usize,
    /// Where the part of the ended ones begins.
    #[serde(default)]
    after: String,
}

impl Filter {
    /// The same with every text within its bounds, so that no two topics differ in what is not used.
    pub(crate) fn bounded(self) -> Self {
        Self {
            game: cut(&self.game),
            state: cut(&self.state),
            find: cut(&self.find).to_lowercase(),
            page: self.page.min(PAGE_MAX),
            after: self.after.chars().take(256).collect(),
        }
    }

    fn query(&self, page: usize, after: &str) -> String {
        let page = if page == 0 { String::new() } else { page.to_string() };
        query(&[
            ("game", &self.game),
            ("state", &self.state),
            ("find", &self.find),
            ("page", &page),
            ("after", after),
        ])
    }

    fn fits(&self, server: &Server) -> bool {
        let birth = &server.birth;
        let of_state = self.state.is_empty() || server.state.as_str() == self.state;
        let match_id = server.allocation.as_ref().and_then(|allocation| allocation.match_id.as_ref());
        let has = |text: &str| text.to_lowercase().contains(&self.find);
        of_state
            && (self.game.is_empty() || birth.game.as_str() == self.game)
            && (self.find.is_empty()
                || has(&birth.name)
                || has(birth.id.as_str())
                || has(birth.host.as_str())
                || birth.title.as_deref().is_some_and(has)
                || match_id.is_some_and(|id| has(id.as_str())))
    }
}

pub(crate) async fn show(view: View, Asked(filter): Asked<Filter>) -> Response {
    let filter = filter.bounded();
    let list = if filter.state == ENDED {
        match ended(view.node(), &filter, view.times()).await {
            Ok(list) => list,
            Err(failure) => return view.problem(Section::Servers, &failure),
        }
    } else {
        let path = format!("/console/live/servers{}", filter.query(filter.page, ""));
        html! { div.live data-live=(path) { (fragment(view.node(), &filter, view.times())) } }
    };
    let games = games(view.node());
    let mut choices = vec![("", "All games")];
    choices.extend(games.iter().map(|game| (game.as_str(), game.as_str())));
    let content = html! {
        div.heading {
            h1 { "Game servers" }
            @if view.may_change() { a.button.primary href=(format!("/console/servers/start{}", query(&[("game", &filter.game)]))) { "Start a server" } }
        }
        form.filter method="get" action="/console/servers" role="search" data-filter {
            (parts::select("game", "Game", &filter.game, &choices))
            (parts::select("state", "State", &filter.state, &STATES))
            label { span { "Find" } input type="search" name="find" value=(filter.find) placeholder="name, title, host…" aria-label="Find by name, title, id, host or match" maxlength="64"; }
            button type="submit" { "Show" }
        }
        (list)
    };
    view.page(Section::Servers, &[], &content)
}

pub(crate) fn fragment(node: &Node, filter: &Filter, times: Times) -> Markup {
    listed(&node.servers.snapshot(None), &lost_hosts(node), filter, times)
}

/// The part of `all` that the filter shows.
fn listed(all: &[Arc<Server>], lost: &HashSet<HostId>, filter: &Filter, times: Times) -> Markup {
    let fitting: Vec<_> = all.iter().filter(|server| filter.fits(server)).cloned().collect();
    let (shown, earlier, later) = part(&fitting, filter.page);
    html! {
        p.count {
            (format::counted(fitting.len() as u64, "game server", "game servers"))
            @if fitting.len() < all.len() { " of " (format::count(all.len() as u64)) }
            @if earlier || later { ", " (filter.page * ROWS_MAX + 1) " to " (filter.page * ROWS_MAX + shown.len()) }
        }
        @if shown.is_empty() {
            (nothing(filter, all.is_empty()))
        } @else {
            (table(shown, lost, times))
        }
        (parts::pages(
            earlier.then(|| format!("/console/servers{}", filter.query(filter.page - 1, ""))),
            later.then(|| format!("/console/servers{}", filter.query(filter.page + 1, ""))),
        ))
    }
}

fn nothing(filter: &Filter, none_at_all: bool) -> Markup {
    if none_at_all {
        parts::empty(
            "No game server is running",
            &html! {
                "One is started when a lobby starts its match, or when your backend asks for one. "
                a href=(format!("/console/servers{}", Filter { state: ENDED.into(), ..filter.clone() }.query(0, ""))) { "See those that have ended." }
            },
        )
    } else {
        parts::empty(
            "No running game server fits",
            &html! {
                a href="/console/servers" { "Show all" }
            },
        )
    }
}

/// The hosts that cannot be asked at the moment.
pub(crate) fn lost_hosts(node: &Node) -> HashSet<HostId> {
    let hosts = node.servers.hosts().into_iter();
    hosts.filter(|host| host.state == HostState::Lost).map(|host| host.id).collect()
}

/// A table of servers that run; those on `lost` hosts are as they were last seen.
pub(crate) fn table(servers: &[Arc<Server>], lost: &HashSet<HostId>, times: Times) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "Name" } th.wide { "Game" } th.wide { "Version" } th { "State" } th.wide { "Host" }
                    th.wide { "Address" } th.wide { "For" } th { "Created" }
                } }
                tbody {
                    @for server in servers {
                        @let birth = &server.birth;
                        tr id=(birth.id) {
                            td.name {
                                a.whole href=(parts::server_path(&birth.game, &birth.id)) { (birth.name) }
                                @if let Some(title) = &birth.title { div.soft { (title) } }
                            }
                            td.wide { (birth.game) }
                            td.wide { (birth.version) }
                            td {
                                (parts::server_badge(server.state, is_crashed(server)))
                                @if lost.contains(&birth.host) { div { (parts::badge("bad", "Host lost")) } }
                            }
                            td.wide { (birth.host) }
                            td.mono.wide { @if let Some(port) = server.port() { (birth.address) ":" (port) } @else { "–" } }
                            td.wide { (purpose(server)) }
                            td { (times.at(birth.created_at)) }
                        }
                    }
                }
            }
        }
    }
}

pub(crate) fn is_crashed(server: &Server) -> bool {
    server.state.is_final() && server.exit.as_ref().is_some_and(greenroom_domain::server::Exit::is_crash)
}

/// What a server is for, in a few words.
fn purpose(server: &Server) -> Markup {
    html! {
        @match (&server.allocation, server.birth.purpose) {
            (Some(allocation), _) => @match &allocation.match_id {
                Some(id) => { "match " span.mono { (short(id.as_str())) } }
                None => { "an allocation" }
            },
            (None, Purpose::Warm) => { span.soft { "warm pool" } }
            (None, Purpose::Allocation) => { "an allocation" }
        }
    }
}

/// The beginning of an id: enough to tell two apart at a glance.
fn short(id: &str) -> String {
    let mut short: String = id.chars().take(8).collect();
    if short.len() < id.len() {
        short.push('…');
    }
    short
}

/// Those that have ended, newest first. They no longer change, so that this part is not live.
async fn ended(node: &Node, filter: &Filter, times: Times) -> Result<Markup, Failure> {
    let games = games_of(node, &filter.game);
    let after = filter.after.parse::<Cursor>().ok();
    let mut servers = Vec::new();
    let mut next = None;
    let rows_max = u32::try_from(ROWS_MAX).unwrap_or(u32::MAX);
    for game in &games {
        // A place in the list is one game's; over all games the newest of each are shown.
        let after = after.as_ref().filter(|_| games.len() == 1);
        let page = node.servers.list_ended(game, after, rows_max).await?;
        servers.extend(page.servers);
        next = page.next.filter(|_| games.len() == 1);
    }
    servers.sort_by_key(|server| std::cmp::Reverse(server.created_at));
    let is_cut = games.len() > 1 && servers.len() > ROWS_MAX;
    servers.truncate(ROWS_MAX);
    servers.retain(|server| {
        let has = |text: &str| text.to_lowercase().contains(&filter.find);
        has(&server.name) || has(server.id.as_str())
    });
    Ok(html! {
        @if is_cut { p.count { "The newest " (ROWS_MAX) ". Choose a game to see more." } }
        @if servers.is_empty() {
            (parts::empty("No game server that has ended fits", &html! { "Ended servers are remembered for a time that each game sets." }))
        } @else {
            (ended_table(&servers, times))
        }
        (parts::pages_on(
            after.filter(|_| games.len() == 1).map(|_| format!("/console/servers{}", filter.query(0, ""))),
            next.map(|next| format!("/console/servers{}", filter.query(0, &next.to_string()))),
        ))
    })
}

fn ended_table(servers: &[ServerView], times: Times) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th { "Name" } th.wide { "Game" } th { "State" } th { "How it ended" } th { "When" } } }
                tbody {
                    @for server in servers {
                        @let crashed = server.exit.as_ref().is_some_and(|exit| exit.crashed);
                        tr id=(server.id) {
                            td { a href=(parts::server_path(&server.game, &server.id)) { (server.name) } }
                            td.wide { (server.game) }
                            td { (parts::server_badge(server.state, crashed)) }
                            td.text {
                                @match server.exit.as_ref().and_then(|exit| exit.reason.as_deref()) {
                                    Some(reason) => { (reason) }
                                    None if server.state == ServerState::Lost => { "nobody saw how" }
                                    None => { "–" }
                                }
                            }
                            td { (times.at(server.exit.as_ref().map_or(server.created_at, |exit| exit.at))) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
