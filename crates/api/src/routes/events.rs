//! History: appended, read in pages, followed.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use greenroom_operations::{
    Principal,
    events::{EventPage, EventTail, Incoming, PAGE_EVENTS_MAX, Tailed},
};
use greenroom_protocol::{
    StudioId,
    events::{AppendRequest, AppendResponse, CloudEvent},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::streams;
use crate::{
    api::Api,
    credentials::Caller,
    error::{ApiError, ApiResult},
    extract::{Body, Query, from_json, header_text},
};

/// Events of one page unless said otherwise.
const PAGE_DEFAULT: usize = 100;

/// A quiet stream shows this often that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Which studio is meant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StudioQuery {
    /// For administrators, who speak for no studio.
    studio: Option<StudioId>,
}

/// Append events
///
/// One, or an array: all or none. Answered when they are durable. An event's `id`, or the
/// `Idempotency-Key`, makes a retry within an hour harmless. A game server may append what happens
/// on itself, to its players, and in its match.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", request_body = AppendRequest,
    params(
        StudioQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 bytes; gives events without an id theirs"),
    ),
    responses((status = 202, body = AppendResponse), (status = 413, description = "An event has more than 64 KiB")),
    security(("key" = []), ("admin" = []), ("server" = [])),
)]
pub(crate) async fn append(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<StudioQuery>,
    headers: HeaderMap,
    Body(body): Body,
) -> ApiResult<(StatusCode, Json<AppendResponse>)> {
    let studio = caller.principal.studio(query.studio.as_ref())?;
    let key = header_text(&headers, "idempotency-key")?;
    if key.is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES_MAX) {
        return Err(ApiError::bad_request(format!("An idempotency key has 1 to {KEY_BYTES_MAX} bytes.")));
    }
    let appended = api.node.events.append_for(&caller.principal, &studio, parsed(&body)?, key).await?;
    // What studios' programs and game servers append, the history itself tells with its source.
    if let Principal::Admin(_) = &caller.principal {
        let detail = serde_json::json!({ "bytes": body.len() });
        caller.audit(&api, "events.append", studio.as_str(), detail).await;
    }
    Ok((StatusCode::ACCEPTED, Json(appended)))
}

/// Which part of the history.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// For administrators, who speak for no studio.
    studio: Option<StudioId>,
    /// Subjects: `*` is one token, `>` the rest; everything unless given.
    filter: Option<String>,
    /// The first sequence; the oldest event unless given.
    from: Option<u64>,
    /// At most so many; 100 unless given, 1,000 at most.
    limit: Option<usize>,
}

/// A part of the history. Written by hand, for the events are JSON already.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventsPage {
    /// Oldest first.
    events: Vec<CloudEvent>,
    /// `from` of the next page.
    next: String,
    /// Whether nothing newer was there.
    end: bool,
    /// What was asked for and is gone by the studio's limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
}

/// Events that are gone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Gap {
    /// The first sequence of them.
    first: String,
    /// The last one.
    last: String,
}

/// Read a part of the history
#[utoipa::path(
    get, path = "/v1/events", tag = "events", params(EventsQuery),
    responses((status = 200, body = EventsPage)),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn page(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
) -> ApiResult<Response> {
    let studio = caller.principal.studio(query.studio.as_ref())?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_EVENTS_MAX);
    let from = query.from.unwrap_or(0);
    let page = api.node.events.page(&caller.principal, &studio, query.filter.as_deref(), from, limit).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], written(&page)).into_response())
}

/// What is followed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// For administrators, who speak for no studio.
    studio: Option<StudioId>,
    /// Subjects: `*` is one token, `>` the rest; everything unless given.
    filter: Option<String>,
    /// Begins after this sequence, as `Last-Event-ID` does; from now on unless given.
    after: Option<u64>,
}

/// Follow the history
///
/// Server-sent events: the `data` of each is a CloudEvent, its `id` the sequence. `Last-Event-ID`
/// goes on where it broke off. Events that were dropped by the studio's limits in between are told
/// as an event `gap` with the first and last sequence that are gone.
#[utoipa::path(
    get, path = "/v1/events/stream", tag = "events",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "The sequence of the last event that was seen")),
    responses((status = 200, body = String, content_type = "text/event-stream")),
    security(("key" = []), ("admin" = [])),
)]
pub(crate) async fn stream(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let studio = caller.principal.studio(query.studio.as_ref())?;
    let last_seen = match header_text(&headers, "last-event-id")? {
        None | Some("") => None,
        Some(text) => {
            let number =
                text.parse().map_err(|_| ApiError::bad_request("`Last-Event-ID` must be a sequence."))?;
            Some(number)
        }
    };
    let after = last_seen.or(query.after);
    let tail = api.node.events.tail(&caller.principal, &studio, query.filter.as_deref(), after).await?;
    let place = streams::take_place(&api, &caller)?;
    let events = streams::bounded(&api, place, stream::unfold(tail, next));
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

async fn next(mut tail: EventTail) -> Option<(Result<Event, std::convert::Infallible>, EventTail)> {
    let event = match tail.next().await {
        Ok(Tailed::Event(sequence, envelope)) => {
            let data = String::from_utf8_lossy(&envelope).into_owned();
            Event::default().id(sequence.to_string()).data(data)
        }
        Ok(Tailed::Gap(first, last)) => {
            let gap = serde_json::json!({ "first": first.to_string(), "last": last.to_string() });
            Event::default().event("gap").id(last.to_string()).data(gap.to_string())
        }
        Err(failure) => {
            // The stream ends; its reader comes again and goes on where it was.
            tracing::warn!(error = ?failure, "a stream of events broke off");
            return None;
        }
    };
    Some((Ok(event), tail))
}

/// One event or an array, told apart by how they begin, so that what is wrong can be said.
fn parsed(body: &Bytes) -> ApiResult<Vec<Incoming<'_>>> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => from_json(body),
        _ => from_json(body).map(|event| vec![event]),
    }
}

fn written(page: &EventPage) -> Vec<u8> {
    let size: usize = page.events.iter().map(|event| event.len() + 1).sum();
    let mut json = Vec::with_capacity(size + 128);
    json.extend_from_slice(br#"{"events":["#);
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(event);
    }
    json.extend_from_slice(format!(r#"],"next":"{}","end":{}"#, page.next, page.end).as_bytes());
    if let Some((first, last)) = &page.gap {
        json.extend_from_slice(format!(r#","gap":{{"first":"{first}","last":"{last}"}}"#).as_bytes());
    }
    json.push(b'}');
    json
}
