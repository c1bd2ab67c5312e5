//! The calls to the host, and its errors in our words.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use greenroom_domain::settings::PortProtocol;
use greenroom_protocol::hosting::ServerView;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    HostingApiConfig,
    record::{Answer, Record},
};
use crate::{model::BoundPort, supervise::now};

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long an answer may take that needs no server to start.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Longest line of a log; a longer one is cut.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Most characters of a host's own words that are passed on.
const DETAIL_CHARS_MAX: usize = 300;

/// The host, as it is asked.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    game: String,
    key: SecretString,
}

/// Why a request for a server came to nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The same request may succeed, after so long if the host said so.
    Later { why: String, after: Option<Duration> },
    /// The same; and it may have succeeded already.
    Unknown(String),
    /// It will not.
    ForGood(String),
}

/// What is known there of a server.
pub(super) enum Known {
    Server(Box<ServerView>),
    /// Nothing.
    No,
}

#[derive(Deserialize)]
struct Given {
    server: GivenServer,
}

/// The contract's three fields, and what a Greenroom adds.
#[derive(Deserialize)]
struct GivenServer {
    address: String,
    port: u16,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    ports: Vec<GivenPort>,
}

#[derive(Deserialize)]
struct GivenPort {
    name: String,
    port: u16,
    protocol: PortProtocol,
}

/// A problem document, as far as it is of use; others' errors have some of it at best.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

impl Client {
    pub(super) fn new(config: &HostingApiConfig) -> Result<Self, String> {
        let mut base = Url::parse(&config.url).map_err(|error| error.to_string())?;
        if base.cannot_be_a_base() {
            return Err(format!("{:?} is no web address", config.url));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        // Fails only if a provider is installed already, and then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            // The key goes where it was meant to, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { http, base, game: config.game.clone(), key: config.key.clone() })
    }

    /// Whether the host answers, whatever it says.
    pub(super) async fn probe(&self) -> Result<(), String> {
        let request = self.http.get(self.url(&["healthz"])).timeout(ANSWER_MAX);
        request.send().await.map(drop).map_err(|error| transport(&error))
    }

    /// Asks for a server; within `wait` there is one, or it failed. The same `record` gives the same
    /// server.
    pub(super) async fn allocate(&self, record: &Record, wait: Duration) -> Result<Answer, Refusal> {
        let mut body = serde_json::json!({
            "region": record.region,
            "timeoutSeconds": wait.as_secs().max(1),
        });
        if let Some(payload) = &record.payload {
            body["payload"] = payload.clone().into();
        }
        let request = self
            .request(Method::POST, self.servers(None, None))
            .header("Idempotency-Key", record.id.as_str())
            .timeout(wait.max(Duration::from_secs(1)))
            .json(&body);
        let response = request.send().await.map_err(|error| Refusal::Unknown(transport(&error)))?;
        let (status, after) = (response.status(), retry_after(&response));
        let body = read(response).await.map_err(Refusal::Unknown)?;
        if !status.is_success() {
            return Err(self.refusal(record, status, after, &body));
        }
        let given: Given = serde_json::from_slice(&body).map_err(|error| {
            // Asked again it gives the same server, and perhaps an answer that can be read.
            Refusal::Unknown(format!(
                "its answer cannot be read ({error}); expected a server with address and port"
            ))
        })?;
        Ok(answer(given.server))
    }

    /// What is known there of a server.
    pub(super) async fn look(&self, theirs: &str) -> Result<Known, String> {
        let request = self.request(Method::GET, self.servers(Some(theirs), None)).timeout(ANSWER_MAX);
        let response = request.send().await.map_err(|error| transport(&error))?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(format!("it answers {status}"));
        }
        if !status.is_success() {
            return Ok(Known::No);
        }
        let body = read(response).await?;
        Ok(serde_json::from_slice(&body).map_or(Known::No, |view| Known::Server(Box::new(view))))
    }

    /// Tells a server there to end.
    pub(super) async fn stop(&self, theirs: &str) -> Result<(), String> {
        let request = self.request(Method::DELETE, self.servers(Some(theirs), None)).timeout(ANSWER_MAX);
        let status = request.send().await.map_err(|error| transport(&error))?.status();
        // One that is not there any more needs no stop.
        let is_done = status.is_success() || status == StatusCode::NOT_FOUND;
        if is_done { Ok(()) } else { Err(format!("it answers {status}")) }
    }

