//! Leases, the same on every engine: a document that expires, and whose revision at the time it
//! was acquired is the generation.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Change, DirectoryError, Document, Expected, Key, Kind, Lease, Partition, engine::Engine, limits,
};

/// The kind of the documents that leases are. An engine gives each a full new term after its
/// start and after a stall.
pub(crate) const LEASE: Kind = Kind::kept("_lease");

/// How often a lease that changes under our hands is read again before the caller is told.
const ATTEMPTS_MAX: usize = 8;

#[derive(Serialize, Deserialize)]
struct Held {
    holder: Arc<str>,
    /// Absent while the lease was not renewed: then it is the document's own revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

pub(crate) async fn acquire(
    engine: &dyn Engine,
    name: &str,
    holder: &str,
    term: Duration,
) -> Result<Option<Lease>, DirectoryError> {
    limits::check_id(name)?;
    limits::check_holder(holder)?;
    limits::check_term(term)?;
    let holder: Arc<str> = Arc::from(holder);
    attempt(async || {
        let expected = match read(engine, name).await? {
            None => Expected::Absent,
            Some((document, held)) if held.holder == holder => Expected::At(document.revision),
            Some(_) => return Ok(None),
        };
        let held = Held { holder: Arc::clone(&holder), generation: None };
        let generation = write(engine, name, expected, &held, term).await?;
        Ok(Some(Lease { name: Arc::from(name), holder: Arc::clone(&holder), generation }))
    })
    .await
}

pub(crate) async fn renew(
    engine: &dyn Engine,
    lease: &Lease,
    term: Duration,
) -> Result<bool, DirectoryError> {
    limits::check_id(&lease.name)?;
    limits::check_term(term)?;
    attempt(async || {
        let Some(document) = own(engine, lease).await? else { return Ok(false) };
        let held = Held { holder: Arc::clone(&lease.holder), generation: Some(lease.generation) };
        write(engine, &lease.name, Expected::At(document.revision), &held, term).await?;
        Ok(true)
    })
    .await
}

pub(crate) async fn release(engine: &dyn Engine, lease: &Lease) -> Result<(), DirectoryError> {
    limits::check_id(&lease.name)?;
    attempt(async || {
        let Some(document) = own(engine, lease).await? else { return Ok(()) };
        let change = Change::delete(LEASE, &lease.name, Expected::At(document.revision));
        engine.commit(&Partition::installation(), vec![change]).await?;
        Ok(())
    })
    .await
}

/// Runs `step` again while the lease changes between its reading and its writing.
async fn attempt<T>(step: impl AsyncFn() -> Result<T, DirectoryError>) -> Result<T, DirectoryError> {
    for _ in 1..ATTEMPTS_MAX {
        match step().await {
            Err(DirectoryError::Conflict(_)) => {}
            other => return other,
        }
    }
    step().await
}

async fn own(engine: &dyn Engine, lease: &Lease) -> Result<Option<Document>, DirectoryError> {
    let found = read(engine, &lease.name).await?;
    Ok(found.and_then(|(document, held)| {
        let generation = held.generation.unwrap_or(document.revision.0);
        (held.holder == lease.holder && generation == lease.generation).then_some(document)
    }))
}

async fn read(engine: &dyn Engine, name: &str) -> Result<Option<(Document, Held)>, DirectoryError> {
    let key = Key::new(Partition::installation(), LEASE, name);
    let Some(document) = engine.get(&key).await? else { return Ok(None) };
    let held = serde_json::from_slice(&document.value)
        .map_err(|error| DirectoryError::Unavailable(format!("the lease {name} cannot be read: {error}")))?;
    Ok(Some((document, held)))
}

/// Answers the revision.
async fn write(
    engine: &dyn Engine,
    name: &str,
    expected: Expected,
    held: &Held,
    term: Duration,
) -> Result<u64, DirectoryError> {
    let value = serde_json::to_vec(held).map_err(|error| {
        DirectoryError::Unavailable(format!("the lease {name} cannot be written: {error}"))
    })?;
    let change = Change::put_expiring(LEASE, name, expected, value, term);
    let revisions = engine.commit(&Partition::installation(), vec![change]).await?;
    Ok(revisions.first().map_or(0, |revision| revision.0))
}
