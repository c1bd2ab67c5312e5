//! Accounts by e-mail and password: asked for, confirmed, signed in to, and what to do when the password
//! is forgotten. No answer tells whether an address has an account; only mail to it does.

use greenroom_domain::text;
use greenroom_protocol::{
    ErrorCode, GameId, PlayerId,
    accounts::{EmailReset, EmailSignIn, EmailSignUp},
    auth::{Account, DiscordUser, SignedIn},
};
use greenroom_storage::{Identity, NewPlayer, OneTimeToken, Player, StorageError};
use serde::{Deserialize, Serialize};

use super::{
    ClientInfo, Players, SessionsEnded, TokenKind,
    letters::{CONFIRM, Letter, RESET},
    settings::EmailSettings,
};
use crate::{failure::Failure, passwords, secret};

/// The provider's name in the records.
pub(super) const EMAIL: &str = "email";

/// What a token that confirms an address knows.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Confirmation {
    pub(super) address: String,
    pub(super) password_hash: String,
    /// Of the new player; none if the address comes to one that is there.
    pub(super) username: Option<String>,
}

impl Players {
    /// Asks for an account: a mail to the address says how it goes on.
    pub async fn sign_up_email(&self, game: &GameId, request: EmailSignUp) -> Result<(), Failure> {
        self.must_have_email(game)?;
        let address = address(&request.email)?;
        let no_name = || Failure::new(ErrorCode::Invalid, "`username` is empty; expected a name.");
        let username = text::username(&request.username).ok_or_else(no_name)?;
        passwords::check(&request.password)?;
        let password_hash = self.passwords.hash(request.password).await?;
        let (game, at) = (game.clone(), self.clock.now());
        self.post_letter(&Letter::SignUp { game, address, username, password_hash, at }).await
    }

    /// Makes the account, or gives the player the address, that the mail with this token was about.
    pub async fn confirm_email(&self, game: &GameId, token: &str) -> Result<(), Failure> {
        self.must_have_email(game)?;
        let found = self.one_time(game, CONFIRM, token).await?;
        let data: Confirmation = serde_json::from_value(found.data).map_err(Failure::internal)?;
        let now = self.clock.now();
        let identity = Identity::Other {
            provider: EMAIL.into(),
            subject: data.address,
            profile: serde_json::Value::Object(serde_json::Map::new()),
        };
        let unit = self.storage.one_time_tokens().use_unit(&found.hash, CONFIRM, now);
        let (player, made) = if let Some(player) = found.player {
            let identities = self.storage.identities();
            let unit = identities.link_unit(game, &player, &identity, now).map_err(Failure::storage)?;
            (player, unit)
        } else {
            let new = NewPlayer {
                id: super::sign_in::new_player_id()?,
                game: game.clone(),
                username: data.username.unwrap_or_default(),
                created_at: now,
                identity: Some(identity),
            };
            let unit = self.storage.players().create_unit(&new).map_err(Failure::storage)?;
            (new.id, unit)
        };
        let password = self.storage.identities().set_password_unit(&player, &data.password_hash, now);
        match self.storage.apply(unit.and(made).and(password)).await {
            Ok(_) => {
                tracing::info!(%player, %game, "an e-mail address was confirmed");
                Ok(())
            }
            Err(StorageError::NotFound { .. }) => Err(used_up()),
            Err(StorageError::Conflict { .. }) => {
                let sentence = "The address has an account by now, or the account an address. Sign in to it.";
                Err(Failure::new(ErrorCode::Conflict, sentence))
            }
            Err(error) => Err(Failure::storage(error)),
        }
    }

    /// Signs in by address and password.
    pub async fn sign_in_email(
        &self,
        game: &GameId,
        request: EmailSignIn,
        kind: TokenKind,
        client: ClientInfo,
    ) -> Result<SignedIn, Failure> {
        self.must_have_email(game)?;
        let refused = || {
            Failure::new(
                ErrorCode::Unauthorized,
                "The e-mail address and the password do not go together, or the address was not confirmed yet.",
            )
        };
        let player = match text::email(&request.email) {
            Some(address) => self.find_email(game, &address).await?,
            None => None,
        };
        let hash = match &player {
            Some(player) => self.storage.identities().password(&player.id).await.map_err(Failure::storage)?,
            None => None,
        };
        // An address that is not there costs as much time as one that is.
        let good = self.passwords.verify(request.password, hash.clone()).await?;
        let (player, hash) = player.filter(|_| good).zip(hash).ok_or_else(refused)?;
        let now = self.clock.now();
        if let Some(ban) = player.ban.as_ref().filter(|ban| ban.holds(now)) {
            return Err(super::ban::banned(ban));
        }
        // The password may have been changed since it was looked at.
        let unit = self.storage.identities().require_password_unit(&player.id, &hash);
        let unit = unit.and(self.storage.players().seen_unit(&player.id, now));
        match self.open_session(game, account(player), unit, kind, client).await {
            Err(failure) if failure.code() == ErrorCode::Conflict => Err(refused()),
            other => other,
        }
    }

