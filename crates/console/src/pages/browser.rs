//! The server browser: what a game's players choose a server from, and who says so.

use std::collections::BTreeMap;

use axum::response::Response;
use greenroom_operations::Node;
use greenroom_protocol::{
    GameId, RegionId, ServerId,
    browser::{BROWSER_LIMIT_MAX, BrowserEntry, BrowserFilter, BrowserPage, BrowserSort},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, cut, games, query};
use crate::{
    format,
    parts::{self, Times},
    view::{Section, View},
};

const PATH: &str = "/console/browser";

const PLAYERS: [(&str, &str); 4] =
    [("", "Any"), ("room", "Not full"), ("some", "Not empty"), ("both", "Neither full nor empty")];

const SORTS: [(&str, &str); 2] = [("", "Most players"), ("name", "Name")];

/// Longest place in the list that is read, in characters.
const AFTER_CHARS_MAX: usize = 1_024;

/// Which entries are shown. The list itself filters, as it does for players.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Filter {
    /// Of which game; the first if empty.
    #[serde(default)]
    game: String,
    /// Whose name has this in it.
    #[serde(default)]
    text: String,
    /// Of this region alone.
    #[serde(default)]
    region: String,
    /// Of this version alone.
    #[serde(default)]
    version: String,
    /// How full they are; see [`PLAYERS`].
    #[serde(default)]
    players: String,
    /// By what; see [`SORTS`].
    #[serde(default)]
    sort: String,
    /// Where the part of the list begins that is shown.
    #[serde(default)]
    after: String,
}

impl Filter {
    /// The same with every text within its bounds.
    pub(crate) fn bounded(self) -> Self {
        Self {
            game: cut(&self.game),
            text: cut(&self.text),
            region: cut(&self.region),
            version: cut(&self.version),
            players: cut(&self.players),
            sort: cut(&self.sort),
            after: self.after.chars().take(AFTER_CHARS_MAX).collect(),
        }
    }

    fn query(&self, after: &str) -> String {
        query(&[
            ("game", &self.game),
            ("text", &self.text),
            ("region", &self.region),
            ("version", &self.version),
            ("players", &self.players),
            ("sort", &self.sort),
            ("after", after),
        ])
    }

    fn not_full(&self) -> bool {
        matches!(self.players.as_str(), "room" | "both")
    }

    fn has_players(&self) -> bool {
        matches!(self.players.as_str(), "some" | "both")
    }

    fn sort(&self) -> BrowserSort {
        if self.sort == "name" { BrowserSort::Name } else { BrowserSort::Players }
    }

    /// As players ask; none if there can be no such region.
    fn asked(&self) -> Option<BrowserFilter> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(BrowserFilter {
            region: given(&self.region).map(RegionId::new).transpose().ok()?,
            version: given(&self.version),
            not_full: self.not_full(),
            has_players: self.has_players(),
            text: given(&self.text),
            sort: Some(self.sort()),
            latencies: BTreeMap::new(),
            limit: Some(BROWSER_LIMIT_MAX),
        })
    }

    /// The same list as players get it.
    fn curl(&self, base_url: &str, game: &GameId) -> String {
        let flag = |set: bool| if set { "true" } else { "" };
        let query = query(&[
            ("text", &self.text),
            ("region", &self.region),
            ("version", &self.version),
            ("not_full", flag(self.not_full())),
            ("has_players", flag(self.has_players())),
            ("sort", &self.sort),
        ]);
        format!("curl '{base_url}/v1/games/{game}/browser{query}'")
    }
}

pub(crate) async fn show(view: View, Asked(filter): Asked<Filter>) -> Response {
    let filter = filter.bounded();
    let Some(game) = game_of(view.node(), &filter) else {
        let content = html! {
            h1 { "Server browser" }
            (parts::empty("There is no such game", &html! { "Every game of the configuration has a list of its own. " a href=(PATH) { "Show the first one" } }))
        };
        return view.page(Section::Browser, &[], &content);
    };
    let games = games(view.node());
    let choices: Vec<_> = games.iter().map(|game| (game.as_str(), game.as_str())).collect();
    let content = html! {
        h1 { "Server browser" }
        p.count { "What players of " (game) " choose a server from: listed servers of the fleet, and servers that announce themselves." }
        form.filter.many method="get" action=(PATH) role="search" data-filter {
            @if games.len() > 1 { (parts::select("game", "Game", game.as_str(), &choices)) }
            (parts::select("players", "Players", &filter.players, &PLAYERS))
            (parts::select("sort", "Sorted by", &filter.sort, &SORTS))
            (field("text", "Name", &filter.text, "has this in it"))
            (field("region", "Region", &filter.region, "exactly"))
            (field("version", "Version", &filter.version, "exactly"))
            button type="submit" { "Show" }
        }
        div.live data-live=(format!("/console/live/browser{}", filter.query(&filter.after))) {
            (fragment(view.node(), &filter, view.times()))
        }
        (parts::curl_of_all(&filter.curl(&view.base_url, &game), "As players get it: nobody has to sign in for it."))
    };
    view.page(Section::Browser, &[], &content)
}

