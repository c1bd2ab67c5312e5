//! Appends events on behalf of a studio's programs and of game servers.

use std::{borrow::Cow, sync::Arc};

use greenroom_domain::{ids::uuid_v7, settings::Settings};
use greenroom_event_log::{NewEntry, StreamId, Subject};
use greenroom_protocol::{
    ErrorCode, StudioId, Timestamp,
    events::{
        AppendResponse, AppendedEvent, EVENT_BYTES_MAX, EVENTS_PER_APPEND_MAX, SPECVERSION, parse_rfc3339,
        rfc3339,
    },
};
use serde::Serialize;

use super::{
    Events, Incoming, dedupe_id,
    incoming::{DATA_DEPTH_MAX, compact},
};
use crate::{failure::Failure, principal::Principal};

/// Bytes of an envelope without its data and what is in its subject, mostly.
const ENVELOPE_BYTES_USUAL: usize = 256;

impl Events {
    /// Appends `events`, all or none, and answers when they are durable. Events without an `id`
    /// get one, made of `idempotency_key` if there is one, so that a retry within an hour is
    /// harmless.
    pub async fn append_for(
        &self,
        principal: &Principal,
        studio: &StudioId,
        events: Vec<Incoming<'_>>,
        idempotency_key: Option<&str>,
    ) -> Result<AppendResponse, Failure> {
        if events.is_empty() {
            return Err(Failure::new(ErrorCode::Invalid, "There is no event to append."));
        }
        if events.len() > EVENTS_PER_APPEND_MAX {
            let sentence = format!("At most {EVENTS_PER_APPEND_MAX} events are appended at once.");
            return Err(Failure::new(ErrorCode::TooLarge, sentence));
        }
        let settings = Arc::clone(&self.settings.borrow());
        let context = Context {
            principal,
            settings: &settings,
            studio,
            now: self.clock.now(),
            time: rfc3339(self.clock.now()),
            source: source_of(principal),
            idempotency_key,
        };
        let mut ids = Vec::with_capacity(events.len());
        let mut entries = Vec::with_capacity(events.len());
        for (index, event) in events.into_iter().enumerate() {
            let (id, entry) = context.check(event, index)?;
            ids.push(id);
            entries.push(entry);
        }
        let appended =
            self.log.append(&StreamId::studio(studio), entries, None).await.map_err(Failure::event_log)?;
        let events = ids
            .into_iter()
            .zip(appended)
            .map(|(id, appended)| AppendedEvent { id, sequence: appended.sequence.to_string() })
            .collect();
        Ok(AppendResponse { events })
    }
}

/// What is the same for all events of one call.
struct Context<'a> {
    principal: &'a Principal,
    settings: &'a Settings,
    studio: &'a StudioId,
    now: Timestamp,
    /// `now` as an envelope says it.
    time: String,
    source: String,
    idempotency_key: Option<&'a str>,
}

impl Context<'_> {
    /// The event's id, and the event as it is kept.
    fn check(&self, event: Incoming<'_>, index: usize) -> Result<(String, NewEntry), Failure> {
        let invalid = |what: String| Failure::new(ErrorCode::Invalid, format!("Event {index}: {what}"));
        let subject =
            Subject::new(&event.subject).map_err(|error| invalid(format!("`subject`: {error}.")))?;
        let game = subject.tokens().nth(1).unwrap_or_default();
        let belongs =
            self.settings.games.iter().any(|(id, g)| id.as_str() == game && g.studio == *self.studio);
        if subject.tokens().next() != Some("v1") || !belongs {
            return Err(invalid("`subject` must begin with `v1.` and a game of the studio.".into()));
        }
        if !self.principal.may_publish(&subject) {
            let sentence =
                format!("Event {index}: the credentials do not permit appending to `{}`.", subject.as_str());
            return Err(Failure::new(ErrorCode::Forbidden, sentence));
        }
        let time = match &event.time {
            None => Cow::Borrowed(self.time.as_str()),
            Some(text) => parse_rfc3339(text).map(rfc3339).map(Cow::Owned).ok_or_else(|| {
                invalid("`time` must be a point in time such as 2026-01-31T12:00:00.000Z.".into())
            })?,
        };
        let data = event.data.map(|data| {
            let too_deep = || invalid(format!("`data` nests deeper than {DATA_DEPTH_MAX} levels."));
            compact(data.get()).ok_or_else(too_deep)
        });
        let data = data.transpose()?;
        let can_be_repeated = event.id.is_some() || self.idempotency_key.is_some();
        let id = match (event.id, self.idempotency_key) {
            (Some(id), _) if id.is_empty() => return Err(invalid("`id` must not be empty.".into())),
            (Some(id), _) => id,
            (None, Some(key)) => format!("{key}-{index}"),
            (None, None) => uuid_v7(self.now, &mut rand::rng()).to_string(),
        };
        let source = event.source.as_deref().unwrap_or(&self.source);
        let envelope = Envelope {
            specversion: SPECVERSION,
            id: &id,
            source,
            kind: event.kind.as_deref().or(subject.tokens().last()).unwrap_or_default(),
            subject: subject.as_str(),
            time: &time,
            datacontenttype: event.datacontenttype.as_deref().unwrap_or("application/json"),
        };
        let payload = written(&envelope, data.as_deref()).map_err(Failure::internal)?;
        if payload.len() > EVENT_BYTES_MAX {
            let sentence = format!("Event {index} has more than {EVENT_BYTES_MAX} bytes.");
            return Err(Failure::new(ErrorCode::TooLarge, sentence));
        }
        let mut entry = NewEntry::new(subject, payload);
        if can_be_repeated {
            entry = entry.with_id(dedupe_id(source, &id));
        }
        Ok((id, entry))
    }
}

/// An event's envelope, borrowed, as CloudEvents writes it; its data follows.
#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'a str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    time: &'a str,
    datacontenttype: &'a str,
}

fn written(envelope: &Envelope<'_>, data: Option<&str>) -> Result<Vec<u8>, serde_json::Error> {
    let data_bytes = data.map_or(0, str::len);
    let mut json = Vec::with_capacity(ENVELOPE_BYTES_USUAL + 2 * envelope.subject.len() + data_bytes);
    serde_json::to_writer(&mut json, envelope)?;
    if let Some(data) = data {
        json.pop();
        json.extend_from_slice(br#","data":"#);
        json.extend_from_slice(data.as_bytes());
        json.push(b'}');
    }
    Ok(json)
}

fn source_of(principal: &Principal) -> String {
    match principal {
        Principal::Admin(admin) => format!("/admins/{}", admin.id),
        Principal::Key(key) => format!("/keys/{}", key.id),
        Principal::Server(server) => format!("/games/{}/servers/{}", server.game, server.id),
    }
}
