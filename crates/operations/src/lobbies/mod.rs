//! Lobbies: every command of a player, the match that comes of them, and what is due by itself.
//!
//! A lobby changes by compare-and-set on its document; commands that wait at this node are applied
//! together (`inbox`) and committed once (`plan`). What members are told comes from the
//! directory's watch: see [`crate::realtime`].

mod code;
mod commands;
mod create;
mod inbox;
mod list;
mod password;
mod plan;
mod start;

use std::{
    borrow::Cow,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use greenroom_directory::{Directory, Revision};
use greenroom_domain::{
    lobby::Refusal,
    settings::{GameSettings, Settings},
};
use greenroom_protocol::{ErrorCode, GameId, LobbyId, lobby::LobbyView};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{context::Clock, failure::Failure, servers::Servers};

pub use commands::JoinBy;
pub use inbox::WAITING_COMMANDS_MAX;
pub(crate) use start::START_CALLER;

/// Lobbies of all games. Cheap to clone.
#[derive(Clone)]
pub struct Lobbies {
    inner: Arc<Inner>,
}

/// What is called when no game server could be allocated for a lobby.
type TellFailed = Box<dyn Fn(&GameId, &LobbyId) + Send + Sync>;

struct Inner {
    directory: Directory,
    settings: watch::Receiver<Arc<Settings>>,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    servers: Servers,
    inboxes: inbox::Inboxes,
    starts: start::Starts,
    on_start_failed: OnceLock<TellFailed>,
    /// Counts the changes of any lobby that the directory told of.
    changes: watch::Sender<u64>,
}

/// What lobbies stand on.
pub struct LobbiesDeps {
    /// Where they are kept.
    pub directory: Directory,
    /// The games' rules.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Holds every task that is started.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
    /// Where matches get their game server.
    pub servers: Servers,
}

/// A command that was done.
#[derive(Clone, Debug)]
pub struct Done {
    /// The lobby's revision with the command's effect in it.
    pub revision: Revision,
    /// Whether the command changed anything.
    pub changed: bool,
}

/// A lobby that was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its first state.
    pub view: LobbyView,
    /// The revision of that state.
    pub revision: Revision,
}

/// Why a command was not done.
#[derive(Clone, Debug)]
pub enum LobbyError {
    /// The rules refuse it.
    Refused(Refusal),
    /// It could not be carried out.
    Failed(Failure),
}

impl LobbyError {
    /// The sentence for the player; the contract's where it has one.
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Self::Refused(refusal) => refusal.to_string().into(),
            Self::Failed(failure) => failure.sentence().to_owned().into(),
        }
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Failed(failure) => failure.code(),
        }
    }
}

/// A game's settings, as they were when a command began. Shared, for every command asks for them.
struct Game {
    settings: Arc<Settings>,
    id: GameId,
}

impl Deref for Game {
    type Target = GameSettings;

    fn deref(&self) -> &GameSettings {
        // Settings never change behind their `Arc`, and the game was there when this was made.
        &self.settings.games[&self.id]
    }
}

impl From<Refusal> for LobbyError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Lobbies {
    /// Lobbies that stand on `deps`.
    pub fn new(deps: LobbiesDeps) -> Self {
        let LobbiesDeps { directory, settings, clock, tracker, shutdown, servers } = deps;
        let inner = Inner {
            directory,
            settings,
            clock,
            tracker,
            shutdown,
            servers,
            inboxes: inbox::Inboxes::default(),
            starts: start::Starts::default(),
            on_start_failed: OnceLock::new(),
            changes: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sets what is called when no game server could be allocated for a lobby's match; once.
    pub fn on_start_failed(&self, tell: impl Fn(&GameId, &LobbyId) + Send + Sync + 'static) {
        let _ = self.inner.on_start_failed.set(Box::new(tell));
    }

    /// A counter that changes with every change of any lobby, whoever made it.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// The directory told of a lobby. The hub has the node's one watch on them.
    pub(crate) fn note_change(&self) {
        self.inner.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn game(&self, game: &GameId) -> Result<Game, Failure> {
        let settings = Arc::clone(&self.inner.settings.borrow());
        if settings.games.contains_key(game) {
            Ok(Game { settings, id: game.clone() })
        } else {
            Err(Failure::new(ErrorCode::NotFound, "There is no such game."))
        }
    }
}
