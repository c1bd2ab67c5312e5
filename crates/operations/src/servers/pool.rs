//! The warm pools: as many servers standing ready as each game's settings say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use greenroom_directory::{DirectoryError, Expected};
use greenroom_domain::{
    fleet::{Pool, PoolBounds, build_of, demand::LOOK_EVERY},
    placement::Host,
    server::{Server, StopReason},
    settings::{FleetSettings, GameSettings, Settings},
};
use greenroom_protocol::hosting::ServerState;
use greenroom_protocol::{GameId, RegionId, Timestamp};

use super::{
    Servers,
    documents::put_server,
    launch::{Order, regions},
    limits_max,
    places::hosts_of,
    view::{Hold, Taken},
};

/// Pause after a pool could not be changed as planned.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How often a pool whose version is the newest looks which that is.
const VERSION_LOOK_EVERY: Duration = Duration::from_secs(10);

/// What states of servers are counted by `greenroom_servers`.
const STATES: [ServerState; 4] =
    [ServerState::Starting, ServerState::Ready, ServerState::Allocated, ServerState::Stopping];

/// A warm pool as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// Of which game.
    pub game: GameId,
    /// In which region.
    pub region: RegionId,
    /// Between which numbers it follows demand.
    pub bounds: PoolBounds,
    /// How many are to stand ready now.
    pub wanted: u32,
    /// How many do.
    pub ready: u32,
    /// How many start.
    pub starting: u32,
}

/// What the gauges have told of, so that what is gone is told as none.
#[derive(Default)]
struct Counted {
    games: BTreeSet<GameId>,
    pools: BTreeSet<(GameId, RegionId)>,
}

impl Servers {
    /// The warm pools of all games that have a fleet, by game and region.
    pub fn pools(&self) -> Vec<PoolView> {
        let settings = Arc::clone(&self.0.settings.borrow());
        let now = self.0.clock.now();
        let fleets = settings.games.iter().filter_map(|(id, game)| Some((id, game.fleet.as_ref()?)));
        let pool = |(game, fleet, region): (&GameId, &FleetSettings, RegionId)| {
            let bounds = PoolBounds::of(fleet);
            let servers = self.0.view.list(Some(game));
            let warm = servers.iter().filter(|server| server.is_warm() && server.birth.region == region);
            let (ready, starting): (Vec<_>, Vec<_>) =
                warm.partition(|server| server.state == ServerState::Ready);
            PoolView {
                wanted: self.0.view.wanted(game, &region, bounds, now),
                ready: ready.len() as u32,
                starting: starting.len() as u32,
                game: game.clone(),
                region,
                bounds,
            }
        };
        let in_regions = |(game, fleet)| regions(fleet).into_iter().map(move |region| (game, fleet, region));
        fleets.flat_map(in_regions).map(pool).collect()
    }

