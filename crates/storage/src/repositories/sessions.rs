//! Sessions: sign-ins of players, with the refresh token that keeps one going.

use greenroom_protocol::{GameId, PlayerId, SessionId, Timestamp};

use crate::{Cursor, Miss, Page, Query, Row, SecretHash, Statement, StorageError, UnitOfWork, page};

/// One sign-in of a player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Which session; tokens name it.
    pub id: SessionId,
    /// Whose.
    pub player: PlayerId,
    /// Of which game.
    pub game: GameId,
    /// When the player signed in.
    pub created_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// When it was ended before its time.
    pub ended_at: Option<Timestamp>,
    /// Why: `signed_out`, `banned`, …
    pub ended_why: Option<String>,
    /// The program that signed in, as it called itself.
    pub user_agent: Option<String>,
    /// The address it signed in from.
    pub address: Option<String>,
}

impl Session {
    /// Whether tokens that name it are good at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

/// A session to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// Its id, new.
    pub id: SessionId,
    /// Whose.
    pub player: PlayerId,
    /// Of which game.
    pub game: GameId,
    /// Now.
    pub created_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// Hash of the refresh token; `None`: it cannot be refreshed.
    pub refresh_hash: Option<SecretHash>,
    /// The program that signed in, as it called itself.
    pub user_agent: Option<String>,
    /// The address it signed in from.
    pub address: Option<String>,
}

/// What became of a refresh token that was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It was the current one; now the new one is.
    Rotated(Session),
    /// It was replaced before: two hold the same token. The session should be ended.
    Reused(Session),
    /// It is not the session's, or the session is unknown, ended, expired or has no refresh token.
    Refused,
}

repository! {
    /// Sign-ins of players.
    Sessions
}

const BY_ID: &str =
    "SELECT id, player, game, created_at, expires_at, ended_at, ended_why, user_agent, address
     FROM sessions WHERE id = $1";

