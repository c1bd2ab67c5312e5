//! The documents that lobbies and matches are kept in.

use bytes::Bytes;
use greenroom_directory::{Change, Directory, Expected, Key, Kind, Partition, Revision};
use greenroom_protocol::GameId;
use serde::{Serialize, de::DeserializeOwned};

use crate::failure::Failure;

/// A lobby under its id: [`greenroom_domain::lobby::Lobby`].
pub const LOBBY: Kind = Kind::kept("lobby");

/// A lobby's id, as JSON text, under the lobby's code.
pub const LOBBY_CODE: Kind = Kind::kept("lobby-code");

/// Where a player is, under the player's id: [`greenroom_domain::matches::Seat`].
pub const SEAT: Kind = Kind::kept("seat");

/// A match under its id: [`greenroom_domain::matches::Match`].
pub const MATCH: Kind = Kind::kept("match");

/// A fact that must reach the history, under its id: [`crate::context::Fact`].
pub const FACT: Kind = Kind::kept("fact");

/// A document with its content read.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    /// The content.
    pub value: T,
    /// The revision it was read at.
    pub revision: Revision,
}

/// The document `id` of `kind` in the game's partition.
pub async fn load<T: DeserializeOwned>(
    directory: &Directory,
    game: &GameId,
    kind: Kind,
    id: &str,
) -> Result<Option<Stored<T>>, Failure> {
    let key = Key::new(Partition::game(game), kind, id);
    let Some(document) = directory.get(&key).await.map_err(Failure::directory)? else { return Ok(None) };
    Ok(Some(Stored { value: decode(&document.value)?, revision: document.revision }))
}

/// The content of a document.
pub fn decode<T: DeserializeOwned>(value: &Bytes) -> Result<T, Failure> {
    serde_json::from_slice(value).map_err(Failure::internal)
}

/// The change that writes `value`.
pub fn put(kind: Kind, id: &str, expected: Expected, value: &impl Serialize) -> Result<Change, Failure> {
    let value = serde_json::to_vec(value).map_err(Failure::internal)?;
    Ok(Change::put(kind, id, expected, value))
}
