//! One game server: what it is, how it fares, its log; and the button that stops it.

use std::{sync::Arc, time::Duration};

use axum::response::Response;
use greenroom_domain::server::{Purpose, Server};
use greenroom_operations::{Node, servers::UsageSample};
use greenroom_protocol::{
    GameId, ServerId, Timestamp,
    hosting::{ExitView, SdkView, ServerState, ServerView},
};
use maud::{Markup, html};

use super::Named;
use crate::{
    chart::{Series, Unit, chart},
    format,
    parts::{self, Times, fact},
    view::{Notice, Section, View},
};

pub(crate) async fn show(view: View, Named(game, id): Named<ServerId>) -> Response {
    let server = match view.node().servers.get(&game, &id).await {
        Ok(server) => server,
        Err(error) => return view.problem(Section::Servers, &error.into()),
    };
    let path = format!("/console/live/servers/{game}/{id}");
    let content = html! {
        div.live data-live=(path) { (fragment(view.node(), &game, &id, view.times()).await) }
        (log_panel(&view, &server))
        @if !server.state.is_final() { (stop_panel(&view, &server)) }
    };
    view.page(Section::Servers, &[&server.name], &content)
}

pub(crate) async fn stop(view: View, Named(game, id): Named<ServerId>) -> Response {
    if let Err(error) = view.node().servers.stop(&game, &id).await {
        return view.problem(Section::Servers, &error.into());
    }
    view.audit("server.stop", id.as_str(), serde_json::json!({ "game": game })).await;
    view.go(&parts::server_path(&game, &id), Notice::ServerStopping)
}

pub(crate) async fn fragment(node: &Node, game: &GameId, id: &ServerId, times: Times) -> Markup {
    match node.servers.get(game, id).await {
        Ok(server) => {
            let document = node.servers.living(id);
            let usage = node.servers.usage_over_time(game, id);
            let image = document.as_ref().and_then(|document| image(node, document));
            drawn(&server, document.as_ref(), image, &usage, times)
        }
        Err(error) => html! { p.notice.bad { (greenroom_operations::Failure::from(error).sentence()) } },
    }
}

fn drawn(
    server: &ServerView,
    document: Option<&Arc<Server>>,
    image: Option<String>,
    usage: &[UsageSample],
    times: Times,
) -> Markup {
    let crashed = server.exit.as_ref().is_some_and(|exit| exit.crashed);
    let is_final = server.state.is_final();
    html! {
        div.title data-final[is_final] {
            h1 { (server.name) }
            (parts::server_badge(server.state, is_final && crashed))
        }
        @if let Some(title) = document.and_then(|one| one.birth.title.as_deref()) { p.subtitle { "“" (title) "”" } }
        div.columns {
            section.panel {
                h2 { "Details" }
                dl.facts { (facts(server, document, image, times)) }
            }
            div.stack {
                section.panel {
                    h2 { "Health" }
                    dl.facts { (health(server, document, usage.last(), times)) }
                }
                section.panel {
                    h2 { "States" }
                    (history(server, times))
                }
            }
        }
        @if let Some(sdk) = &server.sdk { (said(sdk, times)) }
        @if usage.len() > 1 { (charts(usage)) }
        @if let Some(exit) = &server.exit { (end(exit, is_final, times)) }
    }
}

/// What the server has said of itself.
fn said(sdk: &SdkView, times: Times) -> Markup {
    html! {
        section.panel {
            h2 { "What it says of itself" }
            dl.facts {
                (fact("State in the SDK", &html! { (sdk.state) }))
                @if let Some(until) = sdk.reserved_until { (fact("Reserved until", &times.at(until))) }
                @for (name, list) in &sdk.lists {
                    (fact(name, &html! {
                        (list.values.len()) " of " (list.capacity)
                        @if !list.values.is_empty() {
                            details {
                                summary { "Show" }
                                ul.plain { @for value in &list.values { li.mono { (value) } } }
                            }
                        }
                    }))
                }
                @for (name, counter) in &sdk.counters {
                    (fact(name, &html! { (counter.count) " of " (counter.capacity) }))
                }
                @for (name, value) in sdk.labels.iter().chain(&sdk.annotations) {
                    (fact(name, &html! { span.mono { (value) } }))
                }
            }
        }
    }
}

