//! A client that does on each error what the contract tells it to.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::{
    Action, Change, Directory, DirectoryError, Document, Key, Kind, Lease, Notice, Partition, Revision, Watch,
};

/// How long a case waits for what must come.
const PATIENCE: Duration = Duration::from_mins(1);

/// Commits until it is known what became of it. Puts must have content that nobody else writes.
/// The revision of a delete whose answer was lost is answered as 0.
pub(super) async fn commit(
    directory: &Directory,
    partition: &Partition,
    changes: Vec<Change>,
) -> Result<Vec<Revision>, DirectoryError> {
    loop {
        match directory.commit(partition, changes.clone()).await {
            Err(DirectoryError::Busy | DirectoryError::Unavailable(_)) => {}
            Err(DirectoryError::OutcomeUnknown(_)) => {
                if let Some(revisions) = applied(directory, partition, &changes).await {
                    return Ok(revisions);
                }
            }
            other => return other,
        }
    }
}

async fn applied(directory: &Directory, partition: &Partition, changes: &[Change]) -> Option<Vec<Revision>> {
    let mut revisions = Vec::new();
    for change in changes {
        let found = get(directory, partition, change.kind, &change.id).await;
        match (&change.action, found) {
            (Action::Put { value, .. }, Some(document)) if document.value == *value => {
                revisions.push(document.revision);
            }
            (Action::Delete, None) => revisions.push(Revision(0)),
            _ => return None,
        }
    }
    Some(revisions)
}

pub(super) async fn get(
    directory: &Directory,
    partition: &Partition,
    kind: Kind,
    id: &str,
) -> Option<Document> {
    directory.get(&Key::new(partition.clone(), kind, id)).await.unwrap()
}

/// The value as text.
pub(super) async fn value(
    directory: &Directory,
    partition: &Partition,
    kind: Kind,
    id: &str,
) -> Option<String> {
    get(directory, partition, kind, id).await.map(|document| text(&document))
}

pub(super) fn text(document: &Document) -> String {
    String::from_utf8(document.value.to_vec()).unwrap()
}

pub(super) async fn acquire(
    directory: &Directory,
    name: &str,
    holder: &str,
    term: Duration,
) -> Option<Lease> {
    loop {
        match directory.acquire_lease(name, holder, term).await {
            Err(DirectoryError::Unavailable(_) | DirectoryError::OutcomeUnknown(_)) => {}
            other => return other.unwrap(),
        }
    }
}

pub(super) async fn renew(directory: &Directory, lease: &Lease, term: Duration) -> bool {
    loop {
        match directory.renew_lease(lease, term).await {
            Err(DirectoryError::Unavailable(_) | DirectoryError::OutcomeUnknown(_)) => {}
            other => return other.unwrap(),
        }
    }
}

pub(super) async fn release(directory: &Directory, lease: &Lease) {
    loop {
        match directory.release_lease(lease).await {
            Err(DirectoryError::Unavailable(_) | DirectoryError::OutcomeUnknown(_)) => {}
            other => return other.unwrap(),
        }
    }
}

/// The next notice, which must come.
pub(super) async fn next(watch: &mut Watch) -> Notice {
    timeout(PATIENCE, watch.next()).await.expect("a notice in time").expect("an open directory")
}

/// Notices up to and with the one that `ends` says is the last.
pub(super) async fn until(watch: &mut Watch, ends: impl Fn(&Notice) -> bool) -> Vec<Notice> {
    let mut notices = Vec::new();
    loop {
        let notice = next(watch).await;
        let last = ends(&notice);
        notices.push(notice);
        if last {
            return notices;
        }
    }
}

pub(super) fn is_put_of(id: &str, value: &str) -> impl Fn(&Notice) -> bool {
    move |notice| matches!(notice, Notice::Put(document) if &*document.key.id == id && document.value == value)
}

pub(super) fn is_delete_of(id: &str) -> impl Fn(&Notice) -> bool {
    move |notice| matches!(notice, Notice::Deleted { key, .. } if &*key.id == id)
}

/// Tries until it is there. For what nothing announces.
pub(super) async fn eventually<T>(attempt: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it ends in time")
}
