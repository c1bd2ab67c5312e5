use std::{pin::Pin, sync::Arc, time::Duration};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Incoming},
    header,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use super::assignment::Environment;

const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const KEYS_BYTES_MAX: usize = 64 * 1024;
/// An event is offered this often before it is given up.
const REPORT_TRIES_MAX: u32 = 12;
const REPORT_PAUSE_FIRST: Duration = Duration::from_millis(100);
const REPORT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The Greenroom that started this server, as far as it needs it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Greenroom(Option<Arc<Connection>>);

struct Connection {
    /// Plain HTTP: a game server's Greenroom is on the same machine or the same private network.
    client: Client<HttpConnector, String>,
    url: String,
    token: Option<String>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("no Greenroom is configured")]
    Absent,
    #[error("GREENROOM_URL makes no address: {0}")]
    Address(#[from] hyper::http::Error),
    #[error("not reachable: {0}")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("the answer broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("no answer within {CALL_TIMEOUT:?}")]
    Late(#[from] tokio::time::error::Elapsed),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("answered with more than {KEYS_BYTES_MAX} bytes")]
    TooLarge,
}

impl CallError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broken(_) | Self::Late(_) => true,
            Self::Status(status) => {
                status.is_server_error()
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || *status == StatusCode::REQUEST_TIMEOUT
            }
            Self::Absent | Self::Address(_) | Self::TooLarge => false,
        }
    }
}

impl Greenroom {
    pub(super) fn new(environment: &Environment) -> Self {
        let connection = |url: &String| {
            Arc::new(Connection {
                client: Client::builder(TokioExecutor::new()).build_http(),
                url: url.trim_end_matches('/').to_owned(),
                token: environment.server_token.clone(),
            })
        };
        Self(environment.url.as_ref().map(connection))
    }

    pub(super) fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// The published keys of room tickets, as they came.
    pub(super) async fn ticket_keys(&self) -> Result<Vec<u8>, CallError> {
        let connection = self.0.as_ref().ok_or(CallError::Absent)?;
        let get = async {
            let response = connection.call(Method::GET, "/.well-known/jwks.json", String::new()).await?;
            read_body(response.into_body()).await
        };
        timeout(CALL_TIMEOUT, get).await?
    }

    /// Appends an event to the studio's history, trying again with growing pauses. The event's
    /// own id makes that harmless.
    pub(super) async fn report(&self, event: Value) {
        if self.is_absent() {
            debug!("nobody to report to");
            return;
        }
        let mut pause = REPORT_PAUSE_FIRST;
        for attempt in 1..=REPORT_TRIES_MAX {
            match self.append(&event).await {
                Ok(()) => {
                    info!(attempt, id = %event["id"], "event reported");
                    return;
                }
                Err(error) if error.is_retryable() && attempt < REPORT_TRIES_MAX => {
                    warn!(attempt, %error, "event not yet reported");
                }
                Err(error) => {
                    error!(attempt, %error, id = %event["id"], "event given up");
                    return;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REPORT_PAUSE_MAX);
        }
    }

    async fn append(&self, event: &Value) -> Result<(), CallError> {
        let connection = self.0.as_ref().ok_or(CallError::Absent)?;
        let post = connection.call(Method::POST, "/v1/events", event.to_string());
        timeout(CALL_TIMEOUT, post).await??;
        Ok(())
    }
}

impl Connection {
    /// The answer, if it is a good one.
    async fn call(&self, method: Method, path: &str, body: String) -> Result<Response<Incoming>, CallError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.client.request(request.body(body)?).await?;
        if response.status().is_success() { Ok(response) } else { Err(CallError::Status(response.status())) }
    }
}

async fn read_body(mut body: Incoming) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > KEYS_BYTES_MAX {
            return Err(CallError::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
