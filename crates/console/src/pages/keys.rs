//! API keys: what studios' own programs present.

use axum::{Form, response::Response};
use greenroom_operations::{
    Failure,
    studios::{KEY_NAME_CHARS_MAX, KeyRequest},
};
use greenroom_protocol::{ErrorCode, GameId, KeyId, StudioId};
use greenroom_storage::{ApiKey, Cursor, KeyPermissions};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, Id, Term, end_of_term, query, term_choices};
use crate::{
    parts,
    view::{Notice, Section, View},
};

/// Keys on one page.
const KEYS_MAX: u32 = 100;

const TERMS: [Term; 4] = [
    ("ever", "until it is revoked", None),
    ("30d", "30 days", Some(30)),
    ("90d", "90 days", Some(90)),
    ("1y", "1 year", Some(365)),
];

#[derive(Default, Deserialize)]
pub(crate) struct Part {
    #[serde(default)]
    after: String,
}

#[derive(Default, Deserialize)]
pub(crate) struct KeyForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    studio: String,
    #[serde(default)]
    game: String,
    #[serde(default)]
    hosting: Option<String>,
    #[serde(default)]
    admin: Option<String>,
    #[serde(default)]
    publish: String,
    #[serde(default)]
    subscribe: String,
    #[serde(default)]
    term: String,
}

pub(crate) async fn show(view: View, Asked(asked): Asked<Part>) -> Response {
    page(&view, &asked, &KeyForm { hosting: Some(String::new()), ..KeyForm::default() }, None, None).await
}

/// Makes a key, and shows it this once.
pub(crate) async fn create(view: View, Form(form): Form<KeyForm>) -> Response {
    let asked = Part::default();
    let made = async {
        let invalid = |sentence: &'static str| Failure::new(ErrorCode::Invalid, sentence);
        let studio = StudioId::new(form.studio.as_str()).map_err(|_| invalid("Choose a studio."))?;
        let game = match form.game.as_str() {
            "" => None,
            text => Some(GameId::new(text).map_err(|_| invalid("Choose a game."))?),
        };
        let permissions = KeyPermissions {
            hosting: form.hosting.is_some(),
            admin: form.admin.is_some(),
            publish: filters(&form.publish),
            subscribe: filters(&form.subscribe),
        };
        let expires_at = end_of_term(&TERMS, &form.term, view.now)?;
        let request = KeyRequest { name: form.name.clone(), game, permissions, expires_at };
        view.node().keys.create(&studio, request).await
    };
    match made.await {
        Ok((key, text)) => {
            let detail = serde_json::json!({
                "studio": key.studio, "game": key.game, "name": key.name, "hosting": key.permissions.hosting,
                "admin": key.permissions.admin, "expiresAt": key.expires_at,
            });
            view.audit("key.create", key.id.as_str(), detail).await;
            page(&view, &asked, &KeyForm::default(), Some(&text), None).await
        }
        Err(failure) => page(&view, &asked, &form, None, Some(&failure)).await,
    }
}

pub(crate) async fn revoke(view: View, Id(id): Id<KeyId>) -> Response {
    let revoked = async {
        let key = view.node().keys.get(&id).await?;
        view.node().keys.revoke(&id).await?;
        Ok::<_, Failure>(key)
    };
    match revoked.await {
        Ok(key) => {
            let detail = serde_json::json!({ "studio": key.studio, "name": key.name });
            view.audit("key.revoke", id.as_str(), detail).await;
            view.go(Section::Keys.path(), Notice::KeyRevoked)
        }
        Err(failure) => view.problem(Section::Keys, &failure),
    }
}

/// The filters of a field: divided by commas or spaces.
fn filters(text: &str) -> Vec<String> {
    text.split([',', ' ']).map(str::trim).filter(|filter| !filter.is_empty()).map(str::to_owned).collect()
}

async fn page(
    view: &View,
    asked: &Part,
    form: &KeyForm,
    made: Option<&str>,
    failure: Option<&Failure>,
) -> Response {
    let after = asked.after.parse::<Cursor>().ok();
    let keys = match view.node().keys.list(None, after.as_ref(), KEYS_MAX).await {
        Ok(keys) => keys,
        Err(failure) => return view.problem(Section::Keys, &failure),
    };
    let next = keys.next.map(|next| format!("/console/keys{}", query(&[("after", &next.to_string())])));
    let content = html! {
        h1 { "API keys" }
        p.count { "What your own programs present: a backend, a website, a build server." }
        @if let Some(made) = made { (parts::shown_once("The new API key", made)) }
        @if keys.items.is_empty() {
            (parts::empty("There is no API key", &html! { "Make one for each program, with no more than it needs." }))
        } @else {
            (table(view, &keys.items))
        }
        (parts::pages_on(after.map(|_| Section::Keys.path().to_owned()), next))
        section {
            h2 { "Make a key" }
            @if view.is_owner() { (create_panel(view, form)) } @else { (parts::for_owners()) }
        }
    };
    let status = super::problem::status_of(failure, "an API key could not be made");
    view.page_with(status, Section::Keys, &[], failure.map(Failure::sentence), &content)
}

