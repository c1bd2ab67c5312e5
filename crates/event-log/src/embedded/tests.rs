//! The engine under jumping clocks and failing commits, and beside a model.

mod faults;
mod model;
mod search;
mod times;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use greenroom_protocol::Timestamp;

use super::{Embedded, clock::Clock};
use crate::{
    engine::Engine,
    model::{NewEntry, StreamId, StreamLimits},
    subject::Subject,
};

/// Clocks that stand until they are moved.
struct FakeClock {
    wall_ms: AtomicI64,
    steady_ms: AtomicU64,
}

impl FakeClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { wall_ms: AtomicI64::new(1_800_000_000_000), steady_ms: AtomicU64::new(0) })
    }

    fn pass(&self, time: Duration) {
        self.jump(time.as_millis() as i64);
        self.steady_ms.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    fn jump(&self, ms: i64) {
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_ms.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.steady_ms.load(Ordering::Relaxed))
    }
}

async fn open(folder: &Path, clock: &Arc<FakeClock>) -> Embedded {
    Embedded::open_with(folder.join("log.db"), Arc::clone(clock) as Arc<dyn Clock>).await.unwrap()
}

async fn stream(engine: &Embedded, limits: StreamLimits) -> StreamId {
    let stream = StreamId::new("s").unwrap();
    engine.create_stream(&stream, limits).await.unwrap();
    stream
}

fn entry(on: &str, payload: &str) -> NewEntry {
    NewEntry::new(Subject::new(on).unwrap(), payload.to_owned())
}
