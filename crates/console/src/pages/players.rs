//! Players of a game, by name; and those that are banned.

use axum::response::Response;
use greenroom_operations::{Failure, Node};
use greenroom_protocol::{GameId, Timestamp};
use greenroom_storage::{Cursor, Player};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, cut, games, query};
use crate::{
    format,
    parts::{self, Times},
    view::{Section, View},
};

/// Players on one page.
const PLAYERS_MAX: u32 = 50;

const SHOWN: [(&str, &str); 2] = [("", "All players"), ("banned", "Banned players")];

/// Which players are shown.
#[derive(Default, Deserialize)]
pub(crate) struct Filter {
    /// Of which game; the first one if empty.
    #[serde(default)]
    game: String,
    /// How their names begin.
    #[serde(default)]
    name: String,
    /// `banned`: only those.
    #[serde(default)]
    show: String,
    /// Where this part of the list begins.
    #[serde(default)]
    after: String,
}

pub(crate) async fn show(view: View, Asked(filter): Asked<Filter>) -> Response {
    let node = view.node();
    let filter = Filter { game: cut(&filter.game), name: cut(&filter.name), ..filter };
    let games = games(node);
    let default = node.settings.borrow().default_game.as_ref().map_or_else(String::new, ToString::to_string);
    let wanted = if filter.game.is_empty() { &default } else { &filter.game };
    let Some(game) = games.iter().find(|game| wanted.is_empty() || game.as_str() == wanted) else {
        let nothing = html! {
            h1 { "Players" }
            (parts::empty("There is no such game", &html! { "Players belong to a game. Add one to the configuration." }))
        };
        return view.page(Section::Players, &[], &nothing);
    };
    let list = if filter.show == "banned" {
        banned(node, game, &filter, view.times()).await
    } else {
        found(node, game, &filter, view.times(), view.now).await
    };
    let (count, list) = match (node.players.count(game).await, list) {
        (Ok(count), Ok(list)) => (count, list),
        (Err(failure), _) | (_, Err(failure)) => return view.problem(Section::Players, &failure),
    };
    let choices: Vec<_> = games.iter().map(|game| (game.as_str(), game.as_str())).collect();
    let content = html! {
        h1 { "Players" }
        form.filter method="get" action="/console/players" role="search" data-filter {
            (parts::select("game", "Game", game.as_str(), &choices))
            (parts::select("show", "Show", &filter.show, &SHOWN))
            label { span { "Name begins with" } input type="search" name="name" value=(filter.name) maxlength="64"; }
            button type="submit" { "Show" }
        }
        p.count { (format::counted(count, "player", "players")) " in " (game) }
        (list)
    };
    view.page(Section::Players, &[], &content)
}

pub(crate) fn ban_badge(player: &Player, now: Timestamp) -> Markup {
    let holds = player.ban.as_ref().is_some_and(|ban| ban.holds(now));
    html! { @if holds { (parts::badge("bad", "Banned")) } }
}

async fn found(
    node: &Node,
    game: &GameId,
    filter: &Filter,
    times: Times,
    now: Timestamp,
) -> Result<Markup, Failure> {
    let after = filter.after.parse::<Cursor>().ok();
    let page = node.players.search(game, &filter.name, after.as_ref(), PLAYERS_MAX).await?;
    let next = page.next.map(|next| {
        let pairs = [("game", game.as_str()), ("name", &filter.name), ("after", &next.to_string())];
        format!("/console/players{}", query(&pairs))
    });
    Ok(html! {
        @if page.items.is_empty() {
            @if filter.name.is_empty() {
                (parts::empty("Nobody has played yet", &html! { "Players appear here when they sign in for the first time." }))
            } @else {
                (parts::empty("Nobody is called that", &html! { "Names are searched from their beginning; capitals do not matter." }))
            }
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "Name" } th.wide { "Id" } th.wide { "Discord" } th { "Last seen" } th.wide { "Since" } th {} } }
                    tbody {
                        @for player in &page.items {
                            tr {
                                td { a href=(parts::player_path(game, &player.id)) { (player.username) } }
                                td.mono.wide { (player.id) }
                                td.wide { (player.discord.as_ref().map_or("–", |discord| discord.username.as_str())) }
                                td { (times.at(player.last_seen_at)) }
                                td.wide { (times.at(player.created_at)) }
                                td { (ban_badge(player, now)) }
                            }
                        }
                    }
                }
            }
        }
        (parts::pages_on(after.map(|_| format!("/console/players{}", query(&[("game", game.as_str()), ("name", &filter.name)]))), next))
    })
}

async fn banned(node: &Node, game: &GameId, filter: &Filter, times: Times) -> Result<Markup, Failure> {
    let after = filter.after.parse::<Cursor>().ok();
    let page = node.players.bans(game, after.as_ref(), PLAYERS_MAX).await?;
    let next = page.next.map(|next| {
        let pairs = [("game", game.as_str()), ("show", "banned"), ("after", &next.to_string())];
        format!("/console/players{}", query(&pairs))
    });
    Ok(html! {
        @if page.items.is_empty() {
            (parts::empty("Nobody is banned", &html! { "Bans are spoken on a player's page." }))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "Player" } th { "Reason" } th { "Banned" } th { "Until" } } }
                    tbody {
                        @for ban in &page.items {
                            tr {
                                td.mono { a href=(parts::player_path(game, &ban.player_id)) { (ban.player_id) } }
                                td { @if ban.reason.is_empty() { span.soft { "none given" } } @else { (ban.reason) } }
                                td { (times.at(ban.banned_at)) }
                                td { @if let Some(until) = ban.until { (times.at(until)) } @else { "for ever" } }
                            }
                        }
                    }
                }
            }
        }
        (parts::pages_on(after.map(|_| format!("/console/players{}", query(&[("game", game.as_str()), ("show", "banned")]))), next))
    })
}
