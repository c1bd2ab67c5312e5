//! The console: the web pages from which an installation is watched and run, under `/console`.
//!
//! Pages are rendered here and work without scripts, but for what is live: a page that shows the
//! present names a fragment, and a stream of server-sent events replaces it whenever it has changed
//! (see `live`). Every path but the sign-in and the assets stands behind one guard (see `access`).
//! Nothing comes from elsewhere, and nothing in a page is inline.
#![deny(missing_docs)]

mod access;
mod assets;
mod chart;
mod format;
mod headers;
mod live;
mod pages;
mod parts;
mod settings;
mod view;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::Redirect,
    routing::{get, post},
};
use greenroom_operations::Node;
use parking_lot::Mutex;

use access::{Attempts, LastUses};
use live::Live;

pub use settings::{ClientAddress, ConsoleSettings, Rate};

/// Largest body of a form, in bytes. A larger one is refused with 413.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// Everything under `/console`. Starts the task that renders what is live, on the node's tracker.
pub fn router(node: Node, settings: ConsoleSettings) -> Router {
    let console = Console::new(node, settings);
    let guarded = Router::new()
        .route("/console", get(pages::overview::show))
        .route("/console/servers", get(pages::servers::show))
        .route("/console/servers/start", get(pages::start::show).post(pages::start::start))
        .route("/console/servers/{game}/{id}", get(pages::server::show))
        .route("/console/servers/{game}/{id}/stop", post(pages::server::stop))
        .route("/console/browser", get(pages::browser::show))
        .route("/console/hosts", get(pages::hosts::show))
        .route("/console/builds", get(pages::builds::show))
        .route("/console/builds/{game}/pull", post(pages::builds::pull))
        .route("/console/builds/{game}/refresh", post(pages::builds::refresh))
        .route("/console/backups", get(pages::backups::show))
        .route("/console/lobbies", get(pages::lobbies::show))
        .route("/console/lobbies/{game}/{id}", get(pages::lobby::show))
        .route("/console/lobbies/{game}/{id}/close", post(pages::lobby::close))
        .route("/console/players", get(pages::players::show))
        .route("/console/players/{game}/{id}", get(pages::player::show))
        .route("/console/players/{game}/{id}/ban", post(pages::player::ban))
        .route("/console/players/{game}/{id}/unban", post(pages::player::unban))
        .route("/console/mail", get(pages::mail::show))
        .route("/console/games", get(pages::games::show))
        .route("/console/games/{game}", get(pages::games::one))
        .route("/console/events", get(pages::events::show))
        .route("/console/keys", get(pages::keys::show))
        .route("/console/admins", get(pages::admins::show))
        .route("/console/admins/{id}", get(pages::admin::show))
        .route("/console/audit", get(pages::audit::show))
        .route("/console/system", get(pages::system::show))
        .route("/console/account", get(pages::account::show))
        .route("/console/account/password", post(pages::account::change_password))
        .route("/console/account/tokens", post(pages::account::create_token))
        .route("/console/account/tokens/{id}/revoke", post(pages::account::revoke_token))
        .route("/console/account/sessions/{id}/end", post(pages::account::end_session))
        .route("/console/live/overview", get(live::streams::overview))
        .route("/console/live/servers", get(live::streams::servers))
        .route("/console/live/servers/{game}/{id}", get(live::streams::server))
        .route("/console/live/browser", get(live::streams::browser))
        .route("/console/live/hosts", get(live::streams::hosts))
        .route("/console/live/builds/{game}", get(live::streams::builds))
        .route("/console/live/events", get(live::streams::events))
        .route("/console/live/lobbies", get(live::streams::lobbies))
        .route("/console/live/lobbies/{game}/{id}", get(live::streams::lobby))
        .route("/console/sign-out", post(access::sign_in::sign_out))
        .merge(for_owners())
        .route("/console/{*path}", get(pages::not_found))
        .method_not_allowed_fallback(pages::method_not_allowed)
        .layer(middleware::from_fn_with_state(console.clone(), access::guard));
    Router::new()
        .route("/console/", get(|| async { Redirect::permanent("/console") }))
        .route("/console/join/{token}", get(access::join::show).post(access::join::join))
        .route("/console/sign-in", get(access::sign_in::show).post(access::sign_in::sign_in))
        .route("/console/assets/{version}/{file}", get(assets::serve))
        .merge(guarded)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn(headers::protect))
        .with_state(console)
}

/// What takes more than an operator.
fn for_owners() -> Router<Console> {
    Router::new()
        .route("/console/keys/create", post(pages::keys::create))
        .route("/console/keys/{id}/revoke", post(pages::keys::revoke))
        .route("/console/admins/invite", post(pages::admins::invite))
        .route("/console/admins/invites/{id}/withdraw", post(pages::admins::withdraw))
        .route("/console/admins/{id}/role", post(pages::admin::set_role))
        .route("/console/admins/{id}/remove", post(pages::admin::remove))
        .route("/console/admins/{id}/sessions/{session}/end", post(pages::admin::end_session))
        .route("/console/admins/{id}/tokens/{token}/revoke", post(pages::admin::revoke_token))
        .route("/console/backups/begin", post(pages::backups::begin))
        .route("/console/players/{game}/{id}/export", get(pages::player::export))
        .route("/console/players/{game}/{id}/delete", post(pages::player::delete))
        .route_layer(middleware::from_fn(access::owners))
}

/// What every handler has. Cheap to clone.
#[derive(Clone)]
struct Console(Arc<Inner>);

struct Inner {
    node: Node,
    settings: ConsoleSettings,
    attempts: Attempts,
    last_uses: LastUses,
    live: Live,
}

impl Console {
    fn new(node: Node, settings: ConsoleSettings) -> Self {
        let attempts = Attempts::new(settings.sign_ins);
        let last_uses = Mutex::new(HashMap::new());
        let live = Live::start(&node);
        Self(Arc::new(Inner { node, settings, attempts, last_uses: LastUses(last_uses), live }))
    }

    fn node(&self) -> &Node {
        &self.0.node
    }
}
