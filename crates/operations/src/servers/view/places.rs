//! Places: what runs is counted, and a place is reserved under the same lock.
//!
//! Limits are held here: whoever starts a server first puts it into the view, under the same lock
//! under which it was counted, so that of many requests at once exactly as many pass as there is
//! room. That is right for the embedded directory, which one node has to itself, and it spans the
//! partitions of a studio's games. With a directory that several nodes share, [`View::choose`] and
//! [`View::plan_pool`] must in addition win a counting document of the studio in the installation's
//! partition; nothing else would change.

use std::{collections::HashMap, sync::Arc};

use greenroom_directory::Revision;
use greenroom_domain::{
    fleet::{self, Availability, Demand, Limit, Limits, Plan, Pool, PoolBounds, Standing},
    placement::{self, Host, NoPlace, Wanted},
    server::{Birth, Server, ServerState},
};
use greenroom_fleet::Phase;
use greenroom_protocol::{GameId, HostId, RegionId, ServerId, StudioId, Timestamp};

use super::{Entry, State, View};

/// What an allocation came to.
pub(crate) enum Choice {
    /// This warm one, at this revision.
    Warm(Arc<Server>, Revision, Hold),
    /// This new one, whose place is reserved.
    Start(Arc<Server>, Hold),
    /// A new one, once this one has been stopped.
    Replace(ServerId, Hold),
    /// After the next change there is one, or room.
    LookAgain,
    LimitReached(Limit),
    NoPlace(NoPlace),
}

/// What a pool needs done.
pub(crate) struct PoolWork {
    pub(crate) start: Vec<(Arc<Server>, Hold)>,
    pub(crate) stop: Vec<ServerId>,
    pub(crate) wake_at: Option<Timestamp>,
}

/// Limits as configured; what runs is counted here.
#[derive(Clone, Copy)]
pub(crate) struct LimitsMax {
    pub(crate) game: u32,
    pub(crate) studio: u32,
}

/// What the living servers of a game have, so that a new one has it not.
pub(crate) struct Taken<'a>(Option<&'a HashMap<ServerId, Entry>>);

/// A reservation or a claim. Given back when dropped; what was committed meanwhile stays.
pub(crate) struct Hold {
    view: Arc<View>,
    id: ServerId,
    is_reservation: bool,
}

/// An allocation that waits for a place, which the pool then leaves to it.
pub(crate) struct Waiting {
    view: Arc<View>,
    game: GameId,
}

impl View {
    /// How many servers there are on each host, starting and stopping ones included.
    pub(crate) fn counts_of_hosts(&self) -> HashMap<HostId, u32> {
        self.state.lock().counts_of_hosts()
    }

    /// Chooses a host for the next try of a server whose last one failed, and keeps its place there
    /// until that has been written down.
    pub(crate) fn place_again(&self, server: &Server, hosts: Vec<Host>) -> Result<Host, NoPlace> {
        let mut state = self.state.lock();
        let hosts = state.counted(hosts);
        let wanted = Wanted { region: &server.birth.region, avoid: Some(&server.birth.host) };
        let host = placement::place(&hosts, wanted)?.clone();
        state.moving.insert(server.id().clone(), host.id.clone());
        Ok(host)
    }

