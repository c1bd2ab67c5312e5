//! Player sockets that watch the browser: told the newest list, never every one.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Instant,
};

use bytes::Bytes;
use greenroom_domain::browser::Query;
use greenroom_protocol::{GameId, browser::BrowserFilter, lobby::RequestId};

use super::{Browser, TELL_PAUSE};
use crate::realtime::outbox::Outbox;

/// For each moment spent on telling, so many are left to others.
const REST_FACTOR: u32 = 4;

/// The sockets that watch, by their numbers.
pub(super) type Watchers = HashMap<u64, Watcher>;

pub(super) struct Watcher {
    game: GameId,
    query: Arc<Query>,
    outbox: Weak<Outbox>,
    /// What it was told last.
    told: Bytes,
}

impl Browser {
    /// Begins to tell a socket of a game's servers, in place of what it watched before. The answer
    /// is in the outbox when this returns.
    pub(crate) fn watch(
        &self,
        socket: u64,
        game: &GameId,
        filter: BrowserFilter,
        outbox: &Arc<Outbox>,
        id: Option<RequestId>,
    ) {
        let query = Query::new(filter);
        let list = self.list_of(game);
        let told = list.news(&query);
        let answer = if id.is_some() { list.news_for(&query, id) } else { told.clone() };
        let watcher =
            Watcher { game: game.clone(), query: Arc::new(query), outbox: Arc::downgrade(outbox), told };
        let mut watchers = self.0.watchers.lock();
        outbox.drop_newest();
        outbox.push(answer);
        watchers.insert(socket, watcher);
        let count = watchers.len();
        drop(watchers);
        gauge(count);
        if !Arc::ptr_eq(&list, &self.list_of(game)) {
            // The list was made anew in between, and who watches may have been told before this one did.
            self.0.made.send_modify(|count| *count += 1);
        }
    }

    /// Ends it.
    pub(crate) fn unwatch(&self, socket: u64) {
        let mut watchers = self.0.watchers.lock();
        let Some(watcher) = watchers.remove(&socket) else { return };
        if let Some(outbox) = watcher.outbox.upgrade() {
            outbox.drop_newest();
        }
        let count = watchers.len();
        drop(watchers);
        gauge(count);
    }

    /// Tells who watches, until `shutdown`.
    pub(super) fn keep_telling(&self) {
        let browser = self.clone();
        let mut made = self.0.made.subscribe();
        let shutdown = self.0.deps.shutdown.clone();
        self.0.deps.tracker.spawn(async move {
            loop {
                // Cancellation first: sockets ask anew where they come back.
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    changed = made.changed() => if changed.is_err() { return },
                }
                if browser.0.watchers.lock().is_empty() {
                    continue;
                }
                let (began, telling) = (Instant::now(), browser.clone());
                let told = browser.0.deps.tracker.spawn_blocking(move || telling.tell());
                if let Err(error) = told.await {
                    tracing::error!(%error, "who watches the server browser could not be told");
                }
                // Everybody may have another filter: however many they are, most of a core is left.
                let rest = TELL_PAUSE.max(began.elapsed() * REST_FACTOR);
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(rest) => {}
                }
            }
        });
    }

    /// Gives every socket the newest state of what it watches, if that is news to it.
    fn tell(&self) {
        let all: Vec<_> = {
            let watchers = self.0.watchers.lock();
            let each = |(socket, watcher): (&u64, &Watcher)| {
                (*socket, watcher.game.clone(), Arc::clone(&watcher.query))
            };
            watchers.iter().map(each).collect()
        };
        for (socket, game, query) in all {
            let news = self.list_of(&game).news(&query);
            let mut watchers = self.0.watchers.lock();
            // It may have left, or watch something else by now.
            let same = |watcher: &&mut Watcher| Arc::ptr_eq(&watcher.query, &query) && watcher.told != news;
            let Some(watcher) = watchers.get_mut(&socket).filter(same) else { continue };
            if let Some(outbox) = watcher.outbox.upgrade() {
                outbox.push_newest(news.clone());
            }
            watcher.told = news;
        }
    }
}

fn gauge(count: usize) {
    metrics::gauge!("greenroom_browser_watchers").set(count as f64);
}
