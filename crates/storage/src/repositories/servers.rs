//! What is remembered of game servers when they are gone from the directory.

use greenroom_protocol::{BuildId, GameId, MatchId, RegionId, ServerId, StudioId, Timestamp};

use crate::{Cursor, Page, Query, Row, Statement, StorageError, UnitOfWork, Value, page};

/// A game server as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerRecord {
    /// Which server.
    pub id: ServerId,
    /// Of which game.
    pub game: GameId,
    /// Of which studio.
    pub studio: StudioId,
    /// Its unique name, as players see it.
    pub name: String,
    /// Where it ran.
    pub region: RegionId,
    /// What it ran.
    pub build: BuildId,
    /// The version of its build; unknown of one that ended under an older Greenroom.
    pub version: Option<String>,
    /// Bytes of the payload it was given.
    pub payload_bytes: u32,
    /// Where players reached it.
    pub address: Option<String>,
    /// Its ports, as JSON.
    pub ports: serde_json::Value,
    /// Its last known state, a word.
    pub state: String,
    /// When it was decided to start it.
    pub created_at: Timestamp,
    /// When it first was ready for players.
    pub ready_at: Option<Timestamp>,
    /// When it was given to a match.
    pub allocated_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended, as JSON.
    pub exit: Option<serde_json::Value>,
    /// The states it went through, as JSON.
    pub history: serde_json::Value,
    /// The match that was played on it.
    pub match_id: Option<MatchId>,
    /// Until when its log is kept.
    pub log_kept_until: Option<Timestamp>,
}

/// Which servers a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFilter {
    /// Only those of this game.
    pub game: Option<GameId>,
    /// Only those of this studio.
    pub studio: Option<StudioId>,
    /// Only those in this state.
    pub state: Option<String>,
}

repository! {
    /// What is remembered of game servers.
    Servers
}

impl Servers<'_> {
    /// Records the server, in place of what was recorded of it. That it has ended is never taken
    /// back by a later write of an earlier state.
    pub async fn upsert(&self, server: &ServerRecord) -> Result<(), StorageError> {
        self.storage.apply(self.upsert_unit(server)).await.map(drop)
    }

    /// The part of a unit that records the server.
    pub fn upsert_unit(&self, server: &ServerRecord) -> UnitOfWork {
        Statement::new(
            "INSERT INTO servers (id, game, studio, name, region, build, address, ports, state, created_at,
                                  ready_at, allocated_at, ended_at, exit, history, match_id, log_kept_until,
                                  version, payload_bytes)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
             ON CONFLICT (id) DO UPDATE SET
                 name = excluded.name, region = excluded.region, build = excluded.build,
                 address = excluded.address, ports = excluded.ports, state = excluded.state,
                 ready_at = excluded.ready_at, allocated_at = excluded.allocated_at,
                 ended_at = excluded.ended_at, exit = excluded.exit, history = excluded.history,
                 match_id = excluded.match_id, log_kept_until = excluded.log_kept_until,
                 version = excluded.version, payload_bytes = excluded.payload_bytes
             WHERE servers.ended_at IS NULL OR excluded.ended_at IS NOT NULL",
            [
                (&server.id).into(),
                (&server.game).into(),
                (&server.studio).into(),
                (&server.name).into(),
                (&server.region).into(),
                (&server.build).into(),
                server.address.as_ref().into(),
                (&server.ports).into(),
                (&server.state).into(),
                server.created_at.into(),
                server.ready_at.into(),
                server.allocated_at.into(),
                server.ended_at.into(),
                server.exit.as_ref().into(),
                (&server.history).into(),
                server.match_id.as_ref().into(),
                server.log_kept_until.into(),
                server.version.as_ref().into(),
                server.payload_bytes.into(),
            ],
        )
        .into()
    }

    /// The server, if it is remembered.
    pub async fn get(&self, id: &ServerId) -> Result<Option<ServerRecord>, StorageError> {
        let query = Query::new(
            "SELECT id, game, studio, name, region, build, address, ports, state, created_at, ready_at,
                    allocated_at, ended_at, exit, history, match_id, log_kept_until, version, payload_bytes
             FROM servers WHERE id = $1",
            [id.into()],
        );
        self.storage.query_one(query, read).await
    }

    /// The servers that `filter` lets through, newest first.
    pub async fn list(
        &self,
        filter: &ServerFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<ServerRecord>, StorageError> {
        let limit = page::limit(limit);
        let (before, before_id) = page::newest_first(after)?;
        let studio: Value = filter.studio.as_ref().into();
        let state: Value = filter.state.as_ref().into();
        let query = match &filter.game {
            // Apart, because `game = $1 OR $1 IS NULL` would keep an engine from its index.
            Some(game) => Query::new(
                "SELECT id, game, studio, name, region, build, address, ports, state, created_at, ready_at,
                        allocated_at, ended_at, exit, history, match_id, log_kept_until, version, payload_bytes
                 FROM servers
                 WHERE game = $1 AND studio = COALESCE($2, studio) AND state = COALESCE($3, state)
                   AND (created_at, id) < ($4, $5)
                 ORDER BY created_at DESC, id DESC LIMIT $6",
                [game.into(), studio, state, before.into(), before_id.into(), (limit + 1).into()],
            ),
            None => Query::new(
                "SELECT id, game, studio, name, region, build, address, ports, state, created_at, ready_at,
                        allocated_at, ended_at, exit, history, match_id, log_kept_until, version, payload_bytes
                 FROM servers
                 WHERE studio = COALESCE($1, studio) AND state = COALESCE($2, state)
                   AND (created_at, id) < ($3, $4)
                 ORDER BY created_at DESC, id DESC LIMIT $5",
                [studio, state, before.into(), before_id.into(), (limit + 1).into()],
            ),
        };
        let servers = self.storage.query(query, read).await?;
        Ok(Page::cut(servers, limit, |server| Cursor::new(server.created_at.as_millis(), &server.id)))
    }

    /// Forgets up to `limit` servers that ended before `before`, and tells which, so that their
    /// files go too: called again while it tells `limit`.
    pub async fn prune(&self, before: Timestamp, limit: u32) -> Result<Vec<ServerId>, StorageError> {
        let delete = Statement::new(
            "DELETE FROM servers WHERE id IN
             (SELECT id FROM servers WHERE ended_at < $1 ORDER BY ended_at LIMIT $2) RETURNING id",
            [before.into(), page::limit(limit).into()],
        );
        self.storage.apply(delete.into()).await?.returned(0, Row::take)
    }
}

fn read(row: &mut Row) -> Result<ServerRecord, StorageError> {
    Ok(ServerRecord {
        id: row.take()?,
        game: row.take()?,
        studio: row.take()?,
        name: row.take()?,
        region: row.take()?,
        build: row.take()?,
        address: row.take()?,
        ports: row.take()?,
        state: row.take()?,
        created_at: row.take()?,
        ready_at: row.take()?,
        allocated_at: row.take()?,
        ended_at: row.take()?,
        exit: row.take()?,
        history: row.take()?,
        match_id: row.take()?,
        log_kept_until: row.take()?,
        version: row.take()?,
        payload_bytes: row.take()?,
    })
}
