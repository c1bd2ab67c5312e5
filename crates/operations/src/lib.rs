//! One operation a file: read, apply the rule, commit, carry out effects. No HTTP.

pub mod admins;
pub mod backups;
pub mod browser;
pub mod builds;
pub mod clock;
pub mod context;
pub mod documents;
pub mod events;
pub mod failure;
pub mod lobbies;
pub mod mail;
pub mod matches;
pub mod node;
pub mod passwords;
pub mod players;
pub mod principal;
pub mod realtime;
pub mod secret;
pub mod servers;
pub mod studios;
pub mod system;
pub mod tokens;

pub use clock::SteadyClock;
pub use context::{AppendFailed, Clock, EventSink, Fact};
pub use failure::Failure;
pub use node::{AdminToken, Node, NodeDeps};
pub use principal::{AdminPrincipal, KeyPrincipal, PlayerPrincipal, Principal, ServerPrincipal};
