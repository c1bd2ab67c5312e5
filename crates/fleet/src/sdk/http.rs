//! The endpoint over HTTP: the paths of grpc-gateway.

use std::{borrow::Cow, convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{
        FromRequestParts as _, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
};
use futures_util::{Stream, StreamExt as _};
use greenroom_domain::sdk::{self, Change, GameServer};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue, ORIGIN, UPGRADE},
    http::request::Parts,
};
use percent_encoding::percent_decode_str;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{
    call::{Caller, Code, Failure, count},
    json::{self, Int64, Object, Watched},
    serve::Slot,
};

/// Longest body of a request, in bytes. A longer one is refused.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long the body of a request may take.
const BODY_MAX: Duration = Duration::from_secs(20);

/// What a watcher may send over its WebSocket at once, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Answers one request.
pub(super) async fn answer(caller: &Caller, slot: &Slot, request: Request<Incoming>) -> Response<Body> {
    caller.turn().await;
    let (mut parts, body) = request.into_parts();
    let routed = is_from_here(&parts.headers).and_then(|()| route(&parts.method, parts.uri.path()));
    let call = match routed {
        Ok(call) => call,
        Err(failure) => {
            return refuse(&count::<()>("unknown", Err(failure)).map_or_else(|f| f, |()| unknown()));
        }
    };
    let name = call.name();
    let answered = match call {
        Call::Watch => watch(caller, slot, &mut parts).await,
        call => match read_body(body).await {
            Ok(body) => carry_out(caller, call, &body).await,
            Err(failure) => Err(failure),
        },
    };
    count(name, answered).unwrap_or_else(|failure| refuse(&failure))
}

/// What is called, with what its path says.
enum Call<'a> {
    Ready,
    Allocate,
    Shutdown,
    Health,
    Reserve,
    GetGameServer,
    Watch,
    SetLabel,
    SetAnnotation,
    GetCounter(Cow<'a, str>),
    UpdateCounter(Cow<'a, str>),
    GetList(Cow<'a, str>),
    UpdateList(Cow<'a, str>),
    AddListValue(String),
    RemoveListValue(String),
    PlayerConnect,
    PlayerDisconnect,
    SetPlayerCapacity,
    GetPlayerCapacity,
    GetPlayerCount,
    GetConnectedPlayers,
    IsPlayerConnected(Cow<'a, str>),
}

impl Call<'_> {
    /// For metrics.
    const fn name(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Allocate => "allocate",
            Self::Shutdown => "shutdown",
            Self::Health => "health",
            Self::Reserve => "reserve",
            Self::GetGameServer => "get_game_server",
            Self::Watch => "watch_game_server",
            Self::SetLabel => "set_label",
            Self::SetAnnotation => "set_annotation",
            Self::GetCounter(_) => "get_counter",
            Self::UpdateCounter(_) => "update_counter",
            Self::GetList(_) => "get_list",
            Self::UpdateList(_) => "update_list",
            Self::AddListValue(_) => "add_list_value",
            Self::RemoveListValue(_) => "remove_list_value",
            Self::PlayerConnect => "player_connect",
            Self::PlayerDisconnect => "player_disconnect",
            Self::SetPlayerCapacity => "set_player_capacity",
            Self::GetPlayerCapacity => "get_player_capacity",
            Self::GetPlayerCount => "get_player_count",
            Self::GetConnectedPlayers => "get_connected_players",
            Self::IsPlayerConnected(_) => "is_player_connected",
        }
    }
}

/// The table of contents.
fn route<'a>(method: &Method, path: &'a str) -> Result<Call<'a>, Failure> {
    let mut segments = Vec::new();
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        let decoded = percent_decode_str(segment).decode_utf8();
        segments.push(decoded.map_err(|_| Failure::bad("The path is not UTF-8."))?);
    }
    let names: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let last = || segments.last().cloned().unwrap_or_default();
    let call = match (names.as_slice(), method.as_str()) {
        (["ready"], "POST") => Call::Ready,
        (["allocate"], "POST") => Call::Allocate,
        (["shutdown"], "POST") => Call::Shutdown,
        (["health"], "POST") => Call::Health,
        (["reserve"], "POST") => Call::Reserve,
        (["gameserver"], "GET") => Call::GetGameServer,
        (["watch", "gameserver"], "GET") => Call::Watch,
        (["metadata", "label"], "PUT") => Call::SetLabel,
        (["metadata", "annotation"], "PUT") => Call::SetAnnotation,
        (["v1beta1", "counters", _], "GET") => Call::GetCounter(last()),
        (["v1beta1", "counters", _], "PATCH") => Call::UpdateCounter(last()),
        (["v1beta1", "lists", list], method) => match (list.rsplit_once(':'), method) {
            (Some((list, "addValue")), "POST") => Call::AddListValue(list.to_owned()),
            (Some((list, "removeValue")), "POST") => Call::RemoveListValue(list.to_owned()),
            (Some((_, "addValue" | "removeValue")), _) => return Err(wrong_method()),
            (_, "GET") => Call::GetList(last()),
            (_, "PATCH") => Call::UpdateList(last()),
            _ => return Err(wrong_method()),
        },
        (["alpha", "player", "connect"], "POST") => Call::PlayerConnect,
        (["alpha", "player", "disconnect"], "POST") => Call::PlayerDisconnect,
        (["alpha", "player", "capacity"], "PUT") => Call::SetPlayerCapacity,
        (["alpha", "player", "capacity"], "GET") => Call::GetPlayerCapacity,
        (["alpha", "player", "count"], "GET") => Call::GetPlayerCount,
        (["alpha", "player", "connected"], "GET") => Call::GetConnectedPlayers,
        (["alpha", "player", "connected", _], "GET") => Call::IsPlayerConnected(last()),
        (
            ["ready" | "allocate" | "shutdown" | "health" | "reserve" | "gameserver"]
            | ["watch", "gameserver"]
            | ["metadata", "label" | "annotation"]
            | ["v1beta1", "counters", _]
            | ["alpha", "player", "connect" | "disconnect" | "capacity" | "count" | "connected"]
            | ["alpha", "player", "connected", _],
            _,
        ) => return Err(wrong_method()),
        _ => return Err(unknown()),
    };
    Ok(call)
}

