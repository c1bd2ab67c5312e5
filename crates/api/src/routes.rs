//! The table of contents: every path there is.

mod account;
mod account_pages;
mod admin_access;
mod admins;
mod audit;
mod auth;
mod backups;
mod bans;
mod browser;
mod builds;
mod email;
mod events;
mod games;
mod hosting;
mod hosts;
mod invites;
mod keys;
mod list;
mod lobbies;
mod manager;
mod me;
mod overview;
mod players;
mod providers;
mod streams;
mod system;
mod traefik;

use std::time::Duration;

use axum::{Router, middleware::from_fn_with_state};
use greenroom_storage::Cursor;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Api,
    around::{Around, around},
    error::{ApiError, ApiResult, Form},
    gateway, socket,
};

/// Every path of Greenroom, with `extra` beside it.
pub(crate) fn router(api: Api, extra: Router) -> Router {
    let deadline = api.settings.answer_timeout;
    let native = Around { api: api.clone(), form: Form::Native, cors: api.settings.cors, deadline };
    let manager = Around { form: Form::Detail, cors: true, ..native.clone() };
    let contract = Around { form: Form::Contract, cors: true, ..native.clone() };
    let pages = Around { cors: false, ..native.clone() };
    // Both have deadlines of their own there; this is only in case that they fail.
    let passing = api.settings.gateway.connect_timeout + api.settings.gateway.answer_timeout;
    let passed = Around { deadline: passing + Duration::from_secs(10), ..pages.clone() };
    let (contract_routes, _) = contract_paths().split_for_parts();
    let (native_routes, _) = native_paths().split_for_parts();
    let native_routes = native_routes.fallback(system::not_found).layer(from_fn_with_state(native, around));
    let contract_routes = contract_routes.layer(from_fn_with_state(contract, around));
    let (manager_routes, _) = manager_paths().split_for_parts();
    let manager_routes = manager_routes.layer(from_fn_with_state(manager, around));
    let extra = extra.layer(from_fn_with_state(pages, around));
    let passed_routes = gateway::routes().layer(from_fn_with_state(passed, around)); // /games/{slug}/{code}/…
    native_routes
        .merge(contract_routes)
        .merge(manager_routes)
        .merge(passed_routes)
        .with_state(api)
        .merge(extra)
}

/// Paths as shipped clients of the contract have them.
pub(crate) fn contract_paths() -> OpenApiRouter<Api> {
    let (schemas, paths, socket) = routes!(socket::contract);
    OpenApiRouter::new()
        .routes(routes!(auth::contract_anonymous)) // /auth/anonymous
        .routes(routes!(auth::contract_discord)) // /auth/discord
        .routes(routes!(me::contract_me)) // /accounts/me
        .routes(routes!(lobbies::contract_list)) // /lobbies
        .routes((schemas, paths, socket.fallback(socket::not_found))) // /_ws
        .routes(routes!(list::servers)) // /api/list/servers
        .routes(routes!(list::announce)) // /api/list/ws
        .routes(routes!(list::healthcheck)) // /api/list/healthcheck
}

/// Paths as shipped clients of on-demand servers have them.
pub(crate) fn manager_paths() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(manager::home)) // /api/manager
        .routes(routes!(manager::healthcheck)) // /api/manager/healthcheck
        .routes(routes!(manager::request)) // /api/manager/request
}

