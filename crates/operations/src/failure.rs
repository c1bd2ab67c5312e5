//! The one error of operations: a stable code, a sentence for the caller, and a cause for the log.

use std::{borrow::Cow, error::Error, sync::Arc};

use greenroom_directory::DirectoryError;
use greenroom_event_log::EventLogError;
use greenroom_protocol::ErrorCode;
use greenroom_storage::StorageError;

/// Why an operation was not done. `Display` is the sentence for the caller; the cause is only in
/// [`Error::source`], which nothing that answers a caller may write out.
#[derive(Clone, Debug)]
pub struct Failure {
    code: ErrorCode,
    sentence: Cow<'static, str>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure that the caller caused and can act on.
    pub fn new(code: ErrorCode, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { code, sentence: sentence.into(), cause: None }
    }

    /// The same with what lies behind it, for the log.
    pub fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// Something inside failed that no caller can act on.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::new(ErrorCode::Internal, "Something failed inside. Try again; if it stays, tell the operator.")
            .because(cause)
    }

    /// What the directory could not do.
    pub fn directory(error: DirectoryError) -> Self {
        let code = match error {
            DirectoryError::Busy => ErrorCode::Busy,
            DirectoryError::Conflict(_)
            | DirectoryError::Unavailable(_)
            | DirectoryError::OutcomeUnknown(_) => ErrorCode::Unavailable,
            DirectoryError::TooLarge(_) => ErrorCode::TooLarge,
            DirectoryError::Malformed(_) => ErrorCode::Internal,
        };
        Self::port(code, error)
    }

    /// What the event log could not do.
    pub fn event_log(error: EventLogError) -> Self {
        match error {
            EventLogError::NoConsumer => Self::new(ErrorCode::NotFound, "There is no such consumer."),
            EventLogError::NoStream => Self::new(ErrorCode::NotFound, "This studio has no history."),
            EventLogError::Full => Self::new(
                ErrorCode::LimitReached,
                "The studio's history is full and set to refuse new events.",
            ),
            EventLogError::LimitReached(what) => {
                Self::new(ErrorCode::LimitReached, format!("Limit reached: {what}."))
            }
            EventLogError::TooLarge(what) => Self::new(ErrorCode::TooLarge, format!("Too large: {what}.")),
            EventLogError::Malformed(what) => {
                Self::new(ErrorCode::Invalid, format!("Not well formed: {what}."))
            }
            EventLogError::WrongLast { .. } => {
                Self::new(ErrorCode::Conflict, "Something else was appended in between.")
            }
            EventLogError::Busy => Self::port(ErrorCode::Busy, error),
            EventLogError::Unavailable(_) | EventLogError::OutcomeUnknown(_) => {
                Self::port(ErrorCode::Unavailable, error)
            }
        }
    }

    /// What the records could not do, where the caller is to blame for nothing.
    pub fn storage(error: StorageError) -> Self {
        let code = if error.is_retryable() { ErrorCode::Unavailable } else { ErrorCode::Internal };
        Self::port(code, error)
    }

    /// A place in a list that no page gave.
    pub fn bad_cursor() -> Self {
        Self::new(ErrorCode::BadRequest, "`cursor` is not one that a page gave.")
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence for the caller.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Whether the operator should hear of it: it is our fault, not the caller's.
    pub fn is_ours(&self) -> bool {
        self.code.status() >= 500 && self.cause.is_some()
    }

    fn port(code: ErrorCode, cause: impl Error + Send + Sync + 'static) -> Self {
        let sentence = match code {
            ErrorCode::Busy => "The server is busy. Try again in a moment.",
            ErrorCode::Unavailable => "This is temporarily unavailable. Try again in a moment.",
            ErrorCode::TooLarge => "This is too large.",
            _ => return Self::internal(cause),
        };
        Self::new(code, sentence).because(cause)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn Error + 'static))
    }
}
