//! One operation a file: read, apply the rule, commit, carry out effects. No HTTP.

pub mod clock;
pub mod context;
pub mod events;
pub mod failure;
pub mod principal;
pub mod realtime;
pub mod servers;
pub mod tokens;

pub use clock::SteadyClock;
pub use context::{AppendFailed, Clock, EventSink, Fact};
pub use failure::Failure;
pub use principal::{KeyPrincipal, PlayerPrincipal, Principal, ServerPrincipal};
