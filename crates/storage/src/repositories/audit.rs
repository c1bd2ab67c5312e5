//! The audit log: who changed what.

use greenroom_protocol::Timestamp;

use crate::{Cursor, Page, Query, Row, Statement, StorageError, UnitOfWork, page};

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Its number, growing.
    pub id: i64,
    /// What was done.
    pub entry: NewAudit,
}

/// An entry to be appended to the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAudit {
    /// When.
    pub at: Timestamp,
    /// Who: `admin:<name>`, `key:<id>`, `server:<id>`.
    pub actor: String,
    /// By what: `console`, `admin-token`, `personal-token`, `api-key`, …
    pub via: String,
    /// From where, as far as it is known.
    pub address: Option<String>,
    /// What: `server.stop`, `player.ban`, …
    pub action: String,
    /// To what: an id.
    pub subject: String,
    /// Anything further.
    pub detail: serde_json::Value,
}

repository! {
    /// The audit log.
    Audit
}

impl Audit<'_> {
    /// Appends an entry.
    pub async fn append(&self, entry: &NewAudit) -> Result<(), StorageError> {
        self.storage.apply(self.append_unit(entry)).await.map(drop)
    }

    /// The part of a unit that appends an entry, so that no deed goes without it.
    pub fn append_unit(&self, entry: &NewAudit) -> UnitOfWork {
        Statement::new(
            "INSERT INTO audit_log (at, actor, via, address, action, subject, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                entry.at.into(),
                (&entry.actor).into(),
                (&entry.via).into(),
                entry.address.as_ref().into(),
                (&entry.action).into(),
                (&entry.subject).into(),
                (&entry.detail).into(),
            ],
        )
        .into()
    }

    /// The entries, newest first.
    pub async fn list(&self, after: Option<&Cursor>, limit: u32) -> Result<Page<AuditEntry>, StorageError> {
        let limit = page::limit(limit);
        let (before, _) = page::newest_first(after)?;
        let query = Query::new(
            "SELECT id, at, actor, via, address, action, subject, detail FROM audit_log
             WHERE id < $1 ORDER BY id DESC LIMIT $2",
            [before.into(), (limit + 1).into()],
        );
        let entries = self.storage.query(query, read).await?;
        Ok(Page::cut(entries, limit, |entry| Cursor::new(entry.id, "")))
    }

    /// Deletes up to `limit` entries from before `before`, and says how many.
    pub async fn delete_before(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let delete = Statement::new(
            "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < $1 ORDER BY at LIMIT $2)",
            [before.into(), page::limit(limit).into()],
        );
        Ok(self.storage.apply(delete.into()).await?.rows(0))
    }

    /// Deletes up to `limit` of the oldest entries that are there beside the newest `keep`, and says how many.
    pub async fn delete_beyond(&self, keep: u32, limit: u32) -> Result<u64, StorageError> {
        let delete = Statement::new(
            "DELETE FROM audit_log WHERE id IN
             (SELECT id FROM audit_log WHERE id <= (SELECT MAX(id) FROM audit_log) - $1 ORDER BY id LIMIT $2)",
            [keep.into(), page::limit(limit).into()],
        );
        Ok(self.storage.apply(delete.into()).await?.rows(0))
    }
}

fn read(row: &mut Row) -> Result<AuditEntry, StorageError> {
    let id = row.take()?;
    let entry = NewAudit {
        at: row.take()?,
        actor: row.take()?,
        via: row.take()?,
        address: row.take()?,
        action: row.take()?,
        subject: row.take()?,
        detail: row.take()?,
    };
    Ok(AuditEntry { id, entry })
}
