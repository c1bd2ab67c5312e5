//! Expiry and leases under clocks that a test sets.

use std::time::Duration;

use super::{Bench, LOBBY, PRESENCE, skirmish};
use crate::{Change, Class, Directory, Expected, Key, Kind, Notice};

const TERM: Duration = Duration::from_mins(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR_MS: i64 = 3_600_000;

async fn put(directory: &Directory, kind: Kind, id: &str) {
    let change = Change::put_expiring(kind, id, Expected::Any, id.to_owned(), TERM);
    directory.commit(&skirmish(), vec![change]).await.unwrap();
}

async fn is_there(directory: &Directory, kind: Kind, id: &str) -> bool {
    directory.get(&Key::new(skirmish(), kind, id)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_document_is_gone_at_its_deadline_and_told_by_the_sweep() {
    let mut bench = Bench::new().await;
    let directory = bench.directory();
    for kind in [LOBBY, PRESENCE] {
        put(&directory, kind, "a").await;
    }
    let mut watch = directory.watch(&[LOBBY, PRESENCE]).await.unwrap();
    while watch.next().await != Some(Notice::Current) {}
    bench.clock.advance(TERM.saturating_sub(MILLISECOND));
    bench.sweep();
    assert!(is_there(&directory, LOBBY, "a").await && is_there(&directory, PRESENCE, "a").await);
    bench.clock.advance(MILLISECOND);
    assert!(!is_there(&directory, LOBBY, "a").await && !is_there(&directory, PRESENCE, "a").await);
    assert_eq!(watch.try_next(), None);
    bench.sweep();
    for class in [Class::Passing, Class::Kept] {
        let Some(Notice::Deleted { key, .. }) = watch.next().await else { panic!() };
        assert_eq!(key.kind.class(), class);
    }
    bench.restart().await;
    assert_eq!(bench.directory().list_all(LOBBY).await.unwrap(), []);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_while_we_run_changes_nothing() {
    for jump_ms in [-24 * HOUR_MS, 24 * HOUR_MS] {
        let mut bench = Bench::new().await;
        let directory = bench.directory();
        put(&directory, LOBBY, "a").await;
        let lease = directory.acquire_lease("sweeper", "node-1", TERM).await.unwrap().unwrap();
        bench.clock.jump(jump_ms);
        bench.sweep();
        assert!(is_there(&directory, LOBBY, "a").await);
        assert!(directory.renew_lease(&lease, TERM).await.unwrap());
        bench.pass(TERM);
        assert!(!is_there(&directory, LOBBY, "a").await);
        assert!(!directory.renew_lease(&lease, TERM).await.unwrap());
    }
}

#[tokio::test]
async fn a_restart_keeps_the_deadline() {
    let mut bench = Bench::new().await;
    put(&bench.directory(), LOBBY, "a").await;
    bench.clock.advance(TERM / 2);
    bench.restart().await;
    bench.clock.advance((TERM / 2).saturating_sub(MILLISECOND));
    assert!(is_there(&bench.directory(), LOBBY, "a").await);
    bench.clock.advance(MILLISECOND);
    assert!(!is_there(&bench.directory(), LOBBY, "a").await);
    put(&bench.directory(), LOBBY, "b").await;
    bench.clock.advance(2 * TERM);
    bench.restart().await;
    assert!(!is_there(&bench.directory(), LOBBY, "b").await);
    let anew = Change::put(LOBBY, "b", Expected::Absent, "anew");
    bench.directory().commit(&skirmish(), vec![anew]).await.unwrap();
}

#[tokio::test]
async fn a_clock_set_back_while_we_were_down_makes_nothing_immortal() {
    let mut bench = Bench::new().await;
    put(&bench.directory(), LOBBY, "a").await;
    bench.clock.jump(-24 * HOUR_MS);
    bench.restart().await;
    bench.clock.advance(TERM);
    assert!(!is_there(&bench.directory(), LOBBY, "a").await);
}

#[tokio::test]
async fn leases_get_a_new_term_after_a_restart_and_after_a_pause() {
    let mut bench = Bench::new().await;
    let lease = bench.directory().acquire_lease("sweeper", "node-1", TERM).await.unwrap().unwrap();
    bench.sweep();
    // Down for long.
    bench.clock.advance(10 * TERM);
    bench.restart().await;
    let directory = bench.directory();
    bench.sweep();
    bench.pass(TERM / 2);
    assert_eq!(directory.acquire_lease("sweeper", "node-2", TERM).await.unwrap(), None);
    // Paused for long: nobody can take it before the sweeper has seen that it was a pause.
    bench.clock.advance(10 * TERM);
    assert_eq!(directory.acquire_lease("sweeper", "node-2", TERM).await.unwrap(), None);
    bench.sweep();
    bench.pass(TERM / 2);
    assert!(directory.renew_lease(&lease, TERM).await.unwrap());
    // Not renewed while we run.
    bench.pass(TERM);
    let next = directory.acquire_lease("sweeper", "node-2", TERM).await.unwrap().unwrap();
    assert!(next.generation > lease.generation);
    assert!(!directory.renew_lease(&lease, TERM).await.unwrap());
}

#[tokio::test]
async fn terms_are_whole_seconds_and_have_an_end() {
    let bench = Bench::new().await;
    let directory = bench.directory();
    for (id, after) in [("short", Duration::from_nanos(1)), ("long", Duration::MAX)] {
        let change = Change::put_expiring(PRESENCE, id, Expected::Any, "", after);
        directory.commit(&skirmish(), vec![change]).await.unwrap();
        let change = Change::put_expiring(LOBBY, id, Expected::Any, "", after);
        directory.commit(&skirmish(), vec![change]).await.unwrap();
    }
    bench.clock.advance(Duration::from_millis(999));
    assert!(is_there(&directory, PRESENCE, "short").await);
    bench.clock.advance(MILLISECOND);
    assert!(!is_there(&directory, PRESENCE, "short").await);
    assert!(is_there(&directory, PRESENCE, "long").await && is_there(&directory, LOBBY, "long").await);
}
