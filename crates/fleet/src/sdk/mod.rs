//! The endpoint that a game server's Agones SDK talks to.
//!
//! Every server whose fleet has the SDK is given one for HTTP and one for gRPC, on the loopback that it
//! sees: a process finds the ports in `AGONES_SDK_HTTP_PORT` and `AGONES_SDK_GRPC_PORT`, as does a
//! container on the host's own network; one with a network of its own finds them at 9358 and 9357 as
//! well. Nobody is asked who they are: whoever reaches the port is the server.
//!
//! What is asked for goes to the [`SdkBackend`]. One task per server accepts; a server that asks too
//! often, or holds too many connections, waits and keeps nobody else waiting.

mod call;
mod grpc;
mod http;
mod json;
mod listen;
mod proto;
mod serve;

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use greenroom_domain::sdk::{Change, GameServer, Refusal};
use greenroom_protocol::ServerId;
use parking_lot::Mutex;
use tokio::{sync::watch, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::listen::{Listeners, Place, SdkPorts, Taken};

/// Where servers' ports come from unless told otherwise: below those that the system gives to whoever
/// asks for any.
pub const PORTS: RangeInclusive<u16> = 20_000..=27_999;

/// The environment variable that tells a server its port for HTTP.
pub const HTTP_PORT_VARIABLE: &str = "AGONES_SDK_HTTP_PORT";

/// The environment variable that tells a server its port for gRPC.
pub const GRPC_PORT_VARIABLE: &str = "AGONES_SDK_GRPC_PORT";

/// Between two tries to bind ports that a server has and that somebody else holds, at first and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What game servers ask through the SDK; implemented by whoever keeps their documents.
#[async_trait]
pub trait SdkBackend: Send + Sync + 'static {
    /// How an instance sees itself, now and with every change; ends with it. None if it is not known
    /// or has no SDK.
    fn game_server(&self, instance: &ServerId) -> Option<watch::Receiver<Arc<GameServer>>>;
    /// It is alive. Kept in memory alone.
    fn health(&self, instance: &ServerId);
    /// Does what it asks for; when this returns, the change is written down.
    async fn change(&self, instance: &ServerId, change: Change) -> Result<Changed, SdkError>;
}

/// What became of a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Whether anything is different now.
    pub is_changed: bool,
    /// How the server sees itself afterwards.
    pub object: Arc<GameServer>,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdkError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be done at the moment, and may be tried again; the sentence says why.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such server, or it has no SDK.
    #[error("There is no such game server.")]
    NotFound,
}

/// The endpoints of all servers.
#[derive(Clone, Default)]
pub(crate) struct Endpoints(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Until it is there, callers are told to try again.
    backend: OnceLock<Arc<dyn SdkBackend>>,
    /// What ends each.
    open: Mutex<HashMap<ServerId, CancellationToken>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Endpoints {
    /// From now on calls go there; the first one counts.
    pub(crate) fn serve(&self, backend: Arc<dyn SdkBackend>) {
        if self.0.backend.set(backend).is_err() {
            tracing::error!("the SDK's endpoints are served already; the second backend is never asked");
        }
    }

    /// Answers a server on these listeners until it is closed. One that was open for it is closed.
    pub(crate) fn open(&self, id: &ServerId, listeners: Listeners) {
        let closed = self.begin(id);
        self.0.tasks.spawn(serve::serve(Arc::clone(&self.0), id.clone(), listeners, closed));
    }

    /// The same for a server that was told where already: tries until it can listen there.
    pub(crate) fn open_again(&self, id: &ServerId, place: Place) {
        let closed = self.begin(id);
        let (shared, id) = (Arc::clone(&self.0), id.clone());
        self.0.tasks.spawn(async move {
            if let Some(listeners) = listen_again(&id, place, &closed).await {
                serve::serve(shared, id, listeners, closed).await;
            }
        });
    }

    /// Ends what is open for a server: its listeners and its connections.
    pub(crate) fn close(&self, id: &ServerId) {
        if let Some(closed) = self.0.open.lock().remove(id) {
            closed.cancel();
        }
    }

    /// Closes all.
    pub(crate) fn close_all(&self) {
        self.0.cancel.cancel();
    }

    /// Closes all, and waits until that is done.
    pub(crate) async fn shutdown(&self) {
        self.close_all();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn begin(&self, id: &ServerId) -> CancellationToken {
        let closed = self.0.cancel.child_token();
        if let Some(before) = self.0.open.lock().insert(id.clone(), closed.clone()) {
            before.cancel();
        }
        closed
    }
}

async fn listen_again(id: &ServerId, place: Place, closed: &CancellationToken) -> Option<Listeners> {
    let mut pause = AGAIN.0;
    let mut is_told = false;
    loop {
        let listened = tokio::task::spawn_blocking(move || place.listen()).await;
        match listened.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
            Ok(listeners) => return Some(listeners),
            // What just let go of it may take a moment.
            Err(error) if pause == AGAIN.1 && !is_told => {
                is_told = true;
                tracing::error!(server = %id, %error, %place, "a game server's SDK is not answered, for its ports cannot be listened on; it is tried again");
            }
            Err(_) => {}
        }
        tokio::select! {
            biased;
            () = closed.cancelled() => return None,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(AGAIN.1);
    }
}

#[cfg(test)]
mod measure_tests;
