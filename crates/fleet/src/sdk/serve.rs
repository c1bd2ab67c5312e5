//! Accepts a server's connections and answers them, within bounds.

use std::{
    convert::Infallible, future::poll_fn, io, net::TcpListener as StdListener, sync::Arc, task::Poll,
    time::Duration,
};

use axum::body::Body;
use greenroom_protocol::ServerId;
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Listeners, Shared, call::Caller, grpc, http};

/// Connections that a server may hold at once; a further one waits to be accepted.
const CONNECTIONS_MAX: usize = 32;

/// Calls at once on one connection of gRPC; a further one waits.
const STREAMS_MAX: u32 = 32;

/// Calls, pings and connections of one server in a second, in the long run; what goes beyond waits.
const CALLS_PER_SECOND: f64 = 200.0;

/// Calls that a server may make at once before it waits.
const CALLS_BURST: f64 = 400.0;

/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a connection may send before it is read, in bytes.
const WINDOW_BYTES: u32 = 64 * 1024;

/// How long a connection of HTTP may be idle, or take to send the head of a request.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// After no connection could be accepted, for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Answers a server until its endpoint is `closed`, then ends its connections.
pub(super) async fn serve(
    shared: Arc<Shared>,
    id: ServerId,
    listeners: Listeners,
    closed: CancellationToken,
) {
    let listeners = match register(listeners) {
        Ok(listeners) => listeners,
        Err(error) => {
            tracing::error!(server = %id, %error, "a game server's SDK is not answered");
            return;
        }
    };
    let pace = Arc::new(Pace::default());
    let caller = Caller { shared, instance: Arc::new(id), pace, closed: closed.clone() };
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await.ok()?;
            let accepted = accept(&listeners).await;
            caller.turn().await;
            Some((permit, accepted))
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = closed.cancelled() => break,
            accepted = accepted => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
        };
        match accepted {
            Ok((stream, protocol)) => {
                let _not_needed = stream.set_nodelay(true);
                let slot = Slot::new(permit);
                let (caller, closed) = (caller.clone(), closed.clone());
                let executor = Tracked { tasks: connections.clone(), closed: closed.clone() };
                connections.spawn(async move {
                    tokio::select! {
                        biased;
                        () = closed.cancelled() => {}
                        () = converse(stream, protocol, caller, slot, executor) => {}
                    }
                });
            }
            Err(error) => {
                tracing::debug!(server = %caller.instance, %error, "a connection to the SDK was not accepted");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listeners);
    connections.close();
    connections.wait().await;
}

#[derive(Clone, Copy)]
enum Protocol {
    Http,
    Grpc,
}

fn register(listeners: Listeners) -> io::Result<Vec<(TcpListener, Protocol)>> {
    let all = |listeners: Vec<StdListener>, protocol| {
        listeners.into_iter().map(move |listener| Ok((TcpListener::from_std(listener)?, protocol)))
    };
    all(listeners.http, Protocol::Http).chain(all(listeners.grpc, Protocol::Grpc)).collect()
}

async fn accept(listeners: &[(TcpListener, Protocol)]) -> io::Result<(TcpStream, Protocol)> {
    poll_fn(|context| {
        for (listener, protocol) in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted.map(|(stream, _from)| (stream, *protocol)));
            }
        }
        Poll::Pending
    })
    .await
}

async fn converse(stream: TcpStream, protocol: Protocol, caller: Caller, slot: Slot, executor: Tracked) {
    let stream = TokioIo::new(stream);
    // How a connection ends is the caller's own affair.
    let _ended = match protocol {
        Protocol::Http => {
            let service = service_fn(move |request: Request<Incoming>| {
                let (caller, slot) = (caller.clone(), slot.clone());
                async move { Ok::<Response<Body>, Infallible>(http::answer(&caller, &slot, request).await) }
            });
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE_MAX)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(stream, service)
                .with_upgrades()
                .await
        }
        Protocol::Grpc => {
            let services = grpc::Services::new(caller);
            let service = service_fn(move |request: Request<Incoming>| services.answer(request));
            let ended = http2::Builder::new(executor)
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEAD_BYTES_MAX as u32)
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(WINDOW_BYTES)
                .max_send_buf_size(WINDOW_BYTES as usize)
                .serve_connection(stream, service)
                .await;
            drop(slot);
            ended
        }
    };
}

/// The place of a connection among those that a server may hold, until the last copy is dropped.
#[derive(Clone)]
pub(super) struct Slot {
    _held: Arc<Counted>,
}

struct Counted {
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("greenroom_sdk_connections").increment(1.0);
        Self { _held: Arc::new(Counted { _permit: permit }) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("greenroom_sdk_connections").decrement(1.0);
    }
}

/// Runs the parts of a connection, which end with the endpoint.
#[derive(Clone)]
struct Tracked {
    tasks: TaskTracker,
    closed: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, part: F) {
        let closed = self.closed.clone();
        self.tasks.spawn(async move {
            let _ended = closed.run_until_cancelled_owned(part).await;
        });
    }
}

/// Makes those wait that call too often: each call costs its share of a second, with some in advance.
pub(super) struct Pace(Mutex<(f64, Instant)>);

impl Default for Pace {
    fn default() -> Self {
        Self(Mutex::new((CALLS_BURST, Instant::now())))
    }
}

impl Pace {
    pub(super) async fn turn(&self) {
        let wait = self.take(Instant::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Takes a turn; how long it is until then.
    fn take(&self, now: Instant) -> Duration {
        let mut state = self.0.lock();
        let (left, since) = *state;
        let regained = now.saturating_duration_since(since).as_secs_f64() * CALLS_PER_SECOND;
        let left = (left + regained).min(CALLS_BURST) - 1.0;
        *state = (left, now.max(since));
        Duration::from_secs_f64((-left / CALLS_PER_SECOND).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_calls_too_often_waits_and_then_gets_what_a_second_has() {
        let pace = Pace::default();
        let now = pace.0.lock().1;
        for _ in 0..CALLS_BURST as u32 {
            assert_eq!(pace.take(now), Duration::ZERO);
        }
        let first = pace.take(now).as_secs_f64();
        assert!((first - 1.0 / CALLS_PER_SECOND).abs() < 1e-9, "{first}");
        for _ in 1..CALLS_PER_SECOND as u32 {
            pace.take(now);
        }
        assert!((pace.take(now).as_secs_f64() - 1.0).abs() < 0.01);
        assert_eq!(pace.take(now + Duration::from_secs(2)), Duration::ZERO, "it has waited");
    }
}
