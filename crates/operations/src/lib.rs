//! One operation a file: read, apply the rule, commit, carry out effects. No HTTP.

pub mod context;
pub mod servers;

pub use context::{AppendFailed, Clock, EventSink, Fact, SystemClock};
