//! Port for history: facts, appended and never changed.
#![deny(missing_docs)]

mod embedded;
mod engine;
mod error;
#[cfg(feature = "faulty")]
mod faulty;
mod handle;
mod model;
mod subject;

pub use error::{EventLogError, InvalidName, OpenError};
#[cfg(feature = "faulty")]
pub use faulty::FaultPlan;
pub use handle::{EventLog, EventLogConfig};
pub use model::*;
pub use subject::{SUBJECT_BYTES_MAX, SUBJECT_TOKENS_MAX, Subject, SubjectFilter};
