//! The engine under jumping clocks and failing commits.
