//! Players, their identities and bans.

use greenroom_protocol::{GameId, PlayerId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Cursor, Miss, Page, Query, Row, Statement, StorageError, UnitOfWork, page};

/// A person's account in a game's player base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// Which player.
    pub id: PlayerId,
    /// Whose player base.
    pub game: GameId,
    /// The name others see; not unique.
    pub username: String,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it last signed in or connected.
    pub last_seen_at: Timestamp,
    /// The Discord user it belongs to.
    pub discord: Option<DiscordProfile>,
    /// Its ban, even if its end has passed: see [`Ban::holds`].
    pub ban: Option<Ban>,
}

/// What Discord says of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscordProfile {
    /// Discord's id of the user.
    pub id: String,
    /// The name on Discord.
    pub username: String,
    /// Address of the picture.
    pub avatar: Option<String>,
}

/// That a player may not sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Why, for people.
    pub reason: String,
    /// Its end; `None`: for ever.
    pub until: Option<Timestamp>,
    /// When it was spoken.
    pub at: Timestamp,
}

impl Ban {
    /// Whether it still holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A ban with whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BannedPlayer {
    /// Who.
    pub player: PlayerId,
    /// The name at present.
    pub username: String,
    /// The ban.
    pub ban: Ban,
}

/// What proves that a person is a player: unique within a game.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// A Discord user.
    Discord(DiscordProfile),
    /// Somebody whom another provider vouches for.
    Other {
        /// The provider's name in the records.
        provider: String,
        /// The provider's id of the person.
        subject: String,
        /// What the provider said of the person, as JSON.
        profile: serde_json::Value,
    },
}

impl Identity {
    /// The provider's name in the records.
    pub fn provider(&self) -> &str {
        match self {
            Self::Discord(_) => "discord",
            Self::Other { provider, .. } => provider,
        }
    }

    /// The provider's id of the person.
    pub fn subject(&self) -> &str {
        match self {
            Self::Discord(profile) => &profile.id,
            Self::Other { subject, .. } => subject,
        }
    }

    pub(super) fn profile(&self) -> Result<String, StorageError> {
        match self {
            Self::Discord(profile) => super::to_json(profile),
            Self::Other { profile, .. } => Ok(profile.to_string()),
        }
    }
}

/// A player to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPlayer {
    /// Its id, new.
    pub id: PlayerId,
    /// Whose player base.
    pub game: GameId,
    /// The name others see.
    pub username: String,
    /// Now.
    pub created_at: Timestamp,
    /// What it signed in with; `None`: an anonymous player.
    pub identity: Option<Identity>,
}

repository! {
    /// Players, their identities and bans.
    Players
}

