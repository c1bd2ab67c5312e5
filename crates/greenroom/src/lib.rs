//! Greenroom, as one binary: commands, configuration, wiring, life cycle.

pub mod config;
