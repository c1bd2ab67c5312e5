//! Sees when a match is over without anybody having said so: its server ended, or its time is up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use greenroom_directory::{Document, Notice, Watch};
use greenroom_domain::{
    lobby::Lobby,
    matches::Match,
    server::{Allocation, Server},
};
use greenroom_protocol::{GameId, MatchId, ServerId, Timestamp, hosting::ServerState};

use super::Matches;
use crate::{
    documents::{LOBBY, MATCH, decode},
    failure::Failure,
    lobbies::START_CALLER,
};

/// How often deadlines are looked at, and how soon a failed look is repeated.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

struct Followed {
    server: ServerId,
    until: Timestamp,
}

type Running = BTreeMap<(GameId, MatchId), Followed>;

impl Matches {
    /// Reads which matches run, stops the servers of those that were given up while we were away,
    /// and follows the rest.
    pub(super) async fn follow(&self) -> Result<(), Failure> {
        // Pending starts are carried out meanwhile, and move from their lobby to a match in one step.
        // Read in the order servers, lobbies, matches, each is seen at least once; in any other its
        // server could be taken for nobody's.
        let servers = self.deps.servers.snapshot(None);
        let wanted = self.wanted().await?;
        let mut watch = self.deps.directory.watch(&[MATCH]).await.map_err(Failure::directory)?;
        let mut running = Running::new();
        while let Some(notice) = watch.next().await {
            if notice == Notice::Current {
                break;
            }
            note(notice, &mut running);
        }
        self.stop_orphans(servers, &wanted).await;
        let matches = self.clone();
        self.deps.tracker.spawn(async move {
            let shutdown = matches.deps.shutdown.clone();
            // Cancellation first: what is not ended now is ended by the next node.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = matches.keep_following(watch, running) => {}
            }
        });
        Ok(())
    }

    async fn keep_following(self, mut watch: Watch, mut running: Running) {
        let mut servers = self.deps.servers.watch();
        loop {
            self.end_those_over(&running).await;
            tokio::select! {
                notice = watch.next() => match notice {
                    Some(notice) => note(notice, &mut running),
                    None => return,
                },
                changed = servers.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
            while let Some(notice) = watch.try_next() {
                note(notice, &mut running);
            }
        }
    }

    async fn end_those_over(&self, running: &Running) {
        let now = self.deps.clock.now();
        for ((game, id), followed) in running {
            let server_runs =
                self.deps.servers.living(&followed.server).is_some_and(|server| is_of(&server, id));
            if server_runs && now < followed.until {
                continue;
            }
            if let Err(failure) = self.end(game, id).await {
                tracing::warn!(%game, match_id = %id, error = ?failure, "a match that is over could not be ended yet");
            }
        }
    }

    /// The matches for which a lobby still waits, and those that run. Both are read alike: a watch
    /// shows a new match only when its commit has returned, and by then its lobby may be gone from a list.
    async fn wanted(&self) -> Result<BTreeSet<MatchId>, Failure> {
        let directory = &self.deps.directory;
        let lobbies = directory.list_all(LOBBY).await.map_err(Failure::directory)?;
        let matches = directory.list_all(MATCH).await.map_err(Failure::directory)?;
        let waiting = |document: &Document| decode::<Lobby>(&document.value).ok()?.match_id().cloned();
        let running = |document: &Document| Some(decode::<Match>(&document.value).ok()?.id);
        Ok(lobbies.iter().filter_map(waiting).chain(matches.iter().filter_map(running)).collect())
    }

    /// Stops those of `servers` that were allocated for a lobby which was gone before its match began.
    async fn stop_orphans(&self, servers: Vec<Arc<Server>>, wanted: &BTreeSet<MatchId>) {
        for server in servers.into_iter().filter(|server| server.state < ServerState::Stopping) {
            let Some(allocation) = server.allocation.as_ref().filter(|one| one.by == START_CALLER) else {
                continue;
            };
            let Some(match_id) = &allocation.match_id else { continue };
            let game = &server.birth.game;
            if !wanted.contains(match_id) {
                tracing::info!(%game, %match_id, server = %server.id(), "no lobby waits for this game server any more");
                self.deps.lobbies.stop_server_of(game, match_id).await;
            }
        }
    }
}

/// Whether the server still is the match's: it lives, and has not become free for others.
fn is_of(server: &Server, id: &MatchId) -> bool {
    let of_another = |own: &Allocation| own.match_id.as_ref().is_some_and(|own| own != id);
    !server.state.is_final() && !server.is_warm() && !server.allocation.as_ref().is_some_and(of_another)
}

fn note(notice: Notice, running: &mut Running) {
    match notice {
        Notice::Put(document) => match decode::<Match>(&document.value) {
            Ok(one) => {
                running.insert((one.game, one.id), Followed { server: one.server.id, until: one.keep_until });
            }
            Err(failure) => {
                tracing::error!(id = %document.key.id, error = ?failure, "a match cannot be read");
            }
        },
        Notice::Deleted { key, .. } => {
            if let (Ok(game), Ok(id)) = (GameId::new(key.partition.as_str()), MatchId::new(&key.id)) {
                running.remove(&(game, id));
            }
        }
        Notice::Current => {}
    }
}
