//! Game servers in containers of a real Docker Engine, by the built program: what players, operators
//! and engines do to them. Every test has an engine of its own, and leaves nothing of it.
//!
//! Some do more when told to: `GREENROOM_DOCKER_CONNECTS` (how often a player connects),
//! `GREENROOM_DOCKER_KILL_ROUNDS`, `GREENROOM_DOCKER_SOAK` (servers), `GREENROOM_DOCKER_PAUSE_S` (how
//! long an engine does not answer).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod command_line;
mod connecting;
mod console;
mod containers;
mod disk;
mod engines;
mod kill;
mod logs;
mod soak;
mod tls;
mod traefik;
mod versions;
mod world;
