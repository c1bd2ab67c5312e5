//! Reads and follows a studio's history.

use std::collections::VecDeque;

use bytes::Bytes;
use greenroom_event_log::{Entry, EventLog, Sequence, StreamId, SubjectFilter};
use greenroom_protocol::{ErrorCode, StudioId};

use super::{Events, envelope};
use crate::{failure::Failure, principal::Principal};

/// Most events of one page.
pub const PAGE_EVENTS_MAX: usize = 1_000;

/// Events that are looked at for the newest ones that a filter lets through.
pub const RECENT_EVENTS_MAX: u64 = 2_000;

/// Events of them that are held at once.
const RECENT_PAGE_EVENTS: usize = 100;

/// A part of the history.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// Envelopes as JSON, oldest first.
    pub events: Vec<Bytes>,
    /// Where the next page begins.
    pub next: Sequence,
    /// Nothing newer was there.
    pub end: bool,
    /// First and last sequence of what was asked for and is gone by the studio's limits.
    pub gap: Option<(Sequence, Sequence)>,
}

/// What one step of a tail brings.
#[derive(Clone, Debug)]
pub enum Tailed {
    /// An event, with its envelope as JSON.
    Event(Sequence, Bytes),
    /// Events were dropped by the studio's limits before they were read here.
    Gap(Sequence, Sequence),
}

/// Follows a studio's history from a place on.
pub struct EventTail {
    log: EventLog,
    stream: StreamId,
    filter: SubjectFilter,
    next: Sequence,
    ready: std::vec::IntoIter<Entry>,
}

impl Events {
    /// A page of at most `limit` events from the sequence `from` on that `filter` lets through.
    pub async fn page(
        &self,
        principal: &Principal,
        studio: &StudioId,
        filter: Option<&str>,
        from: u64,
        limit: usize,
    ) -> Result<EventPage, Failure> {
        let filter = permitted(principal, filter)?;
        let limit = limit.clamp(1, PAGE_EVENTS_MAX);
        let from = Sequence(from.max(1));
        let page = self
            .log
            .read(&StreamId::studio(studio), from, Some(&filter), limit)
            .await
            .map_err(Failure::event_log)?;
        Ok(EventPage {
            events: page.entries.iter().map(envelope).collect(),
            next: page.next,
            end: page.end,
            gap: page.gap,
        })
    }

    /// The newest events that `filter` lets through, at most `limit` of them, oldest first, each with its
    /// sequence; and the sequence after which to follow. No more than the newest [`RECENT_EVENTS_MAX`] events are looked at.
    pub async fn recent(
        &self,
        principal: &Principal,
        studio: &StudioId,
        filter: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(u64, Bytes)>, u64), Failure> {
        let filter = permitted(principal, filter)?;
        let stream = StreamId::studio(studio);
        let last = self.log.info(&stream).await.map_err(Failure::event_log)?.last;
        let mut next = Sequence(last.0.saturating_sub(RECENT_EVENTS_MAX).max(1));
        let mut newest = VecDeque::with_capacity(limit);
        loop {
            let page = self
                .log
                .read(&stream, next, Some(&filter), RECENT_PAGE_EVENTS)
                .await
                .map_err(Failure::event_log)?;
            for entry in &page.entries {
                if newest.len() == limit {
                    newest.pop_front();
                }
                newest.push_back((entry.sequence.0, envelope(entry)));
            }
            next = page.next;
            if page.end || next > last {
                return Ok((newest.into(), next.0.saturating_sub(1)));
            }
        }
    }

    /// Follows the history after the sequence `after`; from now on if none is given.
    pub async fn tail(
        &self,
        principal: &Principal,
        studio: &StudioId,
        filter: Option<&str>,
        after: Option<u64>,
    ) -> Result<EventTail, Failure> {
        let filter = permitted(principal, filter)?;
        let stream = StreamId::studio(studio);
        let after = match after {
            Some(after) => Sequence(after),
            None => self.log.info(&stream).await.map_err(Failure::event_log)?.last,
        };
        Ok(EventTail {
            log: self.log.clone(),
            stream,
            filter,
            next: after.next(),
            ready: Vec::new().into_iter(),
        })
    }
}

impl EventTail {
    /// The next event; waits for it. Cancel safe.
    pub async fn next(&mut self) -> Result<Tailed, Failure> {
        loop {
            if let Some(entry) = self.ready.next() {
                return Ok(Tailed::Event(entry.sequence, envelope(&entry)));
            }
            let page = self
                .log
                .read(&self.stream, self.next, Some(&self.filter), PAGE_EVENTS_MAX)
                .await
                .map_err(Failure::event_log)?;
            self.next = page.next;
            self.ready = page.entries.into_iter();
            if let Some((first, last)) = page.gap {
                return Ok(Tailed::Gap(first, last));
            }
            if page.end && self.ready.len() == 0 {
                let last = Sequence(self.next.0.saturating_sub(1));
                self.log.wait_past(&self.stream, last).await.map_err(Failure::event_log)?;
            }
        }
    }
}

fn permitted(principal: &Principal, filter: Option<&str>) -> Result<SubjectFilter, Failure> {
    let filter = match filter {
        None => SubjectFilter::everything(),
        Some(text) => SubjectFilter::parse(text)
            .map_err(|error| Failure::new(ErrorCode::BadRequest, format!("`filter`: {error}.")))?,
    };
    if principal.may_subscribe(&filter) {
        Ok(filter)
    } else {
        let sentence = "The credentials do not permit reading all that this filter lets through.";
        Err(Failure::new(ErrorCode::Forbidden, sentence))
    }
}
