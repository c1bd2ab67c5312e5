//! Wire types, identifiers and error codes of Greenroom. No I/O: this is what SDKs share.
#![deny(missing_docs)]

pub mod accounts;
pub mod admins;
pub mod auth;
pub mod backups;
pub mod browser;
pub mod builds;
pub mod error;
pub mod events;
pub mod hosting;
pub mod ids;
pub mod keys;
pub mod lobby;
pub mod manager;
pub mod overview;
pub mod players;
pub mod system;
pub mod ticket;
pub mod time;

pub use error::{ErrorCode, Problem};
pub use ids::*;
pub use time::Timestamp;
