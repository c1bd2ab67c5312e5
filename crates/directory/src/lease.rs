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
    let mut attempts = 0;
    loop {
        let expected = match read(engine, name).await? {
            None => Expected::Absent,
            Some((document, held)) if held.holder == holder => Expected::At(document.revision),
            Some(_) => return Ok(None),
        };
        let held = Held { holder: Arc::clone(&holder), generation: None };
        let written = write(engine, name, expected, &held, term).await;
        if !is_to_be_read_again(&written, &mut attempts) {
            let lease = |generation| Lease { name: Arc::from(name), holder, generation };
            return written.map(|generation| Some(lease(generation)));
        }
    }
}

pub(crate) async fn renew(
    engine: &dyn Engine,
    lease: &Lease,
    term: Duration,
) -> Result<bool, DirectoryError> {
    limits::check_id(&lease.name)?;
    limits::check_term(term)?;
    let held = Held { holder: Arc::clone(&lease.holder), generation: Some(lease.generation) };
    let mut attempts = 0;
    while let Some(document) = own(engine, lease).await? {
        let written = write(engine, &lease.name, Expected::At(document.revision), &held, term).await;
        if !is_to_be_read_again(&written, &mut attempts) {
            return written.map(|_| true);
        }
    }
    Ok(false)
}

pub(crate) async fn release(engine: &dyn Engine, lease: &Lease) -> Result<(), DirectoryError> {
    limits::check_id(&lease.name)?;
    let mut attempts = 0;
    while let Some(document) = own(engine, lease).await? {
        let change = Change::delete(LEASE, &lease.name, Expected::At(document.revision));
        let deleted = engine.commit(&Partition::installation(), vec![change]).await;
        if !is_to_be_read_again(&deleted, &mut attempts) {
            return deleted.map(|_| ());
        }
    }
    Ok(())
}

/// Whether the lease was changed between its reading and its writing, and not too often already.
fn is_to_be_read_again<T>(written: &Result<T, DirectoryError>, attempts: &mut usize) -> bool {
    *attempts += 1;
    matches!(written, Err(DirectoryError::Conflict(_))) && *attempts < ATTEMPTS_MAX
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
