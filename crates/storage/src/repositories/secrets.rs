//! Secrets that are made once and kept: token keys, the development token.

use crate::{Query, Row, Statement, StorageError, UnitOfWork};

repository! {
    /// Secrets that are made once.
    Secrets
}

impl Secrets<'_> {
    /// The secret `name`; if there is none, `candidate` becomes it. Of several callers at once the
    /// first one's candidate wins, and all get it.
    pub async fn get_or_create(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StorageError> {
        let unit = UnitOfWork::new()
            .then(Statement::new(
                "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                [name.into(), candidate.into()],
            ))
            .then(Statement::new("SELECT value FROM secrets WHERE name = $1", [name.into()]));
        let mut applied = self.storage.apply(unit).await?;
        let value = applied.returned(1, Row::take)?.pop();
        value.ok_or_else(|| StorageError::NotFound { what: "secret".into() })
    }

    /// The secret `name`, if it was made.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let query = Query::new("SELECT value FROM secrets WHERE name = $1", [name.into()]);
        self.storage.query_one(query, Row::take).await
    }
}
