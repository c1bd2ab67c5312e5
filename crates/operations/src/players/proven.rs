//! Whom a provider vouches for, and what follows: signing in, or one more identity.

use greenroom_domain::text;
use greenroom_protocol::{
    ErrorCode, GameId,
    auth::{Account, DiscordUser, SignedIn},
};
use greenroom_storage::{DiscordProfile, Identity, NewPlayer, Player, StorageError, UnitOfWork};
use serde::{Deserialize, Serialize};

use super::{ClientInfo, Players, TokenKind, discord::DISCORD, email, sign_in::new_player_id};
use crate::{failure::Failure, principal::PlayerPrincipal};

/// Somebody whom a provider vouched for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Proven {
    /// The provider's name in the records.
    pub(super) provider: String,
    /// The provider's id of the person.
    pub(super) subject: String,
    /// How the person is called there.
    pub(super) username: String,
    /// What is kept of what the provider said.
    pub(super) profile: serde_json::Value,
}

impl Proven {
    fn identity(&self) -> Identity {
        Identity::Other {
            provider: self.provider.clone(),
            subject: self.subject.clone(),
            profile: self.profile.clone(),
        }
    }

    /// The Discord user that it is, if it is one.
    fn discord(&self) -> Option<DiscordUser> {
        let profile = (self.provider == DISCORD).then(|| self.profile.clone())?;
        let profile: DiscordProfile = serde_json::from_value(profile).ok()?;
        Some(DiscordUser { id: profile.id, username: profile.username, avatar: profile.avatar })
    }
}

impl Players {
    /// Signs in the player whose identity this is, making it at the first time. `used` is what makes the
    /// proof good for this once.
    pub(super) async fn sign_in_proven(
        &self,
        game: &GameId,
        proven: Proven,
        used: UnitOfWork,
        kind: TokenKind,
        client: ClientInfo,
    ) -> Result<SignedIn, Failure> {
        let (account, unit) = self.player_of(game, &proven).await?;
        match self.open_session(game, account.clone(), used.clone().and(unit), kind, client.clone()).await {
            // Somebody signed in with the same identity for the first time, at the same time.
            Err(failure) if failure.code() == ErrorCode::Conflict => {
                let player = self.find_proven(game, &proven).await?.ok_or(failure)?;
                let account = Account { id: player.id, ..account };
                self.open_session(game, account, used, kind, client).await
            }
            other => other,
        }
    }

    /// Gives the player one more identity.
    pub(super) async fn link_proven(
        &self,
        player: &PlayerPrincipal,
        proven: Proven,
        used: UnitOfWork,
    ) -> Result<(), Failure> {
        let taken = || {
            let sentence =
                "This identity is another player's already, or the player has one of this provider.";
            Failure::new(ErrorCode::Conflict, sentence)
        };
        let now = self.clock.now();
        let link = self.storage.identities().link_unit(&player.game, &player.id, &proven.identity(), now);
        let unit = used
            .and(self.storage.sessions().require_live_unit(&player.session, now))
            .and(link.map_err(Failure::storage)?);
        self.storage.apply(unit).await.map_err(|error| match error {
            StorageError::Conflict { .. } => taken(),
            StorageError::NotFound { .. } => email::used_up(),
            other => Failure::storage(other),
        })?;
        tracing::info!(player = %player.id, game = %player.game, provider = proven.provider, "linked an identity");
        Ok(())
    }

    async fn player_of(&self, game: &GameId, proven: &Proven) -> Result<(Account, UnitOfWork), Failure> {
        let players = self.storage.players();
        let now = self.clock.now();
        let username = text::username(&proven.username).unwrap_or_else(|| proven.subject.clone());
        if let Some(player) = self.find_proven(game, proven).await? {
            if let Some(ban) = player.ban.as_ref().filter(|ban| ban.holds(now)) {
                return Err(super::ban::banned(ban));
            }
            let identities = self.storage.identities();
            let unit = identities
                .update_profile_unit(&player.id, &proven.identity())
                .map_err(Failure::storage)?
                .and(players.seen_unit(&player.id, now));
            let mut account = email::account(player);
            let Some(discord) = proven.discord() else { return Ok((account, unit)) };
            // Players of Discord are called as they are there.
            let unit = unit.and(players.rename_unit(&account.id, &username));
            (account.username, account.discord) = (username, Some(discord));
            return Ok((account, unit));
        }
        let new = NewPlayer {
            id: new_player_id()?,
            game: game.clone(),
            username,
            created_at: now,
            identity: Some(proven.identity()),
        };
        let unit = players.create_unit(&new).map_err(Failure::storage)?;
        Ok((Account { id: new.id, username: new.username, discord: proven.discord() }, unit))
    }

    async fn find_proven(&self, game: &GameId, proven: &Proven) -> Result<Option<Player>, Failure> {
        let found = self.storage.players().find_by_identity(game, &proven.provider, &proven.subject).await;
        found.map_err(Failure::storage)
    }
}
