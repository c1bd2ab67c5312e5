//! The description of the HTTP paths, made from the handlers.

use greenroom_protocol::{Problem, auth::ContractError, manager::ManagerError};
use utoipa::{
    OpenApi as _, PartialSchema as _, ToSchema as _,
    openapi::{
        ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::routes;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Greenroom",
        description = "Players, lobbies, dedicated game servers and history. Errors are RFC 9457 problem documents; on \
            the paths tagged `contract` they are `{\"error\": \"…\"}`, and on those of `manager` `{\"detail\": \"…\"}`. Every path may answer 429 with `Retry-After`.",
    ),
    // Named in queries alone, which bring no schemas of their own.
    components(schemas(greenroom_protocol::browser::BrowserSort)),
    tags(
        (name = "contract", description = "Paths as shipped game clients have them; the game is that of the Host"),
        (name = "manager", description = "On-demand servers as shipped game clients ask for them"),
        (name = "players", description = "Signing in, sessions, profiles, bans"),
        (name = "accounts", description = "Signing in by e-mail or by another provider, identities, export, deletion"),
        (name = "lobbies", description = "Lobbies, looked at from outside their sockets"),
        (name = "browser", description = "Which game servers players may choose from"),
        (name = "hosting", description = "Dedicated game servers"),
        (name = "builds", description = "Versions of games, and where they are"),
        (name = "events", description = "History"),
        (name = "keys", description = "API keys of a studio"),
        (name = "admins", description = "Administrators of the installation"),
        (name = "system", description = "The installation itself"),
    ),
)]
struct Greenroom;

/// Every HTTP path, as OpenAPI 3.1.
pub fn openapi() -> OpenApi {
    let mut document = Greenroom::openapi();
    document.merge(routes::contract_paths().into_openapi());
    document.merge(routes::manager_paths().into_openapi());
    document.merge(routes::native_paths().into_openapi());
    let components = document.components.get_or_insert_default();
    let bearer = |description: &str, format: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format);
        SecurityScheme::Http(scheme.description(Some(description)).build())
    };
    let key = ApiKeyValue::with_description("X-Api-Key", "A studio's API key; also good as a bearer token");
    for (name, scheme) in [
        ("player", bearer("A player's access token", "JWT")),
        ("key", SecurityScheme::ApiKey(ApiKey::Header(key))),
        (
            "admin",
            bearer(
                "The admin token of the installation, or an administrator's personal token (`gt_…`), with its role",
                "ga_…",
            ),
        ),
        ("server", bearer("A game server's own token", "gs_…")),
    ] {
        components.add_security_scheme(name, scheme);
    }
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    components.schemas.insert(ContractError::name().into_owned(), ContractError::schema());
    components.schemas.insert(ManagerError::name().into_owned(), ManagerError::schema());
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            describe_errors(operation);
        }
    }
    document
}

/// Gives every operation the errors that all have, and their form.
fn describe_errors(operation: &mut Operation) {
    let is = |tag: &str| operation.tags.iter().flatten().any(|own| own == tag);
    let (is_contract, is_manager) = (is("contract"), is("manager"));
    let is_protected = operation.security.as_ref().is_some_and(|security| !security.is_empty());
    let error = |description: &str| -> Response {
        let (content_type, schema) = if is_contract {
            ("application/json", "ContractError")
        } else if is_manager {
            ("application/json", "ManagerError")
        } else {
            ("application/problem+json", "Problem")
        };
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
        ResponseBuilder::new().description(description).content(content_type, content).build()
    };
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
            && response.content.is_empty()
        {
            let description = response.description.clone();
            *response = error(&description);
        } else if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            // OpenAPI wants one of every response.
            response.description = "What was asked for".into();
        }
    }
    if is_protected {
        let unauthorized = || RefOr::T(error("Credentials are missing or not valid"));
        responses.entry("401".into()).or_insert_with(unauthorized);
        if !is_contract {
            let forbidden = || RefOr::T(error("The credentials do not permit this"));
            responses.entry("403".into()).or_insert_with(forbidden);
        }
    }
    responses.entry("default".into()).or_insert_with(|| RefOr::T(error("Anything else that went wrong")));
}
