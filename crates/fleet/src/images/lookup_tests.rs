use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// Answers with the number of the lookup as a version, or fails while it is told to.
#[derive(Default)]
struct Counting {
    lookups: AtomicU64,
    fails: AtomicBool,
    takes: Duration,
    retry_after: Option<Duration>,
}

#[async_trait]
impl TagSource for Counting {
    async fn look_up(&self, key: &LookupKey) -> Result<Vec<String>, ImageError> {
        let number = self.lookups.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(self.takes).await;
        if self.fails.load(Ordering::SeqCst) {
            let host = key.repository.host.clone();
            return Err(ImageError::TooOften { host, retry_after: self.retry_after });
        }
        Ok(vec![format!("{number}.0.0")])
    }
}

struct Fixture {
    source: Arc<Counting>,
    lookups: Lookups,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

const TAKES: Duration = Duration::from_millis(100);

fn fixture(source: Counting) -> Fixture {
    let (source, tracker, shutdown) = (Arc::new(source), TaskTracker::new(), CancellationToken::new());
    let lookups = Lookups::new(
        Arc::clone(&source) as Arc<dyn TagSource>,
        LookupPace::default(),
        tracker.clone(),
        shutdown.clone(),
    );
    Fixture { source, lookups, tracker, shutdown }
}

fn key() -> LookupKey {
    LookupKey { repository: Repository::parse("studio/game").unwrap(), source: SourceKey::Registry }
}

impl Fixture {
    fn count(&self) -> u64 {
        self.source.lookups.load(Ordering::SeqCst)
    }

    async fn tags(&self) -> String {
        self.lookups.tags(&key()).await.unwrap().tags.join(",")
    }

    async fn refresh(&self) -> String {
        self.lookups.refresh(&key()).await.unwrap().tags.join(",")
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_share_one_lookup_and_its_answer_is_kept() {
    let fixture = fixture(Counting { takes: TAKES, ..Counting::default() });
    let (one, two, three) = tokio::join!(fixture.tags(), fixture.tags(), fixture.tags());
    assert_eq!([one, two, three], ["1.0.0", "1.0.0", "1.0.0"]);
    tokio::time::advance(LookupPace::default().registry_ttl / 2).await;
    assert_eq!(fixture.tags().await, "1.0.0");
    assert_eq!(fixture.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_date_is_told_at_once_and_looked_up_for_the_next() {
    let fixture = fixture(Counting { takes: TAKES, ..Counting::default() });
    fixture.tags().await;
    tokio::time::advance(LookupPace::default().registry_ttl).await;
    let began = Instant::now();
    assert_eq!(fixture.tags().await, "1.0.0");
    assert_eq!(began.elapsed(), Duration::ZERO);
    tokio::time::sleep(TAKES * 2).await;
    assert_eq!(fixture.tags().await, "2.0.0");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_waits_for_a_lookup_that_begins_after_it() {
    let fixture = fixture(Counting { takes: TAKES, ..Counting::default() });
    let late = async {
        // The first lookup runs already, and may have passed what came since.
        tokio::time::sleep(TAKES / 2).await;
        fixture.refresh().await
    };
    let (first, late) = tokio::join!(fixture.tags(), late);
    assert_eq!([first, late], ["1.0.0", "2.0.0"]);
}

#[tokio::test(start_paused = true)]
async fn however_many_refresh_lookups_keep_their_gap() {
    let fixture = fixture(Counting { takes: TAKES, ..Counting::default() });
    let began = Instant::now();
    let mut asked = 0;
    while began.elapsed() < LookupPace::default().gap * 10 {
        tokio::join!(fixture.refresh(), fixture.refresh(), fixture.refresh());
        asked += 3;
    }
    assert!(fixture.count() <= 12, "{} lookups for {asked} who asked", fixture.count());
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_what_was_known_stays_and_pauses_grow() {
    let fixture = fixture(Counting { takes: TAKES, ..Counting::default() });
    fixture.refresh().await;
    fixture.source.fails.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let mut problems = 0;
    while began.elapsed() < Duration::from_mins(10) {
        let tags = fixture.lookups.refresh(&key()).await.unwrap();
        assert_eq!(*tags.tags, ["1.0.0".to_owned()]);
        problems += u32::from(tags.problem.is_some());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(problems > 1_000);
    // 1, 2, 4 … 256 s, then every 300 s.
    assert!((8..=12).contains(&fixture.count()), "{} lookups", fixture.count());
    fixture.source.fails.store(false, Ordering::SeqCst);
    tokio::time::sleep(LookupPace::default().backoff_max).await;
    let tags = fixture.lookups.refresh(&key()).await.unwrap();
    assert_eq!((tags.tags[0].as_str(), tags.problem), (&*format!("{}.0.0", fixture.count()), None));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_known_the_failure_is_told_and_the_registry_left_alone_as_it_wants() {
    let pause = Duration::from_secs(30);
    let fixture = fixture(Counting { fails: true.into(), retry_after: Some(pause), ..Counting::default() });
    for _ in 0..20 {
        let error = fixture.lookups.tags(&key()).await.unwrap_err();
        assert_eq!(error, ImageError::TooOften { host: "docker.io".into(), retry_after: Some(pause) });
    }
    assert_eq!(fixture.count(), 1);
    tokio::time::sleep(pause).await;
    fixture.source.fails.store(false, Ordering::SeqCst);
    assert_eq!(fixture.tags().await, "2.0.0");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_who_waits_and_every_task() {
    let fixture = fixture(Counting { takes: Duration::from_hours(1), ..Counting::default() });
    let stop = async {
        tokio::time::sleep(TAKES).await;
        fixture.shutdown.cancel();
    };
    let key = key();
    let (told, ()) = tokio::join!(fixture.lookups.tags(&key), stop);
    assert_eq!(told, Err(ImageError::Closing));
    fixture.tracker.close();
    fixture.tracker.wait().await;
    assert_eq!(fixture.lookups.refresh(&key).await, Err(ImageError::Closing));
}

#[tokio::test(start_paused = true)]
async fn no_more_images_are_remembered_than_may_be() {
    let fixture = fixture(Counting::default());
    for number in 0..IMAGES_MAX + 10 {
        let repository = Repository::parse(&format!("studio/game{number}")).unwrap();
        let key = LookupKey { repository, source: SourceKey::Registry };
        fixture.lookups.tags(&key).await.unwrap();
    }
    assert_eq!(fixture.lookups.0.entries.lock().len(), IMAGES_MAX);
}
