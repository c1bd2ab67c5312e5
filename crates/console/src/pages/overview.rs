//! The overview: what there is now, and how it went in the last minutes.

use std::collections::HashSet;

use axum::response::{IntoResponse, Response};
use greenroom_domain::settings::GameSettings;
use greenroom_operations::{
    Failure, Node,
    servers::{Counts, PoolView},
};
use greenroom_protocol::{GameId, HostId, hosting::ServerState};
use maud::{Markup, html};

use crate::{
    chart::{Series, Unit, chart},
    format,
    live::{SAMPLE_EVERY, Sample},
    parts::{self, Times},
    view::{Section, View},
};

/// States in the order in which a server goes through them.
const STATES: [ServerState; 4] =
    [ServerState::Starting, ServerState::Ready, ServerState::Allocated, ServerState::Stopping];

pub(crate) async fn show(view: View) -> Response {
    let node = view.node();
    let beginning = match is_empty(node).await {
        Ok(true) => Some(beginning(node, &view.base_url)),
        Ok(false) => None,
        Err(failure) => return view.problem(Section::Overview, &failure),
    };
    let samples = view.console.0.live.samples();
    let content = html! {
        h1 { "Overview" }
        @if let Some(beginning) = beginning { (beginning) }
        div.live data-live="/console/live/overview" { (fragment(node, &samples, view.times())) }
    };
    view.page(Section::Overview, &[], &content).into_response()
}

pub(crate) fn fragment(node: &Node, samples: &[Sample], times: Times) -> Markup {
    let (hub, servers) = (node.hub.counts(), node.servers.counts());
    let games = node.settings.borrow().games.clone();
    let of_state = |state| servers.values().filter_map(|states| states.get(&state)).sum::<u32>();
    let running: u32 = STATES.into_iter().map(of_state).sum();
    let handed_out: u32 = samples.iter().map(|sample| sample.handed_out).sum();
    let series = |name, value: fn(&Sample) -> u32| {
        let newest_first = samples.iter().rev().zip(0_u32..);
        let mut points: Vec<_> =
            newest_first.map(|(sample, place)| (SAMPLE_EVERY * place, f64::from(value(sample)))).collect();
        points.reverse();
        Series { name, points }
    };
    let newest = node.servers.snapshot(None);
    let lost = super::servers::lost_hosts(node);
    html! {
        @if !lost.is_empty() { (lost_notice(&lost)) }
        div.tiles {
            (tile("Players connected", hub.players as u64, "/console/players", &html! {
                (format::counted(hub.sockets as u64, "open socket", "open sockets"))
            }))
            (tile("Lobbies", hub.lobbies as u64, "/console/lobbies", &html! { "gathering, starting or playing" }))
            (tile("Game servers", running.into(), "/console/servers", &html! {
                @if running == 0 { "none is running" }
                @for state in STATES {
                    @let count = of_state(state);
                    @if count > 0 {
                        a.state-count href=(format!("/console/servers?state={}", state.as_str())) {
                            (parts::server_badge(state, false)) " " (format::count(count.into()))
                        }
                    }
                }
            }))
            (tile("Servers handed out", handed_out.into(), "/console/servers?state=allocated", &html! {
                "in the last 15 minutes"
            }))
        }
        div.charts {
            (chart("Players and lobbies", Unit::Count, &[
                series("Players", |sample| sample.players),
                series("Lobbies", |sample| sample.lobbies),
            ]))
            (chart("Game servers", Unit::Count, &[
                series("Allocated", |sample| sample.allocated),
                series("Ready", |sample| sample.ready),
                series("Starting", |sample| sample.starting),
                series("Stopping", |sample| sample.stopping),
            ]))
        }
        section {
            h2 { "Games" }
            (games_table(games.values(), &servers, &node.servers.pools()))
        }
        @if !newest.is_empty() {
            section {
                div.heading { h2 { "Newest game servers" } a href="/console/servers" { "All game servers" } }
                (super::servers::table(&newest[..newest.len().min(5)], &lost, times))
            }
        }
    }
}

fn lost_notice(lost: &HashSet<HostId>) -> Markup {
    let mut names: Vec<_> = lost.iter().map(HostId::as_str).collect();
    names.sort_unstable();
    html! {
        p.notice.bad {
            @if names.len() == 1 { "The host " } @else { "The hosts " }
            b { (names.join(", ")) }
            " cannot be asked; game servers there are shown as they were last seen. "
            a href=(Section::Hosts.path()) { "See why" }
        }
    }
}

