//! Refusals: one type, written in the form of the path that was asked.

use std::{borrow::Cow, error::Error, fmt::Write as _, sync::Arc, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use greenroom_operations::{
    Failure,
    lobbies::LobbyError,
    servers::{AllocateError, ServerError},
};
use greenroom_protocol::{ErrorCode, Problem, auth::ContractError, manager::ManagerError};

/// What a caller is told to wait when nothing better is known.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// The bearer scheme, told with every 401 (RFC 9110, 11.6.1).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");

/// Why a request is not answered with what it asked for. The cause is for the log alone.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// How errors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// RFC 9457 problem documents.
    Native,
    /// As the contract of lobbies says.
    Contract,
    /// `{"detail": …}`, as the contract of on-demand servers says.
    Detail,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, cause: None }
    }

    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::BadRequest, detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Unauthorized, detail)
    }

    pub(crate) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Forbidden, detail)
    }

    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::NotFound, detail)
    }

    pub(crate) fn rate_limited(retry_after: Duration) -> Self {
        let sentence = "You ask too often. Wait as long as `Retry-After` says, and ask again.";
        Self { retry_after: Some(retry_after), ..Self::new(ErrorCode::RateLimited, sentence) }
    }

    /// With what lies behind it, for the log alone.
    pub(crate) fn because(self, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Arc::new(cause)), ..self }
    }

    pub(crate) fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Failure::internal(cause).into()
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The error of a status that a library answered by itself.
    pub(crate) fn of_status(status: StatusCode) -> Option<Self> {
        match status {
            StatusCode::METHOD_NOT_ALLOWED => {
                let sentence = "This path does not know the method. `Allow` lists those that it knows.";
                Some(Self::new(ErrorCode::MethodNotAllowed, sentence))
            }
            StatusCode::NOT_FOUND => Some(Self::not_found("There is nothing at this path.")),
            _ => None,
        }
    }

    /// Writes what only the operator may see; once, where the request ends.
    pub(crate) fn log(&self, request_id: &str, method: &str, route: &str) {
        let Some(cause) = &self.cause else { return };
        let cause = chain(&**cause);
        match self.code.status() {
            500 => tracing::error!(
                request_id,
                method,
                route,
                code = self.code.as_str(),
                cause,
                "a request failed"
            ),
            501.. => tracing::warn!(
                request_id,
                method,
                route,
                code = self.code.as_str(),
                cause,
                "a request failed"
            ),
            _ => tracing::debug!(
                request_id,
                method,
                route,
                code = self.code.as_str(),
                cause,
                "a request was refused"
            ),
        }
    }

    /// Writes the error into `response`, whose status and headers stay.
    pub(crate) fn write(&self, form: Form, response: &mut Response) {
        let (content_type, body) = match form {
            Form::Native => {
                ("application/problem+json", json(&Problem::new(self.code, self.detail.as_ref())))
            }
            Form::Contract => {
                ("application/json", json(&ContractError { error: self.detail.as_ref().into() }))
            }
            Form::Detail => ("application/json", json(&ManagerError { detail: self.detail.as_ref().into() })),
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.remove(header::CONTENT_LENGTH);
        if self.code.status() == 401 {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Some(retry_after) = self.retry_after() {
            insert_number(headers, header::RETRY_AFTER, retry_after.as_secs_f64().ceil().max(1.0) as u64);
        }
        *response.body_mut() = body.into();
    }

    fn retry_after(&self) -> Option<Duration> {
        let waiting_helps = matches!(self.code, ErrorCode::RateLimited | ErrorCode::LimitReached)
            || self.code.status() == 503;
        self.retry_after.or_else(|| waiting_helps.then_some(RETRY_AFTER_DEFAULT))
    }
}

fn insert_number(headers: &mut axum::http::HeaderMap, name: HeaderName, number: u64) {
    headers.insert(name, HeaderValue::from(number));
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Both forms are made of texts and numbers, which are always JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

/// An error with everything that lies behind it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

impl IntoResponse for ApiError {
    /// The status alone; `around` writes the body in the form of the path.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let cause = failure.source().is_some().then(|| Arc::new(Behind(failure.clone())) as Arc<_>);
        Self { code: failure.code(), detail: failure.sentence().to_owned().into(), retry_after: None, cause }
    }
}

/// What lies behind a failure; the sentence itself is in the answer.
#[derive(Debug)]
struct Behind(Failure);

impl std::fmt::Display for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.source() {
            Some(cause) => write!(f, "{cause}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Error for Behind {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source().and_then(Error::source)
    }
}

impl From<AllocateError> for ApiError {
    fn from(error: AllocateError) -> Self {
        let retry_after = error.retry_after();
        Self { retry_after, ..Failure::from(error).into() }
    }
}

impl From<ServerError> for ApiError {
    fn from(error: ServerError) -> Self {
        Failure::from(error).into()
    }
}

impl From<LobbyError> for ApiError {
    fn from(error: LobbyError) -> Self {
        match error {
            LobbyError::Failed(failure) => failure.into(),
            refused @ LobbyError::Refused(_) => Self::new(refused.code(), refused.message()),
        }
    }
}
