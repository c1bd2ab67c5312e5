//! How the program ends: one number for each thing that a script can act on.

use std::process::ExitCode;

use greenroom_protocol::ErrorCode;

use crate::{config::ConfigErrors, output};

/// Why a command failed, as its exit code tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Anything that has no number of its own.
    Failure = 1,
    /// The arguments or the configuration are wrong.
    Usage = 2,
    /// What was asked for does not exist, or has ended.
    NotFound = 3,
    /// The credentials are missing, wrong, or not good for this.
    Unauthorized = 4,
    /// No Greenroom answers there.
    Unreachable = 5,
    /// A limit is reached, or nothing is to be had now: try again later.
    Busy = 6,
}

impl Exit {
    /// Every exit code but 0, with its meaning, for the reference page.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Failure, "something failed; the sentence on standard error says what"),
        (Self::Usage, "the arguments or the configuration are wrong"),
        (Self::NotFound, "what was asked for does not exist, or has ended"),
        (Self::Unauthorized, "credentials are missing, wrong, or not good for this"),
        (Self::Unreachable, "no Greenroom answers at that address"),
        (Self::Busy, "a limit is reached, or no server could be started in time: try again later"),
    ];

    /// The exit code for an error of the interface.
    pub fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NotFound | ErrorCode::Gone => Self::NotFound,
            ErrorCode::Unauthorized | ErrorCode::Forbidden | ErrorCode::Banned => Self::Unauthorized,
            ErrorCode::RateLimited
            | ErrorCode::LimitReached
            | ErrorCode::Busy
            | ErrorCode::BadGateway
            | ErrorCode::NoServer
            | ErrorCode::Unavailable
            | ErrorCode::Full => Self::Busy,
            ErrorCode::BadRequest
            | ErrorCode::UnknownRegion
            | ErrorCode::MethodNotAllowed
            | ErrorCode::Conflict
            | ErrorCode::TooLarge
            | ErrorCode::Invalid
            | ErrorCode::IdempotencyMismatch
            | ErrorCode::VersionTooOld
            | ErrorCode::Internal => Self::Failure,
        }
    }
}

/// An error with an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct Failed {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, what was expected and what to do.
    pub sentence: String,
}

impl Failed {
    /// An error that ends the program with `exit`.
    pub fn with(exit: Exit, sentence: impl Into<String>) -> anyhow::Error {
        Self { exit, sentence: sentence.into() }.into()
    }
}

/// Tells the error, if there is one, and the exit code for it.
pub fn code_of(outcome: anyhow::Result<()>) -> ExitCode {
    let unwritten = || match output::unwritten() {
        Some(error) => Err(anyhow::anyhow!("standard output cannot be written: {error}")),
        None => Ok(()),
    };
    let Err(error) = outcome.and_then(|()| unwritten()) else { return ExitCode::SUCCESS };
    output::error(&format!("{error:#}"));
    let exit = if error.downcast_ref::<ConfigErrors>().is_some() {
        Exit::Usage
    } else {
        error.downcast_ref::<Failed>().map_or(Exit::Failure, |failed| failed.exit)
    };
    ExitCode::from(exit as u8)
}
