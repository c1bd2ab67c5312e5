//! Asks Discord whose token it is. Source: Discord's documented `GET /users/@me` and `GET /oauth2/@me`.

use std::{sync::Arc, time::Duration};

use greenroom_protocol::{ErrorCode, auth::DiscordUser};
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::Players;
use crate::failure::Failure;

/// How long Discord may take to answer one call.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Largest answer of Discord that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Longest token that is sent to Discord, in bytes.
const DISCORD_TOKEN_BYTES_MAX: usize = 2_048;

/// Signing in by Discord.
#[derive(Clone, Debug)]
pub struct DiscordSettings {
    /// Where Discord's API is, without `/users/@me`.
    pub api_url: String,
    /// Where Discord keeps pictures.
    pub cdn_url: String,
    /// The application whose tokens are accepted; any if unset.
    pub application_id: Option<String>,
}

impl Default for DiscordSettings {
    fn default() -> Self {
        Self {
            api_url: "https://discord.com/api".into(),
            cdn_url: "https://cdn.discordapp.com".into(),
            application_id: None,
        }
    }
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

/// Who asks Discord, made when it is first asked: the certificates that this machine trusts take a
/// megabyte.
#[derive(Clone, Default)]
pub(super) struct DiscordClient(Arc<OnceCell<reqwest::Client>>);

impl DiscordClient {
    async fn get(&self) -> Result<&reqwest::Client, Failure> {
        let make = async || tokio::task::spawn_blocking(client).await.map_err(Failure::internal)?;
        self.0.get_or_try_init(make).await
    }
}

fn client() -> Result<reqwest::Client, Failure> {
    // Fails only if a provider is installed already, and then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(ANSWER_TIME_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(Failure::internal)
}

impl Players {
    /// The Discord user whose bearer token this is. With an application configured, a token of
    /// another one is refused.
    pub(super) async fn discord_user(&self, token: &str) -> Result<DiscordUser, Failure> {
        let settings = &self.settings.discord;
        if token.len() > DISCORD_TOKEN_BYTES_MAX {
            return Err(invalid_token());
        }
        if let Some(expected) = &settings.application_id {
            let authorization: Authorization = self.ask_discord("/oauth2/@me", token).await?;
            if authorization.application.id != *expected {
                return Err(invalid_token());
            }
        }
        let user: User = self.ask_discord("/users/@me", token).await?;
        if user.id.is_empty() || user.id.len() > 32 || !user.id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid_token());
        }
        let avatar = user.avatar.map(|hash| format!("{}/avatars/{}/{hash}.png", settings.cdn_url, user.id));
        Ok(DiscordUser { id: user.id, username: user.username, avatar })
    }

    async fn ask_discord<T: for<'de> Deserialize<'de>>(&self, path: &str, token: &str) -> Result<T, Failure> {
        let url = format!("{}{path}", self.settings.discord.api_url);
        let unreachable = |error: reqwest::Error| {
            Failure::new(ErrorCode::Unavailable, "Discord could not be reached. Try again in a moment.")
                .because(error.without_url())
        };
        let mut response =
            self.discord.get().await?.get(url).bearer_auth(token).send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                return Err(invalid_token());
            }
            status => {
                tracing::warn!(%status, path, "Discord did not answer a sign-in");
                return Err(Failure::new(
                    ErrorCode::Unavailable,
                    "Discord does not answer now. Try again in a moment.",
                ));
            }
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(Failure::new(
                    ErrorCode::Unavailable,
                    "Discord's answer could not be understood.",
                ));
            }
        }
        serde_json::from_slice(&body).map_err(|error| {
            Failure::new(ErrorCode::Unavailable, "Discord's answer could not be understood.").because(error)
        })
    }
}

fn invalid_token() -> Failure {
    Failure::new(ErrorCode::Unauthorized, "Invalid Discord token")
}
