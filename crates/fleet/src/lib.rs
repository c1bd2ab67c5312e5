//! Game servers: started, watched, logged and stopped.
//!
//! [`Provider`] is the port. Its engine `process` runs each server as a local process under a
//! supervisor of its own ([`supervise`]), which outlives us. The server runs in `work` below its
//! folder unless told otherwise. Its environment is `PATH`, `HOME` and `LANG` of ours, what the
//! [`Launch`] says, and `GREENROOM_SERVER_DIR` (its folder), `GREENROOM_PAYLOAD_FILE`,
//! `GREENROOM_PAYLOAD` if it is started with one, and `GREENROOM_SERVER_ID` unless the launch has it.
#![deny(missing_docs)]

mod causes;
pub mod docker;
pub mod error;
pub mod examine;
mod folder;
mod hosting_api;
pub mod images;
mod log_file;
pub mod model;
mod network;
mod pem;
mod ports;
mod process;
mod procfs;
mod provider;
pub mod sdk;
mod sockets;
pub mod supervise;
mod table;

pub use docker::DockerConfig;
pub use error::{OpenError, ProviderError, StartError};
pub use hosting_api::HostingApiConfig;
pub use model::{
    BoundPort, Exit, ExitCause, HostState, HostStatus, Launch, LogLine, LogQuery, LogStream, Observed, Phase,
    Program, Render, StartSpec, Started, Usage,
};
pub use process::ProcessConfig;
pub use provider::{LogLines, Observations, Provider, ProviderConfig};

/// A payload up to this size is also in the environment of a server that is started for it.
pub const PAYLOAD_ENVIRONMENT_BYTES_MAX: usize = 32 * 1024;

/// Most lines of a log that are read back at once; a larger [`LogQuery::tail_lines`] means this.
pub const LOG_TAIL_LINES_MAX: usize = 10_000;

/// Most game servers that one provider holds, ended ones included; then it starts no more.
pub const SERVERS_MAX: usize = 10_000;

/// Where Greenroom itself reaches what runs on this machine's own network.
const fn local_address() -> std::net::IpAddr {
    std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
}

/// The host of processes on this machine.
pub fn local_host() -> greenroom_protocol::HostId {
    greenroom_protocol::HostId::new("local").expect("it has the form of an id")
}
