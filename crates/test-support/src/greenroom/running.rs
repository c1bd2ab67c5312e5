//! A Greenroom that runs.

use std::{
    io::{BufRead as _, BufReader, Read},
    ops::Deref,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{GAME, Gone, Installation, PATIENCE, Socket};
use crate::wait_for;

/// Lines of a child, as they come.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

/// A child that serves requests; killed on drop, its game servers are not.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    api: Api,
}

/// What can be asked of a Greenroom, whether it still runs or not. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    /// Where it is.
    pub url: String,
    /// Permits everything.
    pub admin_token: String,
}

/// What came of a request: its status (0 if the connection broke) and body.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status; 0 if there was no answer.
    pub status: u16,
    /// The body, where it is JSON; else its text as a JSON string.
    pub body: Value,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Running {
    pub(super) async fn start(installation: &Installation, command: Command) -> Self {
        let mut running = Self::spawn(command);
        let mut found = None;
        let is_up = wait_for(
            || {
                found = running.found(installation.admin_token());
                found.is_some() || running.has_ended()
            },
            PATIENCE,
        );
        is_up.await;
        let Some((url, admin_token)) = found else {
            panic!("Greenroom does not come up; its log:\n{}", running.log());
        };
        installation.keep_admin_token(admin_token.clone());
        (running.api.url, running.api.admin_token) = (url, admin_token);
        running
    }

    /// Starts `command` without waiting for anything: where it is, is not known.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn spawn(mut command: Command) -> Self {
        // Fails only if the test has installed a provider already, and then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let stdout = Lines::of(child.stdout.take());
        let stderr = Lines::of(child.stderr.take());
        let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("an HTTP client");
        let api = Api { http, url: String::new(), admin_token: String::new() };
        Self { child, stdout, stderr, api }
    }

    /// Where it is and its admin token, once it said so.
    fn found(&self, known: Option<String>) -> Option<(String, String)> {
        let stdout = self.stdout.all();
        let dev = stdout.iter().find_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(dev) = dev {
            return Some((dev["url"].as_str()?.to_owned(), dev["admin_token"].as_str()?.to_owned()));
        }
        let shown = stdout.iter().find_map(|line| Some(line.split_once("shown this once: ")?.1.to_owned()));
        let served = self.stderr.all().into_iter().find(|line| line.contains("requests are served"))?;
        let url = served.split_once("url=")?.1.split_whitespace().next()?.to_owned();
        Some((url, shown.or(known)?))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.stderr.all().join("\n")
    }

    /// What it printed so far.
    pub fn printed(&self) -> String {
        self.stdout.all().join("\n")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended meanwhile.
        let _ = pid.map(|pid| kill_process(pid, signal));
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// If it does not in time.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = wait_for(
            || {
                status = self.child.try_wait().expect("its status");
                status.is_some()
            },
            PATIENCE,
        );
        ended.await;
        status.unwrap_or_else(|| panic!("Greenroom does not end; its log:\n{}", self.log()))
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// What can be asked of it, to be taken elsewhere.
    pub fn api(&self) -> Api {
        self.api.clone()
    }
}

impl Deref for Running {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Api {
    /// A request with the admin token.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.ask_as(method, path, &self.admin_token, &[], body).await
    }

    /// A request with a bearer token and further headers.
    pub async fn ask_as(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::of(request.send().await).await
    }

    /// `GET` with the admin token.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    /// Signs a player in; the answer has `accessToken` and `account`.
    pub async fn sign_in(&self, username: &str) -> Answer {
        self.ask_as(Method::POST, "/auth/anonymous", "", &[], Some(&json!({ "username": username }))).await
    }

    /// Opens a player's socket.
    pub async fn connect(&self, token: &str) -> Result<Socket, Gone> {
        Socket::connect(&self.url, token).await
    }

    /// Allocates a server, with an idempotency key if there is one.
    pub async fn allocate(&self, key: Option<&str>) -> Answer {
        let headers: Vec<_> = key.iter().map(|key| ("idempotency-key", *key)).collect();
        let path = format!("/v1/games/{GAME}/servers");
        self.ask_as(Method::POST, &path, &self.admin_token, &headers, Some(&json!({ "payload": "{}" }))).await
    }

    /// One server, as its studio sees it.
    pub async fn server(&self, id: &str) -> Answer {
        self.get(&format!("/v1/servers/{id}")).await
    }

    /// Stops a server.
    pub async fn stop_server(&self, id: &str) -> Answer {
        self.ask(Method::DELETE, &format!("/v1/servers/{id}"), None).await
    }

    /// All servers of [`GAME`], those included that have ended and are remembered.
    ///
    /// # Panics
    ///
    /// If they cannot be listed.
    pub async fn servers(&self) -> Vec<Value> {
        let mut servers = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/v1/games/{GAME}/servers?limit=500{cursor}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            servers.extend(page.body["servers"].as_array().cloned().unwrap_or_default());
            match page.body["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return servers,
            }
        }
    }

    /// Waits until the server `id` is in `state`; gives it.
    ///
    /// # Panics
    ///
    /// If it is not in time.
    pub async fn server_in(&self, id: &str, state: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.server(id).await;
            if found.body["state"] == state {
                return found.body;
            }
            assert!(tokio::time::Instant::now() < deadline, "server {id} is not {state}: {found:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// All events of the studio from the sequence `from` on.
    ///
    /// # Panics
    ///
    /// If they cannot be read.
    pub async fn events(&self, from: u64) -> Vec<Value> {
        let mut events = Vec::new();
        let mut from = from.to_string();
        loop {
            let page = self.get(&format!("/v1/events?studio={}&limit=1000&from={from}", super::STUDIO)).await;
            assert_eq!(page.status, 200, "{page:?}");
            events.extend(page.body["events"].as_array().cloned().unwrap_or_default());
            if page.body["end"] == true {
                return events;
            }
            page.body["next"].as_str().expect("the next sequence").clone_into(&mut from);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("Greenroom's log:\n{}", self.log());
        }
    }
}

impl Answer {
    async fn of(sent: Result<reqwest::Response, reqwest::Error>) -> Self {
        let none =
            |error: reqwest::Error| Self { status: 0, body: error.to_string().into(), retry_after_s: None };
        let response = match sent {
            Ok(response) => response,
            Err(error) => return none(error),
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        match response.bytes().await {
            Ok(bytes) => {
                let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
                Self {
                    status,
                    body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()),
                    retry_after_s,
                }
            }
            Err(error) => none(error),
        }
    }

    /// Whether there was no answer: what was asked for may have been done or not.
    pub fn is_unknown(&self) -> bool {
        self.status == 0
    }

    /// The sentence of a refusal.
    pub fn sentence(&self) -> &str {
        self.body["detail"].as_str().or_else(|| self.body["error"].as_str()).unwrap_or_default()
    }
}

impl Lines {
    /// Reads `source` to its end, in a thread of its own.
    fn of(source: Option<impl Read + Send + 'static>) -> Self {
        let lines = Self::default();
        let filled = lines.clone();
        if let Some(source) = source {
            thread::spawn(move || {
                for line in BufReader::new(source).lines().map_while(Result::ok) {
                    filled.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            });
        }
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
