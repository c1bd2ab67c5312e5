//! Port for the state of now: live documents that change and vanish.
#![deny(missing_docs)]

mod error;
mod model;

pub use error::DirectoryError;
pub use model::*;
