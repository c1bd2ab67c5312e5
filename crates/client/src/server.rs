//! The game server's side, for a server that Greenroom started.

use std::{env, path::PathBuf, time::Duration};

use bytes::Bytes;
use greenroom_protocol::{
    GameId, MatchId, ServerId, Timestamp,
    browser::Announcement,
    events::{AppendResponse, MatchEnded, NewEvent},
    ticket::TicketClaims,
};

use crate::{
    error::{ClientError, read},
    http,
    listing::Listing,
    ticket::TicketKeys,
};

/// How often the payload's file is looked for.
const PAYLOAD_PAUSE: Duration = Duration::from_millis(10);

/// This game server, as Greenroom's environment describes it. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), greenroom_client::ClientError> {
/// use greenroom_client::{protocol::{Timestamp, events::MatchEnded}, server::GameServer};
///
/// let mut server = GameServer::from_environment()?;
/// let payload = server.payload().await?; // waits until this server is allocated
/// # let (ticket, now, match_id) = ("", Timestamp::from_millis(0), "m".parse().unwrap());
/// let seat = server.admit(ticket, now).await?; // for each who joins
/// server.match_ended(&match_id, &MatchEnded::default()).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct GameServer {
    http: reqwest::Client,
    url: String,
    token: String,
    id: ServerId,
    game: GameId,
    payload_file: PathBuf,
    keys: Option<TicketKeys>,
}

impl GameServer {
    /// Reads what Greenroom put into the environment.
    pub fn from_environment() -> Result<Self, ClientError> {
        Ok(Self {
            http: http::client()?,
            url: variable("GREENROOM_URL")?.trim_end_matches('/').to_owned(),
            token: variable("GREENROOM_SERVER_TOKEN")?,
            id: parsed("GREENROOM_SERVER_ID")?,
            game: parsed("GREENROOM_GAME")?,
            payload_file: variable("GREENROOM_PAYLOAD_FILE")?.into(),
            keys: None,
        })
    }

    /// Which server this is.
    pub fn id(&self) -> &ServerId {
        &self.id
    }

    /// Of which game.
    pub fn game(&self) -> &GameId {
        &self.game
    }

    /// The payload of the allocation, byte for byte. Waits until there is one.
    pub async fn payload(&self) -> Result<Bytes, ClientError> {
        loop {
            match tokio::fs::read(&self.payload_file).await {
                Ok(payload) => return Ok(payload.into()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    tokio::time::sleep(PAYLOAD_PAUSE).await;
                }
                Err(error) => {
                    return Err(ClientError::Unexpected(format!("the payload cannot be read: {error}")));
                }
            }
        }
    }

    /// The claims of a ticket that is good at `now`. Keys are asked for when the first ticket comes,
    /// and again when one names a key that is not known.
    pub async fn admit(&mut self, ticket: &str, now: Timestamp) -> Result<TicketClaims, ClientError> {
        if let Some(keys) = &self.keys
            && let Ok(claims) = keys.verify(ticket, now)
        {
            return self.of_this_game(claims);
        }
        let request = self.http.get(format!("{}/.well-known/jwks.json", self.url));
        let response = request.send().await.map_err(ClientError::unreachable)?;
        let keys = TicketKeys::parse(&response.bytes().await.map_err(ClientError::unreachable)?)?;
        let claims = keys.verify(ticket, now);
        self.keys = Some(keys);
        self.of_this_game(claims?)
    }

    /// Reports how a match ended. Answered when it is durable; repeating it is harmless.
    pub async fn match_ended(
        &self,
        id: &MatchId,
        result: &MatchEnded,
    ) -> Result<AppendResponse, ClientError> {
        let subject = format!("v1.{}.matches.{id}.events.ended", self.game);
        let data =
            serde_json::to_value(result).map_err(|error| ClientError::Unexpected(error.to_string()))?;
        self.append(&NewEvent { id: Some(format!("{id}-ended")), ..event(subject, data) }).await
    }

    /// Appends an event about this server, one of its players, or its match.
    pub async fn append(&self, event: &NewEvent) -> Result<AppendResponse, ClientError> {
        let request = self.http.post(format!("{}/v1/events", self.url)).bearer_auth(&self.token).json(event);
        read(request.send().await.map_err(ClientError::unreachable)?).await
    }

    /// Lists this server in the server browser, for as long as what is returned lives and is
    /// [kept](Listing::keep).
    pub async fn list(&self, announcement: &Announcement) -> Result<Listing, ClientError> {
        Listing::open(&self.url, Some(&self.token), announcement).await
    }

    fn of_this_game(&self, claims: TicketClaims) -> Result<TicketClaims, ClientError> {
        if claims.game == self.game { Ok(claims) } else { Err(ClientError::Ticket("it is for another game")) }
    }
}

/// An event with nothing but its subject and data; the rest is filled in when it is appended.
pub fn event(subject: String, data: serde_json::Value) -> NewEvent {
    NewEvent {
        subject,
        id: None,
        source: None,
        kind: None,
        time: None,
        datacontenttype: None,
        data: Some(data),
    }
}

fn variable(name: &'static str) -> Result<String, ClientError> {
    env::var(name).map_err(|_| ClientError::Environment(name))
}

fn parsed<T: std::str::FromStr>(name: &'static str) -> Result<T, ClientError> {
    variable(name)?.parse().map_err(|_| ClientError::Environment(name))
}