    /// Sends a link to a new password to the address, if it has an account.
    pub async fn forgot_password(&self, game: &GameId, email: &str) -> Result<(), Failure> {
        self.must_have_email(game)?;
        let address = address(email)?;
        self.post_letter(&Letter::Forgot { game: game.clone(), address, at: self.clock.now() }).await
    }

    /// Gives the player whose mail had this token a new password, and signs it out everywhere.
    pub async fn reset_password(&self, game: &GameId, request: EmailReset) -> Result<(), Failure> {
        self.must_have_email(game)?;
        passwords::check(&request.password)?;
        let found = self.one_time(game, RESET, &request.token).await?;
        let player = found.player.ok_or_else(used_up)?;
        let hash = self.passwords.hash(request.password).await?;
        let now = self.clock.now();
        let (tokens, identities) = (self.storage.one_time_tokens(), self.storage.identities());
        let mut unit = tokens
            .use_unit(&found.hash, RESET, now)
            .and(tokens.take_back_unit(&player, RESET))
            .and(identities.set_password_unit(&player, &hash, now))
            .and(self.storage.sessions().end_all_unit(&player, "password_reset", now));
        if let Some((address, username)) = self.address_of(&player).await? {
            let letter = Letter::Changed { game: game.clone(), address, username, at: now };
            unit = unit.and(self.letter_unit(&letter)?);
        }
        self.storage.apply(unit).await.map_err(|error| match error {
            StorageError::NotFound { .. } => used_up(),
            other => Failure::storage(other),
        })?;
        self.wake_outbox();
        self.announce(SessionsEnded { player: player.clone(), game: game.clone(), sessions: Vec::new() })
            .await;
        tracing::info!(%player, %game, "a password was changed by a link in a mail");
        Ok(())
    }

    pub(super) fn email_settings(&self, game: &GameId) -> Option<&EmailSettings> {
        self.settings.games.get(game)?.email.as_ref()
    }

    pub(super) fn must_have_email(&self, game: &GameId) -> Result<&EmailSettings, Failure> {
        let sentence = "Players of this game do not sign in by e-mail.";
        self.email_settings(game).ok_or(Failure::new(ErrorCode::NotFound, sentence))
    }

    pub(super) async fn find_email(&self, game: &GameId, address: &str) -> Result<Option<Player>, Failure> {
        self.storage.players().find_by_identity(game, EMAIL, address).await.map_err(Failure::storage)
    }

    /// The player's address and name, if it has an address.
    async fn address_of(&self, player: &PlayerId) -> Result<Option<(String, String)>, Failure> {
        let identities = self.storage.identities().of_player(player).await.map_err(Failure::storage)?;
        let address = identities.into_iter().find(|identity| identity.provider == EMAIL);
        let player = self.storage.players().get(player).await.map_err(Failure::storage)?;
        Ok(address.zip(player).map(|(identity, player)| (identity.subject, player.username)))
    }

    /// The token, which stays usable.
    pub(super) async fn one_time(
        &self,
        game: &GameId,
        kind: &str,
        token: &str,
    ) -> Result<OneTimeToken, Failure> {
        let (hash, now) = (secret::hash(token), self.clock.now());
        let found = self.storage.one_time_tokens().get(&hash, kind, game, now).await;
        found.map_err(Failure::storage)?.ok_or_else(used_up)
    }
}

/// The address as accounts are found by it.
pub(super) fn address(text: &str) -> Result<String, Failure> {
    let sentence = "`email` is not an e-mail address.";
    text::email(text).ok_or(Failure::new(ErrorCode::Invalid, sentence))
}

/// The player, as it is told who it is.
pub(super) fn account(player: Player) -> Account {
    let discord = player.discord.map(|profile| DiscordUser {
        id: profile.id,
        username: profile.username,
        avatar: profile.avatar,
    });
    Account { id: player.id, username: player.username, discord }
}

pub(super) fn used_up() -> Failure {
    Failure::new(ErrorCode::Gone, "This was used before, or its time is over. Ask for a new one.")
}