/// Our own paths.
pub(crate) fn native_paths() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        // players
        .routes(routes!(auth::anonymous)) // /v1/games/{game}/auth/anonymous
        .routes(routes!(auth::discord)) // /v1/games/{game}/auth/discord
        .routes(routes!(providers::list)) // /v1/games/{game}/auth/providers
        .routes(routes!(providers::begin)) // /v1/games/{game}/auth/providers/{provider}/begin
        .routes(routes!(providers::go)) // /v1/games/{game}/auth/providers/{provider}/go
        .routes(routes!(providers::callback)) // /v1/games/{game}/auth/providers/{provider}/callback
        .routes(routes!(providers::complete)) // /v1/games/{game}/auth/complete
        .routes(routes!(providers::steam)) // /v1/games/{game}/auth/steam
        .routes(routes!(email::sign_in)) // /v1/games/{game}/auth/email
        .routes(routes!(email::sign_up)) // /v1/games/{game}/auth/email/sign-up
        .routes(routes!(email::confirm)) // /v1/games/{game}/auth/email/confirm
        .routes(routes!(email::forgot)) // /v1/games/{game}/auth/email/forgot
        .routes(routes!(email::reset)) // /v1/games/{game}/auth/email/reset
        .routes(routes!(account_pages::confirm, account_pages::confirmed)) // /v1/games/{game}/account/confirm
        .routes(routes!(account_pages::reset, account_pages::changed)) // /v1/games/{game}/account/reset
        .routes(routes!(auth::refresh_of_game)) // /v1/games/{game}/auth/refresh
        .routes(routes!(auth::refresh)) // /v1/auth/refresh
        .routes(routes!(auth::sign_out)) // /v1/auth/sign-out
        .routes(routes!(auth::sessions)) // /v1/auth/sessions
        .routes(routes!(account::identities)) // /v1/me/identities
        .routes(routes!(account::link_email)) // /v1/me/link/email
        .routes(routes!(account::link_steam)) // /v1/me/link/steam
        .routes(routes!(account::begin_link)) // /v1/me/link/{provider}/begin
        .routes(routes!(account::complete_link)) // /v1/me/link/complete
        .routes(routes!(account::unlink)) // /v1/me/identities/{provider}
        .routes(routes!(account::export)) // /v1/me/export
        .routes(routes!(account::delete)) // /v1/me
        .routes(routes!(me::me)) // /v1/players/me
        .routes(routes!(me::matches)) // /v1/players/me/matches
        .routes(routes!(me::one_match)) // /v1/players/me/matches/{match}
        .routes(routes!(socket::native)) // /v1/games/{game}/socket
        // lobbies
        .routes(routes!(lobbies::list)) // /v1/games/{game}/lobbies
        .routes(routes!(lobbies::get)) // /v1/games/{game}/lobbies/{lobby}
        .routes(routes!(lobbies::close)) // /v1/games/{game}/lobbies/{lobby}/close
        // the server browser
        .routes(routes!(browser::list)) // /v1/games/{game}/browser
        // a game's players, for its studio
        .routes(routes!(players::search)) // /v1/games/{game}/players
        .routes(routes!(account::export_of)) // /v1/games/{game}/players/{player}/export
        .routes(routes!(players::get, account::delete_of)) // /v1/games/{game}/players/{player}
        .routes(routes!(players::sessions)) // /v1/games/{game}/players/{player}/sessions
        .routes(routes!(players::matches)) // /v1/games/{game}/players/{player}/matches
        .routes(routes!(bans::ban, bans::unban)) // /v1/games/{game}/players/{player}/ban
        .routes(routes!(bans::list)) // /v1/games/{game}/bans
        // game servers
        .routes(routes!(hosting::allocate, hosting::list)) // /v1/games/{game}/servers
        .routes(routes!(hosting::get_of_game, hosting::stop_of_game)) // /v1/games/{game}/servers/{server}
        .routes(routes!(hosting::logs_of_game)) // /v1/games/{game}/servers/{server}/logs
        .routes(routes!(hosting::regions)) // /v1/games/{game}/regions
        .routes(routes!(hosting::get, hosting::stop)) // /v1/servers/{server}
        .routes(routes!(hosting::logs)) // /v1/servers/{server}/logs
        .routes(routes!(hosts::list)) // /v1/hosts
        // builds
        .routes(routes!(builds::list)) // /v1/games/{game}/builds
        .routes(routes!(builds::follow)) // /v1/games/{game}/builds/stream
        .routes(routes!(builds::refresh)) // /v1/games/{game}/builds/refresh
        .routes(routes!(builds::pull)) // /v1/games/{game}/builds/{version}/pull
        // history
        .routes(routes!(events::append, events::page)) // /v1/events
        .routes(routes!(events::stream)) // /v1/events/stream
        // keys and administrators
        .routes(routes!(keys::create, keys::list)) // /v1/keys
        .routes(routes!(keys::revoke)) // /v1/keys/{key}
        .routes(routes!(admins::add, admins::list)) // /v1/admins
        .routes(routes!(admins::get, admins::remove)) // /v1/admins/{admin}
        .routes(routes!(admins::set_role)) // /v1/admins/{admin}/role
        .routes(routes!(admins::change_password)) // /v1/admins/{admin}/password
        .routes(routes!(admin_access::sessions)) // /v1/admins/{admin}/sessions
        .routes(routes!(admin_access::end_session)) // /v1/admins/{admin}/sessions/{session}
        .routes(routes!(admin_access::tokens, admin_access::create_token)) // /v1/admins/{admin}/tokens
        .routes(routes!(admin_access::revoke_token)) // /v1/admins/{admin}/tokens/{token}
        .routes(routes!(invites::create, invites::list)) // /v1/invites
        .routes(routes!(invites::accept)) // /v1/invites/accept
        .routes(routes!(invites::withdraw)) // /v1/invites/{invite}
        .routes(routes!(audit::list)) // /v1/audit
        // backups
        .routes(routes!(backups::list, backups::begin)) // /v1/backups
        .routes(routes!(backups::download)) // /v1/backups/download
        // the installation
        .routes(routes!(overview::overview)) // /v1/overview
        .routes(routes!(games::list)) // /v1/games
        .routes(routes!(games::settings)) // /v1/games/{game}/settings
        .routes(routes!(games::system)) // /v1/system
        .routes(routes!(system::home)) // /
        .routes(routes!(system::jwks)) // /.well-known/jwks.json
        .routes(routes!(system::healthz)) // /healthz
        .routes(routes!(system::readyz)) // /readyz
        .routes(routes!(system::metrics)) // /metrics
        .routes(routes!(traefik::config)) // /traefik/config
        .routes(routes!(system::openapi)) // /openapi.json
        .routes(routes!(system::asyncapi)) // /asyncapi.json
}

/// A place in a list, as the query has it.
fn cursor(text: Option<&str>) -> ApiResult<Option<Cursor>> {
    let cursor = text.map(str::parse).transpose();
    cursor.map_err(|_| ApiError::bad_request("`cursor` is not one that a page gave."))
}