fn table(view: &View, keys: &[ApiKey]) -> Markup {
    let times = view.times();
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "Name" } th.wide { "Studio" } th { "May" } th.wide { "Made" } th.wide { "Last used" } th { "State" } th {}
                } }
                tbody {
                    @for key in keys {
                        tr {
                            td.name { (key.name) }
                            td.wide { (key.studio) @if let Some(game) = &key.game { " · " (game) } }
                            td.text { (permissions(&key.permissions)) }
                            td.wide { (times.at(key.created_at)) }
                            td.wide { @if let Some(at) = key.last_used_at { (times.at(at)) } @else { span.soft { "never" } } }
                            td {
                                @if key.revoked_at.is_some() { (parts::badge("off", "Revoked")) }
                                @else if !key.is_live(view.now) { (parts::badge("off", "Expired")) }
                                @else if let Some(at) = key.expires_at { "ends " (times.at(at)) }
                                @else { (parts::badge("good", "Good")) }
                            }
                            td.end {
                                @if view.is_owner() && key.is_live(view.now) { (revoke_form(view, key)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn revoke_form(view: &View, key: &ApiKey) -> Markup {
    html! {
        details.confirm {
            summary.button.danger { "Revoke…" }
            form method="post" action=(format!("/console/keys/{}/revoke", key.id)) {
                (view.csrf())
                button.danger type="submit" { "Revoke " (key.name) }
            }
        }
    }
}

fn permissions(permissions: &KeyPermissions) -> Markup {
    html! {
        span.badges {
            @if permissions.admin { (parts::badge("key", "whatever the studio may")) }
            @if permissions.hosting { (parts::badge("calm", "host")) }
            @for filter in &permissions.publish { span { "append " code { (filter) } } }
            @for filter in &permissions.subscribe { span { "read " code { (filter) } } }
            @if *permissions == KeyPermissions::default() { span.soft { "nothing" } }
        }
    }
}

fn create_panel(view: &View, form: &KeyForm) -> Markup {
    let settings = view.node().settings.borrow().clone();
    let studios: Vec<_> = settings.studios.keys().map(|id| (id.as_str(), id.as_str())).collect();
    let games = settings.games.keys().map(|id| (id.as_str(), id.as_str()));
    let games: Vec<_> = std::iter::once(("", "all of the studio\u{2019}s")).chain(games).collect();
    let body =
        serde_json::json!({ "studio": studios.first().map(|one| one.0), "name": "backend", "hosting": true });
    html! {
        @if studios.is_empty() {
            (parts::empty("There is no studio", &html! { "Keys belong to a studio. Add one to the configuration." }))
        } @else {
            form.panel.form method="post" action="/console/keys/create" {
                (view.csrf())
                div.fields {
                    label { span { "Name" } input name="name" value=(form.name) required maxlength=(KEY_NAME_CHARS_MAX) placeholder="backend" autocomplete="off"; }
                    (parts::select("studio", "Studio", &form.studio, &studios))
                    (parts::select("game", "Game", &form.game, &games))
                    (parts::select("term", "Good for", &form.term, &term_choices(&TERMS)))
                }
                label.check { input type="checkbox" name="hosting" value="yes" checked[form.hosting.is_some()]; " May start, see and stop game servers" }
                label.check { input type="checkbox" name="admin" value="yes" checked[form.admin.is_some()]; " May do whatever the studio may: players, bans, keys" }
                div.fields {
                    label { span { "May append events with these subjects" } input name="publish" value=(form.publish) placeholder="v1.skirmish.rooms.>" autocomplete="off" spellcheck="false"; }
                    label { span { "May read events with these subjects" } input name="subscribe" value=(form.subscribe) placeholder="v1.skirmish.>" autocomplete="off" spellcheck="false"; }
                }
                div.deeds { button.primary type="submit" { "Make the key" } }
            }
            (parts::curl(&parts::curl_command(&view.base_url, "POST", "/v1/keys", Some(&body))))
        }
    }
}
