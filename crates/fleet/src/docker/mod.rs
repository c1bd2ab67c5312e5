//! Docker engines.

mod connection;

pub use connection::{Connection, Endpoint, EngineError};
