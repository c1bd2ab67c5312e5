//! Asks Discord who somebody is. Sources: Discord's documented `GET /users/@me`, `GET /oauth2/@me` and
//! authorization code grant.

use greenroom_protocol::{ErrorCode, GameId};
use greenroom_storage::DiscordProfile;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    Players,
    openid::{Answered, Asked, code_refused},
    proven::Proven,
    provider::form,
};
use crate::failure::Failure;

/// The provider's name in the records.
pub(super) const DISCORD: &str = "discord";

/// Longest token that is sent to Discord, in bytes.
const DISCORD_TOKEN_BYTES_MAX: usize = 2_048;

/// Where Discord is, and what holds for games that say nothing of their own.
#[derive(Clone, Debug)]
pub struct DiscordSettings {
    /// Where Discord's API is, without `/users/@me`.
    pub api_url: String,
    /// Where Discord asks its users whether they permit it.
    pub authorize_url: String,
    /// Where Discord keeps pictures.
    pub cdn_url: String,
    /// The application whose tokens are accepted; any if unset.
    pub application_id: Option<String>,
}

impl Default for DiscordSettings {
    fn default() -> Self {
        Self {
            api_url: "https://discord.com/api".into(),
            authorize_url: "https://discord.com/oauth2/authorize".into(),
            cdn_url: "https://cdn.discordapp.com".into(),
            application_id: None,
        }
    }
}

/// A game's own application at Discord.
#[derive(Clone, Debug)]
pub struct DiscordApplication {
    /// Its id.
    pub id: String,
    /// What we prove with that it is ours; none if it is a public client.
    pub client_secret: Option<SecretString>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    username: String,
    avatar: Option<String>,
}

#[derive(Deserialize)]
struct Authorization {
    application: Application,
}

#[derive(Deserialize)]
struct Application {
    id: String,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
}

impl Players {
    /// The Discord user whose bearer token this is. With an application configured, for the game or for
    /// all, a token of another one is refused.
    pub(super) async fn discord_token_user(&self, game: &GameId, token: &str) -> Result<Proven, Failure> {
        let of_game = self.settings.games.get(game).and_then(|game| game.discord.as_ref());
        let application = of_game.map(|own| &own.id).or(self.settings.discord.application_id.as_ref());
        self.discord_user(application, token).await
    }

    /// Where the browser is sent.
    pub(super) fn discord_address(&self, application: &DiscordApplication, asked: &Asked<'_>) -> String {
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &application.id),
            ("redirect_uri", asked.redirect_uri),
            ("scope", "identify"),
            ("state", asked.state),
            ("code_challenge", asked.challenge),
            ("code_challenge_method", "S256"),
        ]);
        format!("{}?{query}", self.settings.discord.authorize_url)
    }

    /// The Discord user who permitted this code to the application.
    pub(super) async fn discord_code_user(
        &self,
        application: &DiscordApplication,
        answered: &Answered<'_>,
    ) -> Result<Proven, Failure> {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", answered.code),
            ("redirect_uri", answered.redirect_uri),
            ("client_id", application.id.as_str()),
            ("code_verifier", answered.verifier),
        ];
        let secret = application.client_secret.as_ref().map(ExposeSecret::expose_secret);
        fields.extend(secret.map(|secret| ("client_secret", secret)));
        let (url, body) = (format!("{}/oauth2/token", self.settings.discord.api_url), form(&fields));
        let tokens = self.provider.ask::<Tokens>(DISCORD, |client| {
            client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)
        });
        let tokens = tokens.await.map_err(|no| no.or(code_refused))?;
        self.discord_user(Some(&application.id), &tokens.access_token).await
    }

    async fn discord_user(&self, application: Option<&String>, token: &str) -> Result<Proven, Failure> {
        if token.len() > DISCORD_TOKEN_BYTES_MAX {
            return Err(invalid_token());
        }
        if let Some(expected) = application {
            let authorization: Authorization = self.ask_discord("/oauth2/@me", token).await?;
            if authorization.application.id != *expected {
                return Err(invalid_token());
            }
        }
        let user: User = self.ask_discord("/users/@me", token).await?;
        if user.id.is_empty() || user.id.len() > 32 || !user.id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid_token());
        }
        let cdn = &self.settings.discord.cdn_url;
        let avatar = user.avatar.map(|hash| format!("{cdn}/avatars/{}/{hash}.png", user.id));
        let profile = DiscordProfile { id: user.id.clone(), username: user.username.clone(), avatar };
        Ok(Proven {
            provider: DISCORD.into(),
            subject: user.id,
            username: user.username,
            profile: serde_json::to_value(profile).map_err(Failure::internal)?,
        })
    }

    async fn ask_discord<T: for<'de> Deserialize<'de>>(&self, path: &str, token: &str) -> Result<T, Failure> {
        let url = format!("{}{path}", self.settings.discord.api_url);
        let answer = self.provider.ask(DISCORD, |client| client.get(url).bearer_auth(token)).await;
        answer.map_err(|no| no.or(invalid_token))
    }
}

fn invalid_token() -> Failure {
    Failure::new(ErrorCode::Unauthorized, "Invalid Discord token")
}
