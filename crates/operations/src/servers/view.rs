//! The node's picture of all servers: their documents as the watch told them, what the provider
//! sees, and what this node has reserved and not yet committed.
//!
//! Limits are held here: whoever starts a server first puts it into the view, under the same lock
//! under which it was counted, so that of many requests at once exactly as many pass as there is
//! room. That is right for the embedded directory, which one node has to itself, and it spans the
//! partitions of a studio's games. With a directory that several nodes share, [`View::choose`] and
//! [`View::plan_pool`] must in addition win a counting document of the studio in the installation's
//! partition; nothing else would change.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use greenroom_directory::Revision;
use greenroom_domain::{
    fleet::{
        self, Availability, Demand, DemandHistory, Limit, Limits, Plan, Pool, PoolBounds, PoolHealth,
        Standing,
    },
    placement::{self, Host, NoPlace, Wanted},
    server::{Birth, Seen, Server, ServerPort, ServerState},
};
use greenroom_fleet::{HostStatus, Observed, Phase};
use greenroom_protocol::{GameId, HostId, RegionId, ServerId, StudioId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::machines;

/// How many deleted servers are remembered, so that a late word on one does not bring it back.
const REMOVED_MAX: usize = 4_096;

pub(crate) struct View {
    state: Mutex<State>,
    /// Counts the changes; who waits for something looks again after each.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    games: HashMap<GameId, HashMap<ServerId, Entry>>,
    game_of: HashMap<ServerId, GameId>,
    /// The servers that paths name, by game and code.
    codes: HashMap<GameId, HashMap<String, ServerId>>,
    /// Cancelled when the server has ended; of those that somebody waits for.
    ends: HashMap<ServerId, CancellationToken>,
    removed: HashSet<ServerId>,
    removed_order: VecDeque<ServerId>,
    instances: HashMap<ServerId, Instance>,
    /// Hosts that cannot be asked at the moment.
    lost: HashSet<HostId>,
    /// Where the next try of a server goes whose last one is just being written down as failed.
    moving: HashMap<ServerId, HostId>,
    /// Grows with each word of the provider, so that a list that was asked for before it can be
    /// told to be older.
    words: u64,
    waiting: HashMap<GameId, u32>,
    health: HashMap<GameId, PoolHealth>,
    /// Only of regions that a game's settings name.
    demand: HashMap<(GameId, RegionId), DemandHistory>,
}

struct Entry {
    server: Arc<Server>,
    /// None while its first commit is under way.
    revision: Option<Revision>,
    /// Somebody here is about to take or to stop it.
    held: bool,
}

struct Instance {
    phase: Phase,
    ports: Vec<ServerPort>,
    /// Where it is reached from here, and connects from.
    address: Option<IpAddr>,
    public_address: Option<String>,
    is_host_reachable: bool,
    /// Somebody has paused its container.
    is_paused: bool,
    /// It had its payload before it ran.
    has_payload: bool,
    word: u64,
}

/// Where an instance is reached.
pub(crate) enum Reached {
    /// From here, at the ports that it binds.
    Here(IpAddr),
    /// From everywhere, at its public ports: we know of no other way.
    Publicly(String),
}

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
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changes: watch::Sender::new(0) })
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes in a document's state, unless a newer one is known. Tells whether it was news.
    pub(crate) fn apply(&self, server: Server, revision: Revision, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        if state.removed.contains(server.id()) {
            return false;
        }
        let (id, game) = (server.id().clone(), server.birth.game.clone());
        let old = state.games.get(&game).and_then(|servers| servers.get(&id));
        if old.is_some_and(|entry| entry.revision.is_some_and(|known| known >= revision)) {
            return false;
        }
        // A reservation ends with its commit: from here on the server can be given away.
        let held = old.is_some_and(|entry| entry.held && entry.revision.is_some());
        // Under the same lock, so that no plan sees a warm server's end without what it says of the pool.
        let end = old.filter(|entry| entry.server.is_warm()).and_then(|entry| match server.state {
            ServerState::Ended | ServerState::Lost => Some(true),
            ServerState::Ready if entry.server.state == ServerState::Starting => Some(false),
            _ => None,
        });
        let old_starting = old
            .filter(|entry| entry.server.state == ServerState::Starting)
            .map(|entry| entry.server.birth.created_at);
        match end {
            // Nobody asked for this end: whatever its status, starting the next at once would spin.
            Some(true) => state.health.entry(game.clone()).or_default().failed(now),
            Some(false) => state.health.entry(game.clone()).or_default().became_ready(),
            None => {}
        }
        // Only the first try tells how long a start takes; what was given up before it does not.
        let took = old_starting
            .filter(|_| server.tries == 1)
            .and_then(|created_at| Some(server.ready_at?.since(created_at)));
        if let Some(took) = took {
            let place = (game.clone(), server.birth.region.clone());
            state.demand.entry(place).or_default().became_ready(took);
        }
        state.moving.remove(&id);
        if server.state.is_final() {
            state.end(&id);
        } else if let Some(code) = &server.birth.code {
            state.codes.entry(game.clone()).or_default().insert(code.clone(), id.clone());
        }
        state.game_of.insert(id.clone(), game.clone());
        let entry = Entry { server: Arc::new(server), revision: Some(revision), held };
        state.games.entry(game).or_default().insert(id, entry);
        drop(state);
        self.changed();
        true
    }

    /// Takes in that a document is gone. Its id never comes back.
    pub(crate) fn remove(&self, id: &ServerId) {
        let mut state = self.state.lock();
        state.take(id);
        state.moving.remove(id);
        if state.removed.insert(id.clone()) {
            state.removed_order.push_back(id.clone());
            if state.removed_order.len() > REMOVED_MAX
                && let Some(oldest) = state.removed_order.pop_front()
            {
                state.removed.remove(&oldest);
            }
        }
        drop(state);
        self.changed();
    }

    /// The newest known document; one that is not yet committed is not told.
    pub(crate) fn get(&self, id: &ServerId) -> Option<(Arc<Server>, Revision)> {
        let state = self.state.lock();
        let entry = state.entry(id)?;
        Some((Arc::clone(&entry.server), entry.revision?))
    }

    /// All committed documents, or those of one game.
    pub(crate) fn list(&self, game: Option<&GameId>) -> Vec<Arc<Server>> {
        let state = self.state.lock();
        let of_game = |(id, _): &(&GameId, _)| game.is_none_or(|game| *id == game);
        let entries = state.games.iter().filter(of_game).flat_map(|(_, servers)| servers.values());
        entries.filter(|entry| entry.revision.is_some()).map(|entry| Arc::clone(&entry.server)).collect()
    }

    /// Every game that has servers.
    pub(crate) fn games(&self) -> Vec<GameId> {
        self.state
            .lock()
            .games
            .iter()
            .filter(|(_, servers)| !servers.is_empty())
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Takes in what the provider says. It never goes back from an end.
    pub(crate) fn note(&self, observed: &Observed) {
        let mut state = self.state.lock();
        state.words += 1;
        let word = state.words;
        let ports = machines::ports(&observed.ports);
        if let Some(known) = state.instances.get_mut(&observed.id) {
            known.word = word;
            known.is_host_reachable = observed.is_host_reachable;
            known.is_paused = observed.is_paused;
            if rank(&observed.phase) >= rank(&known.phase) {
                known.phase = observed.phase.clone();
                known.ports = ports;
                known.address = observed.address;
                known.public_address.clone_from(&observed.public_address);
            }
        } else {
            let instance = Instance {
                phase: observed.phase.clone(),
                ports,
                address: observed.address,
                public_address: observed.public_address.clone(),
                is_host_reachable: observed.is_host_reachable,
                is_paused: observed.is_paused,
                has_payload: false,
                word,
            };
            state.instances.insert(observed.id.clone(), instance);
        }
        drop(state);
        // A waiter may check whether a server that was given to it still lives.
        self.changed();
    }

    /// Takes in that the provider started an instance.
    pub(crate) fn note_started(&self, id: &ServerId, ports: Vec<ServerPort>, has_payload: bool) {
        let mut state = self.state.lock();
        state.words += 1;
        let word = state.words;
        let instance = state.instances.entry(id.clone()).or_insert(Instance {
            phase: Phase::Starting,
            ports: Vec::new(),
            address: None,
            public_address: None,
            is_host_reachable: true,
            is_paused: false,
            has_payload,
            word,
        });
        instance.ports = ports;
        instance.has_payload = has_payload;
        instance.word = word;
    }

    /// Takes in that the provider knows nothing of an instance.
    pub(crate) fn note_missing(&self, id: &ServerId) {
        self.state.lock().instances.remove(id);
    }

    /// How many words the provider has given.
    pub(crate) fn words(&self) -> u64 {
        self.state.lock().words
    }

    /// Takes in a complete list that was asked for after `words` words: what is not in it and was
    /// not spoken of since is gone.
    pub(crate) fn note_list(&self, list: &[Observed], words: u64) {
        for observed in list {
            self.note(observed);
        }
        let listed: HashSet<&ServerId> = list.iter().map(|observed| &observed.id).collect();
        self.state.lock().instances.retain(|id, instance| instance.word > words || listed.contains(id));
    }

    /// Takes in which hosts can be asked. To be told before a list that was asked for later, so that
    /// what is missing in that one is missing on a host that could be asked.
    pub(crate) fn note_hosts(&self, hosts: &[HostStatus]) {
        let lost = hosts.iter().filter(|host| !host.state.is_up()).map(|host| host.id.clone()).collect();
        let is_news = {
            let mut state = self.state.lock();
            let is_news = state.lost != lost;
            state.lost = lost;
            is_news
        };
        if is_news {
            self.changed();
        }
    }

    /// What the provider last said of a server's present try.
    pub(crate) fn seen(&self, server: &Server) -> Seen {
        let state = self.state.lock();
        let known = state.instances.get(&server.instance());
        let has_ended = known.is_some_and(|known| matches!(known.phase, Phase::Ended(_)));
        if !has_ended && !state.is_reachable(server) {
            return Seen::Unreachable;
        }
        known.map_or(Seen::Missing, |known| machines::seen(&known.phase))
    }

    /// Whether the host of a server can be asked.
    pub(crate) fn is_host_reachable(&self, server: &Server) -> bool {
        self.state.lock().is_reachable(server)
    }

    /// Whether somebody has paused the container of a server.
    pub(crate) fn is_paused(&self, server: &Server) -> bool {
        self.state.lock().is_paused(server)
    }

    /// The address that its host says an instance is reached at.
    pub(crate) fn public_address(&self, instance: &ServerId) -> Option<String> {
        self.state.lock().instances.get(instance)?.public_address.clone()
    }

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

    /// The ports of an instance.
    pub(crate) fn ports(&self, instance: &ServerId) -> Vec<ServerPort> {
        self.state.lock().instances.get(instance).map(|known| known.ports.clone()).unwrap_or_default()
    }

    /// Where an instance is reached from here, if that is known.
    pub(crate) fn address(&self, instance: &ServerId) -> Option<IpAddr> {
        self.state.lock().instances.get(instance)?.address
    }

    /// Whether an instance had its payload before it ran.
    pub(crate) fn has_payload(&self, instance: &ServerId) -> bool {
        self.state.lock().instances.get(instance).is_some_and(|known| known.has_payload)
    }

    /// The server of `game` that paths name `code`, and where we reach its instance. Only one that is
    /// ready for players has an address.
    pub(crate) fn of_code(&self, game: &GameId, code: &str) -> Option<(Arc<Server>, Option<IpAddr>)> {
        let state = self.state.lock();
        let entry = state.entry(state.codes.get(game)?.get(code)?)?;
        entry.revision?;
        Some((Arc::clone(&entry.server), state.address(&entry.server)))
    }

    /// Where an instance is reached that has not ended, and its ports.
    pub(crate) fn reached_at(&self, instance: &ServerId) -> Option<(Reached, Vec<ServerPort>)> {
        let state = self.state.lock();
        let known = state.instances.get(instance).filter(|known| !matches!(known.phase, Phase::Ended(_)))?;
        let public = || known.public_address.clone().map(Reached::Publicly);
        Some((known.address.map(Reached::Here).or_else(public)?, known.ports.clone()))
    }

    /// Is cancelled once the server has ended.
    pub(crate) fn end_of(&self, id: &ServerId) -> CancellationToken {
        let mut state = self.state.lock();
        let lives = state.entry(id).is_some_and(|entry| !entry.server.state.is_final());
        if lives {
            return state.ends.entry(id.clone()).or_default().clone();
        }
        drop(state);
        let ended = CancellationToken::new();
        ended.cancel();
        ended
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

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl State {
    fn entry(&self, id: &ServerId) -> Option<&Entry> {
        self.games.get(self.game_of.get(id)?)?.get(id)
    }

    fn address(&self, server: &Server) -> Option<IpAddr> {
        let instance = self.instances.get(&server.instance())?;
        let is_open = matches!(server.state, ServerState::Ready | ServerState::Allocated);
        instance.address.filter(|_| is_open && matches!(instance.phase, Phase::Ready { .. }))
    }

    fn end(&mut self, id: &ServerId) {
        if let Some(ended) = self.ends.remove(id) {
            ended.cancel();
        }
    }

    fn take(&mut self, id: &ServerId) {
        self.end(id);
        let Some(game) = self.game_of.remove(id) else { return };
        if let Some(servers) = self.games.get_mut(&game) {
            let entry = servers.remove(id);
            let code = entry.as_ref().and_then(|entry| entry.server.birth.code.as_ref());
            // A later server may have the code by now.
            if let Some(codes) = self.codes.get_mut(&game)
                && let Some(code) = code
                && codes.get(code) == Some(id)
            {
                codes.remove(code);
            }
            if servers.is_empty() {
                self.games.remove(&game);
                self.codes.remove(&game);
            }
        }
    }

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

    fn is_reachable(&self, server: &Server) -> bool {
        let instance = self.instances.get(&server.instance());
        !self.lost.contains(&server.birth.host) && instance.is_none_or(|known| known.is_host_reachable)
    }

    fn is_paused(&self, server: &Server) -> bool {
        self.instances.get(&server.instance()).is_some_and(|known| known.is_paused)
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

fn rank(phase: &Phase) -> u8 {
    match phase {
        Phase::Starting => 0,
        Phase::Ready { .. } => 1,
        Phase::Ended(_) => 2,
    }
}
