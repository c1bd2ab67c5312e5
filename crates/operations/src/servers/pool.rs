//! The warm pools: as many servers standing ready as each game's settings say.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use greenroom_directory::{DirectoryError, Expected};
use greenroom_domain::{
    fleet::{Pool, build_of},
    server::{Server, StopReason},
    settings::Settings,
};
use greenroom_protocol::hosting::ServerState;
use greenroom_protocol::{GameId, Timestamp};

use super::{
    Servers,
    documents::put_server,
    launch::{Order, default_region},
    limits_max,
    view::Hold,
};

/// Pause after a pool could not be changed as planned.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// What states of servers are counted by `greenroom_servers`.
const STATES: [ServerState; 4] =
    [ServerState::Starting, ServerState::Ready, ServerState::Allocated, ServerState::Stopping];

impl Servers {
    /// Plans the pools after each change of a server or of the settings, and when a pause is over.
    pub(crate) async fn keep_pools(&self) {
        let mut changes = self.watch();
        let mut settings = self.0.settings.clone();
        let mut counted = BTreeSet::new();
        loop {
            changes.mark_unchanged();
            settings.mark_unchanged();
            let pause = if self.is_draining() { None } else { self.fill_pools().await };
            self.count(&mut counted);
            let timer = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            // A shutdown first: after it nothing more is started.
            tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return,
                changed = settings.changed() => if changed.is_err() { return },
                changed = changes.changed() => if changed.is_err() { return },
                () = timer => {}
            }
        }
    }

    /// Plans every pool once; answers when to look again without being told.
    async fn fill_pools(&self) -> Option<Duration> {
        let settings = Arc::clone(&self.0.settings.borrow());
        let games: BTreeSet<GameId> = settings.games.keys().cloned().chain(self.0.view.games()).collect();
        let mut pauses = Vec::new();
        for game in games {
            match self.fill_pool(&settings, &game).await {
                Ok(due) => {
                    pauses.extend(due.map(|due| due.since(self.0.clock.now()).max(Duration::from_millis(1))));
                }
                Err(error) => {
                    tracing::warn!(%game, %error, "the warm pool could not be changed as planned; it is tried again");
                    pauses.push(RETRY_PAUSE);
                }
            }
        }
        pauses.into_iter().min()
    }

    async fn fill_pool(&self, settings: &Settings, id: &GameId) -> Result<Option<Timestamp>, DirectoryError> {
        let now = self.0.clock.now();
        let game = settings.games.get(id).and_then(|game| Some((game, game.fleet.as_ref()?)));
        let Some((game, fleet)) = game else {
            return self.close_pool(id).await.map(|()| None);
        };
        let (build, region) = (build_of(fleet, &fleet.version), default_region(fleet));
        let pool = Pool {
            ready_min: fleet.ready_min,
            build: Some(build.clone()),
            region: Some(region.clone()),
            waiting: 0,
        };
        let order = Order {
            settings,
            game,
            build,
            region,
            version: fleet.version.clone(),
            title: None,
            allocation: None,
            now,
        };
        let mut secrets = Vec::new();
        let make = |is_taken: &dyn Fn(&str) -> bool| {
            let (server, secret) = order.make(is_taken);
            secrets.push((server.instance(), secret));
            server
        };
        let max = limits_max(settings, game, fleet);
        let work = self.0.view.plan_pool(id, &game.studio, pool, max, now, make);
        self.0.secrets.lock().extend(secrets);
        for server in &work.stop {
            self.stop_warm(server).await?;
        }
        for (server, hold) in work.start {
            self.create_warm(&server, hold).await?;
        }
        Ok(work.wake_at)
    }

    /// A game that has no fleet any more has no pool.
    async fn close_pool(&self, game: &GameId) -> Result<(), DirectoryError> {
        for server in self.0.view.list(Some(game)).iter().filter(|server| server.is_warm()) {
            self.stop_warm(server.id()).await?;
        }
        Ok(())
    }

    async fn stop_warm(&self, id: &greenroom_protocol::ServerId) -> Result<(), DirectoryError> {
        let Some((server, revision)) = self.0.view.get(id) else { return Ok(()) };
        let mut next = (*server).clone();
        // Between the plan and now it may have been given away; then it stays. The commit's
        // condition holds the same against who gives it away at this moment.
        if !server.is_warm() || next.stop(StopReason::Pool, self.0.clock.now()).is_err() {
            return Ok(());
        }
        self.save(&server, revision, next).await?;
        self.nudge(id);
        Ok(())
    }

    async fn create_warm(&self, server: &Server, hold: Hold) -> Result<(), DirectoryError> {
        let changes = vec![put_server(server, Expected::Absent)?];
        let revision = self.commit(server, changes, |_| true).await;
        if let Ok(Some(revision)) = revision {
            self.0.view.apply(server.clone(), revision, self.0.clock.now());
            drop(hold);
            self.nudge(server.id());
        } else {
            self.0.secrets.lock().remove(&server.instance());
            drop(hold);
        }
        revision.map(drop)
    }

    fn count(&self, counted: &mut BTreeSet<GameId>) {
        let counts = self.counts();
        counted.extend(counts.keys().cloned());
        for game in &*counted {
            for state in STATES {
                let count = counts.get(game).and_then(|states| states.get(&state)).copied().unwrap_or(0);
                let labels = [("game", game.to_string()), ("state", state.as_str().to_owned())];
                metrics::gauge!("greenroom_servers", &labels).set(f64::from(count));
            }
        }
    }
}
