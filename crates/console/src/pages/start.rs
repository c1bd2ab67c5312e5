//! The form that starts a game server.

use std::time::Duration;

use axum::{Form, response::Response};
use greenroom_domain::{
    settings::{FleetSettings, Settings},
    text::{self, TITLE_CHARS_MAX},
};
use greenroom_operations::{
    Failure,
    servers::{AllocateError, AllocateRequest},
};
use greenroom_protocol::{
    ErrorCode, GameId, ServerId, Timestamp,
    hosting::{VERSION_CHARS_MAX, is_version_text},
};
use maud::{Markup, html};
use serde::Deserialize;
use tokio::{sync::oneshot, time::Instant};

use super::Asked;
use crate::{
    FORM_BYTES_MAX, parts,
    view::{Notice, Section, View},
};

/// How long the answer waits for the server to be known; its page shows the rest of the way.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

/// What is asked for; empty texts are what the game's settings say.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct StartForm {
    #[serde(default)]
    game: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    listed: Option<String>,
    #[serde(default)]
    payload: String,
}

pub(crate) async fn show(view: View, Asked(form): Asked<StartForm>) -> Response {
    page(&view, &form, None)
}

/// Starts a server and leads to its page as soon as it is known which one it is.
pub(crate) async fn start(view: View, Form(form): Form<StartForm>) -> Response {
    let request = match request(&view, &form) {
        Ok(request) => request,
        Err(failure) => return page(&view, &form, Some(&failure)),
    };
    let (game, since) = (request.game.clone(), view.now);
    match begin(&view, request, since).await {
        Ok(id) => {
            let detail = serde_json::json!({
                "game": game, "region": form.region, "version": form.version, "title": form.title,
                "listed": form.listed.is_some(), "payloadBytes": form.payload.len(),
            });
            let subject = id.as_ref().map_or(game.as_str(), ServerId::as_str);
            view.audit("server.start", subject, detail).await;
            let to = id
                .map_or_else(|| format!("/console/servers?game={game}"), |id| parts::server_path(&game, &id));
            view.go(&to, Notice::ServerStarting)
        }
        Err(failure) => page(&view, &form, Some(&failure)),
    }
}

fn request(view: &View, form: &StartForm) -> Result<AllocateRequest, Failure> {
    let invalid = |sentence: &'static str| Failure::new(ErrorCode::Invalid, sentence);
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let version = given(&form.version);
    if version.as_deref().is_some_and(|version| !is_version_text(version)) {
        return Err(invalid("The version has at most 128 letters, digits, dots, _, + and -, such as 1.2.3."));
    }
    Ok(AllocateRequest {
        game: GameId::new(form.game.as_str()).map_err(|_| invalid("Choose a game."))?,
        region: given(&form.region),
        title: text::title(&form.title),
        listed: form.listed.is_some(),
        version,
        payload: Some(form.payload.clone()).filter(|payload| !payload.is_empty()),
        idempotency: None,
        match_id: None,
        caller: format!("admin:{}", view.visitor.admin().name),
        timeout: None,
    })
}

/// Has the server allocated, and answers with what it is: when that is known, when the allocation
/// fails, or after [`KNOWN_WITHIN`] without either.
async fn begin(view: &View, request: AllocateRequest, since: Timestamp) -> Result<Option<ServerId>, Failure> {
    let servers = view.node().servers.clone();
    let (game, caller) = (request.game.clone(), request.caller.clone());
    let (answer, mut answered) = oneshot::channel();
    let mut changes = servers.watch();
    let allocating = servers.clone();
    // On a task of its own: a page that is closed must not stop what it started.
    view.node().tracker.spawn(async move {
        let result = allocating.allocate(request).await;
        if let Err(error) = &result {
            tracing::info!(%error, "a game server that was asked for in the console was not started");
        }
        let _page_is_answered = answer.send(result.map(|allocated| allocated.server.id));
    });
    let deadline = Instant::now() + KNOWN_WITHIN;
    loop {
        changes.mark_unchanged();
        let mine = servers.snapshot(Some(&game)).into_iter().find(|server| {
            let allocation = server.allocation.as_ref();
            allocation.is_some_and(|allocation| allocation.by == caller && allocation.at >= since)
        });
        // A failure first: a server that could not be started is no longer of interest.
        tokio::select! {
            biased;
            result = &mut answered => {
                let closing = Err(AllocateError::Closing);
                return result.unwrap_or(closing).map(Some).map_err(Failure::from);
            }
            () = std::future::ready(()), if mine.is_some() => {
                return Ok(mine.map(|server| server.id().clone()));
            }
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(deadline) => return Ok(None),
        }
    }
}

fn page(view: &View, form: &StartForm, failure: Option<&Failure>) -> Response {
    let settings = view.node().settings.borrow().clone();
    let fleets = fleets(&settings);
    let chosen = fleets.iter().find(|(game, _)| form.game.is_empty() || game.as_str() == form.game);
    let content = html! {
        h1 { "Start a game server" }
        @match chosen {
            None => {
                (parts::empty("There is no such game with game servers", &html! { "Add a fleet to a game in the configuration." }))
            }
            Some((game, fleet)) => {
                @if fleets.len() > 1 {
                    @let choices: Vec<_> = fleets.iter().map(|(game, _)| (game.as_str(), game.as_str())).collect();
                    form.filter method="get" action="/console/servers/start" data-filter {
                        (parts::select("game", "Game", game.as_str(), &choices))
                        button type="submit" { "Choose" }
                    }
                }
                @if view.may_change() {
                    (fields(view, game, fleet, form))
                } @else {
                    p.notice.warn { "Your role may look, but not change anything." }
                }
            }
        }
    };
    let status = super::problem::status_of(failure, "a game server could not be started from the console");
    view.page_with(status, Section::Servers, &["Start"], failure.map(Failure::sentence), &content)
}

fn fields(view: &View, game: &GameId, fleet: &FleetSettings, form: &StartForm) -> Markup {
    let regions: Vec<_> = fleet.regions.iter().map(|region| (region.as_str(), region.as_str())).collect();
    let body = serde_json::json!({ "title": "Friday night", "listed": true, "payload": "hello" });
    let api = format!("/v1/games/{game}/servers");
    html! {
        form.panel.form method="post" action="/console/servers/start" {
            (view.csrf())
            input type="hidden" name="game" value=(game);
            div.fields {
                @if regions.len() > 1 { (parts::select("region", "Region", &form.region, &regions)) }
                label { span { "Version" }
                    input name="version" value=(form.version) placeholder=(fleet.version.as_deref().unwrap_or("the newest")) maxlength=(VERSION_CHARS_MAX) autocomplete="off" spellcheck="false"; }
                label { span { "Title " span.soft { "(what people know it by)" } }
                    input name="title" value=(form.title) maxlength=(TITLE_CHARS_MAX) autocomplete="off"; }
            }
            label { span { "Payload " span.soft { "(what it is told, byte for byte)" } }
                textarea name="payload" rows="4" maxlength=(FORM_BYTES_MAX / 4) spellcheck="false" { (form.payload) } }
            label.check { input type="checkbox" name="listed" value="yes" checked[form.listed.is_some()]; " Show it in the server browser" }
            div.deeds {
                button.primary type="submit" { "Start it" }
                a.button href="/console/servers" { "Cancel" }
            }
        }
        (parts::curl(&parts::curl_command(&view.base_url, "POST", &api, Some(&body))))
    }
}

fn fleets(settings: &Settings) -> Vec<(&GameId, &FleetSettings)> {
    settings.games.iter().filter_map(|(id, game)| Some((id, game.fleet.as_ref()?))).collect()
}
