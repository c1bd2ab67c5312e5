//! Administrators and their sessions at the console.

use greenroom_protocol::{AdminId, AdminSessionId, Timestamp};

use crate::{
    Cursor, Miss, Page, Query, Row, SecretHash, Statement, StorageError, UnitOfWork, Value, page,
    value::Column,
};

/// A person who administers the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Which administrator.
    pub id: AdminId,
    /// The name to sign in with; unique.
    pub name: String,
    /// The password as a PHC string; `None`: signs in by token only.
    pub password_hash: Option<String>,
    /// What it may do.
    pub role: AdminRole,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What an administrator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminRole {
    /// Look.
    Viewer,
    /// Look and act on what runs.
    Operator,
    /// Everything, administrators included.
    Owner,
}

impl AdminRole {
    /// The role as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

impl From<AdminRole> for Value {
    fn from(role: AdminRole) -> Self {
        role.as_str().into()
    }
}

impl Column for AdminRole {
    fn from_value(value: Value) -> Option<Self> {
        match String::from_value(value)?.as_str() {
            "viewer" => Some(Self::Viewer),
            "operator" => Some(Self::Operator),
            "owner" => Some(Self::Owner),
            _ => None,
        }
    }
}

/// A sign-in of an administrator at the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSession {
    /// Which sign-in.
    pub id: AdminSessionId,
    /// Hash of the token in the cookie.
    pub token_hash: SecretHash,
    /// Whose.
    pub admin: AdminId,
    /// What forms must carry.
    pub csrf_secret: SecretHash,
    /// Where it began, as far as it is known.
    pub address: Option<String>,
    /// How the browser called itself.
    pub user_agent: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was ended before its time.
    pub ended_at: Option<Timestamp>,
}

impl AdminSession {
    /// Whether it is good at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

repository! {
    /// Administrators and their sessions.
    Admins
}

impl Admins<'_> {
    /// Records an administrator. `Conflict` on `admins_name_key`: the name is taken.
    pub async fn create(&self, admin: &Admin) -> Result<(), StorageError> {
        self.storage.apply(self.create_unit(admin)).await.map(drop)
    }

    /// The part of a unit that records an administrator.
    pub fn create_unit(&self, admin: &Admin) -> UnitOfWork {
        Statement::new(
            "INSERT INTO admins (id, name, password_hash, role, created_at) VALUES ($1, $2, $3, $4, $5)",
            [
                (&admin.id).into(),
                (&admin.name).into(),
                admin.password_hash.as_ref().into(),
                admin.role.into(),
                admin.created_at.into(),
            ],
        )
        .into()
    }

    /// The administrator, if there is one.
    pub async fn get(&self, id: &AdminId) -> Result<Option<Admin>, StorageError> {
        let query = Query::new(
            "SELECT id, name, password_hash, role, created_at FROM admins WHERE id = $1",
            [id.into()],
        );
        self.storage.query_one(query, read_admin).await
    }

    /// The administrator called `name`.
    pub async fn find(&self, name: &str) -> Result<Option<Admin>, StorageError> {
        let query = Query::new(
            "SELECT id, name, password_hash, role, created_at FROM admins WHERE name = $1",
            [name.into()],
        );
        self.storage.query_one(query, read_admin).await
    }

    /// Administrators by name.
    pub async fn list(&self, after: Option<&Cursor>, limit: u32) -> Result<Page<Admin>, StorageError> {
        let limit = page::limit(limit);
        let after = after.map_or_else(String::new, |cursor| cursor.parts().0);
        let query = Query::new(
            "SELECT id, name, password_hash, role, created_at FROM admins WHERE name > $1 ORDER BY name LIMIT $2",
            [after.into(), (limit + 1).into()],
        );
        let admins = self.storage.query(query, read_admin).await?;
        Ok(Page::cut(admins, limit, |admin| Cursor::new(&admin.name, &admin.id)))
    }

    /// Gives the administrator another password and ends its sessions.
    pub async fn set_password(
        &self,
        id: &AdminId,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let unit = UnitOfWork::new()
            .then(
                Statement::new(
                    "UPDATE admins SET password_hash = $1 WHERE id = $2",
                    [password_hash.into(), id.into()],
                )
                .expect_one(Miss::NotFound("admin")),
            )
            .then(end_sessions(id, now));
        self.storage.apply(unit).await.map(drop)
    }

    /// Gives the administrator another role; holds at the next request. The invitations that it made
    /// by the right of its old role are withdrawn.
    pub async fn set_role(&self, id: &AdminId, role: AdminRole) -> Result<(), StorageError> {
        let update = Statement::new("UPDATE admins SET role = $1 WHERE id = $2", [role.into(), id.into()])
            .expect_one(Miss::NotFound("admin"));
        let withdraw = Statement::new("DELETE FROM admin_invites WHERE invited_by = $1", [id.into()]);
        self.storage.apply(UnitOfWork::from(update).then(withdraw)).await.map(drop)
    }

