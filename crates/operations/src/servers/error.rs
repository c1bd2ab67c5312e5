//! Why a server was not allocated, found or stopped.

use std::time::Duration;

use greenroom_directory::DirectoryError;
use greenroom_domain::{fleet::Limit, placement::NoPlace};
use greenroom_fleet::ProviderError;
use greenroom_protocol::{ErrorCode, HostId, RegionId};
use greenroom_storage::StorageError;

use crate::Failure;

/// Why no server was allocated. Nothing of it is remembered: the same request may be made again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AllocateError {
    /// There is no such game.
    #[error("there is no such game; check the game's id in the path")]
    NoSuchGame,
    /// The game has no dedicated servers.
    #[error("this game has no fleet of game servers; add `fleet` to its configuration")]
    NoFleet,
    /// The game does not run there.
    #[error("there is no region \"{region}\"; this game runs in {}", list(.regions))]
    UnknownRegion {
        /// As it was asked for, shortened.
        region: String,
        /// Where it runs.
        regions: Vec<RegionId>,
    },
    /// The payload is over its limit.
    #[error("the payload has {0} bytes; at most {max} are allowed", max = greenroom_protocol::hosting::PAYLOAD_BYTES_MAX)]
    PayloadTooLarge(usize),
    /// The idempotency key is empty or over its limit.
    #[error("an idempotency key has 1 to {max} bytes", max = super::idempotency::KEY_BYTES_MAX)]
    InvalidKey,
    /// The key was used with another request.
    #[error("this idempotency key was used with another body; use a new key for a new request")]
    IdempotencyMismatch,
    /// As many run as may.
    #[error("{}", limit(*.0))]
    LimitReached(Limit),
    /// None could be started in time.
    #[error("no game server could be started in time{}; try again later", because(.why.as_deref()))]
    NoServer {
        /// How the last one that was tried ended.
        why: Option<String>,
        /// When it may be worth trying again.
        retry_after: Duration,
    },
    /// No host has room, or none can be reached.
    #[error("{why}; {}", remedy(.why))]
    NoPlace {
        /// What is the matter with the hosts.
        why: NoPlace,
        /// When it may be worth trying again.
        retry_after: Duration,
    },
    /// There was no free port for one.
    #[error("no game server could be started: {why}")]
    NoPort {
        /// Which ports were looked at.
        why: String,
        /// When it may be worth trying again.
        retry_after: Duration,
    },
    /// Greenroom is shutting down.
    #[error("the server is being restarted; try again in a moment")]
    Closing,
    /// The directory could not do it.
    #[error("the allocation could not be written down")]
    Directory(#[source] DirectoryError),
    /// The records could not be read.
    #[error("the record of the server could not be read")]
    Storage(#[source] StorageError),
}

impl AllocateError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoSuchGame | Self::NoFleet => ErrorCode::NotFound,
            Self::UnknownRegion { .. } => ErrorCode::UnknownRegion,
            Self::PayloadTooLarge(_) => ErrorCode::TooLarge,
            Self::InvalidKey => ErrorCode::Invalid,
            Self::IdempotencyMismatch => ErrorCode::IdempotencyMismatch,
            Self::LimitReached(_) => ErrorCode::LimitReached,
            Self::NoServer { .. } | Self::NoPlace { .. } | Self::NoPort { .. } => ErrorCode::NoServer,
            Self::Closing => ErrorCode::Unavailable,
            Self::Directory(error) => Failure::directory(error.clone()).code(),
            Self::Storage(error) => Failure::storage(error.clone()).code(),
        }
    }

    /// When it may be worth trying again, if waiting helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoServer { retry_after, .. }
            | Self::NoPlace { retry_after, .. }
            | Self::NoPort { retry_after, .. } => Some(*retry_after),
            Self::Closing | Self::Directory(_) | Self::Storage(_) => Some(Duration::from_secs(1)),
            Self::NoSuchGame
            | Self::NoFleet
            | Self::UnknownRegion { .. }
            | Self::PayloadTooLarge(_)
            | Self::InvalidKey
            | Self::IdempotencyMismatch
            | Self::LimitReached(_) => None,
        }
    }
}

impl From<AllocateError> for Failure {
    fn from(error: AllocateError) -> Self {
        match error {
            AllocateError::Directory(error) => Self::directory(error),
            AllocateError::Storage(error) => Self::storage(error),
            error => Self::new(error.code(), capitalised(&error.to_string())),
        }
    }
}

/// Why nothing could be done with a server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is no such server, or not in this game.
    #[error("there is no such game server; it never was, or it ended long ago")]
    NotFound,
    /// Others kept changing it.
    #[error("the server is being changed by others; try again")]
    Busy,
    /// The directory could not do it.
    #[error("the change could not be written down")]
    Directory(#[source] DirectoryError),
    /// The records could not be read.
    #[error("the record of the server could not be read")]
    Storage(#[source] StorageError),
    /// Its host cannot be reached.
    #[error(
        "the host {0} of this game server cannot be reached, and its log with it; try again when it is back"
    )]
    HostLost(HostId),
    /// The provider could not do it.
    #[error("the provider could not do it")]
    Provider(#[source] ProviderError),
}

impl ServerError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::Busy => ErrorCode::Busy,
            Self::Directory(error) => Failure::directory(error.clone()).code(),
            Self::Storage(error) => Failure::storage(error.clone()).code(),
            Self::HostLost(_) | Self::Provider(_) => ErrorCode::Unavailable,
        }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Directory(error) => Self::directory(error),
            ServerError::Storage(error) => Self::storage(error),
            ServerError::Provider(error) => {
                Self::new(ErrorCode::Unavailable, "This is temporarily unavailable. Try again in a moment.")
                    .because(error)
            }
            error @ (ServerError::NotFound | ServerError::Busy | ServerError::HostLost(_)) => {
                Self::new(error.code(), capitalised(&error.to_string()))
            }
        }
    }
}

fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

fn list(regions: &[RegionId]) -> String {
    regions.iter().map(RegionId::as_str).collect::<Vec<_>>().join(", ")
}

fn limit(limit: Limit) -> String {
    match limit {
        Limit::Game(max) => {
            format!("the game runs as many servers as it may ({max}); wait until one ends, or stop one")
        }
        Limit::Studio(max) => {
            format!(
                "the studio's games run as many servers as they may ({max}); wait until one ends, or stop one"
            )
        }
    }
}

const fn remedy(why: &NoPlace) -> &'static str {
    match why {
        NoPlace::NoHost(_) => "add one under [hosts.…] in the configuration",
        NoPlace::NoneReachable { .. } => "try again when one is back",
        NoPlace::Full { .. } => "wait until a server ends, stop one, or add a host",
    }
}

fn because(why: Option<&str>) -> String {
    why.map(|why| format!(": {why}")).unwrap_or_default()
}