/// What the server's container is made of, if it is one.
fn image(node: &Node, server: &Server) -> Option<String> {
    let settings = node.settings.borrow();
    let fleet = settings.games.get(&server.birth.game)?.fleet.as_ref()?;
    Some(format!("{}:{}", fleet.provider.container()?.image, server.birth.version))
}

fn charts(usage: &[UsageSample]) -> Markup {
    let newest = usage.last().map(|sample| sample.at).unwrap_or_default();
    let ago = |sample: &UsageSample| newest.since(sample.at);
    let memory = usage.iter().map(|sample| (ago(sample), sample.memory_bytes as f64)).collect();
    let cpu = usage.iter().filter_map(|sample| Some((ago(sample), f64::from(sample.cpu_cores?)))).collect();
    html! {
        div.charts {
            (chart("Memory", Unit::Bytes, &[Series { name: "Resident", points: memory }]))
            (chart("CPU", Unit::Cores, &[Series { name: "Of a core", points: cpu }]))
        }
    }
}

fn facts(server: &ServerView, document: Option<&Arc<Server>>, image: Option<String>, times: Times) -> Markup {
    html! {
        (fact("Id", &parts::copyable(server.id.as_str())))
        (fact("Game", &html! { a href=(format!("/console/servers?game={}", server.game)) { (server.game) } }))
        (fact("Address", &html! {
            @if let Some(port) = server.port { (parts::copyable(&format!("{}:{port}", server.address))) }
            @else { span.soft { "none until it is ready" } }
        }))
        @if server.ports.len() > 1 || server.ports.iter().any(|port| port.name != "default") {
            (fact("Ports", &html! {
                ul.plain {
                    @for port in &server.ports {
                        li { span.mono { (port.port) } " " (port.protocol) " " span.soft { (port.name) } }
                    }
                }
            }))
        }
        @if let Some(code) = &server.code { (fact("Code", &parts::copyable(code))) }
        @if let Some(region) = &server.region { (fact("Region", &html! { (region) })) }
        @if let Some(document) = document {
            (fact("Host", &html! {
                a href="/console/hosts" { (document.birth.host) }
                @if server.host_reachable == Some(false) { " " (parts::badge("bad", "Cannot be asked")) }
            }))
        }
        @if server.paused {
            (fact("Container", &html! {
                (parts::badge("bad", "Paused")) " " span.soft { "somebody has paused it at its engine: unpause it, or stop it" }
            }))
        }
        @if let Some(image) = image { (fact("Image", &parts::copyable(&image))) }
        @if document.is_some_and(|one| one.birth.is_listed) { (fact("Listed", &html! { "in the server browser" })) }
        @if let Some(version) = server.version.as_deref().filter(|version| !version.is_empty()) {
            (fact("Version", &html! { (version) }))
        }
        @if let Some(document) = document {
            (fact("Started", &html! {
                @match document.birth.purpose {
                    Purpose::Warm => { "ahead of demand, for the warm pool" }
                    Purpose::Allocation => { "for an allocation" }
                }
            }))
        }
        @match &server.allocation {
            Some(allocation) => {
                (fact("Handed out", &times.at(allocation.at)))
                @if let Some(by) = document.and_then(|one| one.allocation.as_ref()).map(|one| one.by.as_str()) {
                    (fact("Asked for by", &html! { (by) }))
                }
                @if let Some(id) = &allocation.match_id { (fact("Match", &parts::copyable(id.as_str()))) }
                @if !server.state.is_final() || allocation.payload_bytes > 0 {
                    (fact("Payload", &html! { (format::bytes(allocation.payload_bytes)) }))
                }
            }
            None => { (fact("Handed out", &html! { span.soft { "not yet" } })) }
        }
    }
}

