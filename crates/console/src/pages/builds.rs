//! Builds: the versions of a game, which hosts have them, and how far pulls are.

use axum::{Form, response::Response};
use greenroom_operations::{Failure, Node};
use greenroom_protocol::{
    ErrorCode, GameId,
    builds::{BuildHost, BuildList, BuildSource, BuildView, PullState, PullView},
    hosting::is_version_text,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, OfGame, games};
use crate::{
    format,
    parts::{self, Times, fact},
    view::{Notice, Section, View},
};

#[derive(Default, Deserialize)]
pub(crate) struct Filter {
    /// Of which game; the first with a fleet if empty.
    #[serde(default)]
    game: String,
}

#[derive(Deserialize)]
pub(crate) struct PullForm {
    #[serde(default)]
    version: String,
}

pub(crate) async fn show(view: View, Asked(filter): Asked<Filter>) -> Response {
    let games = with_fleet(view.node());
    let game = games.iter().find(|game| filter.game.is_empty() || game.as_str() == filter.game);
    let Some(game) = game else {
        let content = html! {
            h1 { "Builds" }
            (parts::empty("There is no such game with game servers", &html! { "Builds are the versions of a game\u{2019}s servers. Add a fleet to a game in the configuration." }))
        };
        return view.page(Section::Builds, &[], &content);
    };
    let choices: Vec<_> = games.iter().map(|game| (game.as_str(), game.as_str())).collect();
    let content = html! {
        h1 { "Builds" }
        @if games.len() > 1 {
            form.filter method="get" action="/console/builds" data-filter {
                (parts::select("game", "Game", game.as_str(), &choices))
                button type="submit" { "Show" }
            }
        }
        // Registries and engines may take their time: the page does not wait for them.
        div.live data-live=(format!("/console/live/builds/{game}")) {
            p.soft role="status" { "Looking up the versions of " (game) "…" }
            progress aria-label="Looking up the versions" {}
        }
        (change_panel(&view, game))
    };
    view.page(Section::Builds, &[], &content)
}

pub(crate) async fn pull(view: View, OfGame(game): OfGame, Form(form): Form<PullForm>) -> Response {
    let version = form.version.trim();
    if !is_version_text(version) {
        let failure =
            Failure::new(ErrorCode::Invalid, "Name the version that is to be pulled, such as 1.2.3.");
        return view.problem(Section::Builds, &failure);
    }
    if let Err(failure) = view.node().builds.pull(&game, version).await {
        return view.problem(Section::Builds, &failure);
    }
    view.audit("build.pull", version, serde_json::json!({ "game": game })).await;
    view.go(&path_of(&game), Notice::BuildPulled)
}

pub(crate) async fn refresh(view: View, OfGame(game): OfGame) -> Response {
    if let Err(failure) = view.node().builds.refresh(&game).await {
        return view.problem(Section::Builds, &failure);
    }
    view.audit("build.refresh", game.as_str(), serde_json::Value::Null).await;
    view.go(&path_of(&game), Notice::BuildsRefreshed)
}

pub(crate) async fn fragment(node: &Node, game: &GameId, times: Times) -> Markup {
    match node.builds.list(game).await {
        Ok(list) => drawn(&list, times),
        Err(failure) => html! { p.notice.bad { (failure.sentence()) } },
    }
}

fn path_of(game: &GameId) -> String {
    format!("/console/builds?game={game}")
}

fn with_fleet(node: &Node) -> Vec<GameId> {
    let settings = node.settings.borrow().clone();
    let has_fleet = |game: &GameId| settings.games.get(game).is_some_and(|game| game.fleet.is_some());
    games(node).into_iter().filter(has_fleet).collect()
}

