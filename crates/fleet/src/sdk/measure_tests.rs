//! What pings cost: run by hand, with optimizations (`cargo test --release … -- --ignored --nocapture`).

use std::{
    fs,
    net::TcpListener,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use futures_util::future::LocalBoxFuture;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Builder,
    task::{JoinSet, LocalSet},
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::*;

#[expect(unreachable_pub, clippy::allow_attributes_without_reason, reason = "it is not written by hand")]
mod client {
    include!(concat!(env!("OUT_DIR"), "/client/agones.dev.sdk.rs"));
}

const SERVERS: u64 = 1_000;
const PERIOD: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Pings(AtomicU64);

#[async_trait]
impl SdkBackend for Pings {
    fn game_server(&self, _instance: &ServerId) -> Option<watch::Receiver<Arc<GameServer>>> {
        None
    }

    fn health(&self, _instance: &ServerId) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    async fn change(&self, _instance: &ServerId, _change: Change) -> Result<Changed, SdkError> {
        Err(SdkError::NotFound)
    }
}

/// How much of a core the endpoints take whose servers each do `ping` on and on.
fn measure(what: &str, ping: fn(SdkPorts, Instant) -> LocalBoxFuture<'static, ()>) {
    let any = || TcpListener::bind("127.0.0.1:0").unwrap();
    // All at once, so that none is given twice.
    let free: Vec<_> = (0..SERVERS).map(|_| (any(), any())).collect();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let ports: Vec<_> =
        free.iter().map(|(http, grpc)| SdkPorts { http: port(http), grpc: port(grpc) }).collect();
    drop(free);
    let (backend, steps) = (Arc::new(Pings::default()), Arc::new(Barrier::new(2)));
    let server = thread::spawn({
        let (backend, steps, ports) = (Arc::clone(&backend), Arc::clone(&steps), ports.clone());
        move || {
            Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let endpoints = Endpoints::default();
                endpoints.serve(backend);
                for (n, ports) in ports.into_iter().enumerate() {
                    let id = ServerId::new(format!("s{n}")).unwrap();
                    endpoints.open(&id, Place::Here(ports).listen().unwrap());
                }
                steps.wait();
                sleep(PERIOD * 2).await;
                let (before, began) = (core_ns(), Instant::now());
                sleep(MEASURED).await;
                let (used, took) = (core_ns() - before, began.elapsed().as_nanos() as u64);
                // The clients end first.
                steps.wait();
                steps.wait();
                endpoints.close_all();
                used as f64 / took as f64
            })
        }
    });
    steps.wait();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let clients = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let mut all = JoinSet::new();
            for (n, ports) in ports.into_iter().enumerate() {
                let first = Instant::now() + PERIOD * u32::try_from(n).unwrap() / SERVERS as u32;
                all.spawn_local(ping(ports, first));
            }
            let _stopped = stopped.await;
        });
    });
    steps.wait();
    let _ended = stop.send(());
    clients.join().unwrap();
    steps.wait();
    let share = server.join().unwrap();
    let pings = backend.0.load(Ordering::Relaxed);
    println!(
        "{what}: {SERVERS} servers, a ping each every {PERIOD:?}: {:.1} % of a core; {pings} pings",
        share * 100.0
    );
    assert!(pings >= SERVERS * 10, "{pings}");
}

/// What this thread has used of a core.
fn core_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

async fn every_period(first: Instant, mut ping: impl AsyncFnMut()) {
    let mut ticks = interval_at(first, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ping().await;
    }
}

#[test]
#[ignore = "prints figures"]
fn measure_pings_over_http() {
    measure("HTTP, connections kept", |ports, first| {
        Box::pin(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", ports.http)).await.unwrap();
            every_period(first, async || {
                stream
                    .write_all(b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
                    .await
                    .unwrap();
                let read = stream.read(&mut [0; 1024]).await.unwrap();
                assert!(read > 0);
            })
            .await;
        })
    });
    measure("HTTP, a connection each", |ports, first| {
        Box::pin(every_period(first, async move || {
            let mut stream = TcpStream::connect(("127.0.0.1", ports.http)).await.unwrap();
            stream.write_all(b"POST /health HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.0 200 "), "{answer:?}");
        }))
    });
}

#[test]
#[ignore = "prints figures"]
fn measure_pings_over_grpc() {
    measure("gRPC, a stream", |ports, first| {
        Box::pin(async move {
            let url = format!("http://127.0.0.1:{}", ports.grpc);
            let channel = tonic::transport::Endpoint::from_shared(url).unwrap().connect().await.unwrap();
            let mut client = client::sdk_client::SdkClient::new(channel);
            let (send, receive) = tokio::sync::mpsc::channel(1);
            let pings = futures_util::stream::unfold(receive, async |mut receive| {
                receive.recv().await.map(|ping| (ping, receive))
            });
            let call = client.health(pings);
            let pinging = every_period(first, async || send.send(client::Empty {}).await.unwrap());
            tokio::select! {
                ended = call => panic!("{ended:?}"),
                () = pinging => {}
            }
        })
    });
}
