//! Backups: what the store has, how the last one went, and one more now.

use axum::response::Response;
use greenroom_protocol::backups::{BackupList, BackupOutcome, BackupRun};
use maud::{Markup, html};

use crate::{
    format,
    parts::{self, Times, fact},
    view::{Notice, Section, View},
};

const PATH: &str = "/console/backups";

pub(crate) async fn show(view: View) -> Response {
    let list = view.node().backups.list().await;
    let content = html! {
        h1 { "Backups" }
        @if let Some(problem) = &list.problem { p.notice.bad { "The store cannot be looked at: " (problem) } }
        (state(&list, view.times()))
        (change_panel(&view, &list))
        (table(&list, view.times()))
    };
    view.page(Section::Backups, &[], &content)
}

pub(crate) async fn begin(view: View) -> Response {
    if let Err(failure) = view.node().backups.begin() {
        return view.problem(Section::Backups, &failure);
    }
    view.audit("backup.begin", "", serde_json::Value::Null).await;
    view.go(PATH, Notice::BackupBegun)
}

fn state(list: &BackupList, times: Times) -> Markup {
    html! {
        section.panel {
            dl.facts {
                @match &list.store {
                    Some(store) => { (fact("Kept in", &parts::copyable(store))) }
                    None => { (fact("Kept in", &html! { "no store: add [backup] to the configuration" })) }
                }
                @if let Some(next) = list.next_at { (fact("Next", &times.at(next))) }
                @if let Some(seconds) = list.keep_seconds { (fact("Kept for", &html! { (days(seconds)) })) }
                @if let Some(last) = &list.last { (fact("Last", &outcome(last, times))) }
                @if let Some(run) = &list.running { (fact("Now", &running(run))) }
            }
        }
    }
}

fn outcome(last: &BackupOutcome, times: Times) -> Markup {
    html! {
        @match &last.problem {
            Some(problem) => { (parts::badge("bad", "Failed")) " " (times.at(last.at)) ": " span.problem { (problem) } }
            None => {
                (parts::badge("good", "Good")) " " (times.at(last.at))
                @if let Some(bytes) = last.bytes { ", " (format::bytes(bytes)) }
            }
        }
    }
}

fn running(run: &BackupRun) -> Markup {
    html! {
        @if run.bytes_total > 0 {
            progress max="100" value=(run.bytes_done.min(run.bytes_total) * 100 / run.bytes_total) aria-label="Copied" {}
            " " (format::bytes(run.bytes_done)) " of " (format::bytes(run.bytes_total))
        } @else {
            "begins"
        }
        @if !run.into_store { ", to who asked for it" }
    }
}

fn change_panel(view: &View, list: &BackupList) -> Markup {
    let command = parts::curl_command(&view.base_url, "POST", "/v1/backups", None);
    html! {
        @if list.store.is_some() {
            section.panel.change {
                h2 { "Make a backup" }
                p.soft { "It shows the moment of the click, and has every secret of the installation in it." }
                @if view.is_owner() {
                    form method="post" action=(format!("{PATH}/begin")) {
                        (view.csrf())
                        button.primary type="submit" disabled[list.running.is_some()] { "Back up now" }
                    }
                    (parts::curl(&command))
                } @else {
                    p.soft { "This takes an owner." }
                }
            }
        }
    }
}

fn table(list: &BackupList, times: Times) -> Markup {
    html! {
        @if list.backups.is_empty() {
            (parts::empty("No backup is kept", &html! { code { "greenroom backup" } " copies this installation into a file where you are." }))
        } @else {
            p.count { (format::counted(list.backups.len() as u64, "backup", "backups")) }
            div.scroll {
                table {
                    thead { tr { th { "Taken" } th { "Size" } th.wide { "Name" } } }
                    tbody {
                        @for one in &list.backups {
                            tr { td { (times.at(one.taken_at)) } td { (format::bytes(one.bytes)) } td.wide.mono.text { (one.name) } }
                        }
                    }
                }
            }
        }
    }
}

fn days(seconds: u64) -> String {
    match seconds / (24 * 60 * 60) {
        0 => format!("{} minutes", seconds / 60),
        1 => "a day".into(),
        days => format!("{days} days"),
    }
}
