//! What a request says: path, query and body, each refused in our words.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use futures_util::StreamExt as _;
use greenroom_domain::settings::{GameSettings, Settings};
use greenroom_protocol::{ErrorCode, GameId};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::error::Category;
use tokio::time::timeout;

use crate::{
    api::Api,
    error::{ApiError, Form},
};

/// Most bytes of a body that are made room for before they come.
const BODY_BYTES_EXPECTED_MAX: u64 = 64 * 1024;

/// The path's parameters. What has not the form of an id exists nowhere.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, api).await;
        path.map(|path| Self(path.0)).map_err(|_| {
            ApiError::not_found("There is no such thing: an id in the path has not the form of one.")
        })
    }
}

/// The query's parameters; unknown ones are ignored.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, api).await;
        query.map(|query| Self(query.0)).map_err(|rejection| {
            let what = std::error::Error::source(&rejection)
                .map_or_else(|| rejection.to_string(), ToString::to_string);
            ApiError::bad_request(format!("A parameter of the query is not valid: {what}."))
        })
    }
}

/// The game that the path names, or on the contract's paths the Host.
pub(crate) struct Game {
    settings: Arc<Settings>,
    id: GameId,
}

impl Game {
    pub(crate) fn named(api: &Api, id: &GameId) -> Result<Self, ApiError> {
        let settings = Arc::clone(&api.node.settings.borrow());
        let known = settings.games.contains_key(id);
        known.then(|| Self { settings, id: id.clone() }).ok_or_else(no_such_game)
    }

    pub(crate) fn of_host(api: &Api, parts: &Parts) -> Result<Self, ApiError> {
        let settings = Arc::clone(&api.node.settings.borrow());
        let header = parts.headers.get(axum::http::header::HOST).and_then(|host| host.to_str().ok());
        let host = header.or_else(|| parts.uri.host());
        let id = settings.game_of_host(host).map(|game| game.id.clone());
        id.map(|id| Self { settings, id }).ok_or_else(no_such_game)
    }

    pub(crate) fn id(&self) -> &GameId {
        &self.id
    }

    pub(crate) fn settings(&self) -> Result<&GameSettings, ApiError> {
        self.settings.games.get(&self.id).ok_or_else(no_such_game)
    }
}

fn no_such_game() -> ApiError {
    ApiError::not_found("There is no such game.")
}

impl FromRequestParts<Api> for Game {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        match path_game(parts, api).await {
            Some(id) => Self::named(api, &id?),
            None => Self::of_host(api, parts),
        }
    }
}

/// The path's `{game}`, if it has one.
pub(crate) async fn path_game(parts: &mut Parts, api: &Api) -> Option<Result<GameId, ApiError>> {
    let params = axum::extract::RawPathParams::from_request_parts(parts, api).await.ok()?;
    let (_, text) = params.iter().find(|(name, _)| *name == "game")?;
    Some(GameId::new(text).map_err(|_| no_such_game()))
}

/// The body, whatever its Content-Type: bounded in size and in time.
pub(crate) struct Body(pub(crate) Bytes);

impl FromRequest<Api> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        read(request, api.settings.body_bytes_max, api.settings.body_timeout).await.map(Self)
    }
}

async fn read(request: Request, bytes_max: usize, time_max: Duration) -> Result<Bytes, ApiError> {
    let too_large =
        || ApiError::new(ErrorCode::TooLarge, format!("The body has more than {bytes_max} bytes."));
    let declared = request.headers().get(axum::http::header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    let mut chunks = request.into_body().into_data_stream();
    // What is said to come is made room for, up to a size that costs nobody anything who lies.
    let expected = declared.map_or(0, |length| length.min(BODY_BYTES_EXPECTED_MAX) as usize);
    let whole = async {
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| ApiError::bad_request("The body did not arrive whole."))?;
            if body.len() + chunk.len() > bytes_max {
                return Err(too_large());
            }
            if body.is_empty() && declared == Some(chunk.len() as u64) {
                // All in one piece, as small bodies are: nothing is copied.
                return Ok(chunk);
            }
            if body.is_empty() {
                body.reserve_exact(expected.max(chunk.len()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    };
    timeout(time_max, whole)
        .await
        .unwrap_or_else(|_| Err(ApiError::bad_request("The body did not arrive in time.")))
}

/// A JSON body, whatever its Content-Type.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let Body(body) = Body::from_request(request, api).await?;
        from_json_object(&body).map(Self)
    }
}

/// A JSON body that may be missing; then everything in it is as if it were.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Api> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let Body(body) = Body::from_request(request, api).await?;
        if body.is_empty() { Ok(Self(T::default())) } else { from_json_object(&body).map(Self) }
    }
}

/// An array would be taken for the fields of a struct in their order.
fn from_json_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if begins == Some(&b'{') {
        return from_json(body);
    }
    // What is no JSON at all is told as that.
    from_json::<serde::de::IgnoredAny>(body)?;
    Err(ApiError::new(ErrorCode::Invalid, "The body must be a JSON object."))
}

pub(crate) fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => ApiError::new(ErrorCode::Invalid, format!("The body is not as expected: {error}.")),
        Category::Io | Category::Syntax | Category::Eof => {
            ApiError::bad_request(format!("The body must be JSON: {error}."))
        }
    })
}

/// A header as text.
pub(crate) fn header_text<'a>(
    headers: &'a axum::http::HeaderMap,
    name: &str,
) -> Result<Option<&'a str>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value
        .to_str()
        .map(Some)
        .map_err(|_| ApiError::bad_request(format!("The header `{name}` is not plain text.")))
}

/// On which kind of path the request came.
pub(crate) fn form(parts: &Parts) -> Form {
    parts.extensions.get::<Form>().copied().unwrap_or(Form::Native)
}
