//! Who asks: one extractor for players, one for everybody else. Missing or bad credentials are 401;
//! good ones that are not good for this are 403.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use greenroom_domain::settings::GameSettings;
use greenroom_operations::{
    AdminPrincipal, Failure, PlayerPrincipal, Principal, ServerPrincipal,
    admins::{Actor, ConsoleClient},
    players::ClientInfo,
};
use greenroom_protocol::{ErrorCode, GameId, StudioId};
use greenroom_storage::AdminRole;

use crate::{
    address::limited_as,
    api::Api,
    around::ClientAddress,
    error::{ApiError, ApiResult, Form},
    extract::{Game, form, path_game},
};

/// The header that API keys come in.
pub(crate) const API_KEY: &str = "x-api-key";
const KEY_PREFIX: &str = "gk_";
const SERVER_PREFIX: &str = "gs_";

const CALLER_WANTED: &str = "This wants an API key in `X-Api-Key`, or a token in `Authorization: Bearer …`.";
const CALLER_UNKNOWN: &str = "The API key or token is unknown, expired or revoked.";

/// Whether the request brings anything that could say who asks.
pub(crate) fn are_presented(headers: &HeaderMap) -> bool {
    headers.contains_key(API_KEY) || headers.contains_key(header::AUTHORIZATION)
}

/// The token of `Authorization: Bearer …`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// A player with a good access token of the path's game; where the path names none, of the Host's
/// game on the contract's paths, of the token's own elsewhere.
pub(crate) struct Player(pub(crate) PlayerPrincipal);

impl FromRequestParts<Api> for Player {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let game = match path_game(parts, api).await {
            Some(id) => Some(Game::named(api, &id?)?.id().clone()),
            None if form(parts) == Form::Contract => Some(Game::of_host(api, parts)?.id().clone()),
            None => None,
        };
        let token = bearer(&parts.headers).ok_or(ApiError::unauthorized("Token required"))?;
        let player = player_of(api, token, game.as_ref()).await?;
        api.limits.player.check(&player.id)?;
        Ok(Self(player))
    }
}

/// Whose access token it is: a player of `game`, or of the token's own game.
pub(crate) async fn player_of(
    api: &Api,
    token: &str,
    game: Option<&GameId>,
) -> Result<PlayerPrincipal, Failure> {
    if let Some(game) = game {
        return api.node.players.authenticate(token, game).await;
    }
    let claims = api
        .node
        .tokens
        .verify_access(token, api.node.clock.now())
        .map_err(|error| Failure::new(ErrorCode::Unauthorized, "Invalid token").because(error))?;
    api.node.players.authenticate(token, &claims.game).await
}

/// A studio's program, a game server or an administrator, whose role permits what the method means:
/// a viewer asks, an operator changes. A handler that takes an owner says so itself.
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// Tells it from every other caller, in limits and in the record.
    pub(crate) name: Arc<str>,
    address: Option<IpAddr>,
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = Self::identified(parts, api).await?;
        let is_question = parts.method.is_safe();
        caller.must_have(if is_question { AdminRole::Viewer } else { AdminRole::Operator })?;
        Ok(caller)
    }
}

/// An administrator of whichever role: for what each may do with what is its own.
pub(crate) struct AnyAdmin {
    pub(crate) admin: AdminPrincipal,
    pub(crate) caller: Caller,
}

impl FromRequestParts<Api> for AnyAdmin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = Caller::identified(parts, api).await?;
        let admin = caller.must_be_admin()?.clone();
        Ok(Self { admin, caller })
    }
}

/// A player of the path's game, or who is no player.
pub(crate) enum PlayerOrCaller {
    /// With an access token.
    Player(PlayerPrincipal),
    /// With anything else.
    Caller(Caller),
}

impl FromRequestParts<Api> for PlayerOrCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        // Access tokens are signed and have three parts; nothing else that is presented has.
        let is_signed = |token: &str| token.split('.').count() == 3;
        let is_player = !parts.headers.contains_key(API_KEY) && bearer(&parts.headers).is_some_and(is_signed);
        if is_player {
            Ok(Self::Player(Player::from_request_parts(parts, api).await?.0))
        } else {
            Ok(Self::Caller(Caller::from_request_parts(parts, api).await?))
        }
    }
}

