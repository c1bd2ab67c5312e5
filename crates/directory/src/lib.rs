//! Port for the state of now: live documents that change and vanish.
//!
//! [`Directory`] is the handle; its methods say what callers can rely on. The contract that every
//! engine keeps stands in `engine.rs`, the cases that hold it in `conformance/`.
#![deny(missing_docs)]

#[cfg(test)]
mod conformance;
mod embedded;
mod engine;
mod error;
#[cfg(any(test, feature = "faulty"))]
mod faulty;
mod handle;
mod lease;
mod limits;
mod model;
mod subscription;
mod watch;

pub use error::{DirectoryError, OpenError};
#[cfg(any(test, feature = "faulty"))]
pub use faulty::FaultPlan;
pub use handle::{Directory, DirectoryConfig};
pub use limits::{HOLDER_BYTES_MAX, MESSAGE_BYTES_MAX, SUBJECT_BYTES_MAX};
pub use model::*;
pub use subscription::{Message, SUBSCRIPTION_BYTES_MAX, SUBSCRIPTION_MESSAGES_MAX, Subscription};
pub use watch::Watch;
