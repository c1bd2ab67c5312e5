//! The installation: its version, how its parts are, what takes room, jobs, and what it was told.

use std::time::Duration;

use axum::response::Response;
use greenroom_protocol::system::{
    ConfigurationKey, ConfigurationSection, HistoryView, JobsView, PartView, SizeView,
};
use maud::{Markup, html};

use crate::{
    format,
    parts::{self, fact},
    view::{Section, View},
};

pub(crate) async fn show(view: View) -> Response {
    let system = view.node().system.look().await;
    let is_of_game = |section: &&ConfigurationSection| section.path.starts_with("games.");
    let sections: Vec<_> = system.configuration.iter().filter(|section| !is_of_game(section)).collect();
    let content = html! {
        h1 { "System" }
        div.columns {
            section.panel {
                h2 { "This installation" }
                dl.facts {
                    (fact("Version", &html! { (system.version) }))
                    (fact("Started", &view.times().at(system.started_at)))
                    @if let Some(folder) = &system.data_dir { (fact("Data folder", &parts::copyable(folder))) }
                }
            }
            section.panel { h2 { "Health" } (health(&system.parts)) }
            section.panel { h2 { "Jobs" } (jobs(system.jobs)) }
        }
        div.columns {
            section.panel { h2 { "Data folder" } (sizes(&system.sizes)) }
            section.panel { h2 { "Histories" } (histories(&system.histories)) }
        }
        section {
            h2 { "Configuration" }
            p.soft { "As it was read from the file and the environment, without secrets. What a game was told is on " a href=(Section::Games.path()) { "its page" } "." }
            (configuration(&sections))
        }
        (parts::curl(&parts::curl_command(&view.base_url, "GET", "/v1/system", None)))
    };
    view.page(Section::System, &[], &content)
}

/// Sections of the configuration, each to be opened; what was set comes first.
pub(super) fn configuration(sections: &[&ConfigurationSection]) -> Markup {
    html! {
        @if sections.is_empty() { p.soft { "Nothing is known of it." } }
        @for section in sections {
            @let (set, left): (Vec<_>, Vec<_>) = section.keys.iter().partition(|key| !key.is_default);
            @if !section.keys.is_empty() {
                details.panel open[!set.is_empty()] {
                    summary { b { @if section.path.is_empty() { "The top" } @else { "[" (section.path) "]" } } " " span.soft { (set.len()) " set" } }
                    dl.facts.settings { @for key in set { (setting(key)) } }
                    @if !left.is_empty() {
                        details {
                            summary { span.soft { (format::counted(left.len() as u64, "default", "defaults")) } }
                            dl.facts.settings { @for key in left { (setting(key)) } }
                        }
                    }
                }
            }
        }
    }
}

fn setting(key: &ConfigurationKey) -> Markup {
    html! {
        div {
            dt { code { (key.name) } }
            dd {
                @match &key.value {
                    Some(value) => { code { (value) } }
                    None => { span.soft { "not set" } }
                }
                p.soft { (key.meaning) }
            }
        }
    }
}

fn health(parts: &[PartView]) -> Markup {
    let words = |name: &str| match name {
        "now" => "What lives now".to_owned(),
        "history" => "The history".to_owned(),
        "records" => "The records".to_owned(),
        other => other.strip_prefix("host:").map_or_else(|| other.to_owned(), |host| format!("Host {host}")),
    };
    html! {
        dl.facts {
            @for part in parts {
                (fact(&words(&part.name), &html! {
                    @if part.is_well { (parts::badge("good", "Well")) } @else { (parts::badge("bad", "Not well")) }
                    @if part.took_us > 0 { " " span.soft { (format::duration(Duration::from_micros(part.took_us))) } }
                    @if let Some(problem) = &part.problem { p.soft { (problem) } }
                }))
            }
        }
    }
}

fn jobs(jobs: JobsView) -> Markup {
    html! {
        dl.facts {
            (fact("Waiting", &html! { (format::count(jobs.waiting)) }))
            (fact("Being done", &html! { (format::count(jobs.running)) }))
            (fact("Failed", &html! { @if jobs.failed > 0 { (parts::badge("bad", &format::count(jobs.failed))) } @else { "0" } }))
        }
    }
}

fn sizes(sizes: &[SizeView]) -> Markup {
    html! {
        @if sizes.is_empty() { p.soft { "It cannot be looked into." } }
        dl.facts { @for size in sizes { (fact(&size.name, &html! { (format::bytes(size.bytes)) })) } }
    }
}

fn histories(histories: &[HistoryView]) -> Markup {
    html! {
        dl.facts {
            @for history in histories {
                (fact(history.studio.as_str(), &html! {
                    meter min="0" max=(history.bytes_max) value=(history.bytes) {}
                    (format::counted(history.events, "event", "events")) ", " (format::bytes(history.bytes)) " of " (format::bytes(history.bytes_max))
                }))
            }
        }
    }
}
