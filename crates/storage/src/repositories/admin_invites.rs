//! Links by which somebody becomes an administrator.

use greenroom_protocol::{AdminId, InviteId, Timestamp};

use crate::{Admin, AdminRole, Miss, Query, Row, SecretHash, Statement, StorageError, UnitOfWork, page};

/// An invitation. It is gone once it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminInvite {
    /// Which.
    pub id: InviteId,
    /// Hash of the token in the link.
    pub token_hash: SecretHash,
    /// What the invited person may do.
    pub role: AdminRole,
    /// Who invited.
    pub invited_by: AdminId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

repository! {
    /// Invitations of administrators.
    AdminInvites
}

impl AdminInvites<'_> {
    /// Records an invitation. `NotFound` if who invites is not there.
    pub async fn create(&self, invite: &AdminInvite) -> Result<(), StorageError> {
        let insert = Statement::new(
            "INSERT INTO admin_invites (id, token_hash, role, invited_by, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            [
                (&invite.id).into(),
                (&invite.token_hash).into(),
                invite.role.into(),
                (&invite.invited_by).into(),
                invite.created_at.into(),
                invite.expires_at.into(),
            ],
        );
        self.storage.apply(insert.into()).await.map(drop)
    }

    /// The invitation whose token has this hash, also if it has expired.
    pub async fn find(&self, token_hash: &SecretHash) -> Result<Option<AdminInvite>, StorageError> {
        let query = Query::new(
            "SELECT id, token_hash, role, invited_by, created_at, expires_at FROM admin_invites
             WHERE token_hash = $1",
            [token_hash.into()],
        );
        self.storage.query_one(query, read).await
    }

    /// The invitations that are good at `now`, those first that end first; at most `limit`.
    pub async fn list(&self, now: Timestamp, limit: u32) -> Result<Vec<AdminInvite>, StorageError> {
        let query = Query::new(
            "SELECT id, token_hash, role, invited_by, created_at, expires_at FROM admin_invites
             WHERE expires_at > $1 ORDER BY expires_at LIMIT $2",
            [now.into(), page::limit(limit).into()],
        );
        self.storage.query(query, read).await
    }

    /// The part of a unit that spends the invitation and records `admin` for it. `NotFound` if the
    /// invitation was spent, withdrawn or has expired at `now`; `Conflict` if the name is taken.
    pub fn accept_unit(&self, token_hash: &SecretHash, admin: &Admin, now: Timestamp) -> UnitOfWork {
        let spend = Statement::new(
            "DELETE FROM admin_invites WHERE token_hash = $1 AND expires_at > $2",
            [token_hash.into(), now.into()],
        )
        .expect_one(Miss::NotFound("invitation"));
        UnitOfWork::from(spend).and(self.storage.admins().create_unit(admin))
    }

    /// Withdraws the invitation; false if it is not there.
    pub async fn delete(&self, id: &InviteId) -> Result<bool, StorageError> {
        let delete = Statement::new("DELETE FROM admin_invites WHERE id = $1", [id.into()]);
        Ok(self.storage.apply(delete.into()).await?.rows(0) > 0)
    }

    /// Deletes up to `limit` invitations that expired before `before`, and says how many.
    pub async fn delete_expired(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let delete = Statement::new(
            "DELETE FROM admin_invites WHERE id IN
             (SELECT id FROM admin_invites WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            [before.into(), page::limit(limit).into()],
        );
        Ok(self.storage.apply(delete.into()).await?.rows(0))
    }
}

fn read(row: &mut Row) -> Result<AdminInvite, StorageError> {
    Ok(AdminInvite {
        id: row.take()?,
        token_hash: row.take()?,
        role: row.take()?,
        invited_by: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
    })
}
