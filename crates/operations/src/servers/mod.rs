//! Dedicated servers: allocated, kept ready, watched, stopped.
