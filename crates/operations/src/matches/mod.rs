//! Matches: followed until they end, and remembered.

mod end;
mod follow;
mod results;

use std::sync::Arc;

use greenroom_directory::Directory;
use greenroom_domain::settings::Settings;
use greenroom_event_log::EventLog;
use greenroom_storage::Storage;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{context::Clock, failure::Failure, lobbies::Lobbies, servers::Servers};

/// Matches of all games. Cheap to clone.
#[derive(Clone)]
pub struct Matches {
    deps: Arc<MatchesDeps>,
}

/// What matches stand on.
pub struct MatchesDeps {
    /// Where running matches are kept.
    pub directory: Directory,
    /// Where results come from.
    pub log: EventLog,
    /// Where results go.
    pub storage: Storage,
    /// Where the games' studios are known.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Lobbies that are kept, waiting for their match to end.
    pub lobbies: Lobbies,
    /// Where they are played.
    pub servers: Servers,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Holds every task that is started.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
}

impl Matches {
    /// Follows the matches that there are and those that come, until shutdown.
    pub async fn start(deps: MatchesDeps) -> Result<Self, Failure> {
        let matches = Self { deps: Arc::new(deps) };
        matches.follow().await?;
        matches.record_results().await?;
        Ok(matches)
    }
}
