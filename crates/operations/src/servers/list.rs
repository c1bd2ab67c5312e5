//! Many servers: those that live, those that have ended, and how many there are.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use greenroom_domain::server::{Server, ServerState};
use greenroom_protocol::{GameId, hosting::ServerView};
use greenroom_storage::{Cursor, ServerFilter};

use super::{ServerError, Servers, get::view_of_record};

/// A part of the list of ended servers.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedPage {
    /// Newest first.
    pub servers: Vec<ServerView>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// How many servers there are, by game and state.
pub type Counts = BTreeMap<GameId, BTreeMap<ServerState, u32>>;

impl Servers {
    /// The servers whose documents stand, of one game or of all, newest first. One that has just
    /// ended is among them until its end has been written down.
    pub fn list(&self, game: Option<&GameId>) -> Vec<ServerView> {
        self.snapshot(game).iter().map(|server| self.shown(server)).collect()
    }

    /// The newest `most` of all games.
    pub fn newest(&self, most: usize) -> Vec<ServerView> {
        self.snapshot(None).iter().take(most).map(|server| self.shown(server)).collect()
    }

    /// The same as documents, for who watches them.
    pub fn snapshot(&self, game: Option<&GameId>) -> Vec<Arc<Server>> {
        let mut servers = self.0.view.list(game);
        servers.sort_by(|a, b| {
            (b.birth.created_at, b.id().as_str()).cmp(&(a.birth.created_at, a.id().as_str()))
        });
        servers
    }

    /// The servers of a game that have ended and are remembered, newest first.
    pub async fn list_ended(
        &self,
        game: &GameId,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EndedPage, ServerError> {
        let filter = ServerFilter { game: Some(game.clone()), ..ServerFilter::default() };
        let page =
            self.0.storage.servers().list(&filter, after, limit).await.map_err(ServerError::Storage)?;
        // One whose end is being written down stands in both lists for a moment.
        let ended = page.items.iter().filter(|row| self.0.view.get(&row.id).is_none());
        Ok(EndedPage { servers: ended.map(view_of_record).collect(), next: page.next })
    }

    /// How many servers this node has handed out since its start.
    pub fn handed_out(&self) -> u64 {
        self.0.handed_out.load(Ordering::Relaxed)
    }

    /// How many servers there are, by game and state.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for server in self.0.view.list(None) {
            *counts.entry(server.birth.game.clone()).or_default().entry(server.state).or_default() += 1;
        }
        counts
    }
}