    /// Chooses a server for an allocation and reserves it. `make` makes the document of a new one on
    /// one of `hosts`; it is told whether a name is in use.
    pub(crate) fn choose(
        self: &Arc<Self>,
        game: &GameId,
        studio: &StudioId,
        demand: Demand<'_>,
        max: LimitsMax,
        hosts: Vec<Host>,
        make: impl FnOnce(&Taken<'_>, &Host) -> Server,
    ) -> Choice {
        let mut state = self.state.lock();
        let limits = state.limits(game, studio, max);
        let hosts = state.counted(hosts);
        let place = placement::place(&hosts, Wanted { region: demand.region, avoid: None });
        let demand = Demand { has_place: place.is_ok(), ..demand };
        let hold =
            |id: &ServerId, is_reservation| Hold { view: Arc::clone(self), id: id.clone(), is_reservation };
        let plan = fleet::allocate(state.standings(game), demand, &limits);
        let chosen = match plan {
            Plan::UseWarm(server) | Plan::Replace(server) => server.id().clone(),
            Plan::LimitReached(limit) => return Choice::LimitReached(limit),
            Plan::LookAgain => return Choice::LookAgain,
            Plan::StartNew | Plan::NoPlace => {
                let host = match place {
                    Ok(host) => host,
                    Err(why) => return Choice::NoPlace(why),
                };
                let server = Arc::new(state.reserve(game, |taken| make(taken, host)));
                let hold = hold(server.id(), true);
                return Choice::Start(server, hold);
            }
        };
        let replaces = matches!(plan, Plan::Replace(_));
        let Some(entry) = state.games.get_mut(game).and_then(|servers| servers.get_mut(&chosen)) else {
            unreachable!("the plan chooses among the game's servers");
        };
        let Some(revision) = entry.revision else {
            unreachable!("the plan chooses among committed servers");
        };
        entry.held = true;
        if replaces {
            return Choice::Replace(chosen.clone(), hold(&chosen, false));
        }
        Choice::Warm(Arc::clone(&entry.server), revision, hold(&chosen, false))
    }

    /// Plans a game's pool and reserves places for what it starts.
    pub(crate) fn plan_pool(
        self: &Arc<Self>,
        (game, studio): (&GameId, &StudioId),
        mut pool: Pool,
        max: LimitsMax,
        hosts: &[Host],
        now: Timestamp,
        mut make: impl FnMut(&Taken<'_>, &Host) -> Server,
    ) -> PoolWork {
        let mut state = self.state.lock();
        let limits = state.limits(game, studio, max);
        pool.waiting = state.waiting.get(game).copied().unwrap_or(0);
        let health = state.health.get(game).copied().unwrap_or_default();
        let plan = fleet::plan_pool(state.standings(game), &pool, &limits, &health, now);
        let (start, wake_at) = (plan.start, plan.wake_at);
        let stop: Vec<ServerId> = plan.stop.iter().map(|server| server.id().clone()).collect();
        let mut reserve = |state: &mut State| {
            let hosts = state.counted(hosts.to_vec());
            let region = pool.region.as_ref()?;
            // Without a place it waits: each end of a server and each return of a host is told.
            let host = placement::place(&hosts, Wanted { region, avoid: None }).ok()?;
            let server = Arc::new(state.reserve(game, |taken| make(taken, host)));
            let hold = Hold { view: Arc::clone(self), id: server.id().clone(), is_reservation: true };
            Some((server, hold))
        };
        let start = (0..start).map_while(|_| reserve(&mut state)).collect();
        PoolWork { start, stop, wake_at }
    }

    /// Notes an allocation that a server of the pool of `game` in `region` fits.
    pub(crate) fn asked(&self, game: &GameId, region: &RegionId, now: Timestamp) {
        self.state.lock().demand.entry((game.clone(), region.clone())).or_default().asked(now);
    }

    /// Notes how many servers of a pool stood ready when this node began.
    pub(crate) fn found(&self, game: &GameId, region: &RegionId, count: u32, now: Timestamp) {
        self.state.lock().demand.entry((game.clone(), region.clone())).or_default().found(count, now);
    }

    /// How many servers of `game` are to stand ready in `region`.
    pub(crate) fn wanted(&self, game: &GameId, region: &RegionId, bounds: PoolBounds, now: Timestamp) -> u32 {
        let state = self.state.lock();
        let history = state.demand.get(&(game.clone(), region.clone()));
        history.map_or(bounds.ready_min, |history| history.wanted(bounds, now))
    }

    /// Forgets the demand of places that `is_kept` does not know any more.
    pub(crate) fn forget_demand(&self, is_kept: impl Fn(&GameId, &RegionId) -> bool) {
        self.state.lock().demand.retain(|(game, region), _| is_kept(game, region));
    }

    /// The limit that is reached, unless a warm server can be given or make place.
    pub(crate) fn reached_limit(&self, game: &GameId, studio: &StudioId, max: LimitsMax) -> Option<Limit> {
        let state = self.state.lock();
        let is_left = |standing: Standing<'_>| {
            standing.server.is_warm() && standing.availability != Availability::Never
        };
        let limit = state.limits(game, studio, max).reached();
        limit.filter(|_| !state.standings(game).any(is_left))
    }

    /// Says that an allocation of `game` waits for a place.
    pub(crate) fn wait_for_place(self: &Arc<Self>, game: &GameId) -> Waiting {
        *self.state.lock().waiting.entry(game.clone()).or_default() += 1;
        Waiting { view: Arc::clone(self), game: game.clone() }
    }
}

impl State {
    /// Everything that runs or is reserved, counted afresh: a count that is kept can go wrong.
    fn limits(&self, game: &GameId, studio: &StudioId, max: LimitsMax) -> Limits {
        let limits = self.count(game, studio, max, |entry| !entry.server.state.is_final());
        if limits.reached().is_none() {
            return limits;
        }
        // One that has ended gives its place back at once, however long writing it down takes.
        self.count(game, studio, max, |entry| !entry.server.state.is_final() && !self.has_ended(entry))
    }

