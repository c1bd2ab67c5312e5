//! What players are told as it happens: sockets, and the hub that feeds them.

pub mod outbox;
