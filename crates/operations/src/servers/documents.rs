//! The servers' documents in the directory, and the one way in which they are changed.

use bytes::Bytes;
use greenroom_directory::{Change, DirectoryError, Document, Expected, Key, Kind, Partition, Revision};
use greenroom_domain::server::Server;
use greenroom_protocol::{GameId, ServerId};
use serde::{Deserialize, Serialize};

use super::Servers;

/// A game server, by its id, in its game's partition.
pub(crate) const SERVER: Kind = Kind::kept("server");

/// An idempotency key, by its hash, in its game's partition. Expires.
pub(crate) const IDEMPOTENCY: Kind = Kind::kept("idempotency");

/// How often a read is tried that is to tell how a commit came out.
const OUTCOME_READS_MAX: u32 = 5;

/// What an idempotency key led to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IdempotencyRecord {
    /// The server that it gave.
    pub(crate) server: ServerId,
    /// The hash of the request.
    pub(crate) body: String,
}

pub(crate) fn server_key(game: &GameId, id: &ServerId) -> Key {
    Key::new(Partition::game(game), SERVER, id.as_str())
}

pub(crate) fn put_server(server: &Server, expected: Expected) -> Result<Change, DirectoryError> {
    Ok(Change::put(SERVER, server.id().as_str(), expected, encode(server)?))
}

pub(crate) fn encode(value: &impl Serialize) -> Result<Bytes, DirectoryError> {
    let json = serde_json::to_vec(value);
    json.map(Bytes::from).map_err(|_| DirectoryError::Malformed("a document that is no JSON"))
}

/// Reads a document; one that cannot be read is logged and left alone.
pub(crate) fn decode<T: for<'de> Deserialize<'de>>(document: &Document) -> Option<T> {
    match serde_json::from_slice(&document.value) {
        Ok(value) => Some(value),
        Err(error) => {
            let (kind, id) = (document.key.kind.name(), &document.key.id);
            tracing::error!(kind, %id, %error, "a document cannot be read and is left alone; was it written by a newer Greenroom?");
            None
        }
    }
}

impl Servers {
    /// Commits changes of which the first is `server`'s. `None`: something was not as expected, and
    /// nothing was changed. An unknown outcome is looked up: `is_ours` tells by the server's document.
    pub(crate) async fn commit(
        &self,
        server: &Server,
        changes: Vec<Change>,
        is_ours: impl Fn(&Server) -> bool,
    ) -> Result<Option<Revision>, DirectoryError> {
        let partition = Partition::game(&server.birth.game);
        let unknown = match self.0.directory.commit(&partition, changes).await {
            Ok(revisions) => return Ok(revisions.first().copied()),
            Err(DirectoryError::Conflict(_)) => return Ok(None),
            Err(error @ DirectoryError::OutcomeUnknown(_)) => error,
            Err(error) => return Err(error),
        };
        let key = server_key(&server.birth.game, server.id());
        for _ in 0..OUTCOME_READS_MAX {
            match self.0.directory.get(&key).await {
                Ok(document) => {
                    let found =
                        document.as_ref().and_then(|document| Some((decode(document)?, document.revision)));
                    return Ok(found.filter(|(found, _)| is_ours(found)).map(|(_, revision)| revision));
                }
                Err(error) if error.is_retryable() => tokio::time::sleep(super::drive::RETRY_MIN).await,
                Err(error) => return Err(error),
            }
        }
        Err(unknown)
    }
}
