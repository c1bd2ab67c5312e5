//! What happens around every request: its id, its client, its limit, its deadline, a panic, how an
//! error is written, CORS, metrics and the access log.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::AssertUnwindSafe,
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use greenroom_operations::servers::ALLOCATE_MAX;
use greenroom_protocol::ErrorCode;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::{
    address::{client_address, limited_as},
    api::Api,
    credentials,
    error::{ApiError, ApiResult, Form},
    gateway::OfServer,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is taken over from the client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The paths whose answers wait for a game server.
const ALLOCATE_PATHS: [&str; 2] = ["/v1/games/{game}/servers", "/api/manager/request"];

/// An allocation has its own deadlines; this is only in case that they fail.
const ALLOCATE_TIMEOUT: Duration = ALLOCATE_MAX.saturating_add(Duration::from_mins(1));

/// How long a browser remembers that it may call us, in seconds.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The client's address, as far as it can be known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// What kind of paths it stands around.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) api: Api,
    pub(crate) form: Form,
    /// Whether pages of other origins may call.
    pub(crate) cors: bool,
    /// How long an answer may take that does not wait for a game server to start.
    pub(crate) deadline: Duration,
}

/// Answers `request` by `next`, and sees to everything that is the same for all.
pub(crate) async fn around(State(around): State<Around>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let request_id = request_id(request.headers());
    let address = address(&around.api, &request);
    let is_preflight = around.cors && request.method() == Method::OPTIONS;
    request.extensions_mut().insert(around.form);
    request.extensions_mut().insert(ClientAddress(address));

    let mut response = match limit(&around.api, address, request.headers()) {
        Err(error) => error.into_response(),
        Ok(()) if is_preflight => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => answer(around.deadline, request, next, &route).await,
    };

    let error = response.extensions_mut().remove::<ApiError>();
    if let Some(error) = error.or_else(|| unwritten(&response)) {
        error.log(&request_id, method, &route);
        error.write(around.form, &mut response);
    }
    if around.cors {
        permit_origins(around.form, response.headers_mut());
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let (status, took) = (response.status().as_u16(), began.elapsed());
    measure(method, &route, status, took);
    tracing::debug!(request_id, method, route, status, took_us = took.as_micros() as u64, %address, "answered");
    response
}

async fn answer(deadline: Duration, request: Request, next: Next, route: &str) -> Response {
    let is_allocation = ALLOCATE_PATHS.contains(&route) && request.method() == Method::POST;
    let deadline = if is_allocation { ALLOCATE_TIMEOUT } else { deadline };
    match timeout(deadline, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
        Ok(Ok(response)) => response,
        // The panic's own words were written by the panic hook.
        Ok(Err(_)) => ApiError::internal(Panicked).into_response(),
        Err(_) => {
            ApiError::new(ErrorCode::Busy, "The answer took too long. Try again in a moment.").into_response()
        }
    }
}

#[derive(Debug)]
struct Panicked;

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the handler panicked")
    }
}

impl std::error::Error for Panicked {}

/// Who presents credentials is limited as who that is, once it is known; until then generously by
/// its address, so that a studio's machines are not held to what one browser may.
fn limit(api: &Api, address: IpAddr, headers: &HeaderMap) -> ApiResult<()> {
    let limit =
        if credentials::are_presented(headers) { &api.limits.presented } else { &api.limits.anonymous };
    limit.check(&limited_as(address))
}

fn address(api: &Api, request: &Request) -> IpAddr {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    // Without a connection there is only a test.
    let peer = connected.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |ConnectInfo(peer)| peer.ip());
    client_address(peer, request.headers(), &api.settings.trusted_proxies)
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_fit = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    given.filter(is_fit).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// The error that axum answered by a status alone.
fn unwritten(response: &Response) -> Option<ApiError> {
    let is_ours = response.extensions().get::<OfServer>().is_none();
    if !is_ours || response.headers().contains_key(header::CONTENT_TYPE) {
        None
    } else {
        ApiError::of_status(response.status())
    }
}

fn permit_origins(form: Form, headers: &mut HeaderMap) {
    let allowed = match form {
        Form::Contract | Form::Detail => "Content-Type, Authorization",
        Form::Native => {
            "Content-Type, Authorization, X-Api-Key, Idempotency-Key, Last-Event-ID, X-Request-Id"
        }
    };
    let fixed = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "X-Request-Id, Retry-After"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
}

fn measure(method: &'static str, route: &str, status: u16, took: Duration) {
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
    metrics::counter!("greenroom_http_requests_total", &labels).increment(1);
    metrics::histogram!("greenroom_http_request_seconds", &labels[..2]).record(took);
}

/// Methods are the client's words; only known ones become labels.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"];
    KNOWN.iter().find(|known| **known == method.as_str()).copied().unwrap_or("other")
}
