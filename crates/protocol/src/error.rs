//! The one table of what can go wrong: stable code, HTTP status, title.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// What went wrong, as a stable word: the same over HTTP, in sockets and on the command line.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize,
            utoipa::ToSchema, schemars::JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code there is, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it is written on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// A short title for people, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The request could not be understood: not JSON, a bad parameter.
    BadRequest = "bad_request", 400, "The request could not be understood";
    /// A region that the game does not have.
    UnknownRegion = "unknown_region", 400, "There is no such region";
    /// No credentials, or credentials that are unknown, expired or revoked.
    Unauthorized = "unauthorized", 401, "Credentials are missing or not valid";
    /// The credentials are good, but not for this.
    Forbidden = "forbidden", 403, "The credentials do not permit this";
    /// The account is banned.
    Banned = "banned", 403, "The account is banned";
    /// The thing asked for does not exist, or not for the asker.
    NotFound = "not_found", 404, "There is no such thing";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here";
    /// The state of the thing does not allow this now.
    Conflict = "conflict", 409, "The present state does not allow this";
    /// No seat is left.
    Full = "full", 409, "It is full";
    /// The thing existed and has ended.
    Gone = "gone", 410, "It has ended";
    /// The body is larger than the limit.
    TooLarge = "too_large", 413, "The body is too large";
    /// A field is missing or has the wrong type or value.
    Invalid = "invalid", 422, "A field is missing or not valid";
    /// The version of the game is older than the oldest that is supported.
    VersionTooOld = "version_too_old", 426, "The version is too old";
    /// An idempotency key was used before with another body.
    IdempotencyMismatch = "idempotency_mismatch", 422, "The idempotency key was used with another body";
    /// The caller asks too often.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// A limit of the studio or the game is reached.
    LimitReached = "limit_reached", 429, "A limit is reached";
    /// The game server that the request was passed on to does not answer.
    BadGateway = "bad_gateway", 502, "The game server does not answer";
    /// More commands wait than may.
    Busy = "busy", 503, "The server is busy";
    /// No game server could be started in time.
    NoServer = "no_server", 503, "No game server could be started in time";
    /// An engine is out of reach or could not store it.
    Unavailable = "unavailable", 503, "Temporarily unavailable";
    /// Something inside failed; the log says what.
    Internal = "internal", 500, "Something failed inside";
}

/// An RFC 9457 problem document, with the extension `code`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` is what tells problems apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, what was expected and what to do.
    pub detail: String,
    /// The stable code.
    pub code: ErrorCode,
}

impl Problem {
    /// The problem document of `code` with a sentence for this occurrence.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".into(),
            title: code.title().into(),
            status: code.status(),
            detail: detail.into(),
            code,
        }
    }
}
