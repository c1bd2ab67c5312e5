//! The node's picture of all servers: their documents as the watch told them, what the provider
//! sees, and what this node has reserved and not yet committed.

mod objects;
mod places;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use greenroom_directory::Revision;
use greenroom_domain::{
    fleet::{DemandHistory, PoolHealth},
    sdk::GameServer,
    server::{Seen, Server, ServerPort, ServerState, StopReason},
};
use greenroom_fleet::{HostStatus, Observed, Phase};
use greenroom_protocol::{GameId, HostId, RegionId, ServerId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::machines;

pub(crate) use places::{Choice, Hold, LimitsMax, Taken};

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
    /// How those servers see themselves that have asked, by the name of their try.
    objects: HashMap<ServerId, watch::Sender<Arc<GameServer>>>,
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
            // Nobody had it, and it would not stand ready.
            ServerState::Stopping
                if matches!(server.stop_reason, Some(StopReason::Itself | StopReason::Unhealthy)) =>
            {
                Some(true)
            }
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
        let server = Arc::new(server);
        let entry = Entry { server: Arc::clone(&server), revision: Some(revision), held };
        state.games.entry(game).or_default().insert(id, entry);
        state.tell(&server);
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
        state.tell_instance(&observed.id);
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
        state.tell_instance(id);
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

    /// Whether the present try of a server runs, as far as its host can be asked.
    pub(crate) fn is_running(&self, server: &Server) -> bool {
        let state = self.state.lock();
        let known = state.instances.get(&server.instance());
        known.is_some_and(|known| !matches!(known.phase, Phase::Ended(_))) && state.is_reachable(server)
    }

    /// Whether somebody has paused the container of a server.
    pub(crate) fn is_paused(&self, server: &Server) -> bool {
        self.state.lock().is_paused(server)
    }

    /// The address that its host says an instance is reached at.
    pub(crate) fn public_address(&self, instance: &ServerId) -> Option<String> {
        self.state.lock().instances.get(instance)?.public_address.clone()
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
            if let Some(entry) = &entry {
                self.objects.remove(&entry.server.instance());
            }
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

    fn is_reachable(&self, server: &Server) -> bool {
        let instance = self.instances.get(&server.instance());
        !self.lost.contains(&server.birth.host) && instance.is_none_or(|known| known.is_host_reachable)
    }

    fn is_paused(&self, server: &Server) -> bool {
        self.instances.get(&server.instance()).is_some_and(|known| known.is_paused)
    }
}

fn rank(phase: &Phase) -> u8 {
    match phase {
        Phase::Starting => 0,
        Phase::Ready { .. } => 1,
        Phase::Ended(_) => 2,
    }
}
