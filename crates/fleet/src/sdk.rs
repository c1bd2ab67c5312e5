//! The endpoint that a game server's Agones SDK talks to.

use std::sync::Arc;

use async_trait::async_trait;
use greenroom_domain::sdk::{Change, GameServer, Refusal};
use greenroom_protocol::ServerId;
use tokio::sync::watch;

/// What game servers ask through the SDK; implemented by whoever keeps their documents.
#[async_trait]
pub trait SdkBackend: Send + Sync + 'static {
    /// How an instance sees itself, now and with every change; ends with it. None if it is not known
    /// or has no SDK.
    fn game_server(&self, instance: &ServerId) -> Option<watch::Receiver<Arc<GameServer>>>;
    /// It is alive. Kept in memory alone.
    fn health(&self, instance: &ServerId);
    /// Does what it asks for; when this returns, the change is written down.
    async fn change(&self, instance: &ServerId, change: Change) -> Result<Changed, SdkError>;
}

/// What became of a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Whether anything is different now.
    pub is_changed: bool,
    /// How the server sees itself afterwards.
    pub object: Arc<GameServer>,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdkError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be done at the moment, and may be tried again; the sentence says why.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such server, or it has no SDK.
    #[error("There is no such game server.")]
    NotFound,
}
