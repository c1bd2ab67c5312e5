//! What players are told as it happens: sockets, and the hub that feeds them.

mod connection;
mod fan_out;
mod frames;
mod hub;
pub mod outbox;
mod sweep;
mod table;

pub(crate) use frames::encode;

pub use connection::Connection;
pub use hub::{Hub, HubCounts, HubDeps};
