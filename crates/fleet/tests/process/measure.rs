//! What a start costs, printed: `cargo test --release -p greenroom-fleet -- --ignored --nocapture measure`.

use std::time::{Duration, Instant, SystemTime};

use greenroom_fleet::Phase;

use crate::support::*;

#[tokio::test]
#[ignore = "prints figures, asserts nothing that a busy machine would not hold"]
async fn measure_starts() {
    let host = Host::new().await;
    let mut observations = host.provider.observe();
    let (mut calls, mut seen, mut totals) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..100 {
        let id = format!("s{n}");
        let began = Instant::now();
        host.start(game(&id, &["tcp", "{0}", "wait"])).await;
        calls.push(began.elapsed());
        while !matches!(observations.next().await.unwrap().phase, Phase::Ready { .. }) {}
        totals.push(began.elapsed());
        let ready = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let listened: u64 = host.said(&id, "listening at ").await.parse().unwrap();
        seen.push(ready.saturating_sub(Duration::from_micros(listened)));
        host.provider.stop(&server(&id), Duration::ZERO).await.unwrap();
        host.until_ended(&id).await;
        while !matches!(observations.next().await.unwrap().phase, Phase::Ended(_)) {}
    }
    for (what, mut times) in
        [("start() answers", calls), ("listening to Ready seen", seen), ("start() to Ready", totals)]
    {
        times.sort();
        println!("{what}: median {:?}, p90 {:?}, most {:?}", times[50], times[90], times[99]);
    }
    host.finish().await;
}

#[tokio::test]
#[ignore = "prints figures"]
async fn measure_memory_of_a_supervisor() {
    let host = Host::new().await;
    for n in 0..20 {
        let id = format!("s{n}");
        host.start(game(&id, &["say", "hello", "tcp", "{0}", "wait"])).await;
        host.until_ready(&id).await;
    }
    let (supervisor, _) = host.pids("s19");
    let rollup = std::fs::read_to_string(format!("/proc/{supervisor}/smaps_rollup")).unwrap();
    for field in ["Rss:", "Pss:", "Pss_Anon:", "Private_Dirty:"] {
        println!("{}", rollup.lines().find(|line| line.starts_with(field)).unwrap());
    }
    host.finish().await;
}
