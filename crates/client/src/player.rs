//! The player's side: signing in, and the socket over which lobbies live.

use futures_util::{SinkExt, StreamExt};
use greenroom_protocol::{
    GameId,
    auth::{AccountMe, AnonymousRequest, SignedIn},
    browser::{BrowserFilter, BrowserNews, BrowserPage, BrowserSort},
    events::PlayerMatches,
    lobby::{ClientMessage, LobbyView, MatchData, ServerMessage},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};

use crate::{
    error::{ClientError, read},
    http,
};

/// Largest message that is read from a socket, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A player of the game that a Greenroom serves at its address. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), greenroom_client::ClientError> {
/// use greenroom_client::{player::Player, protocol::lobby::{ClientMessage, LobbyCreate}};
///
/// let ann = Player::sign_in("http://127.0.0.1:4700", "Ann").await?;
/// let mut socket = ann.connect().await?;
/// socket.send(&ClientMessage::Create(LobbyCreate::default())).await?;
/// let lobby = socket.lobby().await?;
/// println!("invite others with the code {}", lobby.code);
/// socket.send(&ClientMessage::Ready { ready: true }).await?;
/// socket.send(&ClientMessage::Start).await?;
/// let started = socket.match_started().await?;
/// println!("play at {}:{}", started.server.address, started.server.port);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Player {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Player {
    /// Signs a new player in at `url`, such as `http://127.0.0.1:4700`.
    pub async fn sign_in(url: &str, username: &str) -> Result<Self, ClientError> {
        let http = http::client()?;
        let url = url.trim_end_matches('/').to_owned();
        let body = AnonymousRequest { username: Some(username.to_owned()) };
        let request = http.post(format!("{url}/auth/anonymous")).json(&body);
        let signed_in: SignedIn = read(request.send().await.map_err(ClientError::unreachable)?).await?;
        Ok(Self { http, url, token: signed_in.access_token })
    }

    /// A player who signed in before.
    pub fn with_token(url: &str, token: impl Into<String>) -> Result<Self, ClientError> {
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { http: http::client()?, url, token: token.into() })
    }

    /// The access token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The account.
    pub async fn me(&self) -> Result<AccountMe, ClientError> {
        self.get("/accounts/me").await
    }

    /// The public lobbies.
    pub async fn lobbies(&self) -> Result<Vec<LobbyView>, ClientError> {
        self.get("/lobbies").await
    }

    /// The game servers of `game` that `filter` lets through: the page that begins at `cursor`, the
    /// `next` of the page before, or the first one. The same live: [`PlayerSocket::browser`].
    pub async fn browser(
        &self,
        game: &GameId,
        filter: &BrowserFilter,
        cursor: Option<&str>,
    ) -> Result<BrowserPage, ClientError> {
        let query = browser_query(filter, cursor);
        let request = self.http.get(format!("{}/v1/games/{game}/browser", self.url)).query(&query);
        read(request.send().await.map_err(ClientError::unreachable)?).await
    }

    /// The newest matches of the player's history.
    pub async fn matches(&self) -> Result<PlayerMatches, ClientError> {
        self.get("/v1/players/me/matches").await
    }

    /// Opens a socket. The player's place in a lobby is its own again.
    pub async fn connect(&self) -> Result<PlayerSocket, ClientError> {
        let base = self.url.replacen("http", "ws", 1);
        let config =
            WebSocketConfig::default().read_buffer_size(4096).max_message_size(Some(MESSAGE_BYTES_MAX));
        let request = format!("{base}/_ws?token={}", self.token);
        let connected = tokio_tungstenite::connect_async_with_config(request, Some(config), true).await;
        let (socket, _response) = connected.map_err(ClientError::unreachable)?;
        let mut socket = PlayerSocket { socket };
        match socket.next().await? {
            ServerMessage::Connected { .. } => Ok(socket),
            other => Err(unexpected(other)),
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        read(request.send().await.map_err(ClientError::unreachable)?).await
    }
}

/// A player's open socket.
pub struct PlayerSocket {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl PlayerSocket {
    /// Sends a command.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), ClientError> {
        let text =
            serde_json::to_string(message).map_err(|error| ClientError::Unexpected(error.to_string()))?;
        self.socket.send(Message::text(text)).await.map_err(ClientError::unreachable)
    }

    /// The next message. Messages of a type that this SDK does not know are passed over.
    pub async fn next(&mut self) -> Result<ServerMessage, ClientError> {
        loop {
            let Some(frame) = self.socket.next().await else {
                return Err(ClientError::unreachable(tungstenite::Error::ConnectionClosed));
            };
            match frame.map_err(ClientError::unreachable)? {
                Message::Text(text) => match serde_json::from_str(&text) {
                    Ok(message) => return Ok(message),
                    Err(error) => tracing::debug!(%error, "passed over a message"),
                },
                Message::Close(_) => {
                    return Err(ClientError::unreachable(tungstenite::Error::ConnectionClosed));
                }
                _ => {}
            }
        }
    }

    /// The next state of the player's lobby; a refusal that comes first is the error.
    pub async fn lobby(&mut self) -> Result<LobbyView, ClientError> {
        loop {
            match self.next().await? {
                ServerMessage::Created { lobby, .. } | ServerMessage::Updated { lobby } => return Ok(lobby),
                refused @ ServerMessage::Error { .. } => return Err(unexpected(refused)),
                _ => {}
            }
        }
    }

    /// The next state of the game servers that are watched, after
    /// [`BrowserWatch`](ClientMessage::BrowserWatch); a refusal that comes first is the error.
    pub async fn browser(&mut self) -> Result<BrowserNews, ClientError> {
        loop {
            match self.next().await? {
                ServerMessage::BrowserUpdated(news) => return Ok(news),
                refused @ ServerMessage::Error { .. } => return Err(unexpected(refused)),
                _ => {}
            }
        }
    }

    /// The next match that starts; a refusal that comes first is the error.
    pub async fn match_started(&mut self) -> Result<MatchData, ClientError> {
        loop {
            match self.next().await? {
                ServerMessage::MatchStarted { match_data } => return Ok(match_data),
                refused @ ServerMessage::Error { .. } => return Err(unexpected(refused)),
                _ => {}
            }
        }
    }

    /// Closes the socket. The player's place in its lobby is kept for the grace period.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.socket.close(None).await.map_err(ClientError::unreachable)
    }
}

fn browser_query(filter: &BrowserFilter, cursor: Option<&str>) -> Vec<(&'static str, String)> {
    let sort = filter.sort.map(|sort| match sort {
        BrowserSort::Latency => "latency".to_owned(),
        BrowserSort::Players => "players".to_owned(),
        BrowserSort::Name => "name".to_owned(),
    });
    let latencies: Vec<_> = filter.latencies.iter().map(|(region, ms)| format!("{region}:{ms}")).collect();
    let all = [
        ("region", filter.region.as_ref().map(ToString::to_string)),
        ("version", filter.version.clone()),
        ("not_full", filter.not_full.then(|| "true".to_owned())),
        ("has_players", filter.has_players.then(|| "true".to_owned())),
        ("text", filter.text.clone()),
        ("sort", sort),
        ("latencies", (!latencies.is_empty()).then(|| latencies.join(","))),
        ("limit", filter.limit.map(|limit| limit.to_string())),
        ("cursor", cursor.map(str::to_owned)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn unexpected(message: ServerMessage) -> ClientError {
    match message {
        ServerMessage::Error { message, code, .. } => {
            ClientError::Refused { status: 0, code, detail: message }
        }
        other => ClientError::Unexpected(format!("{other:?}")),
    }
}
