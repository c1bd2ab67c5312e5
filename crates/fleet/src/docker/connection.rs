//! The way to one Docker engine: every call has a name and a time within which it ends.

use std::{
    fmt,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error as BollardError};
use greenroom_protocol::HostId;

/// How long an engine may take to say that it is there.
const PING_MAX: Duration = Duration::from_secs(3);

/// Beyond any of our own limits: each call has one that it names.
const CLIENT_TIMEOUT_SECONDS: u64 = 24 * 60 * 60;

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// `host:port`, without TLS.
    Tcp(String),
}

impl Endpoint {
    /// Reads `unix:///path` or `tcp://host:port`; the error says what is wrong and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected \"unix:///var/run/docker.sock\" or \"tcp://host:port\"";
        if let Some(path) = text.strip_prefix("unix://") {
            if path.starts_with('/') {
                return Ok(Self::Unix(path.into()));
            }
            return Err(format!("{text:?} has no absolute path; {expected}"));
        }
        let Some(address) = text.strip_prefix("tcp://") else {
            return Err(format!("{text:?} is no address of an engine; {expected}"));
        };
        let address = address.trim_end_matches('/');
        match address.rsplit_once(':') {
            Some((host, port))
                if !host.is_empty()
                    && !host.contains('/')
                    && port.parse::<u16>().is_ok_and(|port| port > 0) =>
            {
                Ok(Self::Tcp(address.to_owned()))
            }
            _ => Err(format!("{text:?} has no host and port; {expected}")),
        }
    }

    /// Whether the engine is on this machine, as far as its address tells: its containers have our
    /// kernel, our files and our ports.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => {
                let host = address.rsplit_once(':').map_or("", |(host, _port)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

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

    /// Whether it is there: its version, such as `20.10.24`.
    pub async fn ping(&self) -> Result<String, EngineError> {
        let version =
            self.call("asking for its version", PING_MAX, async |docker| docker.version().await).await?;
        Ok(version.version.unwrap_or_default())
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
            Endpoint::Tcp(address) => {
                Docker::connect_with_http(address, CLIENT_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
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
            other => EngineError::Unreachable { endpoint: self.0.endpoint.to_string(), why: reason(other) },
        }
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

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_socket_or_an_address() {
        assert_eq!(Endpoint::parse("unix:///run/d.sock").unwrap(), Endpoint::Unix("/run/d.sock".into()));
        assert_eq!(Endpoint::parse("tcp://10.0.0.2:2375").unwrap().to_string(), "tcp://10.0.0.2:2375");
        assert!(Endpoint::parse("unix:///run/d.sock").unwrap().is_local());
        assert!(Endpoint::parse("tcp://127.0.0.1:2375").unwrap().is_local());
        assert!(Endpoint::parse("tcp://[::1]:2375").unwrap().is_local());
        assert!(!Endpoint::parse("tcp://10.0.0.2:2375").unwrap().is_local());
        for wrong in
            ["", "d.sock", "unix://d.sock", "tcp://", "tcp://host", "tcp://:1", "tcp://host:0", "ssh://a"]
        {
            assert!(Endpoint::parse(wrong).unwrap_err().contains("expected"), "{wrong}");
        }
    }

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
