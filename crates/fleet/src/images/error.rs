//! What can go wrong with images, by what a caller can do about it.

use std::time::Duration;

use greenroom_protocol::HostId;

/// Why the versions of an image are not known, or an image is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The name has not the form of one.
    #[error(
        "\"{0}\" is no name of an image; expected one such as \"studio/game\" or \"ghcr.io/studio/game\""
    )]
    BadName(String),
    /// No such host, or none whose engine is known.
    #[error("there is no engine for the host {0}; check [hosts] in the configuration")]
    NoSuchHost(HostId),
    /// The registry or engine has no such image.
    #[error("there is no image {0}; check its name, and push it")]
    NoSuchImage(String),
    /// The registry wants other credentials.
    #[error(
        "the registry {host} does not let us read {image}; check username and password of [registries.\"{host}\"]"
    )]
    Refused {
        /// Which registry.
        host: String,
        /// Which image.
        image: String,
    },
    /// The registry wants to be asked less often.
    #[error("the registry {host} wants to be asked less often")]
    TooOften {
        /// Which registry.
        host: String,
        /// How long it wants to be left alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// The registry cannot be reached or has a fault.
    #[error("the registry {host} cannot be asked: {cause}")]
    Registry {
        /// Which registry.
        host: String,
        /// What was seen.
        cause: String,
    },
    /// The registry's answer is not one of a registry, or goes beyond what is read.
    #[error("the registry {host} gave an answer that is of no use: {cause}")]
    Answer {
        /// Which registry.
        host: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The engine cannot be reached or refused.
    #[error("the engine of the host {host} cannot be asked: {cause}")]
    Engine {
        /// Which host.
        host: HostId,
        /// What was seen.
        cause: String,
    },
    /// The engine did not get the image.
    #[error("the image {image} could not be pulled on {host}: {cause}")]
    Pull {
        /// Which host.
        host: HostId,
        /// Which image.
        image: String,
        /// What the engine said.
        cause: String,
    },
    /// As many pulls are known as may be.
    #[error("{0} images are being pulled, as many as may be at once; try again later")]
    TooManyPulls(usize),
    /// Greenroom is shutting down.
    #[error("Greenroom is being restarted; try again in a moment")]
    Closing,
}

impl ImageError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::TooOften { .. }
            | Self::Registry { .. }
            | Self::Engine { .. }
            | Self::Pull { .. }
            | Self::TooManyPulls(_)
            | Self::Closing => true,
            Self::BadName(_)
            | Self::NoSuchHost(_)
            | Self::NoSuchImage(_)
            | Self::Refused { .. }
            | Self::Answer { .. } => false,
        }
    }

    /// One word for metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::BadName(_) => "bad_name",
            Self::NoSuchHost(_) => "no_such_host",
            Self::NoSuchImage(_) => "no_such_image",
            Self::Refused { .. } => "refused",
            Self::TooOften { .. } => "too_often",
            Self::Registry { .. } => "unreachable",
            Self::Answer { .. } => "malformed",
            Self::Engine { .. } => "engine",
            Self::Pull { .. } => "pull",
            Self::TooManyPulls(_) => "too_many",
            Self::Closing => "closing",
        }
    }
}
