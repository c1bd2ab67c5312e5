//! Signing in by Steam: asks Steam whose session ticket it is. Source: Steamworks' documented
//! `ISteamUserAuth/AuthenticateUserTicket/v1`.

use greenroom_domain::text;
use greenroom_protocol::{ErrorCode, GameId, accounts::SteamSignIn, auth::SignedIn};
use greenroom_storage::UnitOfWork;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{
    ClientInfo, Players, TokenKind,
    proven::Proven,
    provider::{form, not_understood},
};
use crate::{failure::Failure, principal::PlayerPrincipal};

/// The provider's name in the records.
pub(super) const STEAM: &str = "steam";

/// Longest ticket, in hexadecimal digits.
const TICKET_CHARS_MAX: usize = 5_120;

/// How a player is called who says no name: Steam's answer has none.
const USERNAME_DEFAULT: &str = "Player";

/// Signing in by Steam.
#[derive(Clone, Debug)]
pub struct SteamSettings {
    /// The game's number at Steam.
    pub app_id: u32,
    /// The publisher's key of the web API.
    pub key: SecretString,
    /// What the game gave `GetAuthTicketForWebApi`, if it did.
    pub identity: Option<String>,
    /// Whether players may have borrowed the game from a family.
    pub family_sharing: bool,
    /// Where the web API is.
    pub api_url: String,
}

#[derive(Deserialize)]
struct Answer {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    params: Option<Params>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Params {
    result: String,
    steamid: String,
    #[serde(default)]
    ownersteamid: String,
    #[serde(default)]
    publisherbanned: bool,
}

impl Players {
    /// Signs in the player of the Steam user whose ticket this is, making it at the first time.
    pub async fn sign_in_steam(
        &self,
        game: &GameId,
        request: SteamSignIn,
        kind: TokenKind,
        client: ClientInfo,
    ) -> Result<SignedIn, Failure> {
        let proven = self.steam_user(game, &request).await?;
        self.sign_in_proven(game, proven, UnitOfWork::new(), kind, client).await
    }

    /// Gives the player the identity of the Steam user whose ticket this is.
    pub async fn link_steam(&self, player: &PlayerPrincipal, request: SteamSignIn) -> Result<(), Failure> {
        let proven = self.steam_user(&player.game, &request).await?;
        self.link_proven(player, proven, UnitOfWork::new()).await
    }

    async fn steam_user(&self, game: &GameId, request: &SteamSignIn) -> Result<Proven, Failure> {
        let settings = self.settings.games.get(game).and_then(|game| game.steam.as_ref());
        let no_steam = || Failure::new(ErrorCode::NotFound, "Players of this game do not sign in by Steam.");
        let settings = settings.ok_or_else(no_steam)?;
        let refused = || {
            let sentence = "Steam does not know this ticket. Ask Steam for a new one, and sign in again.";
            Failure::new(ErrorCode::Unauthorized, sentence)
        };
        let ticket = request.ticket.trim();
        let is_ticket = (1..=TICKET_CHARS_MAX).contains(&ticket.len())
            && ticket.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_ticket {
            let sentence = "`ticket` is not one; expected the bytes of Steam's ticket as hexadecimal text.";
            return Err(Failure::new(ErrorCode::Invalid, sentence));
        }
        let app_id = settings.app_id.to_string();
        let mut asked =
            vec![("key", settings.key.expose_secret()), ("appid", app_id.as_str()), ("ticket", ticket)];
        asked.extend(settings.identity.as_deref().map(|identity| ("identity", identity)));
        let query = form(&asked);
        let url = format!("{}/ISteamUserAuth/AuthenticateUserTicket/v1/?{query}", settings.api_url);
        let answer = self.provider.ask::<Answer>(STEAM, |client| client.get(url)).await;
        // A refusal is of our key: Steam says of a bad ticket in a good answer.
        let answer = answer.map_err(|no| {
            no.or(|| {
                tracing::error!(%game, "Steam refuses the key of the game's sign_in.steam");
                Failure::new(ErrorCode::Unavailable, "Players cannot sign in by Steam now.")
            })
        })?;
        let user = match (answer.response.params, answer.response.error) {
            (Some(params), None) if params.result == "OK" => params,
            (_, Some(_)) | (Some(_), None) => return Err(refused()),
            (None, None) => return Err(not_understood()),
        };
        let is_id = |id: &str| (1..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
        if !is_id(&user.steamid) {
            return Err(not_understood());
        }
        if user.publisherbanned {
            return Err(Failure::new(ErrorCode::Forbidden, "The publisher has banned this Steam user."));
        }
        let is_borrowed = !user.ownersteamid.is_empty() && user.ownersteamid != user.steamid;
        if is_borrowed && !settings.family_sharing {
            let sentence = "The game is borrowed from another Steam user; this one has to own it.";
            return Err(Failure::new(ErrorCode::Forbidden, sentence));
        }
        Ok(Proven {
            provider: STEAM.into(),
            subject: user.steamid,
            username: request.username.as_deref().and_then(text::username).unwrap_or(USERNAME_DEFAULT.into()),
            profile: json!({ "borrowed": is_borrowed }),
        })
    }
}
