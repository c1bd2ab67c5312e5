//! A game's list as it was last made: encoded once, however many ask.

use std::{collections::HashMap, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use greenroom_domain::browser::{Place, Query, Row, listed};
use greenroom_protocol::{
    browser::{BrowserEntry, BrowserNews, BrowserPage},
    lobby::{RequestId, ServerMessage},
};
use parking_lot::Mutex;

use super::bad_cursor;
use crate::{failure::Failure, realtime::encode};

/// Answers of one list that are remembered. Further questions are answered without being remembered.
const ANSWERS_MAX: usize = 256;

/// One state of a game's list.
#[derive(Default)]
pub(super) struct GameList {
    /// The longest listed first.
    rows: Vec<Row>,
    /// The whole list as the contract has it.
    contract: Bytes,
    /// Where each entry begins and ends in it.
    spans: Vec<(u32, u32)>,
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    pages: HashMap<(Query, Option<Place>), Bytes>,
    news: HashMap<Query, Bytes>,
}

/// The place that a cursor says.
pub(super) fn place(cursor: Option<&str>) -> Result<Option<Place>, Failure> {
    cursor.map(str::parse).transpose().map_err(|_| bad_cursor())
}

impl GameList {
    pub(super) fn new(entries: Vec<BrowserEntry>) -> Result<Self, serde_json::Error> {
        let mut contract = BytesMut::new();
        let mut spans = Vec::with_capacity(entries.len());
        contract.put_u8(b'[');
        for entry in &entries {
            if !spans.is_empty() {
                contract.put_u8(b',');
            }
            let begin = contract.len() as u32;
            serde_json::to_writer((&mut contract).writer(), &listed(entry))?;
            spans.push((begin, contract.len() as u32));
        }
        contract.put_u8(b']');
        let rows = entries.into_iter().map(Row::from).collect();
        Ok(Self { rows, contract: contract.freeze(), spans, answers: Mutex::default() })
    }

    pub(super) fn contract_page(&self, offset: usize, limit: Option<usize>) -> Bytes {
        let end = limit.map_or(self.spans.len(), |limit| offset.saturating_add(limit).min(self.spans.len()));
        if offset >= end {
            return Bytes::from_static(b"[]");
        }
        if offset == 0 && end == self.spans.len() {
            return self.contract.clone();
        }
        let inner = &self.contract[self.spans[offset].0 as usize..self.spans[end - 1].1 as usize];
        let mut page = BytesMut::with_capacity(inner.len() + 2);
        page.put_u8(b'[');
        page.put_slice(inner);
        page.put_u8(b']');
        page.freeze()
    }

    pub(super) fn page(&self, query: &Query, after: Option<&Place>) -> BrowserPage {
        let found = query.find(&self.rows, after);
        BrowserPage {
            servers: found.rows.into_iter().map(|row| row.entry.clone()).collect(),
            total: found.total as u32,
            next: found.next.map(|place| place.to_string()),
        }
    }

    pub(super) fn page_encoded(
        &self,
        query: Query,
        after: Option<Place>,
    ) -> Result<Bytes, serde_json::Error> {
        let key = (query, after);
        if let Some(known) = self.answers.lock().pages.get(&key) {
            return Ok(known.clone());
        }
        let page = Bytes::from(serde_json::to_vec(&self.page(&key.0, key.1.as_ref()))?);
        let mut answers = self.answers.lock();
        if answers.pages.len() < ANSWERS_MAX {
            answers.pages.insert(key, page.clone());
        }
        Ok(page)
    }

    /// `browser:updated` of a query, as everybody with the same query is told it.
    pub(super) fn news(&self, query: &Query) -> Bytes {
        if let Some(known) = self.answers.lock().news.get(query) {
            return known.clone();
        }
        let news = self.news_for(query, None);
        let mut answers = self.answers.lock();
        if answers.news.len() < ANSWERS_MAX {
            answers.news.insert(query.clone(), news.clone());
        }
        news
    }

    /// The same as the answer to the message `id`.
    pub(super) fn news_for(&self, query: &Query, id: Option<RequestId>) -> Bytes {
        let BrowserPage { servers, total, .. } = self.page(query, None);
        encode(&ServerMessage::BrowserUpdated(BrowserNews { servers, total, id }))
    }

    /// How many servers, and how many players on them.
    pub(super) fn counts(&self) -> (usize, u64) {
        (self.rows.len(), self.rows.iter().map(|row| u64::from(row.entry.players)).sum())
    }
}

/// Lists of games that have none yet are empty, and still an array.
pub(super) fn empty() -> Arc<GameList> {
    Arc::new(GameList { contract: Bytes::from_static(b"[]"), ..GameList::default() })
}
