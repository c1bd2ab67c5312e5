//! The outside, driven by plain HTTP and WebSocket programs over a real node.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod accounts;
mod admins;
mod audit;
mod bans;
mod browser;
mod contract;
mod events;
mod gateway;
mod golden;
mod hosting;
mod keys;
mod limits;
mod list;
mod lobby;
mod manager;
mod overview;
mod players;
mod providers;
mod routes;
mod serving;
mod smtp;
mod sockets;
mod tls;
mod traefik;
