//! The hub: one per node. It keeps one watch on lobbies and seats and tells the sockets of this
//! node what concerns them; it never holds state that another node could not have.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use greenroom_directory::Directory;
use greenroom_domain::{lobby::Refusal, matches::Match, settings::Settings};
use greenroom_protocol::{
    ErrorCode, GameId, LobbyId, MatchId,
    lobby::ServerMessage,
    ticket::{ISSUER, SeatRole, TicketClaims},
};
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::Connection,
    frames::{encode, error},
    outbox::{Closing, Outbox},
    table::{LobbyKey, PlayerKey, Socket, Table},
};
use crate::{
    browser::Browser,
    context::Clock,
    documents::{MATCH, load},
    failure::Failure,
    lobbies::Lobbies,
    principal::PlayerPrincipal,
    tokens::Tokens,
};

/// How long a ticket for a match is good, in seconds. A connected member outlives it; who comes
/// back asks for a new one by connecting again.
const TICKET_TTL_S: i64 = 5 * 60;

/// The sockets of a stopping node come back within this many milliseconds, spread evenly.
const RECONNECT_SPREAD_MS: u32 = 5_000;

/// What the hub stands on.
pub struct HubDeps {
    /// What is watched.
    pub directory: Directory,
    /// Where commands go.
    pub lobbies: Lobbies,
    /// What sockets may watch.
    pub browser: Browser,
    /// What tickets are signed with.
    pub tokens: Arc<Tokens>,
    /// The games' rules.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Holds every task that is started.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
}

/// The sockets of this node, and what they are told. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) deps: HubDeps,
    pub(super) table: Mutex<Table>,
    /// A deadline was added, or list watchers have news.
    pub(super) changed: Notify,
    socket_numbers: AtomicU64,
    /// Counts the sockets that opened or closed.
    sockets_changed: watch::Sender<u64>,
}

/// Numbers of this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounts {
    /// Open player sockets.
    pub sockets: usize,
    /// Players with at least one.
    pub players: usize,
    /// Lobbies of all games.
    pub lobbies: usize,
}

impl Hub {
    /// Reads what there is, gives every member of a lobby a full new term to come back, and keeps
    /// telling until `shutdown`.
    pub async fn start(deps: HubDeps) -> Result<Self, Failure> {
        let hub = Self {
            inner: Arc::new(Inner {
                deps,
                table: Mutex::new(Table::default()),
                changed: Notify::new(),
                socket_numbers: AtomicU64::new(0),
                sockets_changed: watch::Sender::new(0),
            }),
        };
        let told = hub.clone();
        hub.inner.deps.lobbies.on_start_failed(move |game, lobby| told.start_failed(game, lobby));
        hub.fan_out().await?;
        hub.sweep();
        Ok(hub)
    }

    /// A new socket of a player: told that it is connected, then what concerns the player. The
    /// player's place in its lobby is its own again.
    pub fn connect(&self, player: PlayerPrincipal) -> Connection {
        let outbox = Arc::new(Outbox::default());
        outbox.push(encode(&ServerMessage::Connected {
            account_id: player.id.clone(),
            username: player.username.clone(),
        }));
        let number = self.inner.socket_numbers.fetch_add(1, Ordering::Relaxed);
        let key = (player.game.clone(), player.id.clone());
        let socket = Socket { number, session: player.session.clone(), outbox: Arc::clone(&outbox) };
        let mut table = self.inner.table.lock();
        let (lobby, match_id) = table.add_socket(&key, socket);
        if let Some(lobby) = &lobby {
            // Queued under the lock, so that it keeps its order with a drop.
            self.inner.deps.lobbies.connected(&player.game, lobby, &player.id);
        }
        let sockets = table.counts().0;
        drop(table);
        self.sockets_are(sockets);
        if let Some(match_id) = match_id {
            self.tell_match(key, match_id);
        }
        Connection::new(self.clone(), player, number, outbox)
    }

    /// A socket that closed. If it was the player's last, its place is kept for the grace period.
    pub(super) fn disconnect(&self, player: &PlayerPrincipal, number: u64, outbox: &Arc<Outbox>) {
        self.inner.deps.browser.unwatch(number);
        let key = (player.game.clone(), player.id.clone());
        let mut table = self.inner.table.lock();
        table.unwatch_list(&player.game, outbox);
        if let Some(lobby) = table.remove_socket(&key, number) {
            self.inner.deps.lobbies.dropped(&player.game, &lobby, &player.id);
        }
        let sockets = table.counts().0;
        drop(table);
        self.sockets_are(sockets);
    }

    /// Asks every socket to come back later, each after a time of its own.
    pub fn close_all(&self) {
        let mut rng = rand::rng();
        let table = self.inner.table.lock();
        table.close_all(|| Closing::Restart { retry_after_ms: rng.random_range(500..RECONNECT_SPREAD_MS) });
    }

    /// Numbers for the console and the metrics.
    pub fn counts(&self) -> HubCounts {
        let (sockets, players, lobbies) = self.inner.table.lock().counts();
        HubCounts { sockets, players, lobbies }
    }

    /// A counter that changes with every player's socket that opens or closes.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.sockets_changed.subscribe()
    }

    fn sockets_are(&self, sockets: usize) {
        metrics::gauge!("greenroom_player_sockets").set(sockets as f64);
        self.inner.sockets_changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells a player of its match, with a ticket of its own.
    pub(super) fn tell_match(&self, player: PlayerKey, match_id: MatchId) {
        let hub = self.clone();
        self.inner.deps.tracker.spawn(async move {
            if let Err(failure) = hub.send_match(&player, &match_id).await {
                tracing::error!(player = %player.1, %match_id, error = ?failure, "a player could not be told of its match");
            }
        });
    }

    async fn send_match(&self, player: &PlayerKey, match_id: &MatchId) -> Result<(), Failure> {
        let deps = &self.inner.deps;
        let Some(stored) = load::<Match>(&deps.directory, &player.0, MATCH, match_id.as_str()).await? else {
            return Ok(());
        };
        let one = stored.value;
        let Some(seat) = one.seat_of(&player.1) else { return Ok(()) };
        let now_s = deps.clock.now().as_millis() / 1_000;
        let claims = TicketClaims {
            iss: ISSUER.into(),
            game: one.game.clone(),
            room: None,
            match_id: Some(one.id.clone()),
            lobby: Some(one.lobby.clone()),
            player: player.1.clone(),
            name: Some(seat.username.clone()),
            seat: seat.seat,
            team: Some(seat.team),
            role: SeatRole::Player,
            generation: one.generation,
            iat: now_s,
            exp: now_s + TICKET_TTL_S,
        };
        let ticket = deps.tokens.sign_ticket(&claims).map_err(Failure::internal)?;
        let mut match_data = one.data();
        match_data.ticket = Some(ticket);
        let frame = encode(&ServerMessage::MatchStarted { match_data });
        self.inner.table.lock().tell_player(player, &frame);
        Ok(())
    }

    fn start_failed(&self, game: &GameId, lobby: &LobbyId) {
        let frame = error(Refusal::AllocationFailed.to_string(), ErrorCode::NoServer, None);
        let key: LobbyKey = (game.clone(), lobby.clone());
        self.inner.table.lock().tell_owner(&key, &frame);
    }
}
