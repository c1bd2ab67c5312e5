//! A game server for somebody: a warm one, or a new one.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use greenroom_directory::{DirectoryError, Expected};
use greenroom_domain::{
    fleet::{Demand, Limit, build_of, takes_listed, takes_title},
    placement::Host,
    server::{Allocation, Server, StopReason, backoff},
    settings::{FleetSettings, GameSettings, Settings},
};
use greenroom_protocol::{
    BuildId, GameId, MatchId, RegionId, ServerId, Timestamp,
    hosting::{PAYLOAD_BYTES_MAX, ServerState, ServerView},
};
use tokio::{sync::oneshot, time::Instant};

use super::{
    ALLOCATE_MAX, AllocateError, Servers,
    documents::put_server,
    drive::RETRY_MIN,
    idempotency::{Found, RequestKey},
    launch::{Order, default_region},
    limits_max,
    places::hosts_of,
    view::{Choice, Hold, Taken},
};
use greenroom_domain::server::{Exit, ExitCause, Seen};

/// What a try takes beside the server's own time on a machine that is busy: until the server runs, and
/// from its end until that is written down. Whoever waits longer than the try learns why it failed.
const OWN_TIME_MAX: Duration = Duration::from_secs(10);

/// How many servers may die under one allocation before it gives up.
const ROUNDS_MAX: u32 = 16;

/// Pause before an allocation looks again after somebody else was quicker.
const CONFLICT_PAUSE: Duration = Duration::from_millis(1);

/// What a caller that got none is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Most characters of an unknown region that are repeated.
const REGION_CHARS_MAX: usize = 64;

/// A server is asked for.
#[derive(Clone, Debug)]
pub struct AllocateRequest {
    /// Of which game.
    pub game: GameId,
    /// Where; the fleet's default region if none is named.
    pub region: Option<String>,
    /// The text that a player gave it.
    pub title: Option<String>,
    /// Whether the server browser shows it.
    pub listed: bool,
    /// Which version; the fleet's if none is named.
    pub version: Option<String>,
    /// What the server is told, byte for byte.
    pub payload: Option<String>,
    /// The same key gives the same server, for 24 hours.
    pub idempotency: Option<String>,
    /// The match it is for.
    pub match_id: Option<MatchId>,
    /// Who asks, for the record: an API key, a lobby, an administrator.
    pub caller: String,
    /// How long the caller waits at the longest; unset: as long as the fleet's settings say.
    pub timeout: Option<Duration>,
}

/// A server that was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocated {
    /// It, ready for players; for a repeated request, as it is by now.
    pub server: ServerView,
    /// Whether an earlier request with the same key got it.
    pub is_repeat: bool,
}

/// A request that was checked, with what it means under the present settings.
struct Ask {
    request: AllocateRequest,
    settings: Arc<Settings>,
    game: GameSettings,
    fleet: FleetSettings,
    region: RegionId,
    version: String,
    build: BuildId,
    key: Option<RequestKey>,
    deadline: Instant,
}

enum Waited {
    Given(Arc<Server>),
    Failed { why: Option<String> },
    NoPort { why: String },
    Late,
    Closing,
}

impl Servers {
    /// Gives a server, and answers when it accepts players and has its payload.
    ///
    /// The work is done to its end even if the caller goes away: with a key, the caller finds the
    /// server by asking again; without one, nobody could know of it, and it is stopped.
    pub async fn allocate(&self, request: AllocateRequest) -> Result<Allocated, AllocateError> {
        let began = Instant::now();
        let ask = self.check(request).await?;
        let (answer, answered) = oneshot::channel();
        let servers = self.clone();
        let game = ask.game.id.clone();
        self.0.tracker.spawn(async move {
            let result = servers.carry_out(&ask).await;
            let unheard = answer.send(result).err();
            if let Some(Ok(allocated)) = unheard
                && ask.key.is_none()
            {
                servers.abandon(&allocated.server.id).await;
            }
        });
        let result = answered.await.unwrap_or(Err(AllocateError::Closing));
        let outcome = match &result {
            Ok(allocated) if allocated.is_repeat => "repeat",
            Ok(_) => {
                self.0.handed_out.fetch_add(1, Ordering::Relaxed);
                "ok"
            }
            Err(error) => error.code().as_str(),
        };
        let labels = [("game", game.to_string()), ("outcome", outcome.to_owned())];
        metrics::counter!("greenroom_server_allocations_total", &labels).increment(1);
        metrics::histogram!("greenroom_server_allocation_seconds", &labels).record(began.elapsed());
        result
    }

