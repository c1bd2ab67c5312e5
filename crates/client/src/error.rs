//! What can go wrong, by what a program can do about it.

use greenroom_protocol::{ErrorCode, Problem, auth::ContractError};
use reqwest::StatusCode;

/// A call that was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Greenroom cannot be reached, or the connection broke. The call may be made again.
    #[error("Greenroom cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Greenroom refused.
    #[error("{detail}")]
    Refused {
        /// The HTTP status; 0 over a socket.
        status: u16,
        /// The stable code, where the answer has one.
        code: Option<ErrorCode>,
        /// A sentence for people.
        detail: String,
    },
    /// The answer is not what this SDK understands.
    #[error("Greenroom's answer could not be understood: {0}")]
    Unexpected(String),
    /// The process was not started by Greenroom, or a variable it needs is not as it should be.
    #[error(
        "the environment variable {0} is missing or not valid: was this game server started by Greenroom?"
    )]
    Environment(&'static str),
    /// A ticket that is not good here.
    #[error("the ticket is not valid here: {0}")]
    Ticket(&'static str),
}

impl ClientError {
    pub(crate) fn unreachable(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unreachable(Box::new(error))
    }

    /// Reads a refusal, be it a problem document or the contract's form.
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let status: StatusCode = response.status();
        let body = response.bytes().await.unwrap_or_default();
        let problem = serde_json::from_slice::<Problem>(&body).ok();
        let contract = serde_json::from_slice::<ContractError>(&body).ok();
        let code = problem.as_ref().map(|problem| problem.code);
        let detail = problem.map(|problem| problem.detail).or(contract.map(|contract| contract.error));
        Self::Refused { status: status.as_u16(), code, detail: detail.unwrap_or_else(|| status.to_string()) }
    }
}

/// The body of an answer that went well, or the refusal.
pub(crate) async fn read<T: serde::de::DeserializeOwned>(
    response: reqwest::Response,
) -> Result<T, ClientError> {
    if !response.status().is_success() {
        return Err(ClientError::of(response).await);
    }
    let body = response.bytes().await.map_err(ClientError::unreachable)?;
    serde_json::from_slice(&body).map_err(|error| ClientError::Unexpected(error.to_string()))
}