fn health(
    server: &ServerView,
    document: Option<&Arc<Server>>,
    usage: Option<&UsageSample>,
    times: Times,
) -> Markup {
    html! {
        (fact("Created", &times.at(server.created_at)))
        @if let Some(took) = took(server) { (fact("Ready after", &html! { (format::duration(took)) })) }
        @if let Some(document) = document.filter(|one| one.tries > 1) {
            (fact("Tries to start", &html! { (document.tries) }))
        }
        @if let Some(usage) = usage {
            (fact("Memory", &html! { (format::bytes(usage.memory_bytes)) }))
            (fact("CPU", &html! {
                @if let Some(cores) = usage.cpu_cores { (format!("{:.1} % of a core", cores * 100.0)) ", " }
                (format::duration(Duration::from_secs_f64(usage.cpu_seconds.max(0.0)))) " in all"
            }))
        }
    }
}

/// From the request to the readiness.
fn took(server: &ServerView) -> Option<Duration> {
    let is_up = |state| matches!(state, ServerState::Ready | ServerState::Allocated);
    let ready: Timestamp = server.history.iter().find(|change| is_up(change.state))?.at;
    Some(ready.since(server.created_at))
}

fn history(server: &ServerView, times: Times) -> Markup {
    html! {
        ol.history {
            @for (number, change) in server.history.iter().enumerate() {
                li {
                    (parts::server_badge(change.state, false)) " " (times.at(change.at))
                    @if let Some(next) = server.history.get(number + 1) {
                        span.soft { ", for " (format::duration(next.at.since(change.at))) }
                    }
                    @if let Some(reason) = &change.reason { p.soft { (reason) } }
                }
            }
        }
    }
}

fn end(exit: &ExitView, is_final: bool, times: Times) -> Markup {
    let title = if is_final { "How it ended" } else { "How the last try to start ended" };
    html! {
        section.panel.end data-look=[exit.crashed.then_some("bad")] {
            h2 { (title) }
            p {
                (exit.reason.as_deref().unwrap_or("it ended")) ", " (times.at(exit.at))
                @if let Some(code) = exit.code { " (exit status " (code) ")" }
                @if let Some(signal) = exit.signal { " (signal " (signal) ")" }
            }
            @if !exit.last_lines.is_empty() {
                h3 { "Its last lines" }
                pre.lines tabindex="0" { @for line in &exit.last_lines { (line) "\n" } }
            }
        }
    }
}

fn log_panel(view: &View, server: &ServerView) -> Markup {
    let (game, id) = (&server.game, &server.id);
    let command = format!(
        "curl -N \"{}/v1/games/{game}/servers/{id}/logs?follow=true\" \\\n  -H \"Authorization: Bearer $GREENROOM_ADMIN_TOKEN\"",
        view.base_url
    );
    html! {
        section.panel.log-panel #log data-log {
            div.heading {
                h2 { "Log" }
                div.log-tools {
                    input #log-find type="search" placeholder="Search in the log" aria-label="Search in the log" autocomplete="off" spellcheck="false";
                    span.soft #log-count aria-live="polite" {}
                    label.check { input #log-follow type="checkbox" checked; " Follow" }
                    label.check { input #log-times type="checkbox"; " Times" }
                }
            }
            ol.log #log-lines tabindex="0" role="log" aria-live="off" aria-label="Log of the game server" {}
            p.soft #log-state { "The log is shown here with scripts on." }
            (parts::curl(&command))
        }
    }
}

fn stop_panel(view: &View, server: &ServerView) -> Markup {
    let path = parts::server_path(&server.game, &server.id);
    let command = parts::curl_command(&view.base_url, "DELETE", &format!("/v1/servers/{}", server.id), None);
    html! {
        section.panel.change.unless-final {
            h2 { "Stop it" }
            @if view.may_change() {
                details.confirm {
                    summary.button.danger { "Stop this server…" }
                    form method="post" action=(format!("{path}/stop")) {
                        (view.csrf())
                        p { "It is asked to end, and killed if it has not after its grace. Players on it are disconnected." }
                        button.danger type="submit" { "Stop " (server.name) }
                    }
                }
            } @else {
                p.soft { "Your role may look, but not change anything." }
            }
            (parts::curl(&command))
        }
    }
}
