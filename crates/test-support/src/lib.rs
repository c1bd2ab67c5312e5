//! What tests share: engines as child processes, seeds, bounded waiting, planted faults.
#![deny(missing_docs)]

pub mod engines;
mod fsync_fault;
mod seed;
mod wait;

pub use fsync_fault::FsyncFault;
pub use seed::{TEST_SEED, seed};
pub use wait::wait_for;
