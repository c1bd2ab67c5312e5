//! The identities of a player: which there are, one more, one less.

use greenroom_domain::text;
use greenroom_protocol::{
    ErrorCode, GameId, PlayerId,
    accounts::{EmailSignIn, IdentityList, IdentityView, SignInWays},
};
use greenroom_storage::{LinkedIdentity, StorageError};

use super::{
    Players,
    discord::DISCORD,
    email::{EMAIL, address},
    letters::{CONFIRM, Letter, RESET},
};
use crate::{failure::Failure, passwords, principal::PlayerPrincipal};

impl Players {
    /// How players of `game` sign in.
    pub fn sign_in_ways(&self, game: &GameId) -> SignInWays {
        let settings = self.settings.games.get(game);
        let pages = settings.map(|settings| {
            let discord = settings.discord.iter().map(|_| DISCORD.to_owned());
            discord.chain(settings.openid.keys().cloned()).collect()
        });
        SignInWays {
            email: settings.is_some_and(|settings| settings.email.is_some()),
            steam: settings.is_some_and(|settings| settings.steam.is_some()),
            providers: pages.unwrap_or_default(),
        }
    }

    /// The identities of a player.
    pub async fn identities(&self, player: &PlayerId) -> Result<IdentityList, Failure> {
        let identities = self.storage.identities().of_player(player).await.map_err(Failure::storage)?;
        Ok(IdentityList { identities: identities.into_iter().map(view).collect() })
    }

    /// Asks to sign the player in by this address too: a mail to it says how it goes on.
    pub async fn link_email(&self, player: &PlayerPrincipal, request: EmailSignIn) -> Result<(), Failure> {
        self.must_have_email(&player.game)?;
        let address = address(&request.email)?;
        passwords::check(&request.password)?;
        let identities = self.storage.identities().of_player(&player.id).await.map_err(Failure::storage)?;
        if identities.iter().any(|identity| identity.provider == EMAIL) {
            let sentence = "The player has an e-mail address. Unlink it first.";
            return Err(Failure::new(ErrorCode::Conflict, sentence));
        }
        let password_hash = self.passwords.hash(request.password).await?;
        let (game, player, at) = (player.game.clone(), player.id.clone(), self.clock.now());
        self.post_letter(&Letter::Link { game, player, address, password_hash, at }).await
    }

    /// Takes the identity of `provider` away from the player, who keeps at least one.
    pub async fn unlink(&self, player: &PlayerPrincipal, provider: &str) -> Result<(), Failure> {
        let identities = self.storage.identities().of_player(&player.id).await.map_err(Failure::storage)?;
        if !identities.iter().any(|identity| identity.provider == provider) {
            let sentence = "The player has no identity of this provider.";
            return Err(Failure::new(ErrorCode::NotFound, sentence));
        }
        let mut unit = self.storage.identities().unlink_unit(&player.id, provider);
        if provider == EMAIL {
            let tokens = self.storage.one_time_tokens();
            unit = unit
                .and(self.storage.identities().delete_password_unit(&player.id))
                .and(tokens.take_back_unit(&player.id, CONFIRM))
                .and(tokens.take_back_unit(&player.id, RESET));
        }
        self.storage.apply(unit).await.map_err(|error| match error {
            StorageError::Conflict { .. } => {
                let sentence = "This is the player's last identity: without it nobody could sign in to the \
                                account. Link another one first, or delete the account.";
                Failure::new(ErrorCode::Conflict, sentence)
            }
            other => Failure::storage(other),
        })?;
        tracing::info!(player = %player.id, game = %player.game, provider, "unlinked an identity");
        Ok(())
    }
}

fn view(identity: LinkedIdentity) -> IdentityView {
    let name = ["username", "name"].iter().find_map(|key| identity.profile.get(key)?.as_str());
    IdentityView {
        name: name.and_then(text::username),
        provider: identity.provider,
        subject: identity.subject,
        linked_at: identity.linked_at,
    }
}
