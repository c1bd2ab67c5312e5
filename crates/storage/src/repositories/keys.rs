//! API keys: what a studio's own programs present.

use greenroom_protocol::{GameId, KeyId, StudioId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Cursor, Page, Query, Row, SecretHash, Statement, StorageError, UnitOfWork, page};

/// An API key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The public half.
    pub id: KeyId,
    /// Whose.
    pub studio: StudioId,
    /// The one game it is for; `None`: all of the studio's.
    pub game: Option<GameId>,
    /// What people call it.
    pub name: String,
    /// What it permits.
    pub permissions: KeyPermissions,
    /// Hash of the secret half; compare in constant time.
    pub secret_hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last presented, to within the interval of [`ApiKeys::touch`].
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it is good at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What an API key permits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyPermissions {
    /// To allocate, list and stop game servers.
    pub hosting: bool,
    /// To administer players, bans and keys.
    pub admin: bool,
    /// Subject filters of the events it may append.
    pub publish: Vec<String>,
    /// Subject filters of the events it may read.
    pub subscribe: Vec<String>,
}

/// An API key to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiKey {
    /// The public half, new.
    pub id: KeyId,
    /// Whose.
    pub studio: StudioId,
    /// The one game it is for; `None`: all of the studio's.
    pub game: Option<GameId>,
    /// What people call it.
    pub name: String,
    /// What it permits.
    pub permissions: KeyPermissions,
    /// Hash of the secret half.
    pub secret_hash: SecretHash,
    /// Now.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

repository! {
    /// API keys of studios.
    ApiKeys
}

impl ApiKeys<'_> {
    /// Records a key. `Conflict` if the id is taken.
    pub async fn create(&self, new: &NewApiKey) -> Result<(), StorageError> {
        self.storage.apply(self.create_unit(new)?).await.map(drop)
    }

    /// The part of a unit that records a key.
    pub fn create_unit(&self, new: &NewApiKey) -> Result<UnitOfWork, StorageError> {
        let insert = Statement::new(
            "INSERT INTO api_keys (id, studio, game, name, permissions, secret_hash, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                (&new.id).into(),
                (&new.studio).into(),
                new.game.as_ref().into(),
                (&new.name).into(),
                super::to_json(&new.permissions)?.into(),
                (&new.secret_hash).into(),
                new.created_at.into(),
                new.expires_at.into(),
            ],
        );
        Ok(insert.into())
    }

    /// The key, also if it is revoked or expired.
    pub async fn get(&self, id: &KeyId) -> Result<Option<ApiKey>, StorageError> {
        let query = Query::new(
            "SELECT id, studio, game, name, permissions, secret_hash, created_at, expires_at, revoked_at,
                    last_used_at
             FROM api_keys WHERE id = $1",
            [id.into()],
        );
        self.storage.query_one(query, read).await
    }

    /// The keys of `studio` (of all studios if `None`), also revoked ones, newest first.
    pub async fn list(
        &self,
        studio: Option<&StudioId>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<ApiKey>, StorageError> {
        let limit = page::limit(limit);
        let (before, before_id) = page::newest_first(after)?;
        let query = match studio {
            Some(studio) => Query::new(
                "SELECT id, studio, game, name, permissions, secret_hash, created_at, expires_at, revoked_at,
                        last_used_at
                 FROM api_keys WHERE studio = $1 AND (created_at, id) < ($2, $3)
                 ORDER BY created_at DESC, id DESC LIMIT $4",
                [studio.into(), before.into(), before_id.into(), (limit + 1).into()],
            ),
            None => Query::new(
                "SELECT id, studio, game, name, permissions, secret_hash, created_at, expires_at, revoked_at,
                        last_used_at
                 FROM api_keys WHERE (created_at, id) < ($1, $2)
                 ORDER BY created_at DESC, id DESC LIMIT $3",
                [before.into(), before_id.into(), (limit + 1).into()],
            ),
        };
        let keys = self.storage.query(query, read).await?;
        Ok(Page::cut(keys, limit, |key| Cursor::new(key.created_at.as_millis(), &key.id)))
    }

    /// Revokes the key; false if it was revoked before or is not there.
    pub async fn revoke(&self, id: &KeyId, now: Timestamp) -> Result<bool, StorageError> {
        let update = Statement::new(
            "UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL",
            [now.into(), id.into()],
        );
        Ok(self.storage.apply(update.into()).await?.rows(0) > 0)
    }

    /// Notes that the key was presented. A durable write: callers do it once a minute per key at
    /// most. Time never runs backwards by it.
    pub async fn touch(&self, id: &KeyId, now: Timestamp) -> Result<(), StorageError> {
        let update = Statement::new(
            "UPDATE api_keys SET last_used_at = $1
             WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
            [now.into(), id.into()],
        );
        self.storage.apply(update.into()).await.map(drop)
    }
}

fn read(row: &mut Row) -> Result<ApiKey, StorageError> {
    Ok(ApiKey {
        id: row.take()?,
        studio: row.take()?,
        game: row.take()?,
        name: row.take()?,
        permissions: super::from_json(&row.take::<String>()?)?,
        secret_hash: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
        revoked_at: row.take()?,
        last_used_at: row.take()?,
    })
}
