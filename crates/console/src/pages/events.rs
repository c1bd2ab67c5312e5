//! The history as it grows: the newest events of a studio, by subject.

use std::collections::VecDeque;

use axum::response::Response;
use bytes::Bytes;
use greenroom_operations::{
    Failure, Node, Principal,
    events::{EventTail, RECENT_EVENTS_MAX, Tailed},
};
use greenroom_protocol::{ErrorCode, StudioId, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, query};
use crate::{
    format,
    parts::{self, Times},
    view::{Section, View},
};

/// Events that are shown.
const EVENTS_MAX: usize = 100;

/// Characters of an event's data that are shown.
const DATA_CHARS_MAX: usize = 240;

/// Longest subject filter, in characters; the rest is cut.
const SUBJECT_CHARS_MAX: usize = 256;

/// Which events.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Filter {
    /// Of this studio; of the first if empty.
    #[serde(default)]
    studio: String,
    /// With a subject that this lets through; all if empty.
    #[serde(default)]
    subject: String,
}

/// The newest events, and how they go on.
pub(crate) struct Following {
    shown: VecDeque<(u64, Bytes)>,
    tail: EventTail,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    time: String,
    #[serde(default)]
    data: serde_json::Value,
}

pub(crate) async fn show(view: View, Asked(filter): Asked<Filter>) -> Response {
    let settings = view.node().settings.borrow().clone();
    let studios: Vec<_> = settings.studios.keys().map(|id| (id.as_str(), id.as_str())).collect();
    let chosen =
        if filter.studio.is_empty() { studios.first().map_or("", |one| one.0) } else { &filter.studio };
    let found = Following::begin(view.node(), &view.visitor.principal(), &filter).await;
    let api = query(&[("studio", chosen), ("filter", &filter.subject)]);
    let command = format!(
        "curl -N \"{}/v1/events/stream{api}\" \\\n  -H \"Authorization: Bearer $GREENROOM_ADMIN_TOKEN\"",
        view.base_url
    );
    let content = html! {
        h1 { "Events" }
        form.filter method="get" action="/console/events" role="search" data-filter {
            @if studios.len() > 1 { (parts::select("studio", "Studio", chosen, &studios)) }
            label { span { "Subject" }
                input type="search" name="subject" value=(filter.subject) placeholder="v1.skirmish.servers.>"
                    maxlength=(SUBJECT_CHARS_MAX) autocomplete="off" spellcheck="false"; }
            button type="submit" { "Show" }
        }
        p.count { code { "*" } " is one part of a subject, " code { ">" } " all that follow. Shown are the newest " (EVENTS_MAX) " of the last " (format::count(RECENT_EVENTS_MAX)) " events." }
        @if let Ok(following) = &found {
            @let live = format!("/console/live/events{}", query(&[("studio", chosen), ("subject", &filter.subject)]));
            div.live data-live=(live) { (following.drawn(view.times())) }
        }
        (parts::curl(&command))
    };
    let failure = found.as_ref().err();
    let status = super::problem::status_of(failure, "the events could not be shown");
    view.page_with(status, Section::Events, &[], failure.map(Failure::sentence), &content)
}

impl Following {
    pub(crate) async fn begin(node: &Node, principal: &Principal, filter: &Filter) -> Result<Self, Failure> {
        let first = || node.settings.borrow().studios.keys().next().cloned();
        let studio = match filter.studio.as_str() {
            "" => first(),
            named => StudioId::new(named).ok().filter(|id| node.settings.borrow().studios.contains_key(id)),
        };
        let studio = studio.ok_or(Failure::new(ErrorCode::NotFound, "There is no such studio."))?;
        let subject: String = filter.subject.trim().chars().take(SUBJECT_CHARS_MAX).collect();
        let subject = Some(subject.as_str()).filter(|subject| !subject.is_empty());
        let (recent, after) = node.events.recent(principal, &studio, subject, EVENTS_MAX).await?;
        let tail = node.events.tail(principal, &studio, subject, Some(after)).await?;
        Ok(Self { shown: recent.into(), tail })
    }

    /// Waits for the next event and takes it. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<(), Failure> {
        // What was dropped by a limit before it was read is older than what is shown.
        if let Tailed::Event(sequence, event) = self.tail.next().await? {
            if self.shown.len() >= EVENTS_MAX {
                self.shown.pop_front();
            }
            self.shown.push_back((sequence.0, event));
        }
        Ok(())
    }

    pub(crate) fn drawn(&self, times: Times) -> Markup {
        html! {
            @if self.shown.is_empty() {
                (parts::empty("No such event is in the newest part of the history", &html! { "Events appear here as they happen." }))
            } @else {
                div.scroll {
                    table {
                        thead { tr { th.end { "No." } th { "When" } th { "What" } th { "Subject" } th.wide { "Data" } } }
                        tbody { @for (sequence, event) in self.shown.iter().rev() { (row(*sequence, event, times)) } }
                    }
                }
            }
        }
    }
}

fn row(sequence: u64, event: &[u8], times: Times) -> Markup {
    let told = serde_json::from_slice::<Told>(event).ok();
    html! {
        tr id=(format!("event-{}", sequence)) {
            td.end.mono { (sequence) }
            @if let Some(told) = told {
                td { @if let Some(at) = at(&told.time) { (times.at(at)) } @else { (told.time) } }
                td.name { (told.kind) }
                td.mono.text { (told.subject) }
                td.wide.text { code { (data(&told.data)) } " " span.soft { (told.source) } }
            } @else {
                td colspan="4" { span.soft { "cannot be read" } }
            }
        }
    }
}

fn at(text: &str) -> Option<Timestamp> {
    greenroom_protocol::events::parse_rfc3339(text)
}

fn data(data: &serde_json::Value) -> String {
    if data.is_null() {
        return String::new();
    }
    let text = data.to_string();
    match text.char_indices().nth(DATA_CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