fn drawn(list: &BuildList, times: Times) -> Markup {
    html! {
        @if let Some(problem) = &list.problem {
            p.notice.warn { "The versions could not be looked up: " (problem) ". What is shown is what was known before." }
        }
        section.panel {
            dl.facts {
                @match &list.image {
                    Some(image) => { (fact("Image", &parts::copyable(image))) }
                    None => { (fact("Runs", &html! { "processes; the version is the configuration\u{2019}s" })) }
                }
                @if let Some(source) = list.source {
                    (fact("Looked up", &html! {
                        @match source {
                            BuildSource::Engine => { "among the engines\u{2019} images" }
                            BuildSource::Registry => { "in the image\u{2019}s registry" }
                        }
                        @if let Some(at) = list.looked_up_at { ", " (times.at(at)) }
                    }))
                }
                @if let (Some(oldest), Some(newest)) = (&list.oldest, &list.newest) {
                    (fact("Supported", &html! { @if oldest == newest { (newest) } @else { (oldest) " to " (newest) } }))
                }
            }
        }
        @if list.builds.is_empty() {
            (parts::empty("No version is known", &html! { "A version is a tag of the image that is a semantic version, such as 1.2.3." }))
        } @else {
            p.count {
                (format::counted(list.total.into(), "version", "versions"))
                @if (list.builds.len() as u64) < u64::from(list.total) { ", the newest " (list.builds.len()) }
            }
            div.scroll {
                table {
                    thead { tr { th { "Version" } th.wide { "For new servers" } th { "On the hosts" } } }
                    tbody { @for build in &list.builds { (row(build)) } }
                }
            }
        }
    }
}

fn row(build: &BuildView) -> Markup {
    html! {
        tr id=(format!("build-{}", build.tag)) {
            td {
                b { (build.version) } @if build.tag != build.version { " " span.mono.soft { (build.tag) } }
                @if !build.supported { " " span.narrow { (parts::badge("off", "Too old")) } }
            }
            td.wide { @if build.supported { (parts::badge("good", "Supported")) } @else { (parts::badge("off", "Too old")) } }
            td {
                @if build.hosts.is_empty() { span.soft { "on this machine" } }
                ul.plain.on-hosts { @for host in &build.hosts { li { (on_host(host)) } } }
            }
        }
    }
}

fn on_host(on: &BuildHost) -> Markup {
    html! {
        span.host { (on.host) }
        @match (&on.pull, on.present) {
            (Some(pull), _) => { (pulling(pull)) }
            (None, Some(true)) => { (parts::badge("good", "There")) }
            (None, Some(false)) => { (parts::badge("off", "Not there")) }
            (None, None) => { (parts::badge("bad", "Cannot be asked")) }
        }
    }
}

fn pulling(pull: &PullView) -> Markup {
    let percent =
        (pull.bytes_total > 0).then(|| pull.bytes_done.min(pull.bytes_total) * 100 / pull.bytes_total);
    html! {
        @match pull.state {
            PullState::Waiting => { (parts::badge("wait", "Waits")) }
            PullState::Failed => {
                (parts::badge("bad", "Failed"))
                @if let Some(problem) = &pull.problem { " " span.soft.problem { (problem) } }
            }
            PullState::Pulling => {
                @if let Some(percent) = percent {
                    progress max="100" value=(percent) aria-label="Pulled" {}
                    span.number-of {
                        (percent) " %, " (format::bytes(pull.bytes_done)) " of " (format::bytes(pull.bytes_total))
                        @if pull.layers_total > 0 { ", " (pull.layers_done) " of " (pull.layers_total) " layers" }
                    }
                } @else {
                    progress aria-label="Pulled" {}
                    span.number-of { "begins" }
                }
            }
        }
    }
}

fn change_panel(view: &View, game: &GameId) -> Markup {
    let settings = view.node().settings.borrow().clone();
    let fleet = settings.games.get(game).and_then(|game| game.fleet.as_ref());
    let has_images = fleet.is_some_and(|fleet| fleet.provider.container().is_some());
    let path = format!("/console/builds/{game}");
    html! {
        @if has_images {
            section.panel.change {
                h2 { "Pull a version" }
                p.soft { "Supported versions are pulled ahead by themselves. Another one is pulled to every host of the game that does not have it." }
                @if view.may_change() {
                    div.deeds {
                        form.inline method="post" action=(format!("{path}/pull")) {
                            (view.csrf())
                            label { span { "Version" } input name="version" required maxlength="128" placeholder="1.2.3" autocomplete="off" spellcheck="false"; }
                            button.primary type="submit" { "Pull" }
                        }
                        form.inline method="post" action=(format!("{path}/refresh")) {
                            (view.csrf())
                            button type="submit" { "Look the versions up again" }
                        }
                    }
                } @else {
                    p.soft { "Your role may look, but not change anything." }
                }
            }
        }
    }
}
