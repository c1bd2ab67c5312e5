//! The embedded engine: SQLite with group commit.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;

use crate::{
    engine::Engine,
    error::{EventLogError, OpenError},
    model::*,
    subject::SubjectFilter,
};

pub(crate) struct Embedded {}

impl Embedded {
    pub(crate) async fn open(_path: PathBuf) -> Result<Self, OpenError> {
        Ok(Self {})
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn create_stream(&self, _stream: &StreamId, _limits: StreamLimits) -> Result<(), EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn delete_stream(&self, _stream: &StreamId) -> Result<(), EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn append(
        &self,
        _stream: &StreamId,
        _entries: Vec<NewEntry>,
        _expected_last: Option<Sequence>,
    ) -> Result<Vec<Appended>, EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn read(
        &self,
        _stream: &StreamId,
        _from: Sequence,
        _filter: Option<&SubjectFilter>,
        _limit: usize,
    ) -> Result<Page, EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn info(&self, _stream: &StreamId) -> Result<StreamInfo, EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn wait_past(&self, _stream: &StreamId, _sequence: Sequence) -> Result<Sequence, EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn put_consumer(
        &self,
        _stream: &StreamId,
        _name: &str,
        _config: ConsumerConfig,
    ) -> Result<(), EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn delete_consumer(&self, _stream: &StreamId, _name: &str) -> Result<(), EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn consumers(&self, _stream: &StreamId) -> Result<Vec<ConsumerState>, EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn consumer_state(&self, _stream: &StreamId, _name: &str) -> Result<ConsumerState, EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn fetch(
        &self,
        _stream: &StreamId,
        _name: &str,
        _batch: usize,
        _wait: Duration,
    ) -> Result<Fetched, EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn ack(
        &self,
        _stream: &StreamId,
        _name: &str,
        _sequences: &[Sequence],
    ) -> Result<(), EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn nak(
        &self,
        _stream: &StreamId,
        _name: &str,
        _sequence: Sequence,
        _delay: Option<Duration>,
    ) -> Result<(), EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn dead_letters(
        &self,
        _stream: &StreamId,
        _name: &str,
        _from: Sequence,
        _limit: usize,
    ) -> Result<Vec<DeadLetter>, EventLogError> {
        Err(EventLogError::Unavailable(String::new()))
    }
    async fn close(&self) {}
    fn commits(&self) -> u64 {
        0
    }
}
