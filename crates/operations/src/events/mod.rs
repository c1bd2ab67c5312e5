//! History: events are appended, read, and followed.

mod append;
mod facts;
mod incoming;
mod read;

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use greenroom_domain::settings::{EventLimits, Settings};
use greenroom_event_log::{
    Entry, EventLog, EventLogError, NewEntry, StreamId, StreamLimits, Subject, WhenFull,
};
use greenroom_protocol::events::{CloudEvent, SPECVERSION, rfc3339};
use tokio::sync::watch;

use crate::{
    context::{AppendFailed, Clock, EventSink, Fact},
    failure::Failure,
    secret,
};

pub use incoming::Incoming;
pub use read::{EventPage, EventTail, PAGE_EVENTS_MAX, RECENT_EVENTS_MAX, Tailed};

/// Longest source and id that are remembered as they are, in bytes.
const DEDUPE_ID_PLAIN_BYTES_MAX: usize = 40;

/// Bytes of a digest that stands for a longer one: enough that two are never the same by chance.
const DEDUPE_ID_DIGEST_BYTES: usize = 18;

/// The history of all studios. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    pub(crate) log: EventLog,
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Events {
    /// Opens the history: every studio of the settings gets its stream, with its limits.
    pub async fn start(
        log: EventLog,
        settings: watch::Receiver<Arc<Settings>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EventLogError> {
        let studios = Arc::clone(&settings.borrow());
        for studio in studios.studios.values() {
            log.create_stream(&StreamId::studio(&studio.id), stream_limits(&studio.events)).await?;
        }
        Ok(Self { log, settings, clock })
    }
}

fn stream_limits(limits: &EventLimits) -> StreamLimits {
    StreamLimits {
        bytes_max: limits.bytes_max,
        entries_max: limits.events_max,
        age_max: limits.age_max,
        consumers_max: limits.consumers_max,
        when_full: WhenFull::DropOldest,
    }
}

#[async_trait]
impl EventSink for Events {
    async fn append(&self, fact: Fact) -> Result<(), AppendFailed> {
        let studio = fact.studio.clone();
        let entry = fact_entry(fact).map_err(|failure| AppendFailed(failure.to_string()))?;
        match self.log.append(&StreamId::studio(&studio), vec![entry], None).await {
            Ok(_) => Ok(()),
            Err(error) => Err(AppendFailed(error.to_string())),
        }
    }
}

/// A fact as the history keeps it.
fn fact_entry(fact: Fact) -> Result<NewEntry, Failure> {
    let subject = Subject::new(&fact.subject).map_err(Failure::internal)?;
    let event = CloudEvent {
        specversion: SPECVERSION.into(),
        id: fact.id,
        source: fact.source,
        kind: fact.kind,
        subject: fact.subject,
        time: rfc3339(fact.at),
        datacontenttype: Some("application/json".into()),
        data: Some(fact.data),
        sequence: None,
    };
    entry(subject, &event).map_err(Failure::internal)
}

/// The event as it is kept: the envelope without its sequence. A second one with the same source
/// and id within an hour is not kept.
fn entry(subject: Subject, event: &CloudEvent) -> Result<NewEntry, serde_json::Error> {
    Ok(NewEntry::new(subject, serde_json::to_vec(event)?).with_id(dedupe_id(&event.source, &event.id)))
}

/// CloudEvents: `source` and `id` together are unique. Long ones are told apart by their digest,
/// which also keeps what is remembered small.
fn dedupe_id(source: &str, id: &str) -> String {
    let plain = format!("{source}#{id}");
    if plain.len() <= DEDUPE_ID_PLAIN_BYTES_MAX {
        return plain;
    }
    let hash = secret::hash(&plain);
    URL_SAFE_NO_PAD.encode(&hash[..DEDUPE_ID_DIGEST_BYTES])
}

/// The envelope of an entry with its sequence, as JSON.
pub fn envelope(entry: &Entry) -> Bytes {
    let Some(open) = entry.payload.strip_suffix(b"}") else { return entry.payload.clone() };
    let mut json = Vec::with_capacity(open.len() + 40);
    json.extend_from_slice(open);
    json.extend_from_slice(format!(r#","sequence":"{}"}}"#, entry.sequence).as_bytes());
    Bytes::from(json)
}
