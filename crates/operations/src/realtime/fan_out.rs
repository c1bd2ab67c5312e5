//! The hub's watch: what changed in the directory, to whom it matters here.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_directory::{Key, Message, Notice, Subscription, Watch};
use greenroom_domain::{lobby::Lobby, matches::Seat, settings::LobbySettings};
use greenroom_protocol::{GameId, LobbyId, PlayerId};
use serde::{Deserialize, Serialize};

use super::{
    hub::Hub,
    table::{FollowUp, PlayerKey},
};
use crate::{
    documents::{LOBBY, SEAT, decode},
    failure::Failure,
    players::{SESSIONS_ENDED, SessionsEnded},
};

/// Subject under which nodes pass on what is said in lobbies.
const SAID: &str = "lobby-said";

/// A frame for the members of a lobby that is kept nowhere.
#[derive(Serialize, Deserialize)]
struct Said {
    game: GameId,
    lobby: LobbyId,
    frame: String,
}

impl Hub {
    /// Reads all lobbies and seats, then follows them.
    pub(super) async fn fan_out(&self) -> Result<(), Failure> {
        let directory = &self.inner.deps.directory;
        let ended = directory.subscribe(SESSIONS_ENDED).await.map_err(Failure::directory)?;
        let said = directory.subscribe(SAID).await.map_err(Failure::directory)?;
        let mut watch = directory.watch(&[LOBBY, SEAT]).await.map_err(Failure::directory)?;
        let mut starts = Vec::new();
        while let Some(notice) = watch.next().await {
            if notice == Notice::Current {
                break;
            }
            starts.extend(self.note(notice).start);
        }
        // No socket is open yet, so nobody is connected, whatever the documents say.
        let lobbies = self.inner.table.lock().lobby_keys();
        for (game, lobby) in &lobbies {
            self.inner.deps.lobbies.drop_all(game, lobby);
        }
        for ((game, lobby), start) in starts {
            self.inner.deps.lobbies.carry_out_start(&game, &lobby, start);
        }
        let hub = self.clone();
        self.inner.deps.tracker.spawn(async move {
            let shutdown = hub.inner.deps.shutdown.clone();
            // Cancellation first: sockets are told to come back and find the newest state then.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = hub.follow(watch, ended, said) => {}
            }
        });
        Ok(())
    }

    /// Passes a frame on to the members of a lobby, on every node.
    pub(super) async fn say(&self, game: &GameId, lobby: &LobbyId, frame: &Bytes) -> Result<(), Failure> {
        let frame = String::from_utf8_lossy(frame).into_owned();
        let said = Said { game: game.clone(), lobby: lobby.clone(), frame };
        let payload = serde_json::to_vec(&said).map_err(Failure::internal)?;
        self.inner.deps.directory.publish(SAID, payload.into()).await.map_err(Failure::directory)
    }

    async fn follow(self, mut watch: Watch, mut ended: Subscription, mut said: Subscription) {
        loop {
            // Ends of sessions first, that nobody is told more than it may know; then state, then talk.
            tokio::select! {
                biased;
                message = ended.next() => match message {
                    Some(message) => self.sessions_ended(message),
                    None => return,
                },
                notice = watch.next() => match notice {
                    Some(notice) => {
                        let follow_up = self.note(notice);
                        self.follow_up(follow_up);
                    }
                    None => return,
                },
                message = said.next() => match message {
                    Some(message) => self.pass_on(message),
                    None => return,
                },
            }
        }
    }

    fn note(&self, notice: Notice) -> FollowUp {
        match notice {
            Notice::Put(document) if document.key.kind == LOBBY => match decode::<Lobby>(&document.value) {
                Ok(lobby) => {
                    let rules = self.rules(&lobby.game);
                    let follow_up = self.inner.table.lock().lobby_changed(&lobby, document.revision, &rules);
                    self.inner.changed.notify_one();
                    self.inner.deps.lobbies.note_change();
                    follow_up
                }
                Err(failure) => unreadable(&document.key, &failure),
            },
            Notice::Put(document) => match (player(&document.key), decode::<Seat>(&document.value)) {
                (Some(player), Ok(seat)) => self.inner.table.lock().seat_changed(player, Some(seat)),
                (_, Err(failure)) => unreadable(&document.key, &failure),
                (None, Ok(_)) => FollowUp::default(),
            },
            Notice::Deleted { key, .. } if key.kind == LOBBY => {
                if let (Ok(game), Ok(lobby)) = (GameId::new(key.partition.as_str()), LobbyId::new(&key.id)) {
                    self.inner.table.lock().lobby_gone(&(game, lobby));
                    self.inner.changed.notify_one();
                    self.inner.deps.lobbies.note_change();
                }
                FollowUp::default()
            }
            Notice::Deleted { key, .. } => match player(&key) {
                Some(player) => self.inner.table.lock().seat_changed(player, None),
                None => FollowUp::default(),
            },
            Notice::Current => FollowUp::default(),
        }
    }

    fn follow_up(&self, follow_up: FollowUp) {
        let lobbies = &self.inner.deps.lobbies;
        if let Some(((game, lobby), start)) = follow_up.start {
            lobbies.carry_out_start(&game, &lobby, start);
        }
        if let Some(((game, lobby), player)) = follow_up.absent {
            // Its socket closed while it was coming in. With several nodes, presence decides this.
            lobbies.dropped(&game, &lobby, &player);
        }
        if let Some((player, match_id)) = follow_up.told_match {
            self.tell_match(player, match_id);
        }
    }

    fn sessions_ended(&self, message: Message) {
        match message {
            Message::Payload(payload) => match serde_json::from_slice::<SessionsEnded>(&payload) {
                Ok(ended) => {
                    self.inner.table.lock().close_sockets(&(ended.game, ended.player), &ended.sessions);
                }
                Err(error) => tracing::error!(%error, "a message about ended sessions cannot be read"),
            },
            Message::Missed(count) => {
                tracing::warn!(
                    count,
                    "missed which sessions ended; their sockets stay open until they are next used"
                );
            }
        }
    }

    fn pass_on(&self, message: Message) {
        match message {
            Message::Payload(payload) => match serde_json::from_slice::<Said>(&payload) {
                Ok(said) => {
                    self.inner.table.lock().tell_lobby(&(said.game, said.lobby), &Bytes::from(said.frame));
                }
                Err(error) => tracing::error!(%error, "something said in a lobby cannot be read"),
            },
            Message::Missed(count) => {
                metrics::counter!("greenroom_lobby_chat_missed_total").increment(count);
            }
        }
    }

    fn rules(&self, game: &GameId) -> LobbySettings {
        let settings = Arc::clone(&self.inner.deps.settings.borrow());
        settings.games.get(game).map(|game| game.lobby.clone()).unwrap_or_default()
    }
}

fn player(key: &Key) -> Option<PlayerKey> {
    Some((GameId::new(key.partition.as_str()).ok()?, PlayerId::new(&key.id).ok()?))
}

fn unreadable(key: &Key, failure: &Failure) -> FollowUp {
    tracing::error!(kind = key.kind.name(), id = %key.id, error = ?failure, "a document cannot be read and is passed over");
    FollowUp::default()
}
