//! Tokens that are good once: confirmations, resets, sign-ins that are under way elsewhere.

use greenroom_protocol::{GameId, PlayerId, Timestamp};

use crate::{Miss, Query, Row, SecretHash, Statement, StorageError, UnitOfWork, page};

/// A token that is good for one use.
#[derive(Clone, Debug, PartialEq)]
pub struct OneTimeToken {
    /// What is kept of it.
    pub hash: SecretHash,
    /// What it is good for.
    pub kind: String,
    /// In which game.
    pub game: GameId,
    /// Whose it is, if it is a player's; it goes with the player.
    pub player: Option<PlayerId>,
    /// What it is about: an earlier token of the same subject is no longer good.
    pub subject: String,
    /// What its use needs to know, as JSON.
    pub data: serde_json::Value,
    /// Until when it can be used.
    pub expires_at: Timestamp,
}

repository! {
    /// Tokens that are good once.
    OneTimeTokens
}

impl OneTimeTokens<'_> {
    /// The part of a unit that records a token, in place of an earlier one of its subject.
    pub fn issue_unit(&self, token: &OneTimeToken) -> UnitOfWork {
        Statement::new(
            "INSERT INTO one_time_tokens (hash, kind, game, player, subject, data, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (subject) DO UPDATE
             SET hash = excluded.hash, kind = excluded.kind, game = excluded.game, player = excluded.player,
                 data = excluded.data, expires_at = excluded.expires_at",
            [
                (&token.hash).into(),
                (&token.kind).into(),
                (&token.game).into(),
                token.player.as_ref().into(),
                (&token.subject).into(),
                (&token.data).into(),
                token.expires_at.into(),
            ],
        )
        .into()
    }

    /// The token of `kind` with this hash, if it can be used in `game` at `now`. It stays usable.
    pub async fn get(
        &self,
        hash: &SecretHash,
        kind: &str,
        game: &GameId,
        now: Timestamp,
    ) -> Result<Option<OneTimeToken>, StorageError> {
        let query = Query::new(
            "SELECT hash, kind, game, player, subject, data, expires_at FROM one_time_tokens
             WHERE hash = $1 AND kind = $2 AND game = $3 AND expires_at > $4",
            [hash.into(), kind.into(), game.into(), now.into()],
        );
        self.storage.query_one(query, read).await
    }

    /// The part of a unit that uses the token up. `NotFound` if somebody else did, or its time is over:
    /// of those that use it at once one succeeds.
    pub fn use_unit(&self, hash: &SecretHash, kind: &str, now: Timestamp) -> UnitOfWork {
        Statement::new(
            "DELETE FROM one_time_tokens WHERE hash = $1 AND kind = $2 AND expires_at > $3",
            [hash.into(), kind.into(), now.into()],
        )
        .expect_one(Miss::NotFound("one-time token"))
        .into()
    }

    /// The part of a unit that takes back all tokens of `kind` that are the player's.
    pub fn take_back_unit(&self, player: &PlayerId, kind: &str) -> UnitOfWork {
        Statement::new(
            "DELETE FROM one_time_tokens WHERE player = $1 AND kind = $2",
            [player.into(), kind.into()],
        )
        .into()
    }

    /// Deletes up to `limit` tokens whose time was over at `before`, and says how many: called again
    /// while it says `limit`.
    pub async fn delete_expired(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let delete = Statement::new(
            "DELETE FROM one_time_tokens WHERE hash IN
             (SELECT hash FROM one_time_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            [before.into(), page::limit(limit).into()],
        );
        Ok(self.storage.apply(delete.into()).await?.rows(0))
    }

    /// When the first of all tokens ends or ended.
    pub async fn first_end(&self) -> Result<Option<Timestamp>, StorageError> {
        let query =
            Query::new("SELECT expires_at FROM one_time_tokens ORDER BY expires_at LIMIT 1", Vec::new());
        self.storage.query_one(query, Row::take).await
    }
}

fn read(row: &mut Row) -> Result<OneTimeToken, StorageError> {
    Ok(OneTimeToken {
        hash: row.take()?,
        kind: row.take()?,
        game: row.take()?,
        player: row.take()?,
        subject: row.take()?,
        data: row.take()?,
        expires_at: row.take()?,
    })
}
