//! Game servers as local processes: real supervisors, real processes, real ports.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../sdk/mod.rs"]
mod sdk;
mod support;

mod full_disk;
mod life;
mod logs;
mod loss;
mod measure;
mod readiness;
mod real_sdks;
mod sdk_endpoint;
