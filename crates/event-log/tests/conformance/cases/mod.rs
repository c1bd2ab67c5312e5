//! The cases, by theme.

pub mod appending;
pub mod consuming;
pub mod limits;
pub mod reading;