impl Sessions<'_> {
    /// Records a session. `NotFound` if its player is not there.
    pub async fn create(&self, new: &NewSession) -> Result<(), StorageError> {
        self.storage.apply(self.create_unit(new)).await.map(drop)
    }

    /// The part of a unit that records a session; its player comes before it.
    pub fn create_unit(&self, new: &NewSession) -> UnitOfWork {
        Statement::new(
            "INSERT INTO sessions (id, player, game, created_at, expires_at, refresh_hash, user_agent, address)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                (&new.id).into(),
                (&new.player).into(),
                (&new.game).into(),
                new.created_at.into(),
                new.expires_at.into(),
                new.refresh_hash.as_ref().into(),
                new.user_agent.as_ref().into(),
                new.address.as_ref().into(),
            ],
        )
        .into()
    }

    /// The session, live or not, until it is deleted. One look-up by key.
    pub async fn get(&self, id: &SessionId) -> Result<Option<Session>, StorageError> {
        self.storage.query_one(Query::new(BY_ID, [id.into()]), read).await
    }

    /// Replaces the refresh token `presented` by `next` if it is the current one of a session that
    /// is live at `now`, and lets the session last until `expires_at`. Of two callers with the same
    /// token one gets [`Rotation::Rotated`], the other [`Rotation::Reused`]. Repeated with the same
    /// `next`, as after an unknown outcome, it is the same rotation.
    pub async fn rotate(
        &self,
        id: &SessionId,
        presented: &SecretHash,
        next: &SecretHash,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Rotation, StorageError> {
        let unit = UnitOfWork::new()
            .then(Statement::new(
                "UPDATE sessions SET refresh_hash = $1, previous_hash = $2, expires_at = $3
                 WHERE id = $4 AND (refresh_hash = $2 OR (refresh_hash = $1 AND previous_hash = $2))
                   AND ended_at IS NULL AND expires_at > $5
                 RETURNING id, player, game, created_at, expires_at, ended_at, ended_why, user_agent, address",
                [next.into(), presented.into(), expires_at.into(), id.into(), now.into()],
            ))
            .then(Statement::new(
                "SELECT id, player, game, created_at, expires_at, ended_at, ended_why, user_agent, address
                 FROM sessions
                 WHERE id = $1 AND previous_hash = $2 AND refresh_hash <> $3
                   AND ended_at IS NULL AND expires_at > $4",
                [id.into(), presented.into(), next.into(), now.into()],
            ));
        let mut applied = self.storage.apply(unit).await?;
        if let Some(session) = applied.returned(0, read)?.pop() {
            return Ok(Rotation::Rotated(session));
        }
        Ok(applied.returned(1, read)?.pop().map_or(Rotation::Refused, Rotation::Reused))
    }

    /// Ends the session; false if it had ended or is not there.
    pub async fn end(&self, id: &SessionId, why: &str, now: Timestamp) -> Result<bool, StorageError> {
        let update = Statement::new(
            "UPDATE sessions SET ended_at = $1, ended_why = $2 WHERE id = $3 AND ended_at IS NULL",
            [now.into(), why.into(), id.into()],
        );
        Ok(self.storage.apply(update.into()).await?.rows(0) > 0)
    }

    /// Ends all live sessions of the player and tells which, so that their sockets can be closed.
    pub async fn end_all(
        &self,
        player: &PlayerId,
        why: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StorageError> {
        let mut applied = self.storage.apply(self.end_all_unit(player, why, now)).await?;
        applied.returned(0, Row::take)
    }

    /// The part of a unit that ends all live sessions of the player. Its one statement returns their
    /// ids: `applied.returned(index, Row::take::<SessionId>)`.
    pub fn end_all_unit(&self, player: &PlayerId, why: &str, now: Timestamp) -> UnitOfWork {
        Statement::new(
            "UPDATE sessions SET ended_at = $1, ended_why = $2
             WHERE player = $3 AND ended_at IS NULL AND expires_at > $1 RETURNING id",
            [now.into(), why.into(), player.into()],
        )
        .into()
    }

    /// The player's sessions, also ended ones, newest first.
    pub async fn list(
        &self,
        player: &PlayerId,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Session>, StorageError> {
        let limit = page::limit(limit);
        let (before, before_id) = page::newest_first(after)?;
        let query = Query::new(
            "SELECT id, player, game, created_at, expires_at, ended_at, ended_why, user_agent, address
             FROM sessions WHERE player = $1 AND (created_at, id) < ($2, $3)
             ORDER BY created_at DESC, id DESC LIMIT $4",
            [player.into(), before.into(), before_id.into(), (limit + 1).into()],
        );
        let sessions = self.storage.query(query, read).await?;
        Ok(Page::cut(sessions, limit, |session| Cursor::new(session.created_at.as_millis(), &session.id)))
    }

    /// Deletes up to `limit` sessions that expired before `before`, and says how many: called again
    /// while it says `limit`.
    pub async fn delete_expired(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let delete = Statement::new(
            "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            [before.into(), page::limit(limit).into()],
        );
        Ok(self.storage.apply(delete.into()).await?.rows(0))
    }

    /// The part of a unit that fails with `NotFound` unless the session is live at `now`.
    pub fn require_live_unit(&self, id: &SessionId, now: Timestamp) -> UnitOfWork {
        Statement::new(
            "SELECT 1 FROM sessions WHERE id = $1 AND ended_at IS NULL AND expires_at > $2",
            [id.into(), now.into()],
        )
        .expect_one(Miss::NotFound("session"))
        .into()
    }
}

fn read(row: &mut Row) -> Result<Session, StorageError> {
    Ok(Session {
        id: row.take()?,
        player: row.take()?,
        game: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
        ended_at: row.take()?,
        ended_why: row.take()?,
        user_agent: row.take()?,
        address: row.take()?,
    })
}
