use super::*;

fn options() -> WriterOptions {
    WriterOptions { name: "test", durability: Durability::PowerLoss, queue_jobs_max: 64 }
}

fn open(path: &Path) -> Writer {
    Writer::open(path, options(), |c| c.execute_batch("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)"))
        .unwrap()
}

async fn insert(writer: &Writer, n: i64) -> Result<Result<usize, rusqlite::Error>, WriteError> {
    writer.run(move |c| c.execute("INSERT INTO t VALUES (?1)", [n])).await
}

async fn count(writer: &Writer) -> i64 {
    writer.run(|c| c.query_row("SELECT count(*) FROM t", [], |r| r.get(0))).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_was_answered_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let writer = open(&path);
    insert(&writer, 1).await.unwrap().unwrap();
    writer.close().await;
    assert!(matches!(insert(&writer, 2).await, Err(WriteError::Closed)));
    assert_eq!(count(&open(&path)).await, 1);
}

#[tokio::test]
async fn a_job_that_fails_undoes_itself_alone() {
    let folder = tempfile::tempdir().unwrap();
    let writer = open(&folder.path().join("a.db"));
    let failing = writer.run(|c| {
        c.execute("INSERT INTO t VALUES (7)", [])?;
        c.execute("INSERT INTO t VALUES (7)", [])
    });
    let (failed, fine) = tokio::join!(failing, insert(&writer, 8));
    assert!(failed.unwrap().is_err());
    assert_eq!(fine.unwrap().unwrap(), 1);
    assert_eq!(count(&writer).await, 1);
}

#[tokio::test]
async fn many_at_once_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let writer = open(&folder.path().join("a.db"));
    // Holds the writer until all the others wait.
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    writer.try_submit(move |_| released.recv().map_err(|_| ()), |_| ()).unwrap();
    let before = writer.commits();
    let mut jobs = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (answer, answered) = oneshot::channel();
        writer
            .try_submit(
                move |c| c.execute("INSERT INTO t VALUES (?1)", [n]),
                move |r| assert!(answer.send(r.is_ok()).is_ok()),
            )
            .unwrap();
        jobs.spawn(answered);
    }
    release.send(()).unwrap();
    assert!(jobs.join_all().await.into_iter().all(|r| r.unwrap()));
    assert!(writer.commits() - before <= 2, "50 jobs took {} commits", writer.commits() - before);
}

#[tokio::test]
async fn a_full_queue_says_busy() {
    let folder = tempfile::tempdir().unwrap();
    let writer = open(&folder.path().join("a.db"));
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    writer.try_submit(move |_| released.recv().map_err(|_| ()), |_| ()).unwrap();
    let refused = (0..200).find_map(|_| writer.try_submit(|_| Ok::<(), ()>(()), |_| ()).err());
    assert!(matches!(refused, Some(WriteError::Busy)));
    release.send(()).unwrap();
    assert_eq!(count(&writer).await, 0);
}

#[tokio::test]
async fn what_is_queued_behind_the_close_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let writer = open(&folder.path().join("a.db"));
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    writer.try_submit(move |_| released.recv().map_err(|_| ()), |_| ()).unwrap();
    let mut closing = tokio::task::JoinSet::new();
    closing.spawn({
        let writer = writer.clone();
        async move { writer.close().await }
    });
    tokio::task::yield_now().await;
    let (answer, answered) = oneshot::channel();
    let queued =
        writer.try_submit(|_| Ok::<(), ()>(()), move |result| assert!(answer.send(result.is_err()).is_ok()));
    release.send(()).unwrap();
    closing.join_all().await;
    // Either it was refused at once or it is told that it was not done.
    assert!(queued.is_err() || answered.await.unwrap());
}
