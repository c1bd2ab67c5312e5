//! The rules of Greenroom: plain data and functions that are given `now` and randomness and return
//! the new state and its effects. No async, no clock, no I/O.

pub mod browser;
pub mod fleet;
pub mod ids;
pub mod lobby;
pub mod matches;
pub mod placement;
pub mod sdk;
pub mod server;
pub mod settings;
pub mod template;
pub mod text;
pub mod traefik;
pub mod versions;
