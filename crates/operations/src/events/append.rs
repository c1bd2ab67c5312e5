//! Appends events on behalf of a studio's programs and of game servers.

use std::sync::Arc;

use greenroom_domain::settings::Settings;
use greenroom_event_log::{NewEntry, StreamId, Subject};
use greenroom_protocol::{
    ErrorCode, StudioId,
    events::{
        AppendResponse, AppendedEvent, CloudEvent, EVENT_BYTES_MAX, EVENTS_PER_APPEND_MAX, NewEvent,
        SPECVERSION, parse_rfc3339, rfc3339,
    },
};
use uuid::Uuid;

use super::{Events, entry, unique_entry};
use crate::{failure::Failure, principal::Principal};

impl Events {
    /// Appends `events`, all or none, and answers when they are durable. Events without an `id`
    /// get one, made of `idempotency_key` if there is one, so that a retry within an hour is
    /// harmless.
    pub async fn append_for(
        &self,
        principal: &Principal,
        studio: &StudioId,
        events: Vec<NewEvent>,
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
            now: rfc3339(self.clock.now()),
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
    now: String,
    source: String,
    idempotency_key: Option<&'a str>,
}

impl Context<'_> {
    /// The event's id, and the event as it is kept.
    fn check(&self, event: NewEvent, index: usize) -> Result<(String, NewEntry), Failure> {
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
            None => self.now.clone(),
            Some(text) => parse_rfc3339(text).map(rfc3339).ok_or_else(|| {
                invalid("`time` must be a point in time such as 2026-01-31T12:00:00.000Z.".into())
            })?,
        };
        let can_be_repeated = event.id.is_some() || self.idempotency_key.is_some();
        let id = match (event.id, self.idempotency_key) {
            (Some(id), _) if id.is_empty() => return Err(invalid("`id` must not be empty.".into())),
            (Some(id), _) => id,
            (None, Some(key)) => format!("{key}-{index}"),
            (None, None) => Uuid::now_v7().to_string(),
        };
        let kind = event.kind.unwrap_or_else(|| subject.tokens().last().unwrap_or_default().to_owned());
        let event = CloudEvent {
            specversion: SPECVERSION.into(),
            id,
            source: event.source.unwrap_or_else(|| self.source.clone()),
            kind,
            subject: event.subject,
            time,
            datacontenttype: event.datacontenttype.or_else(|| Some("application/json".into())),
            data: event.data,
            sequence: None,
        };
        let kept = if can_be_repeated { entry(subject, &event) } else { unique_entry(subject, &event) };
        let entry = kept.map_err(Failure::internal)?;
        if entry.payload.len() > EVENT_BYTES_MAX {
            let sentence = format!("Event {index} has more than {EVENT_BYTES_MAX} bytes.");
            return Err(Failure::new(ErrorCode::TooLarge, sentence));
        }
        Ok((event.id, entry))
    }
}

fn source_of(principal: &Principal) -> String {
    match principal {
        Principal::Admin(id) => format!("/admins/{id}"),
        Principal::Key(key) => format!("/keys/{}", key.id),
        Principal::Server(server) => format!("/games/{}/servers/{}", server.game, server.id),
    }
}
