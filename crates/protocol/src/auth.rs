//! Signing in: what clients send and get, on the contract's paths and on the native ones.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{PlayerId, SessionId, Timestamp};

/// A body that is not JSON, or no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid request body")]
pub struct InvalidBody;

/// Reads a body of the contract's paths, whatever its Content-Type says.
pub fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidBody> {
    match serde_json::from_slice(body) {
        // An array would be taken for the struct's fields in order.
        Ok(value @ Value::Object(_)) => serde_json::from_value(value).map_err(|_| InvalidBody),
        _ => Err(InvalidBody),
    }
}

/// The contract answers a name or token that is no text as if it were missing.
fn text_or_missing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// The body of `POST /auth/anonymous`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnonymousRequest {
    /// How the player wants to be called: trimmed, at most 64 characters.
    #[serde(default, deserialize_with = "text_or_missing")]
    pub username: Option<String>,
}

/// The body of `POST /auth/discord`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscordRequest {
    /// A bearer token that Discord gave the player.
    #[serde(default, deserialize_with = "text_or_missing")]
    pub discord_token: Option<String>,
}

/// The answer to a sign-in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// What the player presents from now on.
    pub access_token: String,
    /// Who the player is.
    pub account: Account,
    /// Gets the next access token; on the native paths only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When the access token ends; on the native paths only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends; on the native paths only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_expires_at: Option<Timestamp>,
}

/// A player, as it sees itself after signing in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Unique for ever.
    pub id: PlayerId,
    /// How it is called.
    pub username: String,
    /// The Discord user it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discord: Option<DiscordUser>,
}

/// A Discord user, as Discord told us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscordUser {
    /// Discord's id.
    pub id: String,
    /// Discord's user name.
    pub username: String,
    /// The address of a picture that ends `/avatars/<id>/<hash>.png`, or null.
    pub avatar: Option<String>,
}

/// The answer of `GET /accounts/me`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountMe {
    /// Unique for ever.
    pub id: PlayerId,
    /// How it is called.
    pub username: String,
    /// The Discord user it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discord: Option<DiscordUser>,
    /// When it signed in for the first time.
    pub created_at: Timestamp,
}

/// An error on the contract's paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContractError {
    /// A sentence for people.
    pub error: String,
}

/// The body of `POST /v1/auth/refresh`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefreshRequest {
    /// The newest refresh token of the session. It is good for one use.
    pub refresh_token: String,
}

/// The answer of `POST /v1/auth/refresh`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenPair {
    /// What the player presents from now on.
    pub access_token: String,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// Gets the next pair; the one that was sent is no longer good.
    pub refresh_token: String,
    /// When the refresh token ends.
    pub refresh_expires_at: Timestamp,
}

/// The body of `POST /v1/auth/sign-out`; an empty one ends the present session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignOutRequest {
    /// Ends all sessions of the player.
    #[serde(default)]
    pub everywhere: bool,
}

/// One sign-in of a player.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Tokens name it.
    pub id: SessionId,
    /// When the player signed in.
    pub created_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
    /// The program that signed in, as it called itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The answer of `GET /v1/auth/sessions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// Those that have not ended, newest first.
    pub sessions: Vec<SessionView>,
}

/// The body of a ban.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BanRequest {
    /// Why; the player is told.
    #[serde(default)]
    pub reason: String,
    /// When it ends; for ever unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BanView {
    /// Who.
    pub player_id: PlayerId,
    /// Why; the player is told.
    pub reason: String,
    /// Since when.
    pub banned_at: Timestamp,
    /// When it ends; missing means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
