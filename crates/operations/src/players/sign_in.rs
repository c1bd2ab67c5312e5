//! Signs players in: by a name alone, or as who Discord says they are.

use greenroom_domain::text;
use greenroom_protocol::{
    ErrorCode, GameId, PlayerId, SessionId,
    auth::{Account, SignedIn},
    ticket::AccessClaims,
};
use greenroom_storage::{NewPlayer, NewSession, StorageError, UnitOfWork};
use uuid::Uuid;

use super::{ClientInfo, Players, TokenKind};
use crate::{failure::Failure, secret};

/// Longest user agent that is kept, in bytes.
const USER_AGENT_BYTES_MAX: usize = 256;

impl Players {
    /// Makes a new player called `username` and signs it in.
    pub async fn sign_in_anonymous(
        &self,
        game: &GameId,
        username: Option<&str>,
        kind: TokenKind,
        client: ClientInfo,
    ) -> Result<SignedIn, Failure> {
        let username = username.and_then(text::username);
        let username = username.ok_or(Failure::new(ErrorCode::BadRequest, "Username required"))?;
        let new = NewPlayer {
            id: new_player_id()?,
            game: game.clone(),
            username,
            created_at: self.clock.now(),
            identity: None,
        };
        let unit = self.storage.players().create_unit(&new).map_err(Failure::storage)?;
        let account = Account { id: new.id, username: new.username, discord: None };
        self.open_session(game, account, unit, kind, client).await
    }

    /// Signs in the player that belongs to the Discord user whose bearer token this is, making it
    /// at the first time.
    pub async fn sign_in_discord(
        &self,
        game: &GameId,
        token: Option<&str>,
        kind: TokenKind,
        client: ClientInfo,
    ) -> Result<SignedIn, Failure> {
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let token = token.ok_or(Failure::new(ErrorCode::BadRequest, "Discord token required"))?;
        let proven = self.discord_token_user(game, token).await?;
        self.sign_in_proven(game, proven, UnitOfWork::new(), kind, client).await
    }

    /// Records `unit` and a new session together, and answers with its tokens once they are durable.
    pub(super) async fn open_session(
        &self,
        game: &GameId,
        account: Account,
        unit: UnitOfWork,
        kind: TokenKind,
        client: ClientInfo,
    ) -> Result<SignedIn, Failure> {
        let now = self.clock.now();
        let id = SessionId::new(Uuid::now_v7().to_string()).map_err(Failure::internal)?;
        let refresh = match kind {
            TokenKind::Contract => None,
            TokenKind::Native => Some(super::refresh::new_token(&id)?),
        };
        let (access_ttl, session_ttl) = match kind {
            TokenKind::Contract => (self.settings.contract_access_ttl, self.settings.contract_access_ttl),
            TokenKind::Native => (self.settings.access_ttl, self.settings.refresh_ttl),
        };
        let session = NewSession {
            id: id.clone(),
            player: account.id.clone(),
            game: game.clone(),
            created_at: now,
            expires_at: now.after(session_ttl),
            refresh_hash: refresh.as_deref().map(secret::hash),
            user_agent: client.user_agent.map(bounded),
            address: client.address,
        };
        let unit = unit.and(self.storage.sessions().create_unit(&session));
        self.storage.apply(unit).await.map_err(|error| match error {
            StorageError::Conflict { .. } => Failure::new(ErrorCode::Conflict, "The account was just made."),
            // A token that is good once, or a player that was deleted meanwhile.
            StorageError::NotFound { .. } => super::email::used_up(),
            other => Failure::storage(other),
        })?;
        metrics::counter!("greenroom_sign_ins_total", "game" => game.to_string()).increment(1);
        let expires_at = now.after(access_ttl);
        let claims = AccessClaims {
            account_id: account.id.clone(),
            discord_id: account
                .discord
                .as_ref()
                .map_or_else(|| account.id.to_string(), |user| user.id.clone()),
            exp: expires_at.as_millis() / 1_000,
            iat: now.as_millis() / 1_000,
            game: game.clone(),
            sid: id,
        };
        let access_token = self.tokens.sign_access(&claims).map_err(Failure::internal)?;
        let native = kind == TokenKind::Native;
        Ok(SignedIn {
            access_token,
            account,
            refresh_token: refresh,
            expires_at: native.then_some(expires_at),
            refresh_expires_at: native.then_some(session.expires_at),
        })
    }
}

pub(super) fn new_player_id() -> Result<PlayerId, Failure> {
    PlayerId::new(Uuid::now_v7().to_string()).map_err(Failure::internal)
}

fn bounded(mut text: String) -> String {
    let mut end = USER_AGENT_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
