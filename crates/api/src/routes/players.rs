//! A game's players, as their studio sees them.

use axum::{Json, extract::State};
use greenroom_protocol::{
    GameId, PlayerId, Timestamp,
    auth::{BanView, DiscordUser, SessionList},
    events::PlayerMatches,
    players::{PlayerPage, PlayerView},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::Api,
    credentials::Caller,
    error::ApiResult,
    extract::{Game, Path, Query},
};

/// Players of one page unless said otherwise.
const PAGE_DEFAULT: u32 = 50;

/// Which players.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PlayersQuery {
    /// What their names begin with; all unless given.
    name: Option<String>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 50 unless given, 500 at most.
    limit: Option<u32>,
}

/// Search the players of a game
#[utoipa::path(
    get, path = "/v1/games/{game}/players", tag = "players",
    params(("game" = String, Path, description = "The game"), PlayersQuery),
    responses((status = 200, body = PlayerPage)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn search(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Query(query): Query<PlayersQuery>,
) -> ApiResult<Json<PlayerPage>> {
    caller.must_administer(&game.settings()?.studio)?;
    let after = super::cursor(query.cursor.as_deref())?;
    let prefix = query.name.as_deref().unwrap_or_default();
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    let page = api.node.players.search(game.id(), prefix, after.as_ref(), limit).await?;
    let next = page.next.map(|cursor| cursor.to_string());
    let now = api.node.clock.now();
    Ok(Json(PlayerPage { players: page.items.into_iter().map(|player| view(player, now)).collect(), next }))
}

/// A player of a game
#[utoipa::path(
    get, path = "/v1/games/{game}/players/{player}", tag = "players",
    params(("game" = String, Path, description = "The game"), ("player" = String, Path, description = "The player")),
    responses((status = 200, body = PlayerView)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, player)): Path<(GameId, PlayerId)>,
) -> ApiResult<Json<PlayerView>> {
    caller.must_administer(&game.settings()?.studio)?;
    let player = api.node.players.of_game(game.id(), &player).await?;
    Ok(Json(view(player, api.node.clock.now())))
}

/// The sign-ins of a player
///
/// `current` is false for all: it is not the player that asks.
#[utoipa::path(
    get, path = "/v1/games/{game}/players/{player}/sessions", tag = "players",
    params(("game" = String, Path, description = "The game"), ("player" = String, Path, description = "The player")),
    responses((status = 200, body = SessionList), (status = 404, description = "The game has no such player")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn sessions(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, player)): Path<(GameId, PlayerId)>,
) -> ApiResult<Json<SessionList>> {
    caller.must_administer(&game.settings()?.studio)?;
    Ok(Json(api.node.players.sessions_of(game.id(), &player).await?))
}

/// Which matches.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MatchesQuery {
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 50 unless given, 500 at most.
    limit: Option<u32>,
}

/// The matches that a player has played
#[utoipa::path(
    get, path = "/v1/games/{game}/players/{player}/matches", tag = "players", operation_id = "player_matches",
    params(
        ("game" = String, Path, description = "The game"),
        ("player" = String, Path, description = "The player"),
        MatchesQuery,
    ),
    responses((status = 200, body = PlayerMatches)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn matches(
    State(api): State<Api>,
    caller: Caller,
    game: Game,
    Path((_, player)): Path<(GameId, PlayerId)>,
    Query(query): Query<MatchesQuery>,
) -> ApiResult<Json<PlayerMatches>> {
    caller.must_administer(&game.settings()?.studio)?;
    let player = api.node.players.of_game(game.id(), &player).await?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    Ok(Json(api.node.players.matches(&player.id, query.cursor.as_deref(), limit).await?))
}

fn view(player: greenroom_storage::Player, now: Timestamp) -> PlayerView {
    let ban = player.ban.filter(|ban| ban.holds(now));
    PlayerView {
        ban: ban.map(|ban| BanView {
            player_id: player.id.clone(),
            reason: ban.reason,
            banned_at: ban.at,
            until: ban.until,
        }),
        id: player.id,
        username: player.username,
        discord: player.discord.map(|profile| DiscordUser {
            id: profile.id,
            username: profile.username,
            avatar: profile.avatar,
        }),
        created_at: player.created_at,
        last_seen_at: player.last_seen_at,
    }
}
