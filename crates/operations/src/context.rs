//! What every operation is given from outside: time, and where facts go.

use async_trait::async_trait;
use greenroom_protocol::{StudioId, Timestamp};
use serde::{Deserialize, Serialize};

/// Tells the time. The one place where wall-clock time enters the operations, so that tests can
/// move it and make it jump.
pub trait Clock: Send + Sync + 'static {
    /// The present point in time.
    fn now(&self) -> Timestamp;
}

/// A fact to be appended to a studio's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Whose history.
    pub studio: StudioId,
    /// Makes a repeat harmless within an hour: made of the document's key and revision.
    pub id: String,
    /// Where it happened, such as `/games/skirmish/servers/abc`.
    pub source: String,
    /// The CloudEvents type, such as `server.started`.
    pub kind: String,
    /// The subject, such as `v1.skirmish.servers.abc.events.started`.
    pub subject: String,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub data: serde_json::Value,
}

/// A fact that could not be appended now; it must be tried again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the event could not be appended: {0}")]
pub struct AppendFailed(pub String);

/// Where facts are appended.
#[async_trait]
pub trait EventSink: Send + Sync + 'static {
    /// Appends `fact` and answers when it is durable. Repeating it is harmless.
    async fn append(&self, fact: Fact) -> Result<(), AppendFailed>;
}
