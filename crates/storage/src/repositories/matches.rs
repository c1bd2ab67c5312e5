//! Matches that were played: a read model, made from the history and rebuilt from it.

use greenroom_protocol::{GameId, MatchId, PlayerId, Timestamp};

use crate::{Cursor, Miss, Page, Query, Row, Statement, StorageError, UnitOfWork, page};

/// A match that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchRecord {
    /// Which match.
    pub id: MatchId,
    /// Of which game.
    pub game: GameId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What the game server said of it, as JSON.
    pub result: serde_json::Value,
    /// Who played.
    pub players: Vec<MatchPlayer>,
}

/// A player of a match.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchPlayer {
    /// Who.
    pub player: PlayerId,
    /// In which team.
    pub team: Option<String>,
    /// With which score.
    pub score: Option<f64>,
    /// Whether the player won; `None`: nobody said.
    pub won: Option<bool>,
}

/// A match as one of its players sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayedMatch {
    /// Which match.
    pub id: MatchId,
    /// Of which game.
    pub game: GameId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What the game server said of it, as JSON.
    pub result: serde_json::Value,
    /// The player's own row.
    pub own: MatchPlayer,
}

/// How far a read model has come in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// The read model.
    pub model: &'a str,
    /// The stream it reads.
    pub stream: &'a str,
    /// The sequence of the event that is being applied.
    pub sequence: u64,
}

repository! {
    /// Matches that were played, and the positions of the read models.
    Matches
}

impl Matches<'_> {
    /// Takes the event at `position` into the read model: the match is recorded (in place of what
    /// was recorded of it) and the position moves, or neither. False if the event, or one after
    /// it, was applied before.
    pub async fn record_match(
        &self,
        record: &MatchRecord,
        position: Position<'_>,
    ) -> Result<bool, StorageError> {
        self.apply_at(record_unit(record), position).await
    }

    /// Notes that the event at `position` was read and changes nothing. False as above.
    pub async fn skip(&self, position: Position<'_>) -> Result<bool, StorageError> {
        self.apply_at(UnitOfWork::new(), position).await
    }

    /// Applies `unit` exactly once for the event at `position`. False as above.
    pub async fn apply_at(&self, unit: UnitOfWork, position: Position<'_>) -> Result<bool, StorageError> {
        match self.storage.apply(advance_unit(position).and(unit)).await {
            Ok(_) => Ok(true),
            Err(StorageError::AlreadyApplied) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The part of a unit that takes the player out of the matches that it played. It comes back when
    /// the read model is made anew from a history that still has it.
    pub fn forget_player_unit(&self, player: &PlayerId) -> UnitOfWork {
        Statement::new("DELETE FROM match_players WHERE player = $1", [player.into()]).into()
    }

    /// The sequence of the last event of `stream` that `model` has taken in; 0 before the first.
    pub async fn position(&self, model: &str, stream: &str) -> Result<u64, StorageError> {
        let query = Query::new(
            "SELECT sequence FROM positions WHERE model = $1 AND stream = $2",
            [model.into(), stream.into()],
        );
        Ok(self.storage.query_one(query, Row::take::<i64>).await?.unwrap_or(0) as u64)
    }

    /// The matches of `player`, the last one that ended first.
    pub async fn list_matches(
        &self,
        player: &PlayerId,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<PlayedMatch>, StorageError> {
        let limit = page::limit(limit);
        let (before, before_id) = page::newest_first(before)?;
        let query = Query::new(
            "SELECT m.id, m.game, m.started_at, m.ended_at, m.result, p.player, p.team, p.score, p.won
             FROM match_players p JOIN matches m ON m.id = p.match_id
             WHERE p.player = $1 AND (p.ended_at, p.match_id) < ($2, $3)
             ORDER BY p.ended_at DESC, p.match_id DESC LIMIT $4",
            [player.into(), before.into(), before_id.into(), (limit + 1).into()],
        );
        let read = |row: &mut Row| {
            Ok(PlayedMatch {
                id: row.take()?,
                game: row.take()?,
                started_at: row.take()?,
                ended_at: row.take()?,
                result: row.take()?,
                own: read_player(row)?,
            })
        };
        let matches = self.storage.query(query, read).await?;
        Ok(Page::cut(matches, limit, |played| Cursor::new(played.ended_at.as_millis(), &played.id)))
    }

    /// The match with all its players, by id.
    pub async fn get(&self, id: &MatchId) -> Result<Option<MatchRecord>, StorageError> {
        let query = Query::new(
            "SELECT m.id, m.game, m.started_at, m.ended_at, m.result, p.player, p.team, p.score, p.won
             FROM matches m LEFT JOIN match_players p ON p.match_id = m.id
             WHERE m.id = $1 ORDER BY p.player",
            [id.into()],
        );
        let mut record: Option<MatchRecord> = None;
        let read = |row: &mut Row| {
            let of_row = MatchRecord {
                id: row.take()?,
                game: row.take()?,
                started_at: row.take()?,
                ended_at: row.take()?,
                result: row.take()?,
                players: Vec::new(),
            };
            let record = record.get_or_insert(of_row);
            if let Some(player) = row.take()? {
                let (team, score, won) = (row.take()?, row.take()?, row.take()?);
                record.players.push(MatchPlayer { player, team, score, won });
            }
            Ok(())
        };
        self.storage.query(query, read).await?;
        Ok(record)
    }
}

fn advance_unit(position: Position<'_>) -> UnitOfWork {
    let sequence = i64::try_from(position.sequence).unwrap_or(i64::MAX);
    Statement::new(
        "INSERT INTO positions (model, stream, sequence) VALUES ($1, $2, $3)
         ON CONFLICT (model, stream) DO UPDATE SET sequence = excluded.sequence
         WHERE positions.sequence < excluded.sequence",
        [position.model.into(), position.stream.into(), sequence.into()],
    )
    .expect_one(Miss::AlreadyApplied)
    .into()
}

fn record_unit(record: &MatchRecord) -> UnitOfWork {
    let mut unit = UnitOfWork::new()
        .then(Statement::new(
            "INSERT INTO matches (id, game, started_at, ended_at, result) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO UPDATE SET
                 started_at = excluded.started_at, ended_at = excluded.ended_at, result = excluded.result",
            [
                (&record.id).into(),
                (&record.game).into(),
                record.started_at.into(),
                record.ended_at.into(),
                (&record.result).into(),
            ],
        ))
        .then(Statement::new("DELETE FROM match_players WHERE match_id = $1", [(&record.id).into()]));
    for player in &record.players {
        unit = unit.then(Statement::new(
            "INSERT INTO match_players (match_id, player, ended_at, team, score, won)
             VALUES ($1, $2, $3, $4, $5, $6)",
            [
                (&record.id).into(),
                (&player.player).into(),
                record.ended_at.into(),
                player.team.as_ref().into(),
                player.score.into(),
                player.won.into(),
            ],
        ));
    }
    unit
}

fn read_player(row: &mut Row) -> Result<MatchPlayer, StorageError> {
    Ok(MatchPlayer { player: row.take()?, team: row.take()?, score: row.take()?, won: row.take()? })
}
