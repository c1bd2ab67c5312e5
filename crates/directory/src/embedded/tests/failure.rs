//! What becomes of memory, watchers and callers when the database fails or stands still.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use tokio::task::JoinSet;

use super::{Bench, LOBBY, PRESENCE, ROOM, skirmish};
use crate::{
    Change, Directory, DirectoryConfig, DirectoryError, Expected, Key, Kind, Notice, OpenError, Revision,
};

/// Fails the statement that writes the document `poison`.
const STATEMENT_FAILS: &str = "CREATE TRIGGER fault BEFORE INSERT ON documents WHEN NEW.id = 'poison'
    BEGIN SELECT RAISE(ABORT, 'planted'); END";

/// Fails the commit of the transaction that writes the document `poison`, and nothing before it.
const COMMIT_FAILS: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE orphan (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER fault BEFORE INSERT ON documents WHEN NEW.id = 'poison'
    BEGIN INSERT INTO orphan VALUES (1); END";

const CURE: &str = "DROP TRIGGER fault";

async fn value(directory: &Directory, kind: Kind, id: &str) -> Option<String> {
    let found = directory.get(&Key::new(skirmish(), kind, id)).await.unwrap();
    found.map(|document| String::from_utf8(document.value.to_vec()).unwrap())
}

async fn put(
    directory: &Directory,
    kind: Kind,
    id: &str,
    value: &str,
) -> Result<Vec<Revision>, DirectoryError> {
    directory.commit(&skirmish(), vec![Change::put(kind, id, Expected::Any, value.to_owned())]).await
}

/// Looks once whether `future` is done.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Sends commits while the database stands still, each once the one before is in memory.
struct Queue {
    directory: Directory,
    sent: JoinSet<(usize, Result<Vec<Revision>, DirectoryError>)>,
}

impl Queue {
    fn new(directory: &Directory) -> Self {
        Self { directory: directory.clone(), sent: JoinSet::new() }
    }

    async fn send(&mut self, changes: Vec<Change>) {
        let (directory, number) = (self.directory.clone(), self.sent.len());
        let key = Key::new(skirmish(), changes[0].kind, &changes[0].id);
        let before = self.directory.get(&key).await.unwrap();
        self.sent.spawn(async move { (number, directory.commit(&skirmish(), changes).await) });
        while self.directory.get(&key).await.unwrap() == before {
            tokio::task::yield_now().await;
        }
    }

    async fn answers(self) -> Vec<Result<Vec<Revision>, DirectoryError>> {
        let mut answers = self.sent.join_all().await;
        answers.sort_by_key(|(number, _)| *number);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

#[tokio::test]
async fn a_failed_write_takes_back_all_that_was_built_upon_it_and_shows_none() {
    for fault in [STATEMENT_FAILS, COMMIT_FAILS] {
        let mut bench = Bench::new().await;
        let directory = bench.directory();
        let stood = put(&directory, LOBBY, "a", "stood").await.unwrap()[0];
        put(&directory, PRESENCE, "p", "stood").await.unwrap();
        let mut watch = directory.watch(&[LOBBY, ROOM, PRESENCE]).await.unwrap();
        while watch.next().await != Some(Notice::Current) {}

        let sqlite = bench.sqlite();
        sqlite.execute_batch(fault).unwrap();
        sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut queue = Queue::new(&directory);
        queue.send(vec![Change::put(LOBBY, "a", Expected::At(stood), "one")]).await;
        queue
            .send(vec![
                Change::put(LOBBY, "poison", Expected::Absent, ""),
                Change::put(LOBBY, "a", Expected::Any, "two"),
                Change::put(PRESENCE, "p", Expected::Any, "mixed"),
            ])
            .await;
        queue.send(vec![Change::delete(LOBBY, "a", Expected::Any)]).await;
        queue.send(vec![Change::put(ROOM, "b", Expected::Absent, "upon it")]).await;
        queue.send(vec![Change::put(PRESENCE, "p", Expected::Any, "upon the mixed one")]).await;
        assert_eq!(value(&directory, LOBBY, "a").await, None, "the newest state can be built upon");
        assert_eq!(watch.try_next(), None, "nothing is shown before the database has it");
        let mut late = directory.watch(&[LOBBY, ROOM, PRESENCE]).await.unwrap();
        sqlite.execute_batch("COMMIT").unwrap();

        let answers = queue.answers().await;
        let first_survives = answers[0].is_ok();
        assert!(first_survives || fault == COMMIT_FAILS, "only what shares a transaction can fail with it");
        for answer in &answers[1..] {
            assert!(matches!(answer, Err(DirectoryError::Unavailable(_))), "{answer:?}");
        }
        let stands = if first_survives { "one" } else { "stood" };
        assert_eq!(value(&directory, LOBBY, "a").await.unwrap(), stands);
        assert_eq!(value(&directory, LOBBY, "poison").await, None);
        assert_eq!(value(&directory, ROOM, "b").await, None);
        assert_eq!(value(&directory, PRESENCE, "p").await.unwrap(), "stood");

        // It goes on, under revisions that nobody has seen yet.
        sqlite.execute_batch(CURE).unwrap();
        let next = put(&directory, LOBBY, "poison", "cured").await.unwrap()[0];
        assert!(next.0 > stood.0 + 7, "{next:?}");
        for watch in [&mut watch, &mut late] {
            let mut told = Vec::new();
            while let Some(notice) = watch.try_next() {
                if let Notice::Put(document) = notice {
                    told.push(String::from_utf8(document.value.to_vec()).unwrap());
                } else {
                    assert_eq!(notice, Notice::Current);
                }
            }
            assert_eq!(told.pop().unwrap(), "cured");
            assert!(told.iter().all(|value| value == "stood" || value == "one"), "{told:?}");
        }

        bench.restart().await;
        let directory = bench.directory();
        assert_eq!(value(&directory, LOBBY, "a").await.unwrap(), stands);
        assert_eq!(value(&directory, LOBBY, "poison").await.unwrap(), "cured");
        assert_eq!(value(&directory, ROOM, "b").await, None);
    }
}

#[tokio::test]
async fn a_watch_begins_with_what_is_in_the_database() {
    let bench = Bench::new().await;
    let directory = bench.directory();
    put(&directory, LOBBY, "a", "acknowledged").await.unwrap();
    put(&directory, LOBBY, "b", "acknowledged").await.unwrap();
    let sqlite = bench.sqlite();
    sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut queue = Queue::new(&directory);
    for value in ["one", "two"] {
        queue.send(vec![Change::put(LOBBY, "a", Expected::Any, value)]).await;
    }
    queue.send(vec![Change::delete(LOBBY, "b", Expected::Any)]).await;
    queue.send(vec![Change::put(LOBBY, "c", Expected::Absent, "new")]).await;
    let mut watch = directory.watch(&[LOBBY]).await.unwrap();
    for id in ["a", "b"] {
        let Some(Notice::Put(document)) = watch.try_next() else { panic!() };
        assert_eq!((&*document.key.id, &document.value[..]), (id, &b"acknowledged"[..]));
    }
    assert_eq!(watch.try_next(), Some(Notice::Current));
    assert_eq!(watch.try_next(), None);
    sqlite.execute_batch("COMMIT").unwrap();
    assert!(queue.answers().await.iter().all(Result::is_ok));
    let told: Vec<_> = std::iter::from_fn(|| watch.try_next()).collect();
    let [Notice::Put(a), Notice::Deleted { key: b, .. }, Notice::Put(c)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((&a.value[..], &*b.id, &*c.key.id), (&b"two"[..], "b", "c"), "one state a key, in order");
}

#[tokio::test]
async fn passing_documents_do_not_wait_for_the_database() {
    let bench = Bench::new().await;
    let directory = bench.directory();
    // The first commit of a partition reserves revisions.
    put(&directory, PRESENCE, "a", "first").await.unwrap();
    let commits = directory.commits();
    let sqlite = bench.sqlite();
    sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut queue = Queue::new(&directory);
    queue.send(vec![Change::put(LOBBY, "kept", Expected::Any, "waits")]).await;
    for n in 0..100 {
        put(&directory, PRESENCE, "a", &n.to_string()).await.unwrap();
    }
    assert_eq!(directory.commits(), commits);
    sqlite.execute_batch("COMMIT").unwrap();
    assert!(queue.answers().await[0].is_ok());
}

#[tokio::test]
async fn a_full_queue_says_busy_and_changes_nothing() {
    let bench = Bench::new().await;
    let directory = bench.directory();
    put(&directory, LOBBY, "a", "first").await.unwrap();
    let sqlite = bench.sqlite();
    sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Polled once each: that queues the commit.
    let mut waiting = Vec::new();
    let mut refused = None;
    for n in 0..=super::QUEUE_JOBS_MAX + greenroom_sqlite::BATCH_JOBS_MAX {
        let mut commit = Box::pin(put(&directory, LOBBY, "a", "more"));
        if let Some(answer) = poll_once(&mut commit).await {
            refused = Some((n, answer));
            break;
        }
        waiting.push(commit);
    }
    assert_eq!(refused.unwrap().1, Err(DirectoryError::Busy));
    sqlite.execute_batch("COMMIT").unwrap();
    assert!(futures_util::future::join_all(waiting).await.iter().all(Result::is_ok));
    put(&directory, LOBBY, "a", "last").await.unwrap();
}

#[tokio::test]
async fn a_commit_nobody_waits_for_is_made_all_the_same() {
    let mut bench = Bench::new().await;
    {
        let directory = bench.directory();
        let mut commit = Box::pin(put(&directory, LOBBY, "a", "left alone"));
        assert_eq!(poll_once(&mut commit).await, None);
    }
    bench.restart().await;
    assert_eq!(value(&bench.directory(), LOBBY, "a").await.unwrap(), "left alone");
}

#[tokio::test]
async fn what_could_not_be_expired_is_expired_later() {
    let mut bench = Bench::new().await;
    let directory = bench.directory();
    let second = Duration::from_secs(1);
    let change = Change::put_expiring(LOBBY, "a", Expected::Any, "", second);
    directory.commit(&skirmish(), vec![change]).await.unwrap();
    let mut watch = directory.watch(&[LOBBY]).await.unwrap();
    while watch.next().await != Some(Notice::Current) {}
    let sqlite = bench.sqlite();
    let fault = "CREATE TRIGGER fault BEFORE DELETE ON documents BEGIN SELECT RAISE(ABORT, 'planted'); END";
    sqlite.execute_batch(fault).unwrap();
    bench.clock.advance(second);
    bench.sweep();
    // Passes through the queue behind the failed delete, and is failed or not with it.
    let _ = put(&directory, ROOM, "r", "").await;
    assert_eq!(watch.try_next(), None);
    assert_eq!(value(&directory, LOBBY, "a").await, None, "told or not, it has expired");
    sqlite.execute_batch(CURE).unwrap();
    bench.sweep();
    assert!(matches!(watch.next().await, Some(Notice::Deleted { .. })));
}

#[tokio::test]
async fn a_kind_has_one_class() {
    let directory = Bench::new().await.directory();
    put(&directory, LOBBY, "a", "").await.unwrap();
    let other = put(&directory, Kind::passing("lobby"), "a", "").await;
    assert!(matches!(other, Err(DirectoryError::Malformed(_))), "{other:?}");
}

#[tokio::test]
async fn a_database_of_a_newer_greenroom_is_refused() {
    let bench = Bench::new().await;
    bench.directory().close().await;
    bench.sqlite().execute_batch("PRAGMA user_version = 99").unwrap();
    let refused = Directory::open(DirectoryConfig::Embedded { path: bench.path() }).await;
    let Err(OpenError::Database(greenroom_sqlite::OpenError::TooNew { found, .. })) = refused else {
        panic!()
    };
    assert_eq!(found, 99);
}

#[tokio::test]
async fn a_watch_ends_when_the_last_handle_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.db");
    let directory = Directory::open(DirectoryConfig::Embedded { path }).await.unwrap();
    let mut watch = directory.watch(&[LOBBY]).await.unwrap();
    let mut subscription = directory.subscribe("a").await.unwrap();
    drop(directory);
    assert_eq!(watch.next().await, Some(Notice::Current));
    assert_eq!(watch.next().await, None);
    assert_eq!(subscription.next().await, None);
}
