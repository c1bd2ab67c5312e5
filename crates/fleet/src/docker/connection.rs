//! The way to one Docker engine: every call has a name and a time within which it ends.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker, errors::Error as BollardError};
use greenroom_protocol::HostId;
use hyper::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::TokioExecutor,
};
use tokio::net::lookup_host;
use tower::Service as _;

use super::{
    endpoint::Endpoint,
    tls::{self, TlsClient},
};
use crate::causes::chain;

/// How long an engine may take to say that it is there.
const PING_MAX: Duration = Duration::from_secs(3);

/// How long an engine may take to look at itself.
const INFO_MAX: Duration = Duration::from_secs(10);

/// How long connecting to an engine over the network may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long the name of an engine's machine may take to be looked up.
const RESOLVE_MAX: Duration = Duration::from_secs(2);

/// After how long a silent connection is tried, so that one to a machine that is gone ends.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Beyond any of our own limits: each call has one that it names.
const CLIENT_TIMEOUT_SECONDS: u64 = 24 * 60 * 60;

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nothing listens there, or the connection broke.
    #[error("the Docker engine at {endpoint} cannot be reached: {why}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// What the system said.
        why: String,
    },
    /// It took the call and did not answer in time; it may still do it.
    #[error("the Docker engine did not answer within {} s: {action}", after.as_secs_f64())]
    TimedOut {
        /// What was asked.
        action: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// There is no such container, image or network.
    #[error("{action}: {message}")]
    NotFound {
        /// What was asked.
        action: &'static str,
        /// What the engine said.
        message: String,
    },
    /// It cannot be done as things are, such as stopping what does not run.
    #[error("{action}: {message}")]
    Conflict {
        /// What was asked.
        action: &'static str,
        /// What the engine said.
        message: String,
    },
    /// It refused.
    #[error("{action}: the Docker engine refused ({status}): {message}")]
    Refused {
        /// What was asked.
        action: &'static str,
        /// The HTTP status.
        status: u16,
        /// What the engine said.
        message: String,
    },
    /// Its answer makes no sense to us.
    #[error("{action}: the Docker engine's answer cannot be read: {why}")]
    Garbled {
        /// What was asked.
        action: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl EngineError {
    /// Whether it says nothing about what was asked, only that the engine is away or hangs.
    pub const fn is_away(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::NotFound { .. } | Self::Conflict { .. } | Self::Refused { .. } | Self::Garbled { .. } => {
                false
            }
        }
    }

    /// What the engine itself said, where it said something.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::NotFound { message, .. }
            | Self::Conflict { message, .. }
            | Self::Refused { message, .. } => Some(message),
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Garbled { .. } => None,
        }
    }
}

/// What an engine tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineReport {
    /// Its version, such as `20.10.24`.
    pub version: String,
    /// The newest version of the interface that it speaks, such as `1.41`.
    pub api_version: String,
    /// How images and containers are kept, such as `overlay2`.
    pub storage_driver: String,
    /// What it finds wrong with its own machine.
    pub warnings: Vec<String>,
}

/// The way to one engine. Cheap to clone; holds nothing open between calls, so that an engine that
/// goes away and comes back is simply asked again.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    host: HostId,
    endpoint: Endpoint,
    /// Made at the first call after the socket is there.
    client: OnceLock<Docker>,
}

impl Connection {
    /// The way to the engine of `host`. Nothing is asked of it yet.
    pub fn new(host: HostId, endpoint: Endpoint) -> Self {
        Self(Arc::new(Inner { host, endpoint, client: OnceLock::new() }))
    }