async fn principal(api: &Api, headers: &HeaderMap) -> ApiResult<Principal> {
    if let Some(key) = headers.get(API_KEY) {
        let key = key.to_str().map_err(|_| ApiError::unauthorized(CALLER_UNKNOWN))?;
        return Ok(api.node.keys.authenticate(key.trim()).await?);
    }
    let token = bearer(headers).ok_or(ApiError::unauthorized(CALLER_WANTED))?;
    if token.starts_with(KEY_PREFIX) {
        return Ok(api.node.keys.authenticate(token).await?);
    }
    if token.starts_with(SERVER_PREFIX) {
        let server = api.node.servers.authenticate(token).ok_or(ApiError::unauthorized(CALLER_UNKNOWN))?;
        return Ok(Principal::Server(ServerPrincipal {
            id: server.id().clone(),
            game: server.birth.game.clone(),
            studio: server.birth.studio.clone(),
            match_id: server.allocation.as_ref().and_then(|allocation| allocation.match_id.clone()),
        }));
    }
    // What is left can only be an administrator's: the admin token has the form that its operator gave it.
    let admin = api.node.admins.authenticate(token).await;
    let unknown = |failure: Failure| match failure.code() {
        ErrorCode::Unauthorized => ApiError::unauthorized(CALLER_UNKNOWN),
        _ => failure.into(),
    };
    admin.map(Principal::Admin).map_err(unknown)
}

impl Caller {
    async fn identified(parts: &Parts, api: &Api) -> ApiResult<Self> {
        let principal = principal(api, &parts.headers).await?;
        let name: Arc<str> = match &principal {
            Principal::Admin(admin) => format!("admin:{}", admin.id),
            Principal::Key(key) => format!("key:{}", key.id),
            Principal::Server(server) => format!("server:{}", server.id),
        }
        .into();
        api.limits.caller.check(&name)?;
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        Ok(Self { principal, name, address })
    }

    /// Writes down what this one has changed.
    pub(crate) async fn audit(&self, api: &Api, action: &str, subject: &str, detail: serde_json::Value) {
        let actor = Actor::of(&self.principal, self.address);
        api.node.admins.audit(&actor, action, subject, detail).await;
    }

    /// Permits what an administrator needs this role for.
    pub(crate) fn must_have(&self, needed: AdminRole) -> ApiResult<()> {
        if self.principal.has_role(needed) {
            return Ok(());
        }
        let needed = needed.as_str();
        Err(ApiError::forbidden(format!(
            "This takes the role of {needed}, which you do not have. An owner can give it to you."
        )))
    }

    /// Permits what concerns the game servers of `game`.
    pub(crate) fn must_host(&self, game: &GameSettings) -> ApiResult<()> {
        if self.principal.may_host(&game.id, &game.studio) {
            Ok(())
        } else {
            Err(ApiError::forbidden("The credentials have no right to the game servers of this game."))
        }
    }

    /// Permits what only the studio itself may.
    pub(crate) fn must_administer(&self, studio: &StudioId) -> ApiResult<()> {
        if self.principal.may_administer(studio) {
            Ok(())
        } else {
            Err(ApiError::forbidden(
                "This wants an API key of the studio with the permission `admin`, for all its games.",
            ))
        }
    }

    /// Permits what is the studio's own and, of the administrators, the owners' alone.
    pub(crate) fn must_govern(&self, studio: &StudioId) -> ApiResult<()> {
        self.must_administer(studio)?;
        self.must_have(AdminRole::Owner)
    }

    /// Permits what only an administrator of the installation may.
    pub(crate) fn must_be_admin(&self) -> ApiResult<&AdminPrincipal> {
        match &self.principal {
            Principal::Admin(admin) => Ok(admin),
            Principal::Key(_) | Principal::Server(_) => {
                Err(ApiError::forbidden("This wants the admin token, or an administrator's own."))
            }
        }
    }

    /// Permits what only an owner of the installation may.
    pub(crate) fn must_own(&self) -> ApiResult<&AdminPrincipal> {
        let admin = self.must_be_admin()?;
        self.must_have(AdminRole::Owner)?;
        Ok(admin)
    }
}

/// Where a request comes from, and by which program.
pub(crate) struct Client {
    pub(crate) address: std::net::IpAddr,
    user_agent: Option<String>,
}

impl FromRequestParts<Api> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        Ok(Self {
            address: address.unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
            user_agent: user_agent.map(str::to_owned),
        })
    }
}

impl Client {
    /// The address that limits count.
    pub(crate) fn limited_as(&self) -> std::net::IpAddr {
        limited_as(self.address)
    }

    /// The same for who comes to the console.
    pub(crate) fn of_console(self) -> ConsoleClient {
        ConsoleClient { address: Some(self.address), user_agent: self.user_agent }
    }

    pub(crate) fn info(self) -> ClientInfo {
        ClientInfo { user_agent: self.user_agent, address: Some(self.address.to_string()) }
    }
}
