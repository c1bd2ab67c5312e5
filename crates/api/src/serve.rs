//! Serves a router on a listener: accepts, bounds, drains.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::tls::Tls;

/// Pause after a connection could not be accepted, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Largest head of a request, in bytes: request line and headers. A larger one is 431.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most headers of a request.
const HEADERS_MAX: usize = 100;

/// Connections at once that are told why they are refused; more are just closed.
const REFUSALS_MAX: usize = 64;

/// How long a refused connection may take to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);

/// What a connection over the bound is told.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/problem+json\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 185\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"The server is busy\",\"status\":503,\"code\":\"busy\",\
    \"detail\":\"As many connections are open as may be. Close one that is not needed, or try again in a moment.\"}";

/// How connections are treated.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// Most connections at once, player sockets included; 50,000. One more is answered 503 and
    /// closed; with TLS it is just closed, for a handshake is what it would have to be spared.
    pub connections_max: usize,
    /// TLS, if connections must speak it; none unless set.
    pub tls: Option<Tls>,
    /// How long a TLS handshake may take; 10 s.
    pub handshake_timeout: Duration,
    /// How long a connection may take to bring a whole head, and how long it may stay without a
    /// request; 60 s.
    pub head_timeout: Duration,
    /// How long requests that are under way may take to end once the shutdown has begun; 10 s. Then
    /// they are cut off. Player sockets are not among them: they are counted by the router's tracker.
    pub drain_timeout: Duration,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            connections_max: 50_000,
            tls: None,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_mins(1),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Holds a connection's place among `connections_max`; a socket keeps it beyond its request.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionPlace {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Serves `router` on `listener` until `shutdown`, then lets what is under way come to its end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: ServeSettings,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(settings.connections_max.min(Semaphore::MAX_PERMITS)));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // The shutdown first, that nobody is let in any more; then those that have ended, so that
        // their number never grows beyond what is open.
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if is_of_the_listener(&error) {
                    tracing::warn!(%error, "connections cannot be accepted now; is the limit of open files too low?");
                    sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        metrics::gauge!("greenroom_http_connections").set(connections.len() as f64);
        if let Ok(permit) = Arc::clone(&places).try_acquire_owned() {
            let place = ConnectionPlace { _permit: Arc::new(permit) };
            connections.spawn(admit(stream, peer, place, router.clone(), settings.clone(), shutdown.clone()));
            continue;
        }
        metrics::counter!("greenroom_http_connections_refused_total").increment(1);
        if settings.tls.is_none()
            && let Ok(permit) = Arc::clone(&refusals).try_acquire_owned()
        {
            connections.spawn(refuse(stream, permit));
        }
    }
    drop(listener);
    let drained =
        timeout(settings.drain_timeout, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = connections.len(), "requests that took too long to end are cut off");
    }
    Ok(())
}

/// Whether a request came over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

async fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    place: ConnectionPlace,
    router: Router,
    settings: ServeSettings,
    shutdown: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "a connection was gone before it was served");
        return;
    }
    let Some(tls) = settings.tls.clone() else {
        return connection(stream, Scheme::Http, peer, place, router, settings, shutdown).await;
    };
    let handshake = timeout(settings.handshake_timeout, tls.acceptor().accept(stream));
    // The shutdown first: nobody is let in any more.
    let outcome = tokio::select! {
        biased;
        () = shutdown.cancelled() => return,
        outcome = handshake => outcome,
    };
    match outcome {
        Ok(Ok(stream)) => connection(stream, Scheme::Https, peer, place, router, settings, shutdown).await,
        Ok(Err(error)) => refused_handshake(&error.to_string(), peer),
        Err(_) => refused_handshake("it took too long", peer),
    }
}

fn refused_handshake(cause: &str, peer: SocketAddr) {
    metrics::counter!("greenroom_tls_handshakes_failed_total").increment(1);
    tracing::debug!(cause, %peer, "a TLS handshake failed");
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    scheme: Scheme,
    peer: SocketAddr,
    place: ConnectionPlace,
    router: Router,
    settings: ServeSettings,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(scheme);
        request.extensions_mut().insert(place.clone());
        let answer = router.clone().call(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    // The shutdown first; a connection without a request ends at once then.
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        ended = connection.as_mut() => ended,
    };
    if let Err(error) = ended {
        tracing::trace!(%error, %peer, "a connection broke");
    }
}

/// Tells a connection that there is no place for it.
async fn refuse(mut stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let farewell = async {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        // Closing with unread input would have the system take back what was not yet delivered.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    // Who does not listen is closed all the same.
    let _ = timeout(REFUSAL_TIMEOUT, farewell).await;
}

/// Some errors are of the one connection that was about to be accepted.
fn is_of_the_listener(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}
