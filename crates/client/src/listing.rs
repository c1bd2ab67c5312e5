//! A game server lists itself in the server browser, whoever started it.

use futures_util::{SinkExt, StreamExt};
use greenroom_protocol::browser::{Announcement, PlayersReport};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header},
    },
};

use crate::error::ClientError;

/// A game server's place in the server browser. Dropping it ends it.
///
/// ```no_run
/// # async fn example() -> Result<(), greenroom_client::ClientError> {
/// use greenroom_client::{listing::Listing, protocol::browser::{Announcement, PlayersReport}};
///
/// let announcement = Announcement { name: "Ann's game".into(), port: 7003, ..Announcement::default() };
/// let mut listing = Listing::open("http://127.0.0.1:4700", None, &announcement).await?;
/// listing.report(&PlayersReport { players: 3, players_max: Some(8) }).await?;
/// let why = listing.keep().await; // until Greenroom restarts, or the connection breaks
/// println!("not listed any more: {why}");
/// # Ok(()) }
/// ```
pub struct Listing {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Listing {
    /// Lists a game server at the Greenroom at `url`. One that Greenroom started shows its token.
    pub async fn open(
        url: &str,
        token: Option<&str>,
        announcement: &Announcement,
    ) -> Result<Self, ClientError> {
        let address = format!("{}/api/list/ws", url.trim_end_matches('/').replacen("http", "ws", 1));
        let unfit = |error: &dyn std::fmt::Display| ClientError::Unexpected(error.to_string());
        let mut request = address.into_client_request().map_err(|error| unfit(&error))?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("json"));
        if let Some(token) = token {
            let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| unfit(&error))?;
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        let (socket, _) =
            tokio_tungstenite::connect_async(request).await.map_err(ClientError::unreachable)?;
        let mut listing = Self { socket };
        listing.send(announcement).await?;
        Ok(listing)
    }

    /// Says how many play.
    pub async fn report(&mut self, players: &PlayersReport) -> Result<(), ClientError> {
        self.send(players).await
    }

    /// Answers Greenroom's question whether this server still lives, until the socket ends; the error
    /// says why. Somebody must wait for it between two reports, or the place is lost. Cancel safe.
    pub async fn keep(&mut self) -> ClientError {
        loop {
            match self.socket.next().await {
                None => return ClientError::unreachable(tungstenite::Error::ConnectionClosed),
                Some(Err(error)) => return ClientError::unreachable(error),
                Some(Ok(Message::Close(Some(frame)))) => {
                    let detail = frame.reason.to_string();
                    return ClientError::Refused { status: 0, code: None, detail };
                }
                Some(Ok(_)) => {}
            }
        }
    }

    async fn send(&mut self, message: &impl serde::Serialize) -> Result<(), ClientError> {
        let text =
            serde_json::to_string(message).map_err(|error| ClientError::Unexpected(error.to_string()))?;
        self.socket.send(Message::text(text)).await.map_err(ClientError::unreachable)
    }
}
