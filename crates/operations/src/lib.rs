//! One operation a file: read, apply the rule, commit, carry out effects. No HTTP.

pub mod clock;
pub mod context;
pub mod realtime;
pub mod servers;
pub mod tokens;

pub use clock::SteadyClock;
pub use context::{AppendFailed, Clock, EventSink, Fact};
