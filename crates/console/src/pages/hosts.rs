//! The hosts: where game servers run, and how they are.

use axum::response::Response;
use greenroom_operations::Node;
use greenroom_protocol::hosting::{HostState, HostView};
use maud::{Markup, html};

use crate::{
    format,
    parts::{self, Times},
    view::{Section, View},
};

pub(crate) async fn show(view: View) -> Response {
    let content = html! {
        h1 { "Hosts" }
        p.count { "Where game servers run: this machine, Docker engines, and other installations." }
        div.live data-live="/console/live/hosts" { (fragment(view.node(), view.times())) }
    };
    view.page(Section::Hosts, &[], &content)
}

pub(crate) fn fragment(node: &Node, times: Times) -> Markup {
    let hosts = node.servers.hosts();
    html! {
        @if hosts.is_empty() {
            (parts::empty("There is no host", &html! { "Game servers run on this machine as soon as a game has a fleet." }))
        } @else {
            div.scroll {
                table {
                    thead { tr {
                        th { "Host" } th { "State" } th.wide { "Runs" } th.wide { "Region" } th { "Game servers" }
                        th.wide { "Address" } th.wide { "Engine" } th.wide { "Since" }
                    } }
                    tbody { @for host in &hosts { (row(host, times)) } }
                }
            }
            @for host in &hosts {
                @if let Some(reason) = &host.reason {
                    p.notice.bad { b { (host.id) } " is lost: " (reason) ". What ran there may still run; it is taken up again when the host is back." }
                }
            }
        }
    }
}

fn row(host: &HostView, times: Times) -> Markup {
    html! {
        tr id=(format!("host-{}", host.id)) {
            td { a href=(format!("/console/servers?find={}", format::query_value(host.id.as_str()))) { (host.id) } }
            td { (badge(host.state)) }
            td.wide { (runs(&host.provider)) }
            td.wide { @if let Some(region) = &host.region { (region) } @else { span.soft { "any" } } }
            td { (load(host)) }
            td.mono.wide { (host.address) }
            td.wide { (host.engine_version.as_deref().unwrap_or("–")) }
            td.wide { (times.at(host.since)) }
        }
    }
}

fn badge(state: HostState) -> Markup {
    match state {
        HostState::Up => parts::badge("good", "Up"),
        HostState::Lost => parts::badge("bad", "Lost"),
    }
}

fn runs(provider: &str) -> &str {
    match provider {
        "process" => "processes",
        "docker" => "containers",
        "hosting-api" => "another installation\u{2019}s servers",
        other => other,
    }
}

/// How full a host is; a bar where there is a limit.
fn load(host: &HostView) -> Markup {
    html! {
        @if let Some(max) = host.servers_max {
            meter min="0" max=(max) value=(host.servers) high=(max.saturating_mul(9) / 10) {} " "
            span.number-of { (format::count(host.servers.into())) " of " (format::count(max.into())) }
        } @else {
            (format::count(host.servers.into()))
        }
    }
}
