//! A server is told to end, or all are.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::StreamExt as _;
use greenroom_directory::DirectoryError;
use greenroom_domain::server::{Server, ServerState, StopReason};
use greenroom_protocol::{GameId, ServerId, hosting::ServerView};

use super::{ServerError, Servers, drive::Saved};

/// How often a stop is tried again when others change the server at the same time.
const STOP_TRIES_MAX: u32 = 32;

/// Pause before a stop is tried again.
const STOP_PAUSE: Duration = Duration::from_millis(5);

/// How many are told to stop at the same time: their commits share their flushes.
const STOPS_AT_ONCE: usize = 64;

impl Servers {
    /// Tells a server of `game` to end, and answers at once with its state. One that ends already,
    /// or has ended, stays as it is.
    pub async fn stop(&self, game: &GameId, id: &ServerId) -> Result<ServerView, ServerError> {
        match self.living(id) {
            Some(server) if server.birth.game == *game => {}
            Some(_) => return Err(ServerError::NotFound),
            None => return self.get(game, id).await,
        }
        match self.stop_because(id, StopReason::Requested).await? {
            Some(server) => Ok(self.shown(&server)),
            None => self.get(game, id).await,
        }
    }

    /// Stops all servers and waits until the ends of all are written down, for a development server
    /// that leaves nothing behind. From now on none is allocated or kept ready. Must be called before
    /// the shutdown begins; the caller bounds the wait.
    pub async fn stop_all(&self) {
        self.0.is_draining.store(true, Ordering::Release);
        let mut changes = self.watch();
        loop {
            changes.mark_unchanged();
            let servers = self.0.view.list(None);
            if servers.is_empty() {
                return;
            }
            let lives =
                |server: &Arc<Server>| server.state != ServerState::Stopping && !server.state.is_final();
            let stops = futures_util::stream::iter(servers.into_iter().filter(lives));
            stops.for_each_concurrent(STOPS_AT_ONCE, |server| self.stop_for_shutdown(server)).await;
            // One that was being started in between is seen and stopped as well.
            let shutdown = self.0.shutdown.cancelled();
            tokio::select! {
                biased;
                () = shutdown => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn stop_for_shutdown(&self, server: Arc<Server>) {
        if let Err(error) = self.stop_because(server.id(), StopReason::Shutdown).await {
            tracing::warn!(server = %server.id(), %error, "a game server could not be told to stop");
        }
    }

    /// Tells a server to end; `None` if it is gone.
    pub(crate) async fn stop_because(
        &self,
        id: &ServerId,
        reason: StopReason,
    ) -> Result<Option<Arc<Server>>, ServerError> {
        for _ in 0..STOP_TRIES_MAX {
            let Some((server, revision)) = self.0.view.get(id) else { return Ok(None) };
            let mut stopped = (*server).clone();
            if stopped.stop(reason, self.0.clock.now()).is_err() || stopped == *server {
                return Ok(Some(server));
            }
            match self.save(&server, revision, stopped).await {
                Ok(Saved::Done) => {
                    self.nudge(id);
                    return Ok(self.living(id));
                }
                Ok(Saved::Conflict) | Err(DirectoryError::Busy) => tokio::time::sleep(STOP_PAUSE).await,
                Err(error) => return Err(ServerError::Directory(error)),
            }
        }
        Err(ServerError::Busy)
    }
}