    /// The log of a server there; none where the host has no such thing.
    pub(super) async fn logs(
        &self,
        theirs: &str,
        lines: usize,
        follow: bool,
    ) -> Result<Option<LogReader>, String> {
        let mut url = self.servers(Some(theirs), Some("logs"));
        url.query_pairs_mut()
            .append_pair("tail", &lines.to_string())
            .append_pair("follow", if follow { "true" } else { "false" });
        let send = self.request(Method::GET, url).send();
        let response = tokio::time::timeout(ANSWER_MAX, send)
            .await
            .map_err(|_| "it does not answer in time".to_owned())?
            .map_err(|error| transport(&error))?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return Ok(None),
            status if !status.is_success() => return Err(format!("it answers {status}")),
            _ => {}
        }
        let stream = Box::pin(response.bytes_stream());
        Ok(Some(LogReader { stream, buffer: BytesMut::new(), is_over: false }))
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).header("X-Api-Key", self.key.expose_secret())
    }

    fn servers(&self, theirs: Option<&str>, below: Option<&str>) -> Url {
        let segments = ["v1", "games", self.game.as_str(), "servers"];
        self.url(&segments.into_iter().chain(theirs).chain(below).collect::<Vec<_>>())
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// What the host says, in our words.
    fn refusal(&self, record: &Record, status: StatusCode, after: Option<Duration>, body: &[u8]) -> Refusal {
        let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
        let said = said(&problem.detail);
        let (game, region) = (&self.game, &record.region);
        match status {
            StatusCode::UNAUTHORIZED => {
                Refusal::ForGood(format!("the key is refused there; check hosting_api.key{said}"))
            }
            StatusCode::FORBIDDEN => {
                Refusal::ForGood(format!("the key has no right to the game \"{game}\" there{said}"))
            }
            StatusCode::NOT_FOUND => {
                Refusal::ForGood(format!("there is no game \"{game}\" there; check hosting_api.game{said}"))
            }
            StatusCode::BAD_REQUEST if problem.code == "unknown_region" => {
                Refusal::ForGood(format!("the region \"{region}\" is unknown there{said}"))
            }
            StatusCode::TOO_MANY_REQUESTS if after.is_none() || problem.code == "limit_reached" => {
                Refusal::ForGood(format!("as many servers run there as may{said}"))
            }
            StatusCode::TOO_MANY_REQUESTS => {
                Refusal::Later { why: format!("it has too much to do or is at its limit{said}"), after }
            }
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Refusal::Later { why: format!("it could start no server ({status}){said}"), after }
            }
            status => Refusal::ForGood(format!("it refuses the request ({status}){said}")),
        }
    }
}

/// A log that comes line by line.
pub(super) struct LogReader {
    stream: futures_util::stream::BoxStream<'static, reqwest::Result<Bytes>>,
    buffer: BytesMut,
    is_over: bool,
}

impl LogReader {
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let line = self.buffer.split_to(end + 1);
                return Some(text(&line[..end]));
            }
            if self.is_over || self.buffer.len() > LINE_BYTES_MAX {
                let rest = self.buffer.split();
                return (!rest.is_empty()).then(|| text(&rest));
            }
            match self.stream.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                // A log that breaks off is read again by who wants more of it.
                Some(Err(_)) | None => self.is_over = true,
            }
        }
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_MAX)]).into_owned()
}

fn answer(given: GivenServer) -> Answer {
    let port = |port: GivenPort| BoundPort {
        name: port.name,
        protocol: port.protocol,
        port: port.port,
        count: 1,
        inner: None,
    };
    let mut ports: Vec<BoundPort> = given.ports.into_iter().map(port).collect();
    if ports.first().is_none_or(|first| first.port != given.port) {
        // The contract's port is the one that players are told.
        let (name, protocol) = ("default".to_owned(), PortProtocol::TcpUdp);
        ports.insert(0, BoundPort { name, protocol, port: given.port, count: 1, inner: None });
    }
    Answer { id: given.id.filter(|id| !id.is_empty()), address: given.address, ports, at: now() }
}

async fn read(response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| transport(&error))?;
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn transport(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!("it cannot be reached ({cause})")
}

/// The host's own words, if it has any: a line of bounded length.
fn said(detail: &str) -> String {
    let words = detail.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let line: String = words.collect::<Vec<_>>().join(" ").chars().take(DETAIL_CHARS_MAX).collect();
    if line.is_empty() { String::new() } else { format!(" (it says: {line})") }
}
