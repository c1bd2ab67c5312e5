//! Idempotency keys: the same request under the same key gives the same server.
//!
//! The key's document is committed together with the server's allocation and deleted together with
//! its failure, so that at every moment it names the one server that the key gave, or nothing.

use std::collections::HashMap;

use greenroom_directory::{Change, DirectoryError, Expected, Key, Partition};
use greenroom_domain::server::{Server, ServerState};
use greenroom_protocol::{GameId, ServerId, hosting::ServerView};
use parking_lot::Mutex;
use ring::digest::{Context, SHA256};
use tokio::sync::Notify;

use super::{
    AllocateError, AllocateRequest, IDEMPOTENCY_KEEP, Servers,
    authenticate::hex,
    documents::{IDEMPOTENCY, IdempotencyRecord, decode, encode},
    get::view_of_record,
};

/// Longest idempotency key, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 255;

/// A request's key: the document's id, and what must be the same.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey {
    pub(crate) id: String,
    pub(crate) body: String,
}

/// What a key leads to.
pub(crate) enum Found {
    /// Nothing yet; its document may be put under this condition.
    Vacant(Expected),
    /// A server that was given, whatever became of it since.
    Given(Box<ServerView>),
    /// A server that is still on its way.
    OnItsWay(ServerId),
}

impl RequestKey {
    pub(crate) fn of(request: &AllocateRequest) -> Result<Option<Self>, AllocateError> {
        let Some(key) = &request.idempotency else { return Ok(None) };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(AllocateError::InvalidKey);
        }
        let fields = [
            request.region.as_deref(),
            request.title.as_deref(),
            request.version.as_deref(),
            request.listed.then_some("listed"),
            request.payload.as_deref(),
            request.match_id.as_ref().map(greenroom_protocol::MatchId::as_str),
        ];
        Ok(Some(Self { id: digest(&[Some(key)]), body: digest(&fields) }))
    }

    /// The change that remembers the key.
    pub(crate) fn put(&self, server: &ServerId, expected: Expected) -> Result<Change, DirectoryError> {
        let record = IdempotencyRecord { server: server.clone(), body: self.body.clone() };
        Ok(Change::put_expiring(IDEMPOTENCY, &self.id, expected, encode(&record)?, IDEMPOTENCY_KEEP))
    }
}

impl Servers {
    /// What `key` leads to; a server that it names but that is `dead` counts for nothing.
    pub(crate) async fn find_by_key(
        &self,
        game: &GameId,
        key: &RequestKey,
        dead: Option<&ServerId>,
    ) -> Result<Found, AllocateError> {
        let document_key = Key::new(Partition::game(game), IDEMPOTENCY, &key.id);
        let document = self.0.directory.get(&document_key).await.map_err(AllocateError::Directory)?;
        let Some(document) = document else { return Ok(Found::Vacant(Expected::Absent)) };
        let vacant = Found::Vacant(Expected::At(document.revision));
        let Some(record) = decode::<IdempotencyRecord>(&document) else { return Ok(vacant) };
        if dead == Some(&record.server) {
            return Ok(vacant);
        }
        let found = match self.0.view.get(&record.server) {
            Some((server, _)) if server.was_given() => Found::Given(Box::new(self.shown(&server))),
            Some((server, _)) if server.state < ServerState::Stopping => Found::OnItsWay(record.server),
            Some(_) => return Ok(vacant),
            None => {
                let row =
                    self.0.storage.servers().get(&record.server).await.map_err(AllocateError::Storage)?;
                match row {
                    Some(row) if row.allocated_at.is_some() => Found::Given(Box::new(view_of_record(&row))),
                    // Its failure was written down; only the key's document outlived it.
                    Some(_) | None => return Ok(vacant),
                }
            }
        };
        if record.body == key.body { Ok(found) } else { Err(AllocateError::IdempotencyMismatch) }
    }

    /// The change that forgets the key of a failed allocation, unless it names another server by now.
    pub(crate) async fn forget_key(
        &self,
        server: &Server,
        id: &str,
    ) -> Result<Option<Change>, DirectoryError> {
        let key = Key::new(Partition::game(&server.birth.game), IDEMPOTENCY, id);
        let Some(document) = self.0.directory.get(&key).await? else { return Ok(None) };
        let names_it =
            decode::<IdempotencyRecord>(&document).is_some_and(|record| record.server == *server.id());
        Ok(names_it.then(|| Change::delete(IDEMPOTENCY, id, Expected::At(document.revision))))
    }
}

/// The keys whose requests are under way at this node. A repeat waits its turn, so that it never
/// competes with the first for the last place.
#[derive(Default)]
pub(crate) struct InFlight {
    keys: Mutex<HashMap<(GameId, String), String>>,
    freed: Notify,
}

/// A key's turn; over when dropped.
pub(crate) struct Turn<'a> {
    in_flight: &'a InFlight,
    key: (GameId, String),
}

impl InFlight {
    /// Waits for the key's turn. Fails at once if the one whose turn it is asks for something else.
    pub(crate) async fn turn(&self, game: &GameId, key: &RequestKey) -> Result<Turn<'_>, AllocateError> {
        let name = (game.clone(), key.id.clone());
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Listening before looking, so that a turn that ends in between is not slept through.
            freed.as_mut().enable();
            {
                let mut keys = self.keys.lock();
                match keys.get(&name) {
                    Some(body) if *body != key.body => return Err(AllocateError::IdempotencyMismatch),
                    Some(_) => {}
                    None => {
                        keys.insert(name.clone(), key.body.clone());
                        return Ok(Turn { in_flight: self, key: name });
                    }
                }
            }
            freed.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.in_flight.keys.lock().remove(&self.key);
        self.in_flight.freed.notify_waiters();
    }
}

/// Lengths are part of it, and missing is not the same as empty.
fn digest(fields: &[Option<&str>]) -> String {
    let mut context = Context::new(&SHA256);
    for field in fields {
        match field {
            Some(text) => {
                context.update(&(text.len() as u64 + 1).to_be_bytes());
                context.update(text.as_bytes());
            }
            None => context.update(&0_u64.to_be_bytes()),
        }
    }
    hex(context.finish().as_ref())
}
