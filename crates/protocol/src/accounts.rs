//! Accounts: signing in other than by a name, the identities of a player, export.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