    /// Whose engine it is.
    pub fn host(&self) -> &HostId {
        &self.0.host
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Whether it is on this machine: see [`Endpoint::is_local`].
    pub fn is_local(&self) -> bool {
        self.0.endpoint.is_local()
    }

    /// The address of its machine, as far as the network knows one.
    pub(crate) async fn machine(&self) -> Option<IpAddr> {
        let host = self.0.endpoint.host()?;
        let mut found = tokio::time::timeout(RESOLVE_MAX, lookup_host((host, 0))).await.ok()?.ok()?;
        found.next().map(|address| address.ip())
    }

    /// Whether it is there: its version, such as `20.10.24`.
    pub async fn ping(&self) -> Result<String, EngineError> {
        let version =
            self.call("asking for its version", PING_MAX, async |docker| docker.version().await).await?;
        Ok(version.version.unwrap_or_default())
    }

    /// What it tells of itself.
    pub async fn examine(&self) -> Result<EngineReport, EngineError> {
        let version =
            self.call("asking for its version", PING_MAX, async |docker| docker.version().await).await?;
        let info = self.call("asking how it is", INFO_MAX, async |docker| docker.info().await).await?;
        Ok(EngineReport {
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            warnings: info.warnings.unwrap_or_default(),
        })
    }

    /// Asks the engine something; `action` names it, as in "creating a container".
    pub(crate) async fn call<T>(
        &self,
        action: &'static str,
        max: Duration,
        ask: impl AsyncFnOnce(Docker) -> Result<T, BollardError>,
    ) -> Result<T, EngineError> {
        let began = Instant::now();
        let client = self.client()?;
        let result = match tokio::time::timeout(max, ask(client)).await {
            Ok(result) => result.map_err(|error| self.explain(action, &error)),
            Err(_elapsed) => Err(EngineError::TimedOut { action, after: max }),
        };
        let labels = [("host", self.0.host.to_string()), ("call", action.to_owned())];
        metrics::histogram!("greenroom_fleet_engine_seconds", &labels).record(began.elapsed().as_secs_f64());
        result
    }

    /// For answers that come in parts: who reads them bounds the time.
    pub(crate) fn client(&self) -> Result<Docker, EngineError> {
        if let Some(client) = self.0.client.get() {
            return Ok(client.clone());
        }
        // The version is not sent: every engine is spoken to as it speaks itself.
        let made = match &self.0.endpoint {
            Endpoint::Unix(path) => Docker::connect_with_unix(
                &path.to_string_lossy(),
                CLIENT_TIMEOUT_SECONDS,
                API_DEFAULT_VERSION,
            ),
            Endpoint::Tcp { address, tls: None } => over(network(), "http", address),
            Endpoint::Tcp { address, tls: Some(tls) } => {
                let tls = TlsClient::new(tls.clone(), self.0.endpoint.to_string());
                let network = network();
                let connect = tower::service_fn(move |uri: Uri| {
                    let (tls, network) = (tls.clone(), network.clone());
                    Box::pin(
                        async move { HttpsConnector::from((network, tls.config().await?)).call(uri).await },
                    )
                });
                over(connect, "https", address)
            }
        };
        let client = made.map_err(|error| self.explain("connecting", &error))?;
        Ok(self.0.client.get_or_init(|| client).clone())
    }

    /// Our words for what went wrong.
    pub(crate) fn explain(&self, action: &'static str, error: &BollardError) -> EngineError {
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                let message = message.trim().to_owned();
                if message.contains(SPEAKS_TLS) {
                    let why = "it speaks TLS; set `tls` of the host, with the `ca` that its certificate is signed by";
                    return self.unreachable(why.into());
                }
                match status_code {
                    404 => EngineError::NotFound { action, message },
                    304 | 409 => EngineError::Conflict { action, message },
                    status => EngineError::Refused { action, status: *status, message },
                }
            }
            BollardError::DockerStreamError { error } => {
                EngineError::Refused { action, status: 200, message: error.trim().to_owned() }
            }
            BollardError::JsonDataError { .. }
            | BollardError::JsonSerdeError { .. }
            | BollardError::StrParseError { .. }
            | BollardError::APIVersionParseError { .. } => EngineError::Garbled { action, why: chain(error) },
            other => self.unreachable(tls::explain(&self.0.endpoint, other).unwrap_or_else(|| reason(other))),
        }
    }

    fn unreachable(&self, why: String) -> EngineError {
        EngineError::Unreachable { endpoint: self.0.endpoint.to_string(), why }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("host", &self.0.host).field("endpoint", &self.0.endpoint).finish()
    }
}

/// What the system said, where that is why; else the whole chain. What the client's parts call each
/// other on the way there tells nobody anything.
fn reason(error: &BollardError) -> String {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(said) = cause.downcast_ref::<std::io::Error>().filter(|io| io.raw_os_error().is_some()) {
            return said.to_string();
        }
        next = cause.source();
    }
    chain(error)
}

/// What an engine with TLS says to somebody who speaks none.
const SPEAKS_TLS: &str = "HTTP request to an HTTPS server";

/// Connections over the network, before TLS.
fn network() -> HttpConnector {
    let mut network = HttpConnector::new();
    network.enforce_http(false);
    network.set_nodelay(true);
    network.set_connect_timeout(Some(CONNECT_MAX));
    network.set_keepalive(Some(KEEP_ALIVE));
    network
}

/// A client whose connections `connect` makes, a new one for each call.
fn over<C>(connect: C, scheme: &str, address: &str) -> Result<Docker, BollardError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connect);
    let send = move |request: BollardRequest| {
        let answer = client.request(request);
        async move { answer.await.map_err(BollardError::from) }
    };
    let address = format!("{scheme}://{address}");
    Docker::connect_with_custom_transport(send, Some(address), CLIENT_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_said_to_be_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.sock");
        let connection = Connection::new(crate::local_host(), Endpoint::Unix(path));
        let error = connection.ping().await.unwrap_err();
        assert!(error.is_away(), "{error}");
        assert!(error.to_string().contains("none.sock"), "{error}");
    }
}
