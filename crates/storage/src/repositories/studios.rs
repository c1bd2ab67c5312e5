//! Studios: the configuration says what they may; only that they were there is recorded.

use greenroom_protocol::{StudioId, Timestamp};

use crate::{Query, Row, Statement, StorageError};

/// A studio that was seen in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudioRecord {
    /// Which studio.
    pub id: StudioId,
    /// When it was first seen.
    pub created_at: Timestamp,
}

repository! {
    /// Studios that were seen in a configuration.
    Studios
}

impl Studios<'_> {
    /// Records `studio` unless it is there.
    pub async fn ensure(&self, studio: &StudioId, now: Timestamp) -> Result<(), StorageError> {
        let insert = Statement::new(
            "INSERT INTO studios (id, created_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
            [studio.into(), now.into()],
        );
        self.storage.apply(insert.into()).await.map(drop)
    }

    /// All studios by id. There are as many as configurations ever named.
    pub async fn list(&self) -> Result<Vec<StudioRecord>, StorageError> {
        let query = Query::new("SELECT id, created_at FROM studios ORDER BY id", []);
        self.storage.query(query, read).await
    }
}

fn read(row: &mut Row) -> Result<StudioRecord, StorageError> {
    Ok(StudioRecord { id: row.take()?, created_at: row.take()? })
}
