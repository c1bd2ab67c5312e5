//! A process that is killed at any moment keeps what it acknowledged.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use greenroom_event_log::{
    ConsumerConfig, EventLog, EventLogConfig, NewEntry, Sequence, StreamId, StreamLimits, Subject,
};

/// Set in the child: the database it appends to until it is killed.
const CHILD: &str = "GREENROOM_EVENT_LOG_KILL_CHILD";

const ROUNDS: u64 = 8;

async fn open(path: &str) -> EventLog {
    EventLog::open(EventLogConfig::Embedded { path: path.into() }).await.expect("a log")
}

/// The child: appends, fetches and acknowledges, and says so after each answer.
#[tokio::test]
async fn child() {
    let Ok(path) = env::var(CHILD) else { return };
    let log = open(&path).await;
    let stream = StreamId::new("s").expect("an id");
    log.create_stream(&stream, StreamLimits::default()).await.expect("a stream");
    log.put_consumer(&stream, "c", ConsumerConfig::default()).await.expect("a consumer");
    loop {
        let last = log.info(&stream).await.expect("the stream").last;
        let entry = NewEntry::new(Subject::new("a").expect("a subject"), last.next().to_string());
        let appended = log.append(&stream, vec![entry], Some(last)).await.expect("an append");
        println!("\nappended {}", appended[0].sequence);
        for delivery in log.fetch(&stream, "c", 1, Duration::ZERO).await.expect("a fetch").deliveries {
            let sequence = delivery.entry.sequence;
            log.ack(&stream, "c", &[sequence]).await.expect("an acknowledgement");
            println!("\nacknowledged {sequence}");
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives() {
    let seed = greenroom_test_support::seed("what_was_acknowledged_survives");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.db").display().to_string();
    let stream = StreamId::new("s").expect("an id");
    let (mut appended, mut acknowledged) = (0_u64, BTreeSet::new());
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        // Killed after a number of answers that differs by round and seed, in the midst of the next call.
        let answers = 1 + (seed.rotate_left(round as u32 * 7) % 60) as usize;
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            match line.split_once(' ') {
                Some(("appended", sequence)) => appended = sequence.parse().expect("a sequence"),
                Some(("acknowledged", sequence)) => {
                    acknowledged.insert(sequence.parse::<u64>().expect("a sequence"));
                }
                _ => continue,
            }
            seen += 1;
            if seen == answers {
                child.kill().expect("a kill");
            }
        }
        child.wait().expect("its end");
        assert!(seen >= answers, "the child ended by itself");

        let log = open(&path).await;
        let info = log.info(&stream).await.expect("the stream");
        assert!(info.last.0 >= appended, "{info:?}, acknowledged up to {appended}");
        let mut from = Sequence::FIRST;
        loop {
            let page = log.read(&stream, from, None, 1_000).await.expect("a page");
            for (place, entry) in page.entries.iter().enumerate() {
                assert_eq!(entry.sequence.0, from.0 + place as u64);
                assert_eq!(entry.payload, entry.sequence.to_string());
            }
            from = page.next;
            if page.end {
                break;
            }
        }
        assert_eq!(from, info.last.next(), "gapless");
        if !acknowledged.is_empty() {
            let again = log.fetch(&stream, "c", 1_000, Duration::ZERO).await.expect("a fetch").deliveries;
            let known: Vec<_> = again.iter().filter(|d| acknowledged.contains(&d.entry.sequence.0)).collect();
            assert!(known.is_empty(), "acknowledged and delivered again: {known:?}");
            let state = log.consumer_state(&stream, "c").await.expect("its place");
            assert!(acknowledged.last() <= Some(&(info.last.0 - state.lag)), "{state:?}");
        }
        log.close().await;
    }
}
