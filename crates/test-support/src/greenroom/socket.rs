//! A player's socket that knows which answer belongs to which command.

use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use super::PATIENCE;

/// A player's open socket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Came while something else was waited for.
    kept: VecDeque<Value>,
    asked: u64,
}

/// The socket is closed; what was asked last may have been done or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// The close code, if there was a close frame.
    pub code: Option<u16>,
    /// Its reason.
    pub reason: String,
}

impl Socket {
    /// Opens the socket and reads `connected`.
    ///
    /// # Panics
    ///
    /// If the first message is another one.
    pub async fn connect(url: &str, token: &str) -> Result<Self, Gone> {
        let request = format!("{}/_ws?token={token}", url.replacen("http", "ws", 1));
        let (stream, _response) =
            tokio_tungstenite::connect_async(request).await.map_err(|_| Gone::default())?;
        let mut socket = Self { stream, kept: VecDeque::new(), asked: 0 };
        let first = socket.next().await?;
        assert_eq!(first["type"], "connected", "{first}");
        Ok(socket)
    }

    /// Sends a command with an id and waits for the direct answer to it. What comes before it is kept
    /// for [`Socket::next`].
    ///
    /// # Panics
    ///
    /// If `command` is no object, or no answer comes in time.
    pub async fn ask(&mut self, mut command: Value) -> Result<Value, Gone> {
        self.asked += 1;
        let id = Value::from(self.asked);
        command.as_object_mut().expect("a command is an object").insert("id".into(), id.clone());
        self.stream.send(Message::text(command.to_string())).await.map_err(|_| Gone::default())?;
        loop {
            let message = self.read(&command).await?;
            if message["id"] == id {
                return Ok(message);
            }
            self.kept.push_back(message);
        }
    }

    /// The next message.
    ///
    /// # Panics
    ///
    /// If none comes in time.
    pub async fn next(&mut self) -> Result<Value, Gone> {
        match self.kept.pop_front() {
            Some(message) => Ok(message),
            None => self.read(&"the next message".into()).await,
        }
    }

    /// The next message for which `is_it` holds; those before it are passed over.
    ///
    /// # Panics
    ///
    /// If none comes in time.
    pub async fn until(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> Result<Value, Gone> {
        loop {
            let message = self.next().await?;
            if is_it(&message) {
                return Ok(message);
            }
        }
    }

    /// Reads on until the socket is closed; says how.
    pub async fn closed(&mut self) -> Gone {
        self.kept.clear();
        loop {
            if let Err(gone) = self.next().await {
                return gone;
            }
        }
    }

    async fn read(&mut self, waiting_for: &Value) -> Result<Value, Gone> {
        loop {
            let frame = timeout(PATIENCE, self.stream.next()).await;
            let frame = frame.unwrap_or_else(|_| panic!("no message in time, waiting for {waiting_for}"));
            match frame {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).expect("a message is JSON"));
                }
                Some(Ok(Message::Close(close))) => {
                    let close = close.map(|close| (u16::from(close.code), close.reason.to_string()));
                    let (code, reason) = close.unzip();
                    return Err(Gone { code, reason: reason.unwrap_or_default() });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Gone::default()),
            }
        }
    }
}