    /// The limit because of which no server of `game` can be given at the moment, if there is one.
    /// Whoever allocates is held to it all the same: this is to refuse early.
    pub fn reached_limit(&self, game: &GameId) -> Option<Limit> {
        let (settings, game) = self.game(game)?;
        let max = limits_max(&settings, &game, game.fleet.as_ref()?);
        self.0.view.reached_limit(&game.id, &game.studio, max)
    }

    async fn check(&self, request: AllocateRequest) -> Result<Ask, AllocateError> {
        let (settings, game) = self.game(&request.game).ok_or(AllocateError::NoSuchGame)?;
        let fleet = game.fleet.clone().ok_or(AllocateError::NoFleet)?;
        let region = match &request.region {
            None => default_region(&fleet),
            Some(asked) => {
                let known = fleet.regions.iter().find(|region| region.as_str() == asked);
                known.cloned().ok_or_else(|| AllocateError::UnknownRegion {
                    region: asked.chars().take(REGION_CHARS_MAX).collect(),
                    regions: fleet.regions.clone(),
                })?
            }
        };
        let bytes = request.payload.as_ref().map_or(0, String::len);
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(AllocateError::PayloadTooLarge(bytes));
        }
        let key = RequestKey::of(&request)?;
        let version = match &request.version {
            Some(version) => self.tag_of(&fleet, version).await,
            None => self.default_version(&game.id, &fleet).await.map_err(|why| no_server(Some(why)))?,
        };
        let build = build_of(&fleet, &version);
        let pull = fleet.provider.container().map_or(Duration::ZERO, |_| self.0.images.pull_timeout());
        let longest = longest(&fleet).saturating_add(pull).min(ALLOCATE_MAX);
        let wait = request.timeout.unwrap_or(ALLOCATE_MAX).min(longest);
        let deadline = Instant::now() + wait;
        Ok(Ask { request, settings, game, fleet, region, version, build, key, deadline })
    }

    async fn carry_out(&self, ask: &Ask) -> Result<Allocated, AllocateError> {
        let _turn = match &ask.key {
            None => None,
            Some(key) => {
                let turn = self.0.in_flight.turn(&ask.game.id, key);
                // The first one's answer is waited for as long as an own start would be.
                let waited = tokio::time::timeout_at(ask.deadline, turn).await;
                Some(waited.map_err(|_| no_server(None))??)
            }
        };
        let mut dead = None;
        let mut why = None;
        let mut rounds = 0;
        while rounds < ROUNDS_MAX && Instant::now() < ask.deadline {
            if self.is_draining() || self.0.shutdown.is_cancelled() {
                return Err(AllocateError::Closing);
            }
            let expected = match &ask.key {
                None => Expected::Absent,
                Some(key) => match self.find_by_key(&ask.game.id, key, dead.as_ref()).await? {
                    Found::Vacant(expected) => expected,
                    Found::Given(server) => return Ok(Allocated { server: *server, is_repeat: true }),
                    Found::OnItsWay(id) => return self.wait_for_repeat(&id, ask).await,
                },
            };
            let Some((id, was_warm)) = self.take(ask, expected).await? else { continue };
            rounds += 1;
            match self.wait_until_given(&id, ask.deadline).await {
                // It may have died since its payload was handed over; then another one is taken.
                Waited::Given(server) => {
                    if !self.wait_for_route(&server, ask.deadline).await {
                        self.give_up(&id).await;
                        why = Some("Traefik did not learn of it in time".to_owned());
                        break;
                    }
                    if self.is_alive(&server).await {
                        return Ok(Allocated { server: self.shown(&server), is_repeat: false });
                    }
                    why = Some("it ended as soon as it was ready".to_owned());
                    dead = Some(id);
                }
                Waited::Failed { why: reason } => {
                    why = reason;
                    if !was_warm {
                        break;
                    }
                }
                Waited::NoPort { why } => return Err(no_port(why)),
                Waited::Late => {
                    self.give_up(&id).await;
                    why = why.or_else(|| Some("it was not ready in time".to_owned()));
                    break;
                }
                Waited::Closing => return Err(AllocateError::Closing),
            }
        }
        Err(no_server(why))
    }

    /// Takes a server and commits that it is this allocation's. `None`: somebody was quicker, or a
    /// place has been made; look again. Tells whether it was a warm one.
    async fn take(&self, ask: &Ask, expected: Expected) -> Result<Option<(ServerId, bool)>, AllocateError> {
        let now = self.0.clock.now();
        let allocation = Allocation {
            id: uuid::Uuid::new_v4().to_string(),
            idempotency: ask.key.as_ref().map(|key| key.id.clone()),
            payload: ask.request.payload.clone().unwrap_or_default(),
            payload_delivered: false,
            match_id: ask.request.match_id.clone(),
            at: now,
            by: ask.request.caller.clone(),
        };
        let order = Order {
            game: &ask.game,
            build: ask.build.clone(),
            region: ask.region.clone(),
            version: ask.version.clone(),
            title: ask.request.title.clone(),
            is_listed: ask.request.listed,
            allocation: Some(allocation.clone()),
            now,
        };
        let demand = Demand {
            build: &ask.build,
            region: &ask.region,
            warm_fits: (ask.request.title.is_none() || !takes_title(&ask.fleet))
                && !(ask.request.listed && takes_listed(&ask.fleet)),
            // The view sees to it.
            has_place: true,
        };
        let mut new_secret = None;
        let make = |taken: &Taken<'_>, host: &Host| {
            let (server, secret) = order.make(taken, host);
            new_secret = Some(secret);
            server
        };
        let max = limits_max(&ask.settings, &ask.game, &ask.fleet);
        let hosts = hosts_of(&ask.settings, &ask.fleet, &self.0.machines.hosts());
        // Subscribed before looking, so that no change in between is slept through.
        let mut changes = self.watch();
        let (server, server_expected, hold, was_warm) =
            match self.0.view.choose(&ask.game.id, &ask.game.studio, demand, max, hosts, make) {
                Choice::LimitReached(limit) => return Err(AllocateError::LimitReached(limit)),
                Choice::NoPlace(why) => {
                    return Err(AllocateError::NoPlace { why, retry_after: RETRY_AFTER });
                }
                Choice::LookAgain => {
                    // A shutdown first: nothing was begun.
                    tokio::select! {
                        biased;
                        () = self.0.shutdown.cancelled() => return Err(AllocateError::Closing),
                        _ = changes.changed() => return Ok(None),
                        () = tokio::time::sleep_until(ask.deadline) => return Err(no_server(None)),
                    }
                }
                Choice::Replace(id, hold) => {
                    self.make_place(ask, &id, hold).await?;
                    return Ok(None);
                }
                Choice::Start(server, hold) => ((*server).clone(), Expected::Absent, hold, false),
                Choice::Warm(server, revision, hold) => {
                    let mut server = (*server).clone();
                    if server.allocate(allocation.clone(), now).is_err() {
                        return Ok(None);
                    }
                    // It was started without knowing whose it would be.
                    server.birth.title = ask.request.title.clone().or(server.birth.title);
                    server.birth.is_listed = ask.request.listed;
                    (server, Expected::At(revision), hold, true)
                }
            };
        if let Some(secret) = new_secret {
            self.0.secrets.lock().insert(server.instance(), secret);
        }
        let is_taken = self.commit_taken(ask, &server, server_expected, expected, &allocation.id).await;
        let (id, was_ready) = (server.id().clone(), server.state == ServerState::Allocated);
        match is_taken {
            Ok(Some(revision)) => {
                self.note_demand(ask, demand, was_ready, now);
                self.0.view.apply(server, revision, self.0.clock.now());
                drop(hold);
                self.nudge(&id);
                Ok(Some((id, was_warm)))
            }
            failed => {
                self.0.secrets.lock().remove(&server.instance());
                drop(hold);
                failed.map_err(AllocateError::Directory)?;
                tokio::time::sleep(CONFLICT_PAUSE).await;
                Ok(None)
            }
        }
    }

    /// Tells the pool of an allocation that its servers fit, whether it had one or not.
    fn note_demand(&self, ask: &Ask, demand: Demand<'_>, was_ready: bool, now: Timestamp) {
        if demand.warm_fits && self.is_default_version(&ask.game.id, &ask.fleet, &ask.version) {
            self.0.view.asked(&ask.game.id, &ask.region, now);
        }
        let from = if was_ready { "pool" } else { "start" };
        let labels = [
            ("game", ask.game.id.to_string()),
            ("region", ask.region.to_string()),
            ("from", from.to_owned()),
        ];
        metrics::counter!("greenroom_servers_taken_total", &labels).increment(1);
    }

    async fn commit_taken(
        &self,
        ask: &Ask,
        server: &Server,
        server_expected: Expected,
        key_expected: Expected,
        allocation: &str,
    ) -> Result<Option<greenroom_directory::Revision>, DirectoryError> {
        let mut changes = vec![put_server(server, server_expected)?];
        if let Some(key) = &ask.key {
            changes.push(key.put(server.id(), key_expected)?);
        }
        let is_ours = |found: &Server| found.allocation.as_ref().is_some_and(|given| given.id == allocation);
        self.commit(server, changes, is_ours).await
    }

    /// Stops a warm server that does not fit, and waits until its place is free.
    async fn make_place(&self, ask: &Ask, id: &ServerId, hold: Hold) -> Result<(), AllocateError> {
        let _waiting = self.0.view.wait_for_place(&ask.game.id);
        let mut changes = self.watch();
        match self.stop_because(id, StopReason::Pool).await {
            Ok(_) => {}
            Err(super::ServerError::Directory(error)) => return Err(AllocateError::Directory(error)),
            Err(_) => tokio::time::sleep(RETRY_MIN).await,
        }
        drop(hold);
        loop {
            changes.mark_unchanged();
            if self.living(id).is_none_or(|server| server.state.is_final()) {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return Err(AllocateError::Closing),
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(ask.deadline) => return Err(no_server(None)),
            }
        }
    }

    async fn wait_for_repeat(&self, id: &ServerId, ask: &Ask) -> Result<Allocated, AllocateError> {
        match self.wait_until_given(id, ask.deadline).await {
            Waited::Given(server) => {
                if !self.wait_for_route(&server, ask.deadline).await {
                    return Err(no_server(Some("Traefik did not learn of it in time".to_owned())));
                }
                Ok(Allocated { server: self.shown(&server), is_repeat: true })
            }
            Waited::Failed { why } => Err(no_server(why)),
            Waited::NoPort { why } => Err(no_port(why)),
            Waited::Late => Err(no_server(Some("it was not ready in time".to_owned()))),
            Waited::Closing => Err(AllocateError::Closing),
        }
    }

    async fn wait_until_given(&self, id: &ServerId, deadline: Instant) -> Waited {
        let mut changes = self.watch();
        let mut last: Option<Exit> = None;
        loop {
            changes.mark_unchanged();
            let Some(server) = self.living(id) else { return Waited::failed(last.as_ref()) };
            last = server.exit.clone().or(last);
            if server.was_given() {
                return Waited::Given(server);
            }
            if server.state >= ServerState::Stopping {
                return Waited::failed(last.as_ref());
            }
            // A shutdown first; what was begun goes on after the next start.
            tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return Waited::Closing,
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(deadline) => return Waited::Late,
            }
        }
    }

    /// Asks the provider itself: what the view knows may be a moment old.
    async fn is_alive(&self, server: &Server) -> bool {
        let instance = server.instance();
        match self.0.machines.newest(&instance).await {
            Ok(Some(newest)) => self.0.view.note(&newest),
            Ok(None) => self.0.view.note_missing(&instance),
            Err(error) => {
                tracing::debug!(%instance, %error, "the provider does not answer; its last word counts");
            }
        }
        let seen = self.0.view.seen(server);
        if seen == Seen::Unreachable {
            // Its caller is given another one and never learns of it: it ends when its host is back.
            if let Err(error) = self.stop_because(server.id(), StopReason::HostLost).await {
                tracing::warn!(server = %server.id(), %error, "a game server on a lost host could not be told to stop");
            }
        } else if seen != Seen::Ready {
            self.nudge(server.id());
        }
        seen == Seen::Ready
    }

    async fn give_up(&self, id: &ServerId) {
        if let Err(error) = self.stop_because(id, StopReason::Deadline).await {
            tracing::warn!(server = %id, %error, "a game server that came too late could not be told to stop");
        }
    }

    async fn abandon(&self, id: &ServerId) {
        tracing::info!(server = %id, "whoever asked for a game server went away; it is stopped");
        if let Err(error) = self.stop_because(id, StopReason::Abandoned).await {
            tracing::warn!(server = %id, %error, "an abandoned game server could not be told to stop");
        }
    }
}

impl Waited {
    fn failed(last: Option<&Exit>) -> Self {
        match last.map(|exit| (exit, &exit.cause)) {
            Some((_, ExitCause::NoPort(why))) => Self::NoPort { why: why.clone() },
            Some((exit, _)) => Self::Failed { why: Some(exit.sentence()) },
            None => Self::Failed { why: None },
        }
    }
}

/// All tries, each with its time and the pause before it.
fn longest(fleet: &FleetSettings) -> Duration {
    let tries = fleet.start_tries_max.max(1);
    let starts = (fleet.ready_timeout + fleet.stop_grace + OWN_TIME_MAX).saturating_mul(tries);
    let pauses: Duration = (1..tries.min(64)).map(backoff).sum();
    starts.saturating_add(pauses).min(ALLOCATE_MAX)
}

fn no_port(why: String) -> AllocateError {
    AllocateError::NoPort { why, retry_after: RETRY_AFTER }
}

fn no_server(why: Option<String>) -> AllocateError {
    AllocateError::NoServer { why, retry_after: RETRY_AFTER }
}
