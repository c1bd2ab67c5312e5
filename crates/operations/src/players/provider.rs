//! Asking those who vouch for players, over HTTP.

use std::{sync::Arc, time::Duration};

use greenroom_protocol::ErrorCode;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::failure::Failure;

/// How long a provider may take to answer one call.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Why a provider did not answer as hoped.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// It says that what we presented is not good.
    Refused,
    /// It cannot be asked now, or is not understood.
    Failed(Failure),
}

/// Who asks, made when somebody is first asked: the certificates that this machine trusts take a
/// megabyte.
#[derive(Clone, Default)]
pub(super) struct ProviderClient(Arc<OnceCell<Client>>);

impl ProviderClient {
    /// The JSON that `provider` answers the request that `build` makes.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        provider: &str,
        build: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<T, NoAnswer> {
        let make = async || tokio::task::spawn_blocking(client).await.map_err(Failure::internal)?;
        let client = self.0.get_or_try_init(make).await.map_err(NoAnswer::Failed)?;
        let answer = read(provider, build(client)).await;
        let outcome = match &answer {
            Ok(_) => "answered",
            Err(NoAnswer::Refused) => "refused",
            Err(NoAnswer::Failed(_)) => "failed",
        };
        let labels = [("provider", provider.to_owned()), ("outcome", outcome.to_owned())];
        metrics::counter!("greenroom_provider_requests_total", &labels).increment(1);
        serde_json::from_slice(&answer?).map_err(|error| NoAnswer::Failed(not_understood().because(error)))
    }
}

impl NoAnswer {
    /// The failure, where a refusal means `refused`.
    pub(super) fn or(self, refused: impl FnOnce() -> Failure) -> Failure {
        match self {
            Self::Refused => refused(),
            Self::Failed(failure) => failure,
        }
    }
}

/// `pairs` as a form is sent, and as a query is.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse("form:") else { return String::new() };
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// The provider's answer has not the form that it documents.
pub(super) fn not_understood() -> Failure {
    Failure::new(ErrorCode::Unavailable, "The provider's answer could not be understood.")
}

async fn read(provider: &str, request: RequestBuilder) -> Result<Vec<u8>, NoAnswer> {
    // Addresses have keys and codes in them, and stay out of the log.
    let unreachable = |error: reqwest::Error| {
        let sentence = "The provider could not be reached. Try again in a moment.";
        NoAnswer::Failed(Failure::new(ErrorCode::Unavailable, sentence).because(error.without_url()))
    };
    let mut response = request.send().await.map_err(unreachable)?;
    match response.status() {
        status if status.is_success() => {}
        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            return Err(NoAnswer::Refused);
        }
        status => {
            tracing::warn!(%status, provider, "a provider did not answer a sign-in");
            let sentence = "The provider does not answer now. Try again in a moment.";
            return Err(NoAnswer::Failed(Failure::new(ErrorCode::Unavailable, sentence)));
        }
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(NoAnswer::Failed(not_understood()));
        }
    }
    Ok(body)
}

fn client() -> Result<Client, Failure> {
    // Fails only if a provider is installed already, and then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(ANSWER_TIME_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(Failure::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_escaped() {
        assert_eq!(form(&[("a", "x y&z="), ("b", "é/:")]), "a=x+y%26z%3D&b=%C3%A9%2F%3A");
        assert_eq!(form(&[]), "");
    }
}
