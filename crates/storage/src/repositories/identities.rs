//! What players sign in with: identities at providers, and passwords.

use greenroom_protocol::{GameId, PlayerId, Timestamp};

use super::Identity;
use crate::{Miss, Query, Row, Statement, StorageError, UnitOfWork};

/// An identity that a player has.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkedIdentity {
    /// The provider's name in the records.
    pub provider: String,
    /// The provider's id of the person.
    pub subject: String,
    /// What the provider said of the person, as JSON.
    pub profile: serde_json::Value,
    /// When it came to the player; 0: before that was kept.
    pub linked_at: Timestamp,
}

repository! {
    /// What players sign in with.
    Identities
}

impl Identities<'_> {
    /// The player's identities, by provider: at most one of each.
    pub async fn of_player(&self, player: &PlayerId) -> Result<Vec<LinkedIdentity>, StorageError> {
        let query = Query::new(
            "SELECT provider, subject, profile, linked_at FROM identities WHERE player = $1 ORDER BY provider",
            [player.into()],
        );
        let read = |row: &mut Row| {
            let (provider, subject, profile) = (row.take()?, row.take()?, row.take()?);
            Ok(LinkedIdentity { provider, subject, profile, linked_at: row.take()? })
        };
        self.storage.query(query, read).await
    }

    /// The part of a unit that gives the player one more identity. `Conflict` if the identity has a
    /// player in this game, or the player one of the same provider.
    pub fn link_unit(
        &self,
        game: &GameId,
        player: &PlayerId,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<UnitOfWork, StorageError> {
        let insert = Statement::new(
            "INSERT INTO identities (game, provider, subject, player, profile, linked_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            [
                game.into(),
                identity.provider().into(),
                identity.subject().into(),
                player.into(),
                identity.profile()?.into(),
                now.into(),
            ],
        );
        Ok(insert.into())
    }

    /// The part of a unit that records what the provider now says of the person. `NotFound` if the player
    /// has no such identity.
    pub fn update_profile_unit(
        &self,
        player: &PlayerId,
        identity: &Identity,
    ) -> Result<UnitOfWork, StorageError> {
        let update = Statement::new(
            "UPDATE identities SET profile = $1 WHERE player = $2 AND provider = $3 AND subject = $4",
            [
                identity.profile()?.into(),
                player.into(),
                identity.provider().into(),
                identity.subject().into(),
            ],
        );
        Ok(update.expect_one(Miss::NotFound("identity")).into())
    }

    /// The part of a unit that takes the player's identity of `provider` away. `Conflict` if the
    /// player has no such identity, or no other one.
    pub fn unlink_unit(&self, player: &PlayerId, provider: &str) -> UnitOfWork {
        // The player's row first: of two of these at once, the second sees what the first has done.
        UnitOfWork::new()
            .then(
                Statement::new(
                    "UPDATE players SET last_seen_at = last_seen_at WHERE id = $1",
                    [player.into()],
                )
                .expect_one(Miss::NotFound("player")),
            )
            .then(
                Statement::new(
                    "DELETE FROM identities WHERE player = $1 AND provider = $2
                     AND EXISTS (SELECT 1 FROM identities o WHERE o.player = $1 AND o.provider <> $2)",
                    [player.into(), provider.into()],
                )
                .expect_one(Miss::Conflict("the player's last identity")),
            )
    }

    /// The hash of the player's password, if it has one.
    pub async fn password(&self, player: &PlayerId) -> Result<Option<String>, StorageError> {
        let query = Query::new("SELECT hash FROM passwords WHERE player = $1", [player.into()]);
        self.storage.query_one(query, Row::take).await
    }

    /// The part of a unit that fails with `Conflict` unless this is the hash of the player's password.
    pub fn require_password_unit(&self, player: &PlayerId, hash: &str) -> UnitOfWork {
        Statement::new(
            "SELECT 1 FROM passwords WHERE player = $1 AND hash = $2",
            [player.into(), hash.into()],
        )
        .expect_one(Miss::Conflict("password"))
        .into()
    }

    /// The part of a unit that gives the player a password, in place of an earlier one.
    pub fn set_password_unit(&self, player: &PlayerId, hash: &str, now: Timestamp) -> UnitOfWork {
        Statement::new(
            "INSERT INTO passwords (player, hash, changed_at) VALUES ($1, $2, $3)
             ON CONFLICT (player) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at",
            [player.into(), hash.into(), now.into()],
        )
        .into()
    }

    /// The part of a unit that takes the player's password away, if it has one.
    pub fn delete_password_unit(&self, player: &PlayerId) -> UnitOfWork {
        Statement::new("DELETE FROM passwords WHERE player = $1", [player.into()]).into()
    }
}