    /// Plans the pools after each change of a server or of the settings, and when a pause is over.
    pub(crate) async fn keep_pools(&self) {
        let mut changes = self.watch();
        let mut settings = self.0.settings.clone();
        let mut hosts = self.0.machines.host_changes();
        let mut counted = Counted::default();
        loop {
            changes.mark_unchanged();
            settings.mark_unchanged();
            hosts.mark_unchanged();
            self.forget_demand();
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
                changed = hosts.changed() => if changed.is_err() { return },
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
        let regions = regions(fleet);
        for server in self.0.view.list(Some(id)).iter().filter(|server| server.is_warm()) {
            if !regions.contains(&server.birth.region) {
                self.stop_warm(server.id()).await?;
            }
        }
        let mut wakes = Vec::new();
        for region in regions {
            wakes.extend(self.fill_region(settings, game, fleet, region, now).await?);
        }
        Ok(wakes.into_iter().min())
    }

    /// Plans the pool of one region.
    async fn fill_region(
        &self,
        settings: &Settings,
        game: &GameSettings,
        fleet: &FleetSettings,
        region: RegionId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, DirectoryError> {
        let id = &game.id;
        let bounds = PoolBounds::of(fleet);
        let has_pool = bounds.ready_max > 0;
        let version = match self.default_version(id, fleet).await {
            Ok(version) => version,
            Err(why) if has_pool => {
                tracing::debug!(game = %id, why, "a pool waits until its version is known");
                return Ok(Some(now.after(VERSION_LOOK_EVERY)));
            }
            // Of whichever version: none stands ready.
            Err(_) => String::new(),
        };
        let build = build_of(fleet, &version);
        let wanted = self.0.view.wanted(id, &region, bounds, now);
        let pool = Pool { wanted, build: Some(build.clone()), region: Some(region.clone()), waiting: 0 };
        let order =
            Order { game, build, region, version, title: None, is_listed: false, allocation: None, now };
        let mut secrets = Vec::new();
        let make = |taken: &Taken<'_>, host: &Host| {
            let (server, secret) = order.make(taken, host);
            secrets.push((server.instance(), secret));
            server
        };
        let max = limits_max(settings, game, fleet);
        let hosts = hosts_of(settings, fleet, &self.0.machines.hosts());
        let work = self.0.view.plan_pool((id, &game.studio), pool, max, &hosts, now, make);
        self.0.secrets.lock().extend(secrets);
        for server in &work.stop {
            self.stop_warm(server).await?;
        }
        for (server, hold) in work.start {
            self.create_warm(&server, hold).await?;
        }
        // What is above the least falls by itself, as time passes.
        let falls_at = (wanted > bounds.ready_min).then(|| now.after(LOOK_EVERY));
        // Of a newer version nobody tells.
        let looks_at = (fleet.version.is_none() && has_pool).then(|| now.after(VERSION_LOOK_EVERY));
        Ok([work.wake_at, falls_at, looks_at].into_iter().flatten().min())
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

    /// What the pools found when this node began counts as if it had been asked for now, and what was
    /// given away of late as what was asked for: the pools go on as they were.
    pub(crate) fn recall_demand(&self) {
        let settings = Arc::clone(&self.0.settings.borrow());
        let now = self.0.clock.now();
        let mut found: BTreeMap<(GameId, RegionId), u32> = BTreeMap::new();
        let mut asked = Vec::new();
        for server in self.0.view.list(None) {
            let birth = &server.birth;
            let fleet = settings.games.get(&birth.game).and_then(|game| game.fleet.as_ref());
            let is_current = |fleet: &FleetSettings| {
                // Which one is the newest was not looked up yet.
                let version = fleet.version.as_ref().unwrap_or(&birth.version);
                build_of(fleet, version) == birth.build
            };
            if !fleet.is_some_and(is_current) {
                continue;
            }
            let place = (birth.game.clone(), birth.region.clone());
            match &server.allocation {
                Some(allocation) => asked.push((allocation.at, place)),
                None if server.is_warm() => *found.entry(place).or_default() += 1,
                None => {}
            }
        }
        asked.sort_unstable();
        for (at, (game, region)) in asked {
            self.0.view.asked(&game, &region, at);
        }
        for ((game, region), count) in found {
            self.0.view.found(&game, &region, count, now);
        }
    }

    fn forget_demand(&self) {
        let settings = Arc::clone(&self.0.settings.borrow());
        self.0.view.forget_demand(|game, region| {
            let fleet = settings.games.get(game).and_then(|game| game.fleet.as_ref());
            fleet.is_some_and(|fleet| regions(fleet).contains(region))
        });
    }

    fn count(&self, counted: &mut Counted) {
        let counts = self.counts();
        counted.games.extend(counts.keys().cloned());
        for game in &counted.games {
            for state in STATES {
                let count = counts.get(game).and_then(|states| states.get(&state)).copied().unwrap_or(0);
                let labels = [("game", game.to_string()), ("state", state.as_str().to_owned())];
                metrics::gauge!("greenroom_servers", &labels).set(f64::from(count));
            }
        }
        let wanted: BTreeMap<_, _> =
            self.pools().into_iter().map(|pool| ((pool.game, pool.region), pool.wanted)).collect();
        counted.pools.extend(wanted.keys().cloned());
        for place in &counted.pools {
            let labels = [("game", place.0.to_string()), ("region", place.1.to_string())];
            let wanted = wanted.get(place).copied().unwrap_or(0);
            metrics::gauge!("greenroom_pool_wanted", &labels).set(f64::from(wanted));
        }
    }
}
