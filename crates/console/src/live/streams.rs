//! The streams of server-sent events: a page's fragment, and a game server's log.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use greenroom_fleet::{LogLine, LogStream};
use greenroom_protocol::{ErrorCode, LobbyId, ServerId};
use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{
    Look, Topic,
    log::{self, LogNews},
};
use crate::{
    Console,
    access::Visitor,
    pages::{
        Asked, Named, OfGame, browser,
        events::{self, Following},
        lobbies, problem, servers,
    },
};

/// Events that wait for a slow reader; its fragments then skip what is out of date.
const EVENTS_WAITING_MAX: usize = 4;

/// Lines of a log that go into one event at most.
const LINES_PER_EVENT_MAX: usize = 200;

/// How often a stream looks whether its session is still good.
const SESSION_CHECK_EVERY: Duration = Duration::from_secs(15);

/// How often something is said on a silent stream, so that nobody in between closes it.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

pub(crate) async fn overview(State(console): State<Console>, parts: Parts) -> Response {
    open(console, parts, Topic::Overview)
}

pub(crate) async fn servers(
    State(console): State<Console>,
    Asked(filter): Asked<servers::Filter>,
    parts: Parts,
) -> Response {
    open(console, parts, Topic::Servers(filter.bounded()))
}

pub(crate) async fn server(
    State(console): State<Console>,
    Named(game, id): Named<ServerId>,
    parts: Parts,
) -> Response {
    open(console, parts, Topic::Server(game, id))
}

pub(crate) async fn browser(
    State(console): State<Console>,
    Asked(filter): Asked<browser::Filter>,
    parts: Parts,
) -> Response {
    open(console, parts, Topic::Browser(filter.bounded()))
}

pub(crate) async fn hosts(State(console): State<Console>, parts: Parts) -> Response {
    open(console, parts, Topic::Hosts)
}

pub(crate) async fn builds(State(console): State<Console>, OfGame(game): OfGame, parts: Parts) -> Response {
    open(console, parts, Topic::Builds(game))
}

pub(crate) async fn lobbies(
    State(console): State<Console>,
    Asked(filter): Asked<lobbies::Filter>,
    parts: Parts,
) -> Response {
    open(console, parts, Topic::Lobbies(filter.bounded()))
}

pub(crate) async fn lobby(
    State(console): State<Console>,
    Named(game, id): Named<LobbyId>,
    parts: Parts,
) -> Response {
    open(console, parts, Topic::Lobby(game, id))
}

pub(crate) async fn events(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(filter): Asked<events::Filter>,
    parts: Parts,
) -> Response {
    let following = match Following::begin(console.node(), &visitor.principal(), &filter).await {
        Ok(following) => following,
        Err(failure) => {
            problem::log(&failure, "events could not be followed");
            let status = StatusCode::from_u16(failure.code().status());
            return (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), failure.sentence().to_owned())
                .into_response();
        }
    };
    match console.0.live.follow(console.node(), following) {
        Some(look) => answer(console, parts, look, None),
        None => too_many(),
    }
}

fn open(console: Console, parts: Parts, topic: Topic) -> Response {
    let log = match &topic {
        Topic::Server(game, id) => Some((game.clone(), id.clone())),
        _ => None,
    };
    let Some(look) = console.0.live.look(topic) else { return too_many() };
    let log = log.map(|(game, id)| log::follow(console.node(), game, id));
    answer(console, parts, look, log)
}

fn too_many() -> Response {
    tracing::warn!("a live page was refused: too many are open");
    (StatusCode::SERVICE_UNAVAILABLE, "Too many live pages are open. Close some.").into_response()
}

