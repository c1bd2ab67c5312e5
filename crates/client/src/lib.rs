//! Rust SDK of Greenroom.
//!
//! [`player`] is what a game client needs: signing in, the lobby's socket, the ticket for a match.
//! [`server`] is what a game server that Greenroom started needs: who it is, the payload of its
//! allocation, the tickets of those who join, and reporting how the match ended. [`listing`] is what
//! any game server needs that players are to find in the server browser.
#![deny(missing_docs)]

pub mod error;
mod http;
pub mod listing;
pub mod player;
pub mod server;
pub mod ticket;

pub use error::ClientError;
pub use greenroom_protocol as protocol;
