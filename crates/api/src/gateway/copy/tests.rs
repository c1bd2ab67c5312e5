use std::time::Duration;

use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

use super::*;

/// What a pair of streams holds in each direction.
const ROOM: usize = 64;

struct World {
    client: DuplexStream,
    server: DuplexStream,
    server_ended: CancellationToken,
    greenroom_stops: CancellationToken,
    copied: tokio::task::JoinHandle<(End, Passed)>,
}

fn world(first_down: &'static [u8]) -> World {
    let (client, to_client) = duplex(ROOM);
    let (server, to_server) = duplex(ROOM);
    let (server_ended, greenroom_stops) = (CancellationToken::new(), CancellationToken::new());
    let (ended, stops) = (server_ended.clone(), greenroom_stops.clone());
    #[expect(clippy::disallowed_methods, reason = "awaited, or ended with the test's runtime")]
    let copied = tokio::spawn(async move {
        let ends = Ends {
            server: &ended,
            greenroom: &stops,
            idle: Duration::from_mins(1),
            retry_after: Duration::from_millis(700),
        };
        both_ways(to_client, b"first", to_server, first_down, ends).await
    });
    World { client, server, server_ended, greenroom_stops, copied }
}

async fn read(stream: &mut DuplexStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).await.unwrap();
    read
}

async fn rest(stream: &mut DuplexStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    rest
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_both_ways_after_those_that_were_read_before() {
    let mut world = world(&[0x81, 1, b'a']);
    assert_eq!(read(&mut world.server, 5).await, b"first");
    assert_eq!(read(&mut world.client, 3).await, [0x81, 1, b'a']);
    world.client.write_all(b"up").await.unwrap();
    assert_eq!(read(&mut world.server, 2).await, b"up");
    world.server.write_all(&[0x81, 1, b'b']).await.unwrap();
    assert_eq!(read(&mut world.client, 3).await, [0x81, 1, b'b']);
    // The client says no more, and still hears what the server has to say.
    world.client.shutdown().await.unwrap();
    assert!(rest(&mut world.server).await.is_empty());
    world.server.write_all(&[0x81, 1, b'c']).await.unwrap();
    drop(world.server);
    assert_eq!(rest(&mut world.client).await, [0x81, 1, b'c']);
    assert_eq!(world.copied.await.unwrap(), (End::Closed, Passed { up: 7, down: 9 }));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_not_read_for() {
    let mut world = world(b"");
    // One stream's room, what is kept, and the other stream's room: then nothing more is taken.
    let mut sent = 0;
    let chunk = [7; 1_024];
    while let Ok(Ok(())) = timeout(Duration::from_secs(1), world.server.write_all(&chunk)).await {
        sent += chunk.len();
        assert!(sent <= CHUNK_BYTES + 2 * ROOM, "{sent}");
    }
    // The other direction goes on meanwhile.
    world.client.write_all(b"up").await.unwrap();
    assert_eq!(read(&mut world.server, 7).await, b"firstup");
    let mut got = 0;
    while let Ok(read) = timeout(Duration::from_secs(1), world.client.read(&mut [0; 512])).await {
        got += read.unwrap();
    }
    assert!(got >= sent);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_and_talk_does_not() {
    let mut world = world(b"");
    read(&mut world.server, 5).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        world.client.write_all(b"x").await.unwrap();
        read(&mut world.server, 1).await;
    }
    let silent = Instant::now();
    let farewell = rest(&mut world.client).await;
    assert_eq!(farewell[..4], [0x88, farewell.len() as u8 - 2, 0x03, 0xe9]);
    assert!(silent.elapsed() <= Duration::from_mins(2) + Duration::from_secs(1));
    drop(world.client);
    assert_eq!(world.copied.await.unwrap().0, End::Idle);
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_between_frames_and_never_inside_one() {
    for (begun, is_told) in
        [(&[0x81, 2, b'a', b'b'][..], true), (&[0x81, 2, b'a'], false), (&[0x88, 0], false)]
    {
        let mut world = world(b"");
        world.server.write_all(begun).await.unwrap();
        assert_eq!(read(&mut world.client, begun.len()).await, begun);
        world.greenroom_stops.cancel();
        let farewell = rest(&mut world.client).await;
        let expected = frames::close(1012, r#"{"retryAfterMs":700}"#);
        assert_eq!(farewell, if is_told { expected } else { Vec::new() });
        // The server has been let go before.
        assert!(world.server.write_all(b"x").await.is_err());
        drop(world.client);
        assert_eq!(world.copied.await.unwrap().0, End::GreenroomStops);
    }
}

#[tokio::test(start_paused = true)]
async fn the_servers_end_closes_the_socket_though_its_connection_stands() {
    let mut world = world(b"");
    world.server_ended.cancel();
    let farewell = rest(&mut world.client).await;
    assert!(farewell.ends_with(b"The game server has ended."));
    // A client that does not hang up is not waited for.
    assert_eq!(world.copied.await.unwrap().0, End::ServerEnded);
}