impl Players<'_> {
    /// Records a player. `Conflict` on `identities_pkey`: the identity has a player in this game,
    /// found by [`find_by_identity`](Self::find_by_identity).
    pub async fn create(&self, new: &NewPlayer) -> Result<(), StorageError> {
        self.storage.apply(self.create_unit(new)?).await.map(drop)
    }

    /// The part of a unit that records a player and its identity.
    pub fn create_unit(&self, new: &NewPlayer) -> Result<UnitOfWork, StorageError> {
        let mut unit = UnitOfWork::from(Statement::new(
            "INSERT INTO players (id, game, username, name_folded, created_at, last_seen_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            [
                (&new.id).into(),
                (&new.game).into(),
                (&new.username).into(),
                fold(&new.username).into(),
                new.created_at.into(),
                new.created_at.into(),
            ],
        ));
        if let Some(identity) = &new.identity {
            let identities = self.storage.identities();
            unit = unit.and(identities.link_unit(&new.game, &new.id, identity, new.created_at)?);
        }
        Ok(unit)
    }

    /// The player, if there is one.
    pub async fn get(&self, id: &PlayerId) -> Result<Option<Player>, StorageError> {
        let query = Query::new(
            "SELECT p.id, p.game, p.username, p.created_at, p.last_seen_at, i.profile, b.at, b.reason, b.until
             FROM players p
             LEFT JOIN identities i ON i.player = p.id AND i.provider = 'discord'
             LEFT JOIN bans b ON b.player = p.id
             WHERE p.id = $1",
            [id.into()],
        );
        self.storage.query_one(query, read_player).await
    }

    /// The player of `game` that `subject` of `provider` (`discord`) belongs to.
    pub async fn find_by_identity(
        &self,
        game: &GameId,
        provider: &str,
        subject: &str,
    ) -> Result<Option<Player>, StorageError> {
        let query = Query::new(
            "SELECT p.id, p.game, p.username, p.created_at, p.last_seen_at, d.profile, b.at, b.reason, b.until
             FROM identities i
             JOIN players p ON p.id = i.player
             LEFT JOIN identities d ON d.player = p.id AND d.provider = 'discord'
             LEFT JOIN bans b ON b.player = p.id
             WHERE i.game = $1 AND i.provider = $2 AND i.subject = $3",
            [game.into(), provider.into(), subject.into()],
        );
        self.storage.query_one(query, read_player).await
    }

    /// Gives the player another name.
    pub async fn rename(&self, id: &PlayerId, username: &str) -> Result<(), StorageError> {
        self.storage.apply(self.rename_unit(id, username)).await.map(drop)
    }

    /// The part of a unit that gives the player another name.
    pub fn rename_unit(&self, id: &PlayerId, username: &str) -> UnitOfWork {
        Statement::new(
            "UPDATE players SET username = $1, name_folded = $2 WHERE id = $3",
            [username.into(), fold(username).into(), id.into()],
        )
        .expect_one(Miss::NotFound("player"))
        .into()
    }

    /// The part of a unit that deletes the player with its identities, password, sessions, one-time
    /// tokens and ban. `NotFound` if `game` has no such player.
    pub fn delete_unit(&self, game: &GameId, id: &PlayerId) -> UnitOfWork {
        Statement::new("DELETE FROM players WHERE id = $1 AND game = $2", [id.into(), game.into()])
            .expect_one(Miss::NotFound("player"))
            .into()
    }

    /// The part of a unit that notes that the player was here.
    pub fn seen_unit(&self, id: &PlayerId, now: Timestamp) -> UnitOfWork {
        Statement::new("UPDATE players SET last_seen_at = $1 WHERE id = $2", [now.into(), id.into()])
            .expect_one(Miss::NotFound("player"))
            .into()
    }

    /// Players of `game` whose name begins with `prefix`, whatever the case; by name.
    pub async fn search(
        &self,
        game: &GameId,
        prefix: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Player>, StorageError> {
        let limit = page::limit(limit);
        let from = fold(prefix);
        let to = format!("{from}{}", char::MAX);
        let (after_name, after_id) = after.map_or_else(|| (from.clone(), String::new()), Cursor::parts);
        let query = Query::new(
            "SELECT p.id, p.game, p.username, p.created_at, p.last_seen_at, i.profile, b.at, b.reason, b.until
             FROM players p
             LEFT JOIN identities i ON i.player = p.id AND i.provider = 'discord'
             LEFT JOIN bans b ON b.player = p.id
             WHERE p.game = $1 AND p.name_folded >= $2 AND p.name_folded < $3
               AND (p.name_folded, p.id) > ($4, $5)
             ORDER BY p.name_folded, p.id LIMIT $6",
            [game.into(), from.into(), to.into(), after_name.into(), after_id.into(), (limit + 1).into()],
        );
        let players = self.storage.query(query, read_player).await?;
        Ok(Page::cut(players, limit, |player| Cursor::new(fold(&player.username), &player.id)))
    }

    /// How many players `game` has.
    pub async fn count(&self, game: &GameId) -> Result<u64, StorageError> {
        let query = Query::new("SELECT COUNT(*) FROM players WHERE game = $1", [game.into()]);
        let count = self.storage.query_one(query, Row::take::<i64>).await?;
        Ok(count.unwrap_or(0) as u64)
    }

    /// Bans the player, in place of an earlier ban. Its sessions are ended by
    /// [`Sessions::end_all_unit`](crate::Sessions::end_all_unit) in the same unit.
    pub fn ban_unit(&self, id: &PlayerId, ban: &Ban) -> UnitOfWork {
        Statement::new(
            "INSERT INTO bans (player, game, reason, until, at)
             SELECT id, game, $1, CAST($2 AS BIGINT), CAST($3 AS BIGINT) FROM players WHERE id = $4
             ON CONFLICT (player) DO UPDATE
             SET reason = excluded.reason, until = excluded.until, at = excluded.at",
            [(&ban.reason).into(), ban.until.into(), ban.at.into(), id.into()],
        )
        .expect_one(Miss::NotFound("player"))
        .into()
    }

    /// Bans the player, in place of an earlier ban. Ends no session.
    pub async fn ban(&self, id: &PlayerId, ban: &Ban) -> Result<(), StorageError> {
        self.storage.apply(self.ban_unit(id, ban)).await.map(drop)
    }

    /// Lifts the player's ban; false if there was none.
    pub async fn unban(&self, id: &PlayerId) -> Result<bool, StorageError> {
        let delete = Statement::new("DELETE FROM bans WHERE player = $1", [id.into()]);
        Ok(self.storage.apply(delete.into()).await?.rows(0) > 0)
    }

    /// The bans of `game`, also those whose end has passed; newest first.
    pub async fn bans(
        &self,
        game: &GameId,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<BannedPlayer>, StorageError> {
        let limit = page::limit(limit);
        let (before, before_id) = page::newest_first(after)?;
        let query = Query::new(
            "SELECT b.player, p.username, b.at, b.reason, b.until
             FROM bans b JOIN players p ON p.id = b.player
             WHERE b.game = $1 AND (b.at, b.player) < ($2, $3)
             ORDER BY b.at DESC, b.player DESC LIMIT $4",
            [game.into(), before.into(), before_id.into(), (limit + 1).into()],
        );
        let read = |row: &mut Row| {
            let player = row.take()?;
            let username = row.take()?;
            let ban = Ban { at: row.take()?, reason: row.take()?, until: row.take()? };
            Ok(BannedPlayer { player, username, ban })
        };
        let bans = self.storage.query(query, read).await?;
        Ok(Page::cut(bans, limit, |banned| Cursor::new(banned.ban.at.as_millis(), &banned.player)))
    }
}

/// Names are found whatever their case. Folded here, so that every engine folds alike.
fn fold(name: &str) -> String {
    name.to_lowercase()
}

fn read_player(row: &mut Row) -> Result<Player, StorageError> {
    Ok(Player {
        id: row.take()?,
        game: row.take()?,
        username: row.take()?,
        created_at: row.take()?,
        last_seen_at: row.take()?,
        discord: row.take::<Option<String>>()?.map(|profile| super::from_json(&profile)).transpose()?,
        ban: match row.take()? {
            None => None,
            Some(at) => Some(Ban { at, reason: row.take()?, until: row.take()? }),
        },
    })
}
