//! Accounts: signing in other than by a name, the identities of a player, export.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{GameId, PlayerId, SessionId, Timestamp, auth::BanView, events::PlayerMatch};

/// The body of `POST /v1/games/{game}/auth/email/sign-up`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmailSignUp {
    /// Where the confirmation is sent.
    pub email: String,
    /// At least 10 characters, at most 256 bytes.
    pub password: String,
    /// How the player wants to be called: trimmed, at most 64 characters.
    pub username: String,
}

/// The body of `POST /v1/games/{game}/auth/email`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmailSignIn {
    /// The address of the account.
    pub email: String,
    /// Its password.
    pub password: String,
}

/// The body of `POST /v1/games/{game}/auth/email/forgot`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmailForgot {
    /// The address of the account.
    pub email: String,
}

/// The body of `POST /v1/games/{game}/auth/email/confirm`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmailConfirm {
    /// The token of the link in the mail. It is good for one use.
    pub token: String,
}

/// The body of `POST /v1/games/{game}/auth/email/reset`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmailReset {
    /// The token of the link in the mail. It is good for one use.
    pub token: String,
    /// The new password: at least 10 characters, at most 256 bytes.
    pub password: String,
}

/// The body of `POST /v1/games/{game}/auth/steam`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SteamSignIn {
    /// What Steam gave the game, as hexadecimal text.
    pub ticket: String,
    /// How a new player wants to be called; Steam does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// How players sign in to a game, beside by a name alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInWays {
    /// By e-mail and password.
    pub email: bool,
    /// By a ticket of Steam.
    pub steam: bool,
    /// Through the pages of these providers.
    pub providers: Vec<String>,
}

/// The body of `POST /v1/games/{game}/auth/providers/{provider}/begin`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowBegin {
    /// Where the browser comes back to, with `code` or `error`: one of the game's `sign_in.redirects`.
    pub return_to: String,
    /// The SHA-256 of a secret that the program made for this, as base64 for addresses without padding.
    pub challenge: String,
}

/// The answer to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowBegun {
    /// To be opened in a browser. It is good once.
    pub url: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// The body of `POST /v1/games/{game}/auth/complete`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowComplete {
    /// What the browser came back with. It is good for one use.
    pub code: String,
    /// The secret that `challenge` was made of.
    pub verifier: String,
}

/// An identity of a player.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityView {
    /// Who vouches for it: `email`, `discord`, `steam`, or the name of an OpenID provider.
    pub provider: String,
    /// The provider's id of the person; of `email`, the address.
    pub subject: String,
    /// How the person is called there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it came to the player; 0 if that is not known.
    pub linked_at: Timestamp,
}

/// The identities of a player.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityList {
    /// At most one of each provider. A player that signed in by a name alone has none.
    pub identities: Vec<IdentityView>,
}

/// Everything that is kept about a player.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlayerExport {
    /// When this was put together.
    pub exported_at: Timestamp,
    /// The player.
    pub id: PlayerId,
    /// In whose player base.
    pub game: GameId,
    /// How it is called.
    pub username: String,
    /// When it signed in for the first time.
    pub created_at: Timestamp,
    /// When it last signed in.
    pub last_seen_at: Timestamp,
    /// What it signs in with.
    pub identities: Vec<ExportedIdentity>,
    /// Whether a hash of a password is kept. It is told to nobody.
    pub has_password: bool,
    /// Its ban, even if its end has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban: Option<BanView>,
    /// Its sign-ins, newest first.
    pub sessions: Vec<ExportedSession>,
    /// The matches that it played, newest first.
    pub matches: Vec<PlayerMatch>,
    /// False if there are more than 10,000 sessions or matches: the oldest are left out.
    pub complete: bool,
}

/// An identity as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedIdentity {
    /// Who vouches for it.
    pub provider: String,
    /// The provider's id of the person.
    pub subject: String,
    /// What is kept of what the provider said.
    #[schema(value_type = Object)]
    pub profile: serde_json::Value,
    /// When it came to the player; 0 if that is not known.
    pub linked_at: Timestamp,
}

/// A sign-in as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedSession {
    /// Tokens name it.
    pub id: SessionId,
    /// When the player signed in.
    pub created_at: Timestamp,
    /// When it ends or ended by itself.
    pub expires_at: Timestamp,
    /// When it was ended before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_why: Option<String>,
    /// The program that signed in, as it called itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The address it signed in from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}
