//! Port for the state of now: live documents that change and vanish.
//!
//! [`Directory`] is the handle; what it promises stands at [`engine`]'s trait and, for callers,
//! at its methods.
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
