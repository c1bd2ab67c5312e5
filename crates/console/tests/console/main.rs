//! The console as a browser sees it, on a node with real engines.
#![expect(clippy::unwrap_used, reason = "a test that fails may panic anywhere")]

mod access;
mod admins;
mod browser;
mod live;
mod pages;
mod servers;
mod support;
