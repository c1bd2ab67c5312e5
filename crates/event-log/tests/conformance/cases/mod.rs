//! The cases, by theme.

pub(crate) mod appending;
pub(crate) mod consuming;
pub(crate) mod limits;
pub(crate) mod reading;
