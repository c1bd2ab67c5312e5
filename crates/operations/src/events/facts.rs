//! Facts that stand in the directory until the history has them.
//!
//! A change and the fact it makes are one commit; the fact is appended afterwards, by whichever
//! node sees it first. Its id makes a second append harmless, so a death in between loses nothing
//! and doubles nothing.

use std::{collections::BTreeMap, time::Duration};

use greenroom_directory::{Change, Directory, Document, Expected, Notice, Partition, Watch};
use greenroom_event_log::{NewEntry, StreamId};
use greenroom_protocol::StudioId;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Events, fact_entry};
use crate::{
    context::Fact,
    documents::{FACT, decode},
    failure::Failure,
};

/// Most facts that are appended, and then deleted, together.
const FACTS_TOGETHER_MAX: usize = 200;

/// Pause after the history could not be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

impl Events {
    /// Appends the facts that stand in the directory, and those that come, until `shutdown`.
    pub async fn carry_facts(
        &self,
        directory: Directory,
        tracker: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<(), Failure> {
        let watch = directory.watch(&[FACT]).await.map_err(Failure::directory)?;
        let events = self.clone();
        tracker.spawn(async move {
            // Cancellation first: what stands in the directory waits for the next start.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = events.carry(directory, watch) => {}
            }
        });
        Ok(())
    }

    async fn carry(self, directory: Directory, mut watch: Watch) {
        while let Some(first) = watch.next().await {
            let mut documents = Vec::new();
            collect(first, &mut documents);
            while documents.len() < FACTS_TOGETHER_MAX
                && let Some(notice) = watch.try_next()
            {
                collect(notice, &mut documents);
            }
            if documents.is_empty() {
                continue;
            }
            while let Err(failure) = self.append_facts(&directory, &documents).await {
                tracing::warn!(facts = documents.len(), error = ?failure, "facts wait for the history");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    async fn append_facts(&self, directory: &Directory, documents: &[Document]) -> Result<(), Failure> {
        let mut entries: BTreeMap<StudioId, Vec<NewEntry>> = BTreeMap::new();
        let mut deletes: BTreeMap<Partition, Vec<Change>> = BTreeMap::new();
        for document in documents {
            match read(document) {
                Ok((studio, entry)) => entries.entry(studio).or_default().push(entry),
                Err(failure) => {
                    tracing::error!(id = %document.key.id, error = ?failure, "a fact cannot be read and is dropped");
                }
            }
            let delete = Change::delete(FACT, &document.key.id, Expected::Any);
            deletes.entry(document.key.partition.clone()).or_default().push(delete);
        }
        for (studio, entries) in entries {
            self.log.append(&StreamId::studio(&studio), entries, None).await.map_err(Failure::event_log)?;
        }
        for (partition, changes) in deletes {
            directory.commit(&partition, changes).await.map_err(Failure::directory)?;
        }
        Ok(())
    }
}

fn collect(notice: Notice, documents: &mut Vec<Document>) {
    if let Notice::Put(document) = notice {
        documents.push(document);
    }
}

fn read(document: &Document) -> Result<(StudioId, NewEntry), Failure> {
    let fact: Fact = decode(&document.value)?;
    let studio = fact.studio.clone();
    Ok((studio, fact_entry(fact)?))
}
