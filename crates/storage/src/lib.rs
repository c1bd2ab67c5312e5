//! The port for records: what is looked up and changed by many keys.
//!
//! A change is data ([`UnitOfWork`]) and so is a question ([`Query`]); repositories make them, an
//! engine executes them. See `docs/decisions/0002-units-of-work-as-data.md`.
#![deny(missing_docs)]

mod engine;
mod error;
mod migrations;
mod page;
mod repositories;
mod sqlite;
mod storage;
mod unit;
mod value;

pub use error::{OpenError, StorageError};
pub use page::{Cursor, PAGE_ITEMS_MAX, Page};
pub use repositories::*;
pub use storage::{Storage, StorageConfig};
pub use unit::{Applied, Expect, Miss, Query, Row, Statement, UnitOfWork};
pub use value::{Column, SecretHash, Value};
