//! What game servers say of themselves, and how it comes into the directory.
//!
//! What is said is gathered and committed together, the newest alone: however many servers report
//! however often, a game's announcements cost a few commits a second.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use greenroom_directory::{COMMIT_CHANGES_MAX, Change, Expected, Partition};
use greenroom_domain::browser::{Announced, Nameless};
use greenroom_protocol::{
    GameId, ServerId, Timestamp,
    browser::{Announcement, PlayersReport},
};
use uuid::Uuid;

use super::{ANNOUNCED, Browser};

/// Most servers that announce themselves at one node. The next one is refused until one has gone.
pub const ANNOUNCED_MAX: usize = 100_000;

/// How long an announcement outlives the death of its node.
const EXPIRES_AFTER: Duration = Duration::from_mins(1);

/// How often an announcement is written again, so that it does not expire.
const RENEW_PERIOD: Duration = Duration::from_secs(20);

/// Pause between two times that what was said is committed, and before a commit is tried again.
const COMMIT_PAUSE: Duration = Duration::from_millis(50);

/// Why a server is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// Nothing can be seen of its name.
    #[error(transparent)]
    Nameless(#[from] Nameless),
    /// There are [`ANNOUNCED_MAX`].
    #[error("as many servers are listed as may be; try again later")]
    Full,
}

/// The announcements of this node.
#[derive(Default)]
pub(super) struct Own {
    announced: HashMap<Arc<str>, One>,
    /// What is to be written, or deleted where it is no longer announced.
    due: HashMap<GameId, HashSet<Arc<str>>>,
}

/// One announcement of this node.
struct One {
    game: GameId,
    announced: Announced,
    /// When its server was last heard, in milliseconds.
    heard_at: Arc<AtomicI64>,
}

/// A server that is listed until this is dropped.
pub struct Announcing {
    browser: Browser,
    game: GameId,
    id: Arc<str>,
    heard_at: Arc<AtomicI64>,
}

impl Browser {
    /// Lists a server of `game` that connects from `from` and has proved to be `server`.
    pub fn announce(
        &self,
        game: &GameId,
        said: Announcement,
        from: IpAddr,
        server: Option<ServerId>,
    ) -> Result<Announcing, AnnounceError> {
        let id: Arc<str> = Uuid::now_v7().to_string().into();
        let announced = Announced::new(id.to_string(), said, from, server, self.0.deps.clock.now())?;
        let mut own = self.0.own.lock();
        if own.announced.len() >= ANNOUNCED_MAX {
            metrics::counter!("greenroom_announcements_refused_total", "reason" => "full").increment(1);
            return Err(AnnounceError::Full);
        }
        let heard_at = Arc::new(AtomicI64::new(announced.heard_at.as_millis()));
        let one = One { game: game.clone(), announced, heard_at: Arc::clone(&heard_at) };
        own.announced.insert(Arc::clone(&id), one);
        own.is_due(game, &id);
        own.gauge();
        drop(own);
        self.0.said.notify_one();
        Ok(Announcing { browser: self.clone(), game: game.clone(), id, heard_at })
    }

    /// Commits what is said, until `shutdown`.
    pub(super) fn keep_announcing(&self) {
        self.0.own.lock().gauge();
        let browser = self.clone();
        self.0.deps.tracker.spawn(async move {
            let shutdown = browser.0.deps.shutdown.clone();
            // Cancellation first: announcements end with the sockets, and those with us.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = browser.commit_for_ever() => {}
            }
        });
    }

    async fn commit_for_ever(&self) {
        let mut renewals = tokio::time::interval(RENEW_PERIOD);
        loop {
            // News first: a renewal can wait.
            tokio::select! {
                biased;
                () = self.0.said.notified() => {}
                _ = renewals.tick() => self.0.own.lock().renew(),
            }
            while let Some((game, ids)) = self.take_due() {
                let changes = self.0.own.lock().changes(&ids);
                let committed = self.0.deps.directory.commit(&Partition::game(&game), changes).await;
                if let Err(error) = committed {
                    tracing::warn!(%game, %error, "the server browser's announcements could not be written; it is tried again");
                    self.0.own.lock().due.entry(game).or_default().extend(ids);
                    tokio::time::sleep(COMMIT_PAUSE).await;
                }
            }
            tokio::time::sleep(COMMIT_PAUSE).await;
        }
    }

    /// So many of one game's that fit a commit.
    fn take_due(&self) -> Option<(GameId, Vec<Arc<str>>)> {
        let mut own = self.0.own.lock();
        let game = own.due.keys().next()?.clone();
        let due = own.due.get_mut(&game)?;
        let ids: Vec<_> = due.iter().take(COMMIT_CHANGES_MAX).cloned().collect();
        for id in &ids {
            due.remove(id);
        }
        if due.is_empty() {
            own.due.remove(&game);
        }
        Some((game, ids))
    }
}

impl Announcing {
    /// The server gave a sign of life, whatever it was.
    pub fn heard(&self) {
        // Nothing else is read by it: it is told as it stands whenever the announcement is written.
        self.heard_at.store(self.browser.0.deps.clock.now().as_millis(), Ordering::Relaxed);
    }

    /// Takes in what the server says later.
    pub fn report(&self, said: PlayersReport) {
        let mut own = self.browser.0.own.lock();
        let is_news = own.announced.get_mut(&self.id).is_some_and(|one| one.announced.report(said));
        if is_news {
            own.is_due(&self.game, &self.id);
            drop(own);
            self.browser.0.said.notify_one();
        }
    }
}

impl Drop for Announcing {
    fn drop(&mut self) {
        let mut own = self.browser.0.own.lock();
        own.announced.remove(&self.id);
        own.is_due(&self.game, &self.id);
        own.gauge();
        drop(own);
        self.browser.0.said.notify_one();
    }
}

impl Own {
    /// Tells how many are announced, while nobody can change it: of two who tell at once the later
    /// number is the one that stays. The name is the contract's.
    fn gauge(&self) {
        metrics::gauge!("connected_game_servers").set(self.announced.len() as f64);
    }

    fn is_due(&mut self, game: &GameId, id: &Arc<str>) {
        if !self.due.contains_key(game) {
            self.due.insert(game.clone(), HashSet::new());
        }
        if let Some(due) = self.due.get_mut(game) {
            due.insert(Arc::clone(id));
        }
    }

    /// What brings these documents to what is announced now.
    fn changes(&self, ids: &[Arc<str>]) -> Vec<Change> {
        let change = |id: &Arc<str>| match self.announced.get(id) {
            // It is made of texts and numbers, which are always JSON.
            Some(one) => {
                let heard_at = Timestamp::from_millis(one.heard_at.load(Ordering::Relaxed));
                let announced = Announced { heard_at, ..one.announced.clone() };
                let value = serde_json::to_vec(&announced).unwrap_or_default();
                Change::put_expiring(ANNOUNCED, id, Expected::Any, value, EXPIRES_AFTER)
            }
            None => Change::delete(ANNOUNCED, id, Expected::Any),
        };
        ids.iter().map(change).collect()
    }

    fn renew(&mut self) {
        let ids: Vec<_> = self.announced.iter().map(|(id, one)| (one.game.clone(), Arc::clone(id))).collect();
        for (game, id) in &ids {
            self.is_due(game, id);
        }
    }
}