    fn count(
        &self,
        game: &GameId,
        studio: &StudioId,
        max: LimitsMax,
        counts: impl Fn(&Entry) -> bool,
    ) -> Limits {
        let mut limits =
            Limits { game_max: max.game, game_running: 0, studio_max: max.studio, studio_running: 0 };
        for (id, servers) in &self.games {
            for entry in servers.values().filter(|entry| counts(entry)) {
                limits.game_running += u32::from(id == game);
                limits.studio_running += u32::from(entry.server.birth.studio == *studio);
            }
        }
        limits
    }

    /// Whether the provider has told the end of a server that is not started again.
    fn has_ended(&self, entry: &Entry) -> bool {
        entry.server.state != ServerState::Starting
            && self
                .instances
                .get(&entry.server.instance())
                .is_some_and(|instance| matches!(instance.phase, Phase::Ended(_)))
    }

    /// Everything that is on a host or about to be, counted afresh.
    fn counts_of_hosts(&self) -> HashMap<HostId, u32> {
        let mut counts = HashMap::new();
        let living = self.games.values().flat_map(HashMap::values);
        for entry in living.filter(|entry| !entry.server.state.is_final()) {
            let host = self.moving.get(entry.server.id()).unwrap_or(&entry.server.birth.host);
            *counts.entry(host.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// `hosts` with what runs on them.
    fn counted(&self, mut hosts: Vec<Host>) -> Vec<Host> {
        // One that has no bound needs no count, nor does the only one.
        if hosts.iter().all(|host| host.servers_max == u32::MAX) && hosts.len() < 2 {
            return hosts;
        }
        let counts = self.counts_of_hosts();
        for host in &mut hosts {
            host.running = counts.get(&host.id).copied().unwrap_or(0);
        }
        hosts
    }

    fn standings(&self, game: &GameId) -> impl Iterator<Item = Standing<'_>> {
        let entries = self.games.get(game).into_iter().flat_map(HashMap::values);
        entries.map(|entry| Standing { server: &entry.server, availability: self.availability(entry) })
    }

    fn availability(&self, entry: &Entry) -> Availability {
        if entry.held {
            return if entry.revision.is_none() { Availability::NotNow } else { Availability::Never };
        }
        if !self.is_reachable(&entry.server) || self.is_paused(&entry.server) {
            return Availability::Never;
        }
        let phase = self.instances.get(&entry.server.instance()).map(|instance| &instance.phase);
        let lives = match (entry.server.state, phase) {
            (ServerState::Starting, phase) => !matches!(phase, Some(Phase::Ended(_))),
            // Nothing but the provider's word that it is ready makes one good enough to give away.
            (_, phase) => matches!(phase, Some(Phase::Ready { .. })),
        };
        if lives { Availability::Free } else { Availability::NotNow }
    }

    fn reserve(&mut self, game: &GameId, make: impl FnOnce(&Taken<'_>) -> Server) -> Server {
        let server = make(&Taken(self.games.get(game)));
        let entry = Entry { server: Arc::new(server.clone()), revision: None, held: true };
        self.game_of.insert(server.id().clone(), game.clone());
        self.games.entry(game.clone()).or_default().insert(server.id().clone(), entry);
        server
    }
}

impl Taken<'_> {
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.births().any(|birth| birth.name == name)
    }

    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.births().any(|birth| birth.code.as_deref() == Some(code))
    }

    fn births(&self) -> impl Iterator<Item = &Birth> {
        self.0.into_iter().flat_map(HashMap::values).map(|entry| &entry.server.birth)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.view.state.lock();
        let Some(game) = state.game_of.get(&self.id).cloned() else { return };
        let entry = state.games.get_mut(&game).and_then(|servers| servers.get_mut(&self.id));
        match entry {
            Some(entry) if !self.is_reservation => entry.held = false,
            Some(entry) if entry.revision.is_none() => state.take(&self.id),
            // Committed: whoever holds it by now is somebody else.
            Some(_) | None => {}
        }
        drop(state);
        self.view.changed();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.view.state.lock();
        let left = state.waiting.get_mut(&self.game).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            state.waiting.remove(&self.game);
        }
        drop(state);
        self.view.changed();
    }
}
