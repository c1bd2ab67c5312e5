//! The log: read back, followed, bounded.

use greenroom_fleet::{LogQuery, LogStream};

use crate::support::*;

#[tokio::test]
async fn the_tail_is_the_last_lines_and_a_follower_gets_the_rest_to_the_end() {
    let host = Host::new().await;
    host.start(game(
        "s1",
        &["say", "one", "say", "two", "say", "three", "payload", "say", "four", "exit", "0"],
    ))
    .await;
    host.said("s1", "three").await;
    let query = LogQuery { tail_lines: 2, follow: true };
    let mut lines = host.provider.logs(&server("s1"), query).await.unwrap();
    let mut texts = vec![lines.next().await.unwrap().text, lines.next().await.unwrap().text];
    host.provider.deliver_payload(&server("s1"), &bytes::Bytes::from_static(b"p")).await.unwrap();
    while let Some(line) = tokio::time::timeout(PATIENCE, lines.next()).await.unwrap() {
        assert!(line.at.as_millis() > 1_500_000_000_000);
        texts.push(line.text);
    }
    let wanted = ["two", "three", "payload=p", "four", "the game server has ended: it exited normally"];
    assert_eq!(texts, wanted);
    // Of an ended one, after a restart of ours too.
    let host = host.reopen().await;
    let last = host.log("s1").await.pop().unwrap();
    assert_eq!((last.stream, last.text.as_str()), (LogStream::System, wanted[4]));
    host.finish().await;
}

#[tokio::test]
async fn a_flood_is_bounded_and_the_game_gets_through_it() {
    let host = Host::new().await;
    let mut spec = game("s1", &["flood", "20000", "say", "through", "payload", "exit", "0"]);
    spec.log_bytes_max = 100_000;
    host.start(spec).await;
    host.said("s1", "through").await;
    let folder = host.folder_of("s1");
    let size = |name: &str| std::fs::metadata(folder.join(name)).unwrap().len();
    assert!(size("log") <= 120_000 && size("log.1") <= 120_000, "{} {}", size("log"), size("log.1"));
    let log = host.log("s1").await;
    let floods: Vec<u32> = log
        .iter()
        .filter_map(|line| line.text.strip_prefix("flood ")?.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(*floods.last().unwrap(), 19_999);
    assert!(floods.windows(2).all(|pair| pair[0] + 1 == pair[1]), "the two parts join");
    host.finish().await;
}

#[tokio::test]
async fn a_follower_goes_over_a_rotation() {
    let host = Host::new().await;
    let mut spec = game(
        "s1",
        &[
            "say", "begin", "payload", "flood", "100", "await", "second", "flood", "100", "await", "third",
            "flood", "100", "exit", "0",
        ],
    );
    // About one flood each.
    spec.log_bytes_max = 12_000;
    host.start(spec).await;
    host.said("s1", "begin").await;
    let query = LogQuery { tail_lines: 0, follow: true };
    let mut lines = host.provider.logs(&server("s1"), query).await.unwrap();
    host.provider.deliver_payload(&server("s1"), &bytes::Bytes::from_static(b"p")).await.unwrap();
    let mut floods = 0;
    while let Some(line) = tokio::time::timeout(PATIENCE, lines.next()).await.unwrap() {
        floods += u32::from(line.text.starts_with("flood "));
        // The next one comes when this one was read: a log of two parts keeps no third.
        match floods {
            100 => std::fs::write(host.folder_of("s1").join("second"), "").unwrap(),
            200 => std::fs::write(host.folder_of("s1").join("third"), "").unwrap(),
            _ => {}
        }
    }
    assert_eq!(floods, 300);
    assert!(host.folder_of("s1").join("log.1").exists());
    host.finish().await;
}
