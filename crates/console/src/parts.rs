//! Small pieces that pages are made of.

use greenroom_protocol::{
    GameId, LobbyId, PlayerId, ServerId, Timestamp, hosting::ServerState, lobby::LobbyPhase,
};
use maud::{Markup, html};

use crate::format;

/// How times are written. In a page they are said relative to now; in a fragment they are absolute,
/// so that it only differs when something has changed, and the script says them relative.
#[derive(Clone, Copy)]
pub(crate) struct Times(Option<Timestamp>);

impl Times {
    pub(crate) const ABSOLUTE: Self = Self(None);

    pub(crate) const fn relative(now: Timestamp) -> Self {
        Self(Some(now))
    }

    /// A point in time.
    pub(crate) fn at(self, at: Timestamp) -> Markup {
        let absolute = format::absolute(at);
        html! {
            time datetime=(greenroom_protocol::events::rfc3339(at)) title=(absolute) {
                @if let Some(now) = self.0 { (format::relative(at, now)) } @else { (absolute) }
            }
        }
    }
}

/// A state as a colour, a shape and a word.
pub(crate) fn badge(look: &str, word: &str) -> Markup {
    html! { span.badge data-look=(look) { (word) } }
}

pub(crate) const fn state_word(state: ServerState) -> &'static str {
    match state {
        ServerState::Starting => "Starting",
        ServerState::Ready => "Ready",
        ServerState::Allocated => "Allocated",
        ServerState::Stopping => "Stopping",
        ServerState::Ended => "Ended",
        ServerState::Lost => "Lost",
    }
}

pub(crate) fn server_badge(state: ServerState, crashed: bool) -> Markup {
    match state {
        ServerState::Ended if crashed => badge("bad", "Crashed"),
        ServerState::Starting => badge("wait", state_word(state)),
        ServerState::Ready => badge("calm", state_word(state)),
        ServerState::Allocated => badge("good", state_word(state)),
        ServerState::Stopping => badge("warn", state_word(state)),
        ServerState::Ended => badge("off", state_word(state)),
        ServerState::Lost => badge("bad", state_word(state)),
    }
}

pub(crate) fn phase_badge(phase: LobbyPhase) -> Markup {
    match phase {
        LobbyPhase::Waiting => badge("calm", "Gathering"),
        LobbyPhase::Starting => badge("wait", "Starting"),
        LobbyPhase::Playing => badge("good", "Playing"),
    }
}

/// A text with a button that copies it.
pub(crate) fn copyable(text: &str) -> Markup {
    html! { span.copyable { code { (text) } " " (copy_button(text)) } }
}

fn copy_button(text: &str) -> Markup {
    html! { button.copy type="button" data-copy=(text) { "Copy" } }
}

/// The same change by the API, to be copied into a terminal.
pub(crate) fn curl(command: &str) -> Markup {
    curl_with(
        command,
        &html! { code { "GREENROOM_ADMIN_TOKEN" } " is a token of " a href="/console/account" { "your account" } ", or the installation\u{2019}s admin token." },
    )
}

/// The same for a call that is open to everybody.
pub(crate) fn curl_of_all(command: &str, note: &str) -> Markup {
    curl_with(command, &html! { (note) })
}

fn curl_with(command: &str, note: &Markup) -> Markup {
    html! {
        details.curl {
            summary { "The same from the command line" }
            div.command { pre tabindex="0" { code { (command) } } (copy_button(command)) }
            p.soft { (note) }
        }
    }
}

/// `method` on `path` as a command; `body` as JSON.
pub(crate) fn curl_command(
    base_url: &str,
    method: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> String {
    let authorization = "-H \"Authorization: Bearer $GREENROOM_ADMIN_TOKEN\"";
    let command = format!("curl -X {method} {base_url}{path} \\\n  {authorization}");
    if let Some(body) = body {
        // Within single quotes the shell knows one special character only: the quote itself.
        let body = body.to_string().replace('\'', r"'\''");
        format!("{command} \\\n  -H 'Content-Type: application/json' -d '{body}'")
    } else {
        command
    }
}

/// A secret that is shown this once, to be copied.
pub(crate) fn shown_once(what: &str, secret: &str) -> Markup {
    html! {
        section.panel.notice.good role="status" {
            h2 { (what) }
            div.command { pre tabindex="0" { code { (secret) } } (copy_button(secret)) }
            p { "It is shown this once. Copy it now: only its hash is kept." }
        }
    }
}

/// What is said where a role may not change anything.
pub(crate) fn for_owners() -> Markup {
    html! { p.soft { "Owners can change this." } }
}

/// A line of a definition list.
pub(crate) fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// Nothing to show, and what that means.
pub(crate) fn empty(title: &str, text: &Markup) -> Markup {
    html! { div.empty { p.empty-title { (title) } p.soft { (text) } } }
}

/// Choices of a list: the name of the field, what is chosen, and every value with its words.
pub(crate) fn select(name: &str, label: &str, chosen: &str, options: &[(&str, &str)]) -> Markup {
    html! {
        label { span { (label) }
            select name=(name) {
                @for (value, words) in options { option value=(value) selected[*value == chosen] { (words) } }
            }
        }
    }
}

pub(crate) fn server_path(game: &GameId, id: &ServerId) -> String {
    format!("/console/servers/{game}/{id}")
}

pub(crate) fn lobby_path(game: &GameId, id: &LobbyId) -> String {
    format!("/console/lobbies/{game}/{id}")
}

pub(crate) fn player_path(game: &GameId, id: &PlayerId) -> String {
    format!("/console/players/{game}/{id}")
}

/// Links to other parts of a long list, each with a query that replaces the present one.
pub(crate) fn pages(earlier: Option<String>, later: Option<String>) -> Markup {
    page_links(earlier.map(|href| ("← Previous", "prev", href)), later)
}

/// The same for a list whose parts are only known one after the other: to the first one and to the next.
pub(crate) fn pages_on(first: Option<String>, later: Option<String>) -> Markup {
    page_links(first.map(|href| ("← First page", "first", href)), later)
}

fn page_links(earlier: Option<(&str, &str, String)>, later: Option<String>) -> Markup {
    html! {
        @if earlier.is_some() || later.is_some() {
            nav.pages aria-label="Pages" {
                @if let Some((words, rel, href)) = earlier { a.button href=(href) rel=(rel) { (words) } }
                @if let Some(href) = later { a.button href=(href) rel="next" { "Next →" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_cannot_be_broken_out_of() {
        let body = serde_json::json!({ "reason": "it's \"over\"; rm -rf $HOME" });
        let command = curl_command("http://a.test", "POST", "/v1/x", Some(&body));
        assert!(command.ends_with(r#"-d '{"reason":"it'\''s \"over\"; rm -rf $HOME"}'"#), "{command}");
    }

    #[test]
    fn a_fragment_says_times_the_same_at_any_time() {
        let at = Timestamp::from_millis(0);
        assert!(Times::ABSOLUTE.at(at).into_string().contains(">1970-01-01 00:00:00 UTC<"));
        let now = Timestamp::from_millis(5_000);
        assert!(Times::relative(now).at(at).into_string().contains(">5 s ago<"));
    }
}
