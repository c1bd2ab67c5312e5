//! What tests share: engines as child processes, seeds, bounded waiting, planted faults.
#![deny(missing_docs)]

#[cfg(feature = "certificates")]
pub mod certificates;
mod clock_fault;
pub mod engines;
mod fsync_fault;
#[cfg(feature = "greenroom")]
pub mod greenroom;
#[cfg(feature = "registry")]
pub mod registry;
mod seed;
mod shim;
mod small_disk;
mod wait;

pub use clock_fault::ClockFault;
pub use fsync_fault::FsyncFault;
pub use seed::{TEST_SEED, seed};
pub use small_disk::SmallDisk;
pub use wait::wait_for;
