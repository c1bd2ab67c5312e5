//! Wire types, identifiers and error codes of Greenroom. No I/O: this is what SDKs share.
#![deny(missing_docs)]

pub mod error;
pub mod ids;
pub mod time;

pub use error::{ErrorCode, Problem};
pub use ids::*;
pub use time::Timestamp;