fn unknown() -> Failure {
    Failure::new(Code::NotFound, "Not Found")
}

fn wrong_method() -> Failure {
    Failure::new(Code::NotImplemented, "Method Not Allowed")
}

/// A page that a browser on this machine shows must not speak for a game server.
fn is_from_here(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let uri: Option<Uri> = origin.to_str().ok().and_then(|origin| origin.parse().ok());
    match uri.as_ref().and_then(Uri::host) {
        Some("localhost" | "127.0.0.1" | "[::1]") => Ok(()),
        _ => Err(Failure::new(Code::Forbidden, "Only the game server itself may call.")),
    }
}

async fn read_body(body: Incoming) -> Result<Bytes, Failure> {
    match timeout(BODY_MAX, to_bytes(Body::new(body), BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            Err(Failure::bad(format!("The body was cut off, or has more than {BODY_BYTES_MAX} bytes.")))
        }
        Err(_elapsed) => Err(Failure::bad("The body did not come in time.")),
    }
}

async fn carry_out(caller: &Caller, call: Call<'_>, body: &Bytes) -> Result<Response<Body>, Failure> {
    match call {
        Call::Ready => simple(caller, body, Change::Ready).await,
        Call::Allocate => simple(caller, body, Change::Allocate).await,
        Call::Shutdown => simple(caller, body, Change::Shutdown).await,
        Call::Health => {
            read::<json::Nothing>(body)?;
            caller.health()?;
            Ok(ok(&json::Empty {}))
        }
        Call::Reserve => {
            let json::Reserve { seconds } = read(body)?;
            caller.reserve(seconds.unwrap_or_default().0).await?;
            Ok(ok(&json::Empty {}))
        }
        Call::GetGameServer => Ok(ok(&Object::of(&*caller.object()?))),
        Call::Watch => Err(unknown()),
        Call::SetLabel => {
            let json::KeyValue { key, value } = read(body)?;
            let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
            changed(caller, Change::Label { key, value }).await
        }
        Call::SetAnnotation => {
            let json::KeyValue { key, value } = read(body)?;
            let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
            changed(caller, Change::Annotation { key, value }).await
        }
        Call::GetCounter(name) => Ok(counter(&name, caller.counter(&name)?)),
        Call::UpdateCounter(name) => {
            let json::CounterUpdate { count, capacity, difference } = read(body)?;
            let number = |number: Option<Int64>| number.map(|Int64(number)| number);
            let difference = number(difference).unwrap_or(0);
            let updated = caller.update_counter(&name, number(count), number(capacity), difference).await?;
            Ok(counter(&name, updated))
        }
        Call::GetList(name) => Ok(list(&name, caller.list(&name)?)),
        Call::UpdateList(name) => {
            let json::ListUpdate { capacity, values } = read(body)?;
            let capacity = capacity.map(|Int64(capacity)| capacity);
            let change = Change::List { name: name.to_string(), capacity, values };
            Ok(list(&name, caller.change_list(&name, change).await?))
        }
        Call::AddListValue(name) => {
            let value = read::<json::Value>(body)?.value.unwrap_or_default();
            let change = Change::AddValue { list: name.clone(), value };
            Ok(list(&name, caller.change_list(&name, change).await?))
        }
        Call::RemoveListValue(name) => {
            let value = read::<json::Value>(body)?.value.unwrap_or_default();
            let change = Change::RemoveValue { list: name.clone(), value };
            Ok(list(&name, caller.change_list(&name, change).await?))
        }
        Call::PlayerConnect => {
            let player = read::<json::Player>(body)?.id.unwrap_or_default();
            let changed = caller.change(Change::PlayerConnect(player)).await?;
            Ok(ok(&json::Bool { bool: changed.is_changed }))
        }
        Call::PlayerDisconnect => {
            let player = read::<json::Player>(body)?.id.unwrap_or_default();
            let changed = caller.change(Change::PlayerDisconnect(player)).await?;
            Ok(ok(&json::Bool { bool: changed.is_changed }))
        }
        Call::SetPlayerCapacity => {
            let count = read::<json::PlayerCapacity>(body)?.count.unwrap_or_default();
            changed(caller, Change::PlayerCapacity(count.0)).await
        }
        Call::GetPlayerCapacity => Ok(ok(&json::Count { count: Int64(caller.players()?.capacity) })),
        Call::GetPlayerCount => Ok(ok(&json::Count { count: Int64(caller.players()?.values.len() as i64) })),
        Call::GetConnectedPlayers => Ok(ok(&json::Players { list: caller.players()?.values })),
        Call::IsPlayerConnected(player) => {
            let is_connected = caller.players()?.values.iter().any(|known| *known == player);
            Ok(ok(&json::Bool { bool: is_connected }))
        }
    }
}

