//! Filters against a naive model.