fn tile(title: &str, number: u64, href: &str, below: &Markup) -> Markup {
    html! {
        div.tile {
            h2 { a href=(href) { (title) } }
            p.number { (format::count(number)) }
            div.soft { (below) }
        }
    }
}

fn games_table<'a>(
    games: impl Iterator<Item = &'a GameSettings>,
    servers: &Counts,
    pools: &[PoolView],
) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "Game" } th.wide { "Studio" } th.end { "Running" } th.end { "May run" }
                    th.end { "Ready" } th.end.wide { "Kept warm" } th.wide { "Lobbies" }
                } }
                tbody {
                    @for game in games {
                        @let count = |states: &[ServerState]| states.iter().map(|state| number(servers, &game.id, *state)).sum::<u32>();
                        tr id=(format!("game-{}", game.id)) {
                            td { a href=(format!("/console/servers?game={}", game.id)) { (game.id) } }
                            td.wide { (game.studio) }
                            @if let Some(fleet) = &game.fleet {
                                td.end { (count(&STATES)) }
                                td.end { (fleet.running_max) }
                                td.end { (count(&[ServerState::Ready])) }
                                td.end.wide { (kept_warm(&game.id, pools)) }
                            } @else {
                                td.soft colspan="3" { "no dedicated servers" }
                                td.wide {}
                            }
                            td.wide { a href=(format!("/console/lobbies?game={}", game.id)) { "Lobbies" } }
                        }
                    }
                }
            }
        }
    }
}

/// How many of a game are to stand ready now, and between which numbers that moves.
fn kept_warm(game: &GameId, pools: &[PoolView]) -> Markup {
    let sum =
        |value: fn(&PoolView) -> u32| pools.iter().filter(|pool| pool.game == *game).map(value).sum::<u32>();
    let (wanted, least, most) =
        (sum(|pool| pool.wanted), sum(|pool| pool.bounds.ready_min), sum(|pool| pool.bounds.ready_max));
    html! {
        (format::count(wanted.into()))
        @if least < most { " " span.soft { "of " (least) " to " (most) } }
    }
}

fn number(servers: &Counts, game: &GameId, state: ServerState) -> u32 {
    servers.get(game).and_then(|states| states.get(&state)).copied().unwrap_or(0)
}

/// Whether nothing has ever happened here: no player, and so no lobby; and no game server.
async fn is_empty(node: &Node) -> Result<bool, Failure> {
    if !node.servers.snapshot(None).is_empty() || node.hub.counts().lobbies > 0 {
        return Ok(false);
    }
    for game in super::games(node) {
        if node.players.count(&game).await? > 0 {
            return Ok(false);
        }
        if !node.servers.list_ended(&game, None, 1).await?.servers.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn beginning(node: &Node, base_url: &str) -> Markup {
    let games = super::games(node);
    let has_demo = games.iter().any(|game| game.as_str() == "skirmish");
    let settings = node.settings.borrow().clone();
    let with_fleet = settings.games.values().find(|game| game.fleet.is_some());
    let (words, command) = match (with_fleet, games.first()) {
        (Some(game), _) => (
            "Ask for a game server as your own programs will:",
            format!(
                "curl -X POST {base_url}/v1/games/{}/servers \\\n  -H \"Authorization: Bearer $GREENROOM_ADMIN_TOKEN\" \\\n  -d '{{\"payload\": \"hello\"}}'",
                game.id
            ),
        ),
        (None, Some(game)) => (
            "Let a player sign in:",
            format!(
                "curl -X POST {base_url}/v1/games/{game}/auth/anonymous \\\n  -d '{{\"username\": \"Ann\"}}'"
            ),
        ),
        (None, None) => ("", String::new()),
    };
    html! {
        section.panel.beginning {
            h2 { "Nothing has happened here yet" }
            @if games.is_empty() {
                p { "No game is configured. Add one to the configuration file and start Greenroom again:" }
                div.command { pre tabindex="0" { code {
                    "[studios.mine]\n\n[games.chess]\nstudio = \"mine\"\n\n[games.chess.fleet]\ncommand = [\"./chess-server\", \"--port\", \"{port}\"]\nports = [{ name = \"default\", protocol = \"tcp\" }]"
                } } }
            } @else {
                p { "This page fills as soon as players arrive. To see how it goes:" }
                ol {
                    @if has_demo {
                        li {
                            a href="/play/skirmish" { "Play Skirmish" }
                            ", the demo, in two windows: meet in a lobby, get ready and start. A game server is started for the match."
                        }
                    }
                    li {
                        (words)
                        div.command {
                            pre tabindex="0" { code { (command) } }
                            button.copy type="button" data-copy=(command) { "Copy" }
                        }
                    }
                }
            }
        }
    }
}
