//! Skirmish: a small team shooter seen from above, the demo game of Greenroom.
//!
//! Two teams of up to [`sim::TEAM_SIZE_MAX`] fight over a zone that wanders; a takedown is a
//! point and so is every few seconds of holding the zone. The crate is both halves of it:
//!
//! - [`sim`]: the rules, pure and deterministic;
//! - [`bot`]: who plays the empty seats, pure as well;
//! - [`protocol`]: what server and browser say to each other;
//! - [`server`]: the dedicated server, one process a match;
//! - [`client`]: the files of the browser client.

pub mod bot;
pub mod client;
pub mod protocol;
pub mod server;
pub mod sim;
