//! The load generator: one thread that waits by epoll for all its sockets, cheap enough that two
//! cores measure the server and not itself.

pub(crate) mod arrivals;
pub(crate) mod http;
pub(crate) mod latency;
pub(crate) mod poller;
pub(crate) mod requests;
pub(crate) mod sockets;
pub(crate) mod websocket;
