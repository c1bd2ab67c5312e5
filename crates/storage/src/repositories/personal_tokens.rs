//! Tokens by which an administrator's own programs ask.

use greenroom_protocol::{AdminId, PersonalTokenId, Timestamp};

use crate::{Admin, Query, Row, SecretHash, Statement, StorageError, page};

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalToken {
    /// Which.
    pub id: PersonalTokenId,
    /// Hash of the token.
    pub token_hash: SecretHash,
    /// Whose; it permits what its administrator may do.
    pub admin: AdminId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last presented, to within the interval of [`PersonalTokens::touch`].
    pub last_used_at: Option<Timestamp>,
}

impl PersonalToken {
    /// Whether it is good at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

repository! {
    /// Tokens of administrators.
    PersonalTokens
}

impl PersonalTokens<'_> {
    /// Records a token. `NotFound` if its administrator is not there.
    pub async fn create(&self, token: &PersonalToken) -> Result<(), StorageError> {
        let insert = Statement::new(
            "INSERT INTO personal_tokens (id, token_hash, admin, name, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            [
                (&token.id).into(),
                (&token.token_hash).into(),
                (&token.admin).into(),
                (&token.name).into(),
                token.created_at.into(),
                token.expires_at.into(),
            ],
        );
        self.storage.apply(insert.into()).await.map(drop)
    }

    /// The token that has this hash, live or not, and its administrator as it is now.
    pub async fn find(
        &self,
        token_hash: &SecretHash,
    ) -> Result<Option<(PersonalToken, Admin)>, StorageError> {
        let query = Query::new(
            "SELECT t.id, t.token_hash, t.admin, t.name, t.created_at, t.expires_at, t.last_used_at,
                    a.id, a.name, a.password_hash, a.role, a.created_at
             FROM personal_tokens t JOIN admins a ON a.id = t.admin WHERE t.token_hash = $1",
            [token_hash.into()],
        );
        let read = |row: &mut Row| Ok((read(row)?, super::admins::read_admin(row)?));
        self.storage.query_one(query, read).await
    }

    /// The tokens of the administrator, newest first; at most `limit`.
    pub async fn list(&self, admin: &AdminId, limit: u32) -> Result<Vec<PersonalToken>, StorageError> {
        let query = Query::new(
            "SELECT id, token_hash, admin, name, created_at, expires_at, last_used_at
             FROM personal_tokens WHERE admin = $1 ORDER BY created_at DESC LIMIT $2",
            [admin.into(), page::limit(limit).into()],
        );
        self.storage.query(query, read).await
    }

    /// Deletes a token of the administrator; false if it is not there.
    pub async fn delete(&self, admin: &AdminId, id: &PersonalTokenId) -> Result<bool, StorageError> {
        let delete = Statement::new(
            "DELETE FROM personal_tokens WHERE id = $1 AND admin = $2",
            [id.into(), admin.into()],
        );
        Ok(self.storage.apply(delete.into()).await?.rows(0) > 0)
    }

    /// Notes that the token was presented. A durable write: callers do it once a minute per token at most.
    pub async fn touch(&self, id: &PersonalTokenId, now: Timestamp) -> Result<(), StorageError> {
        let update = Statement::new(
            "UPDATE personal_tokens SET last_used_at = $1
             WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
            [now.into(), id.into()],
        );
        self.storage.apply(update.into()).await.map(drop)
    }
}

fn read(row: &mut Row) -> Result<PersonalToken, StorageError> {
    Ok(PersonalToken {
        id: row.take()?,
        token_hash: row.take()?,
        admin: row.take()?,
        name: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
        last_used_at: row.take()?,
    })
}
