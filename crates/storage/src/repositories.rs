//! Repositories: one for each kind of record. They make statements and read rows; they know no
//! engine. What has to be combined is offered as a part (`…_unit`).

macro_rules! repository {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a> {
            pub(crate) storage: &'a crate::Storage,
        }
    };
}

mod admin_invites;
mod admins;
mod audit;
mod identities;
mod jobs;
mod keys;
mod matches;
mod one_time;
mod personal_tokens;
mod players;
mod secrets;
mod servers;
mod sessions;
mod studios;

pub use admin_invites::{AdminInvite, AdminInvites};
pub use admins::{Admin, AdminRole, AdminSession, Admins};
pub use audit::{Audit, AuditEntry, NewAudit};
pub use identities::{Identities, LinkedIdentity};
pub use jobs::{CLAIM_JOBS_MAX, Job, JobCounts, JobState, Jobs, NewJob};
pub use keys::{ApiKey, ApiKeys, KeyPermissions, NewApiKey};
pub use matches::{MatchPlayer, MatchRecord, Matches, PlayedMatch, Position};
pub use one_time::{OneTimeToken, OneTimeTokens};
pub use personal_tokens::{PersonalToken, PersonalTokens};
pub use players::{Ban, BannedPlayer, DiscordProfile, Identity, NewPlayer, Player, Players};
pub use secrets::Secrets;
pub use servers::{ServerFilter, ServerRecord, Servers};
pub use sessions::{NewSession, Rotation, Session, Sessions};
pub use studios::{StudioRecord, Studios};

fn to_json(value: &impl serde::Serialize) -> Result<String, crate::StorageError> {
    serde_json::to_string(value).map_err(|error| crate::StorageError::corrupt(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, crate::StorageError> {
    serde_json::from_str(text).map_err(|error| crate::StorageError::corrupt(error.to_string()))
}
