//! The HTTP client of all calls.

use crate::error::ClientError;

/// A client that speaks TLS by ring, unless the program has chosen otherwise.
pub(crate) fn client() -> Result<reqwest::Client, ClientError> {
    // Fails only if the program has installed a provider already, and then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().build().map_err(ClientError::unreachable)
}
