//! A storage of its own for each case.

use greenroom_protocol::{GameId, PlayerId, SessionId, Timestamp};
use greenroom_storage::{NewPlayer, NewSession, Storage, StorageConfig};
use tempfile::TempDir;

/// The engines that the suite knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    /// SQLite.
    Embedded,
}

/// A storage and what it lives in.
pub(crate) struct Fixture {
    /// The storage.
    pub(crate) storage: Storage,
    engine: Engine,
    dir: TempDir,
}

impl Fixture {
    pub(crate) fn open(engine: Engine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(config(engine, &dir)).unwrap();
        Self { storage, engine, dir }
    }

    /// Closes the storage and opens it again, as a restart does.
    pub(crate) async fn restart(&mut self) {
        self.storage.close().await;
        self.storage = Storage::open(config(self.engine, &self.dir)).unwrap();
    }

    /// A player of the game `g`, recorded.
    pub(crate) async fn player(&self, id: &str) -> PlayerId {
        let player = new_player(id, id);
        self.storage.players().create(&player).await.unwrap();
        player.id
    }
}

fn config(engine: Engine, dir: &TempDir) -> StorageConfig {
    match engine {
        Engine::Embedded => StorageConfig::Embedded { path: dir.path().join("records.sqlite") },
    }
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(crate) fn game() -> GameId {
    GameId::new("g").unwrap()
}

pub(crate) fn new_player(id: &str, username: &str) -> NewPlayer {
    NewPlayer {
        id: PlayerId::new(id).unwrap(),
        game: game(),
        username: username.to_owned(),
        created_at: at(1_000),
        identity: None,
    }
}

/// A session from 1,000 to 10,000.
pub(crate) fn new_session(id: &str, player: &PlayerId) -> NewSession {
    NewSession {
        id: SessionId::new(id).unwrap(),
        player: player.clone(),
        game: game(),
        created_at: at(1_000),
        expires_at: at(10_000),
        refresh_hash: Some([1; 32]),
        user_agent: Some("agent".to_owned()),
        address: None,
    }
}
