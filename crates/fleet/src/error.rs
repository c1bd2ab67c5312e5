//! What can go wrong, by what a caller can do about it.

use std::path::PathBuf;

use greenroom_protocol::{HostId, ServerId};

/// Why a provider could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of the game servers cannot be used.
    #[error(
        "the folder {folder} of the game servers cannot be used: {cause}; it must be a folder that Greenroom may write"
    )]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A host's settings cannot be used.
    #[error("the host \"{host}\" cannot be used: {why}")]
    Host {
        /// Which.
        host: HostId,
        /// What is wrong, in words.
        why: String,
    },
    /// Two engines would be the same host.
    #[error("there are two hosts named \"{0}\"; give one of them another name")]
    HostTwice(HostId),
}

/// Why a game server was not started. Nothing of it is left, and the same start may be tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The range has no run of free ports that is long enough.
    #[error(
        "no {count} free port(s) in a row for \"{name}\" are left in {first}-{last}; widen port_range or stop servers"
    )]
    NoPort {
        /// The port's name.
        name: String,
        /// How many in a row.
        count: u16,
        /// First of the range.
        first: u16,
        /// Last of the range.
        last: u16,
    },
    /// A fixed port is held by another server or program.
    #[error(
        "port {0} is fixed in the configuration but already in use; stop what holds it or take another one"
    )]
    PortInUse(u16),
    /// There is no such program.
    #[error("the command \"{0}\" does not exist or is not executable; check `command` and PATH")]
    CommandNotFound(String),
    /// The host does not have the image. Pulled, the same start may succeed.
    #[error("the host {host} does not have the image {image}")]
    NoImage {
        /// Which host.
        host: HostId,
        /// The image with its tag.
        image: String,
    },
    /// The command could not be made or the system refused to run it.
    #[error("{0}")]
    Spawn(String),
    /// More servers are known than the provider can hold.
    #[error("the provider already holds {0} game servers, which is as many as it can")]
    TooMany(usize),
    /// The provider cannot start anything now.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such host, or no more.
    #[error("there is no host \"{0}\" any more; it was taken out of the configuration")]
    NoSuchHost(HostId),
    /// The host cannot be reached. It may have started the server all the same; then that is ended
    /// once the host is back.
    #[error("the host \"{host}\" cannot be reached: {why}")]
    Unreachable {
        /// Which.
        host: HostId,
        /// What was seen, in words.
        why: String,
    },
}

impl StartError {
    /// Whether the same start may succeed later without anybody changing anything.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NoPort { .. }
            | Self::PortInUse(_)
            | Self::NoImage { .. }
            | Self::TooMany(_)
            | Self::Unavailable(_)
            | Self::NoSuchHost(_)
            | Self::Unreachable { .. } => true,
            Self::CommandNotFound(_) | Self::Spawn(_) => false,
        }
    }
}

/// Why a provider could not do what it was asked for a server.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not know this server, or it was forgotten.
    #[error("there is no game server {0}")]
    NotFound(ServerId),
    /// The server still runs.
    #[error("the game server {0} still runs; stop it first")]
    StillRuns(ServerId),
    /// The system refused something.
    #[error("{action} failed: {cause}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl ProviderError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::StillRuns(_) => true,
            Self::NotFound(_) => false,
        }
    }
}
