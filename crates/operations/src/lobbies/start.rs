//! The match of a lobby gets its game server.
//!
//! A lobby that is `starting` is the pending effect itself. Whoever sees it carries it out; the
//! match id is the allocation's idempotency key, so doing it twice gives one server.

use std::{collections::HashSet, time::Duration};

use greenroom_domain::{
    lobby::{Command, StartMatch},
    matches::MatchPlace,
};
use greenroom_protocol::{GameId, LobbyId, MatchId, ServerId, hosting::ServerState};
use parking_lot::Mutex;

use super::{Lobbies, LobbyError, inbox::Ask};
use crate::servers::{AllocateRequest, Allocated};

/// What allocations for lobbies name as their caller.
pub(crate) const START_CALLER: &str = "lobby";

/// How often the outcome of an allocation is written to its lobby before it is left to the next
/// start of a node.
const WRITE_TRIES_MAX: u32 = 20;

/// Pause between those tries.
const WRITE_PAUSE: Duration = Duration::from_millis(250);

/// The matches that this node is starting.
#[derive(Default)]
pub(super) struct Starts(Mutex<HashSet<MatchId>>);

impl Lobbies {
    /// Carries out the start that stands in a lobby, unless this node is at it already.
    pub(crate) fn carry_out_start(&self, game: &GameId, lobby: &LobbyId, start: StartMatch) {
        if !self.inner.starts.0.lock().insert(start.match_id.clone()) {
            return;
        }
        let (lobbies, game, lobby) = (self.clone(), game.clone(), lobby.clone());
        self.inner.tracker.spawn(async move {
            let match_id = start.match_id.clone();
            // Cancellation first: the start stands in the lobby and is carried out by the next node.
            tokio::select! {
                biased;
                () = lobbies.inner.shutdown.cancelled() => {}
                () = lobbies.start_match(&game, &lobby, start) => {}
            }
            lobbies.inner.starts.0.lock().remove(&match_id);
        });
    }

    async fn start_match(&self, game: &GameId, lobby: &LobbyId, start: StartMatch) {
        let match_id = start.match_id;
        let request = AllocateRequest {
            game: game.clone(),
            region: None,
            title: None,
            listed: false,
            version: None,
            payload: Some(start.roster.payload()),
            idempotency: Some(match_id.to_string()),
            match_id: Some(match_id.clone()),
            caller: START_CALLER.into(),
            timeout: None,
        };
        match self.inner.servers.allocate(request).await {
            Ok(allocated) if is_usable(&allocated) => {
                let server = allocated.server.id.clone();
                let place = place(allocated);
                let command = Command::AllocationSucceeded { match_id: match_id.clone(), place };
                if let Err(LobbyError::Refused(refusal)) = self.write(game, lobby, command).await {
                    tracing::info!(%game, %lobby, %match_id, %refusal, "nobody waits for the match any more");
                    self.stop_server(game, &server).await;
                }
            }
            Ok(_) => self.start_failed(game, lobby, match_id).await,
            Err(error) => {
                tracing::warn!(%game, %lobby, %match_id, %error, "no game server could be allocated for a lobby");
                self.start_failed(game, lobby, match_id).await;
            }
        }
    }

    async fn start_failed(&self, game: &GameId, lobby: &LobbyId, match_id: MatchId) {
        let failed = self.write(game, lobby, Command::AllocationFailed { match_id }).await;
        if let (Ok(()), Some(tell)) = (failed, self.inner.on_start_failed.get()) {
            tell(game, lobby);
        }
    }

    /// Tells the lobby; tries again while it cannot be written.
    async fn write(&self, game: &GameId, lobby: &LobbyId, command: Command) -> Result<(), LobbyError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.command(game, lobby, Ask::Command(command.clone())).await {
                Ok(_) => return Ok(()),
                Err(LobbyError::Failed(failure)) if tries < WRITE_TRIES_MAX => {
                    tracing::warn!(%game, %lobby, error = ?failure, "the outcome of an allocation waits for its lobby");
                    tokio::time::sleep(WRITE_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The match of a lobby that is gone: its server, if it has one already, is stopped.
    pub(super) fn cancel_start(&self, game: &GameId, match_id: MatchId) {
        // If the allocation is still under way, `start_match` finds the lobby gone and stops it.
        let (lobbies, game) = (self.clone(), game.clone());
        self.inner.tracker.spawn(async move { lobbies.stop_server_of(&game, &match_id).await });
    }

    pub(crate) async fn stop_server_of(&self, game: &GameId, match_id: &MatchId) {
        let servers = self.inner.servers.snapshot(Some(game));
        let of_match = servers.iter().find(|server| {
            server
                .allocation
                .as_ref()
                .is_some_and(|allocation| allocation.match_id.as_ref() == Some(match_id))
        });
        if let Some(server) = of_match {
            self.stop_server(game, server.id()).await;
        }
    }

    async fn stop_server(&self, game: &GameId, server: &ServerId) {
        if let Err(error) = self.inner.servers.stop(game, server).await {
            tracing::warn!(%game, %server, %error, "a game server that nobody needs could not be stopped");
        }
    }
}

fn is_usable(allocated: &Allocated) -> bool {
    allocated.server.state == ServerState::Allocated
}

fn place(allocated: Allocated) -> MatchPlace {
    let server = allocated.server;
    MatchPlace {
        id: server.id,
        name: server.name,
        address: server.address,
        port: server.port.unwrap_or_default(),
    }
}
