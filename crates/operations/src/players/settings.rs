//! How players sign in, as the operator decided.

use std::{collections::BTreeMap, time::Duration};

use greenroom_protocol::GameId;

use super::{DiscordApplication, DiscordSettings, OpenIdSettings, SteamSettings};
use crate::mail::MailSettings;

/// How sign-ins behave.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// How long an access token of the contract's paths is good.
    pub contract_access_ttl: Duration,
    /// How long an access token of the native paths is good; it can be refreshed.
    pub access_ttl: Duration,
    /// How long a session lasts without being refreshed.
    pub refresh_ttl: Duration,
    /// How long a sign-in to the console lasts.
    pub console_ttl: Duration,
    /// How long an entry of the audit log is kept.
    pub audit_ttl: Duration,
    /// Signing in by Discord.
    pub discord: DiscordSettings,
    /// Where players' browsers reach us, without a slash at the end: links in mails lead there.
    pub public_url: String,
    /// How mail is sent.
    pub mail: MailSettings,
    /// How players sign in to each game beside by a name alone.
    pub games: BTreeMap<GameId, SignInSettings>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            contract_access_ttl: Duration::from_hours(30 * 24),
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(90 * 24),
            console_ttl: Duration::from_hours(12),
            audit_ttl: Duration::from_hours(365 * 24),
            discord: DiscordSettings::default(),
            public_url: "http://127.0.0.1:4700".into(),
            mail: MailSettings::default(),
            games: BTreeMap::new(),
        }
    }
}

/// How players sign in to one game beside by a name alone.
#[derive(Clone, Debug, Default)]
pub struct SignInSettings {
    /// By e-mail and password.
    pub email: Option<EmailSettings>,
    /// By the game's own application at Discord.
    pub discord: Option<DiscordApplication>,
    /// By tickets of Steam.
    pub steam: Option<SteamSettings>,
    /// By OpenID providers, by the names that they have here and in the records.
    pub openid: BTreeMap<String, OpenIdSettings>,
    /// Where browsers may be sent back to from a provider's pages.
    pub redirects: Vec<String>,
}

/// Signing in by e-mail and password.
#[derive(Clone, Debug)]
pub struct EmailSettings {
    /// The studio's own page that links in mails lead to, which is given `action` and `token`; ours if
    /// unset.
    pub link_url: Option<String>,
    /// How long a confirmation can be used.
    pub confirm_ttl: Duration,
    /// How long a link to a new password can be used.
    pub reset_ttl: Duration,
}

impl Default for EmailSettings {
    fn default() -> Self {
        Self { link_url: None, confirm_ttl: Duration::from_hours(24), reset_ttl: Duration::from_hours(1) }
    }
}