async fn simple(caller: &Caller, body: &Bytes, change: Change) -> Result<Response<Body>, Failure> {
    read::<json::Nothing>(body)?;
    changed(caller, change).await
}

async fn changed(caller: &Caller, change: Change) -> Result<Response<Body>, Failure> {
    caller.change(change).await?;
    Ok(ok(&json::Empty {}))
}

fn counter(name: &str, of: sdk::Counter) -> Response<Body> {
    ok(&json::Counter { name, count: Int64(of.count), capacity: Int64(of.capacity) })
}

fn list(name: &str, of: sdk::List) -> Response<Body> {
    ok(&json::List { name, capacity: Int64(of.capacity), values: of.values })
}

/// The object as it is now, then with every change: a line each, or a message each over a WebSocket.
async fn watch(caller: &Caller, slot: &Slot, parts: &mut Parts) -> Result<Response<Body>, Failure> {
    let objects = caller.watch()?;
    let is_socket =
        parts.headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if is_socket {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await;
        let upgrade = upgrade.map_err(|error| Failure::bad(error.to_string()))?;
        let (slot, closed) = (slot.clone(), caller.closed.clone());
        return Ok(upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .read_buffer_size(MESSAGE_BYTES_MAX)
            .on_upgrade(async move |socket| {
                let _ended = closed.run_until_cancelled_owned(tell(socket, objects)).await;
                drop(slot);
            }));
    }
    let lines = objects.map(|object| {
        let mut line = line(&object);
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Sends every object, until there are no more or the other side has gone.
async fn tell(mut socket: WebSocket, objects: impl Stream<Item = std::sync::Arc<GameServer>>) {
    let mut objects = std::pin::pin!(objects);
    loop {
        tokio::select! {
            biased;
            heard = socket.recv() => match heard {
                // What is said is of no interest; that it is there, answers a ping.
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            object = objects.next() => {
                let Some(object) = object else { break };
                let Ok(text) = String::from_utf8(line(&object)) else { return };
                if socket.send(Message::Text(text.into())).await.is_err() {
                    return;
                }
            }
        }
    }
    let _gone = socket.send(Message::Close(None)).await;
}

fn line(object: &GameServer) -> Vec<u8> {
    serde_json::to_vec(&Watched { result: Object::of(object) }).unwrap_or_default()
}

/// An empty body says as much as `{}`.
fn read<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Failure> {
    let text = body.trim_ascii();
    if text.is_empty() {
        return Ok(T::default());
    }
    if !text.starts_with(b"{") {
        return Err(Failure::bad("The body is no JSON object."));
    }
    serde_json::from_slice(text).map_err(|error| Failure::bad(format!("The body cannot be read: {error}.")))
}

fn ok(value: &impl Serialize) -> Response<Body> {
    respond(StatusCode::OK, value)
}

fn refuse(failure: &Failure) -> Response<Body> {
    let code = failure.code.grpc() as i32;
    respond(failure.code.status(), &json::Failure { code, message: &failure.message, details: [] })
}

fn respond(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // What we say has nothing in it that JSON cannot have.
    let mut response = Response::new(Body::from(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
