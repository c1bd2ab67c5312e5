//! What only the embedded engine promises, and what becomes of it when its disk fails.

mod expiry;
mod failure;
mod model;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tempfile::TempDir;

use super::{Embedded, clock::Clock};
use crate::{Directory, Kind, Partition};

const LOBBY: Kind = Kind::kept("lobby");
const ROOM: Kind = Kind::kept("room");
const PRESENCE: Kind = Kind::passing("presence");

fn skirmish() -> Partition {
    Partition::game(&greenroom_protocol::GameId::new("skirmish").unwrap())
}

/// Few, so that a test can fill the queue.
const QUEUE_JOBS_MAX: usize = 16;

/// A clock that a test sets.
#[derive(Default)]
struct TestClock(Mutex<(Duration, i64)>);

impl TestClock {
    /// Time passes.
    fn advance(&self, by: Duration) {
        let mut times = self.0.lock();
        times.0 += by;
        times.1 += by.as_millis() as i64;
    }

    /// Somebody sets the wall clock.
    fn jump(&self, by_ms: i64) {
        self.0.lock().1 += by_ms;
    }
}

impl Clock for TestClock {
    fn running(&self) -> Duration {
        self.0.lock().0
    }

    fn wall_ms(&self) -> i64 {
        self.0.lock().1
    }
}

/// An engine whose sweeper is the test.
struct Bench {
    folder: TempDir,
    clock: Arc<TestClock>,
    engine: Arc<Embedded>,
    swept: Option<Duration>,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::default());
        clock.jump(1_700_000_000_000);
        let engine = open(&folder.path().join("directory.db"), &clock).await;
        Self { folder, clock, engine, swept: None }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("directory.db")
    }

    fn directory(&self) -> Directory {
        let engine: Arc<dyn crate::engine::Engine> = self.engine.clone();
        Directory(engine)
    }

    /// A connection of somebody else, to plant faults with.
    fn sqlite(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        connection
    }

    async fn restart(&mut self) {
        self.directory().close().await;
        self.engine = open(&self.path(), &self.clock).await;
        self.swept = None;
    }

    fn sweep(&mut self) {
        self.swept = Some(self.engine.shared.sweep(self.swept));
    }

    /// Lets time pass while the sweeper runs.
    fn pass(&mut self, time: Duration) {
        let step = Duration::from_millis(500);
        for _ in 0..time.as_millis() / step.as_millis() {
            self.clock.advance(step);
            self.sweep();
        }
    }
}

async fn open(path: &Path, clock: &Arc<TestClock>) -> Arc<Embedded> {
    let clock: Arc<dyn Clock> = clock.clone();
    Arc::new(Embedded::open_with(path.to_owned(), clock, QUEUE_JOBS_MAX).await.unwrap())
}