fn answer(console: Console, parts: Parts, look: Look, log: Option<mpsc::Receiver<LogNews>>) -> Response {
    let node = console.node().clone();
    let (sender, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
    node.tracker.spawn(feed(console, parts, look, log, sender));
    let events = stream::unfold(receiver, |mut receiver| async {
        let event: Event = receiver.recv().await?;
        Some((Ok::<_, Infallible>(event), receiver))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_EVERY);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // Proxies that gather answers before they pass them on leave this one alone.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Feeds one stream until its reader goes, its session ends, or the node ends.
async fn feed(
    console: Console,
    parts: Parts,
    look: Look,
    log: Option<mpsc::Receiver<LogNews>>,
    events: mpsc::Sender<Event>,
) {
    let (shutdown, closed) = (console.node().shutdown.clone(), events.clone());
    tokio::select! {
        biased;
        // The ends come first: a full queue must not hold up either.
        () = shutdown.cancelled() => {}
        () = closed.closed() => {}
        _ = pass_on(&console, &parts, look, log, &events) => {}
    }
}

/// The reader of a stream is gone.
struct Gone;

async fn pass_on(
    console: &Console,
    parts: &Parts,
    mut look: Look,
    mut log: Option<mpsc::Receiver<LogNews>>,
    events: &mpsc::Sender<Event>,
) -> Result<(), Gone> {
    let mut checks = interval_at(Instant::now() + SESSION_CHECK_EVERY, SESSION_CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut news = Vec::with_capacity(LINES_PER_EVENT_MAX);
    loop {
        // The session first: nobody is told more than it may know. A busy log must not hide the state.
        tokio::select! {
            biased;
            _ = checks.tick() => {
                let session = console.visitor(parts, false).await;
                if session.is_err_and(|failure| failure.code() == ErrorCode::Unauthorized) {
                    return send(events, Event::default().event("signed-out").data("")).await;
                }
            }
            fragment = look.next() => {
                let Some(fragment) = fragment else { return Ok(()) };
                send(events, event("fragment", &*fragment)).await?;
            }
            count = receive(log.as_mut(), &mut news) => {
                if count == 0 {
                    log = None;
                }
                send_log(events, news.drain(..)).await?;
            }
        }
    }
}

/// What a log has to tell; waits for ever where there is none.
async fn receive(log: Option<&mut mpsc::Receiver<LogNews>>, news: &mut Vec<LogNews>) -> usize {
    match log {
        Some(log) => log.recv_many(news, LINES_PER_EVENT_MAX).await,
        None => std::future::pending().await,
    }
}

async fn send_log(events: &mpsc::Sender<Event>, news: impl Iterator<Item = LogNews>) -> Result<(), Gone> {
    let mut lines = Vec::new();
    for one in news {
        let what = match one {
            LogNews::Line(line) => {
                lines.push(Line::from(line));
                continue;
            }
            LogNews::Begins => "begins",
            LogNews::Ends => "ends",
            LogNews::Away => "away",
            LogNews::Missing => "missing",
        };
        send_lines(events, &mut lines).await?;
        send(events, event("log-state", what)).await?;
    }
    send_lines(events, &mut lines).await
}

async fn send_lines(events: &mpsc::Sender<Event>, lines: &mut Vec<Line>) -> Result<(), Gone> {
    if lines.is_empty() {
        return Ok(());
    }
    send(events, event("log", std::mem::take(lines))).await
}

async fn send(events: &mpsc::Sender<Event>, event: Event) -> Result<(), Gone> {
    events.send(event).await.map_err(|_| Gone)
}

/// As JSON, so that no line end within can end the event.
fn event(name: &str, data: impl Serialize) -> Event {
    Event::default().event(name).json_data(data).unwrap_or_default()
}

/// A line of a log as the script is told it.
#[derive(Serialize)]
struct Line {
    at: i64,
    from: &'static str,
    text: String,
}

impl From<LogLine> for Line {
    fn from(line: LogLine) -> Self {
        let from = match line.stream {
            LogStream::Stdout => "out",
            LogStream::Stderr => "err",
            LogStream::System => "greenroom",
        };
        Self { at: line.at.as_millis(), from, text: line.text }
    }
}
