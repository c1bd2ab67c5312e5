//! Game servers as containers of a real Docker Engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../sdk/mod.rs"]
mod sdk;
mod sdk_endpoint;
mod support;

mod life;
mod loss;
mod ports;
mod readiness;
mod remote;
mod tls;
