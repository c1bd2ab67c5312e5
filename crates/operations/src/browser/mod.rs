//! The server browser: one live list per game, of the fleet's servers and of those that announced
//! themselves.
//!
//! An announcement is a passing document of the directory, written by the node that has the
//! server's socket and renewed by it, so that a node that dies takes its announcements with it. Every
//! node watches them, and the servers' view, and makes the list anew when something changed: at most
//! every [`REBUILD_PAUSE`], however much changes in between. Who asks is given what was encoded then.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use greenroom_directory::{Directory, Kind};
use greenroom_domain::{
    browser::{Announced, Query},
    settings::Settings,
};
use greenroom_protocol::{
    ErrorCode, GameId,
    browser::{BrowserFilter, BrowserPage},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Clock, failure::Failure, servers::Servers};

mod announce;
mod follow;
mod list;
mod watchers;

pub use announce::{ANNOUNCED_MAX, AnnounceError, Announcing};

use announce::Own;
use list::GameList;
use watchers::Watchers;

/// An announcement, by its id, in its game's partition: [`Announced`].
pub const ANNOUNCED: Kind = Kind::passing("announced");

/// How often a game's list is made anew, at the most.
pub const REBUILD_PAUSE: Duration = Duration::from_millis(200);

/// How often who watches a list is told of it, at the most.
pub const TELL_PAUSE: Duration = Duration::from_millis(500);

/// What the browser stands on.
pub struct BrowserDeps {
    /// Where announcements stand.
    pub directory: Directory,
    /// The fleet.
    pub servers: Servers,
    /// The games, and the installation's addresses.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Holds every task that is started.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
}

/// The server browsers of all games. Cheap to clone.
#[derive(Clone)]
pub struct Browser(Arc<Shared>);

struct Shared {
    deps: BrowserDeps,
    /// What every node has written.
    known: Mutex<Known>,
    /// `known` has changed.
    changed: Notify,
    /// The lists as they were last made.
    lists: Mutex<HashMap<GameId, Arc<GameList>>>,
    /// Grows when a list was made anew.
    made: watch::Sender<u64>,
    /// What this node has announced.
    own: Mutex<Own>,
    /// `own` has changed.
    said: Notify,
    watchers: Mutex<Watchers>,
}

#[derive(Default)]
struct Known {
    announced: HashMap<GameId, HashMap<Arc<str>, Arc<Announced>>>,
    /// Games whose announcements have changed since their list was made.
    changed: HashSet<GameId>,
}

impl Browser {
    /// Makes the lists of what there is, and keeps them until `shutdown`.
    pub async fn start(deps: BrowserDeps) -> Result<Self, Failure> {
        let browser = Self(Arc::new(Shared {
            deps,
            known: Mutex::default(),
            changed: Notify::new(),
            lists: Mutex::default(),
            made: watch::Sender::new(0),
            own: Mutex::default(),
            said: Notify::new(),
            watchers: Mutex::default(),
        }));
        browser.follow().await?;
        browser.keep_announcing();
        browser.keep_telling();
        Ok(browser)
    }

    /// The servers of a game that `filter` lets through: the page that begins at `cursor`, or the
    /// first one.
    pub fn list(
        &self,
        game: &GameId,
        filter: BrowserFilter,
        cursor: Option<&str>,
    ) -> Result<BrowserPage, Failure> {
        let place = list::place(cursor)?;
        Ok(self.list_of(game).page(&Query::new(filter), place.as_ref()))
    }

    /// The same, encoded. Asked again before the list has changed, it costs next to nothing.
    pub fn list_encoded(
        &self,
        game: &GameId,
        filter: BrowserFilter,
        cursor: Option<&str>,
    ) -> Result<Bytes, Failure> {
        let place = list::place(cursor)?;
        self.list_of(game).page_encoded(Query::new(filter), place).map_err(Failure::internal)
    }

    /// The contract's list, encoded: `limit` servers after the first `offset`, the longest listed
    /// first; all if no limit is given.
    pub fn contract_list(&self, game: &GameId, offset: usize, limit: Option<usize>) -> Bytes {
        self.list_of(game).contract_page(offset, limit)
    }

    /// What the entry `id` said of itself; none where that is a server of the fleet.
    pub fn announced(&self, game: &GameId, id: &str) -> Option<Arc<Announced>> {
        self.0.known.lock().announced.get(game)?.get(id).cloned()
    }

    /// A counter that changes whenever a list was made anew.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.made.subscribe()
    }

    fn list_of(&self, game: &GameId) -> Arc<GameList> {
        self.0.lists.lock().get(game).cloned().unwrap_or_else(list::empty)
    }
}

fn bad_cursor() -> Failure {
    Failure::new(ErrorCode::BadRequest, "`cursor` is not one that a page gave.")
}
