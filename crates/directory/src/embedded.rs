//! The embedded engine.
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Change, DirectoryError, Document, Key, Kind, OpenError, Partition, Revision, Subscription, Watch,
    engine::Engine,
};

pub(crate) struct Embedded;

impl Embedded {
    pub(crate) async fn open(_path: PathBuf) -> Result<Self, OpenError> {
        Err(OpenError::Damaged("the embedded engine is not there yet"))
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn get(&self, _: &Key) -> Result<Option<Document>, DirectoryError> {
        Err(DirectoryError::Busy)
    }
    async fn list(&self, _: Option<&Partition>, _: Kind) -> Result<Vec<Document>, DirectoryError> {
        Err(DirectoryError::Busy)
    }
    async fn commit(&self, _: &Partition, _: Vec<Change>) -> Result<Vec<Revision>, DirectoryError> {
        Err(DirectoryError::Busy)
    }
    async fn watch(&self, _: &[Kind]) -> Result<Watch, DirectoryError> {
        Err(DirectoryError::Busy)
    }
    async fn publish(&self, _: &str, _: Bytes) -> Result<(), DirectoryError> {
        Err(DirectoryError::Busy)
    }
    async fn subscribe(&self, _: &str) -> Result<Subscription, DirectoryError> {
        Err(DirectoryError::Busy)
    }
    async fn close(&self) {}
    fn commits(&self) -> u64 {
        0
    }
}