pub(crate) fn fragment(node: &Node, filter: &Filter, times: Times) -> Markup {
    let Some(game) = game_of(node, filter) else { return html! {} };
    let all = |limit| BrowserFilter { limit: Some(limit), ..BrowserFilter::default() };
    let in_all = node.browser.list(&game, all(1), None).map_or(0, |page| page.total);
    let after = (!filter.after.is_empty()).then_some(filter.after.as_str());
    let page = match filter.asked() {
        // A place that no page gave is the beginning.
        Some(asked) => node
            .browser
            .list(&game, asked.clone(), after)
            .or_else(|_| node.browser.list(&game, asked, None))
            .unwrap_or_default(),
        None => BrowserPage::default(),
    };
    html! {
        p.count {
            (format::counted(page.total.into(), "server", "servers"))
            @if page.total < in_all { " of " (format::count(in_all.into())) }
            @if page.servers.len() < page.total as usize { ", " (page.servers.len()) " on this page" }
        }
        @if page.servers.is_empty() {
            (nothing(&game, in_all == 0))
        } @else {
            (table(node, &game, &page.servers, times))
        }
        (parts::pages_on(
            after.map(|_| format!("{PATH}{}", filter.query(""))),
            page.next.map(|next| format!("{PATH}{}", filter.query(&next))),
        ))
    }
}

/// The game that the filter names, else the first.
fn game_of(node: &Node, filter: &Filter) -> Option<GameId> {
    games(node).into_iter().find(|game| filter.game.is_empty() || game.as_str() == filter.game)
}

fn field(name: &str, label: &str, value: &str, placeholder: &str) -> Markup {
    html! {
        label { span { (label) }
            input type="search" name=(name) value=(value) placeholder=(placeholder) maxlength="64" autocomplete="off" spellcheck="false";
        }
    }
}

fn nothing(game: &GameId, none_at_all: bool) -> Markup {
    if none_at_all {
        parts::empty(
            "No server is listed",
            &html! { "A server appears here when it is started as a listed one, or when it announces itself at " code { "/api/list/ws" } "." },
        )
    } else {
        let all = query(&[("game", game.as_str())]);
        parts::empty("No listed server fits", &html! { a href=(format!("{PATH}{all}")) { "Show all" } })
    }
}

fn table(node: &Node, game: &GameId, entries: &[BrowserEntry], times: Times) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "Name" } th { "Players" } th { "Listed by" } th.wide { "Address" } th.wide { "Region" }
                    th.wide { "Version" }
                } }
                tbody { @for entry in entries { (row(node, game, entry, times)) } }
            }
        }
    }
}

fn row(node: &Node, game: &GameId, entry: &BrowserEntry, times: Times) -> Markup {
    html! {
        tr id=(entry.id) {
            td.name { (entry.name) }
            td { (players(entry)) }
            td.text { (listed_by(node, game, entry, times)) }
            td.mono.wide {
                @match &entry.path {
                    Some(path) => { (path) }
                    None => { (entry.address) ":" (entry.port) }
                }
                @if entry.tls { " " (parts::badge("calm", "TLS")) }
            }
            td.wide { (or_dash(entry.region.as_ref().map(RegionId::as_str))) }
            td.wide { (or_dash(entry.version.as_deref())) }
        }
    }
}

/// Who put it there: ourselves, or the server from wherever it connects.
fn listed_by(node: &Node, game: &GameId, entry: &BrowserEntry, times: Times) -> Markup {
    html! {
        @if let Some(said) = node.browser.announced(game, &entry.id) {
            "itself, from " span.mono { (said.address) }
            @if entry.official { " " (parts::badge("calm", "Official")) }
            div.soft { "listed " (times.at(said.since)) ", heard " (times.at(said.heard_at)) }
        } @else if let Ok(id) = ServerId::new(&entry.id) {
            @let server = node.servers.living(&id);
            "Greenroom, as "
            a.whole href=(parts::server_path(game, &id)) { (server.as_ref().map_or(id.as_str(), |server| &server.birth.name)) }
            div.soft { "ready " (times.at(entry.since)) }
        }
    }
}

fn players(entry: &BrowserEntry) -> Markup {
    html! {
        (format::count(entry.players.into()))
        @if let Some(max) = entry.players_max {
            " of " (format::count(max.into()))
            @if entry.players >= max { " " (parts::badge("warn", "Full")) }
        }
    }
}

fn or_dash(text: Option<&str>) -> &str {
    text.unwrap_or("–")
}
