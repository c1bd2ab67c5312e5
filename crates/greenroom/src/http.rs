//! The client side of the command line: asks a running Greenroom over HTTP.

use std::time::Duration;

use anyhow::Context as _;
use greenroom_protocol::{GameId, Problem};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header::HeaderValue};
use serde::de::DeserializeOwned;

use crate::{
    cli::Server,
    dev::DevFile,
    exit::{Exit, Failed},
};

/// Where Greenroom is unless something says otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:4700";
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may stay silent; an allocation waits for a server to start. Followed logs may be silent for ever.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(10);

/// How long one may take that should answer at once.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// A Greenroom that answers over HTTP, and who we are to it.
pub(crate) struct Greenroom {
    client: reqwest::Client,
    url: String,
    credentials: Credentials,
    /// What `dev` wrote, where that is the one we talk to.
    dev: Option<DevFile>,
}

enum Credentials {
    None,
    Key(String),
    Token(String),
}

impl Greenroom {
    /// The one that `server` means: its address, else what `dev` has left in its folder.
    pub(crate) fn new(server: &Server) -> anyhow::Result<Self> {
        let dev = DevFile::read(&server.data_dir)?;
        let url = server.url.clone().or_else(|| dev.as_ref().map(|dev| dev.url.clone()));
        let url = url.unwrap_or_else(|| URL_DEFAULT.into()).trim_end_matches('/').to_owned();
        let is_address = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !url.parse().is_ok_and(|url| is_address(&url)) {
            let sentence = format!("{url:?} is no address; expected one such as {URL_DEFAULT}");
            return Err(Failed::with(Exit::Usage, sentence));
        }
        // Credentials of the development folder go to the Greenroom of that folder, and nowhere else.
        let dev = dev.filter(|dev| dev.url == url);
        let credentials = match (&server.key, &server.token, &dev) {
            (Some(key), _, _) => Credentials::Key(key.clone()),
            (None, Some(token), _) => Credentials::Token(token.clone()),
            (None, None, Some(dev)) => Credentials::Token(dev.admin_token.clone()),
            (None, None, None) => Credentials::None,
        };
        if let Credentials::Key(text) | Credentials::Token(text) = &credentials
            && HeaderValue::from_str(text).is_err()
        {
            let sentence = "the credentials have characters that none have; copy the key or the token again";
            return Err(Failed::with(Exit::Usage, sentence));
        }
        // An error is that it was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot prepare the HTTP client")?;
        Ok(Self { client, url, credentials, dev })
    }

    /// The game that is meant: the one named, else that of the development folder.
    pub(crate) fn game(&self, named: Option<GameId>) -> anyhow::Result<GameId> {
        let of_dev = || self.dev.as_ref().and_then(|dev| dev.game.clone());
        named.or_else(of_dev).ok_or_else(|| Failed::with(Exit::Usage, "no game is named; add --game <GAME>"))
    }

    /// Whether we present the installation's admin token, which belongs to no studio.
    pub(crate) const fn is_admin(&self) -> bool {
        matches!(self.credentials, Credentials::Token(_))
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A request to `path` with our credentials.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.credentials {
            Credentials::None => request,
            Credentials::Key(key) => request.header("X-Api-Key", key),
            Credentials::Token(token) => request.bearer_auth(token),
        }
    }

    /// Sends `request` and reads the JSON of a good answer.
    pub(crate) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = self.send(request.timeout(ANSWER_TIMEOUT)).await?;
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).with_context(|| {
            format!(
                "the answer of {} is not what this version of the command reads; do the versions match?",
                self.url
            )
        })
    }

    /// What is at `path`, whatever its status.
    pub(crate) async fn look(&self, path: &str) -> anyhow::Result<Response> {
        let request = self.request(Method::GET, path).timeout(LOOK_TIMEOUT);
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    /// Sends `request`; an answer that is an error becomes ours, with its sentence.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        Err(self.refused(status, &body))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> anyhow::Error {
        let advice = match (&self.credentials, status) {
            (Credentials::None, StatusCode::UNAUTHORIZED) => {
                " (--key or GREENROOM_API_KEY presents a key, --token or GREENROOM_ADMIN_TOKEN the admin token)"
            }
            (Credentials::Key(_), StatusCode::FORBIDDEN) => {
                " (--token or GREENROOM_ADMIN_TOKEN presents the admin token)"
            }
            _ => "",
        };
        if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
            return Failed::with(Exit::of(problem.code), format!("{}{advice}", problem.detail));
        }
        let exit = match status.as_u16() {
            404 | 410 => Exit::NotFound,
            401 | 403 => Exit::Unauthorized,
            429 | 502..=504 => Exit::Busy,
            _ => Exit::Failure,
        };
        Failed::with(exit, format!("{} answered {status}{advice}; is it a Greenroom?", self.url))
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let cause = if error.is_timeout() { "it took too long" } else { "no connection" };
        let sentence =
            format!("no Greenroom answers at {} ({cause}); start one, or name another with --url", self.url);
        Failed::with(Exit::Unreachable, sentence)
    }
}