    /// Deletes the administrator with its sessions; false if it is not there.
    pub async fn delete(&self, id: &AdminId) -> Result<bool, StorageError> {
        let delete = Statement::new("DELETE FROM admins WHERE id = $1", [id.into()]);
        Ok(self.storage.apply(delete.into()).await?.rows(0) > 0)
    }

    /// Records a sign-in. `NotFound` if the administrator is not there.
    pub async fn create_session(&self, session: &AdminSession) -> Result<(), StorageError> {
        let insert = Statement::new(
            "INSERT INTO admin_sessions
             (id, token_hash, admin, csrf_secret, address, user_agent, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                (&session.id).into(),
                (&session.token_hash).into(),
                (&session.admin).into(),
                (&session.csrf_secret).into(),
                session.address.as_ref().into(),
                session.user_agent.as_ref().into(),
                session.created_at.into(),
                session.expires_at.into(),
            ],
        );
        self.storage.apply(insert.into()).await.map(drop)
    }

    /// The sign-in whose token has this hash, live or not, and its administrator.
    pub async fn session(
        &self,
        token_hash: &SecretHash,
    ) -> Result<Option<(AdminSession, Admin)>, StorageError> {
        let query = Query::new(
            "SELECT s.id, s.token_hash, s.admin, s.csrf_secret, s.address, s.user_agent, s.created_at,
                    s.expires_at, s.ended_at,
                    a.id, a.name, a.password_hash, a.role, a.created_at
             FROM admin_sessions s JOIN admins a ON a.id = s.admin WHERE s.token_hash = $1",
            [token_hash.into()],
        );
        let read = |row: &mut Row| Ok((read_session(row)?, read_admin(row)?));
        self.storage.query_one(query, read).await
    }

    /// The sign-ins of the administrator that are good at `now`, newest first; at most `limit`.
    pub async fn sessions_of(
        &self,
        admin: &AdminId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<AdminSession>, StorageError> {
        let query = Query::new(
            "SELECT id, token_hash, admin, csrf_secret, address, user_agent, created_at, expires_at, ended_at
             FROM admin_sessions WHERE admin = $1 AND ended_at IS NULL AND expires_at > $2
             ORDER BY created_at DESC LIMIT $3",
            [admin.into(), now.into(), page::limit(limit).into()],
        );
        self.storage.query(query, read_session).await
    }

    /// Ends a sign-in of the administrator; false if it had ended or is not there.
    pub async fn end_session_of(
        &self,
        admin: &AdminId,
        id: &AdminSessionId,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let update = Statement::new(
            "UPDATE admin_sessions SET ended_at = $1 WHERE id = $2 AND admin = $3 AND ended_at IS NULL",
            [now.into(), id.into(), admin.into()],
        );
        Ok(self.storage.apply(update.into()).await?.rows(0) > 0)
    }

    /// Ends the sign-in; false if it had ended or is not there.
    pub async fn end_session(&self, token_hash: &SecretHash, now: Timestamp) -> Result<bool, StorageError> {
        let update = Statement::new(
            "UPDATE admin_sessions SET ended_at = $1 WHERE token_hash = $2 AND ended_at IS NULL",
            [now.into(), token_hash.into()],
        );
        Ok(self.storage.apply(update.into()).await?.rows(0) > 0)
    }

    /// Deletes up to `limit` sign-ins that expired before `before`, and says how many.
    pub async fn delete_expired_sessions(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let delete = Statement::new(
            "DELETE FROM admin_sessions WHERE id IN
             (SELECT id FROM admin_sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            [before.into(), page::limit(limit).into()],
        );
        Ok(self.storage.apply(delete.into()).await?.rows(0))
    }
}

fn end_sessions(id: &AdminId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE admin_sessions SET ended_at = $1 WHERE admin = $2 AND ended_at IS NULL",
        [now.into(), id.into()],
    )
}

pub(super) fn read_admin(row: &mut Row) -> Result<Admin, StorageError> {
    Ok(Admin {
        id: row.take()?,
        name: row.take()?,
        password_hash: row.take()?,
        role: row.take()?,
        created_at: row.take()?,
    })
}

fn read_session(row: &mut Row) -> Result<AdminSession, StorageError> {
    Ok(AdminSession {
        id: row.take()?,
        token_hash: row.take()?,
        admin: row.take()?,
        csrf_secret: row.take()?,
        address: row.take()?,
        user_agent: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
        ended_at: row.take()?,
    })
}
