//! Where a server finds its endpoint, and the sockets there.

use std::{
    collections::HashSet,
    fmt,
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    ops::RangeInclusive,
    os::unix::fs::MetadataExt as _,
};

use greenroom_domain::settings::{PortProtocol, PortSettings};
use greenroom_protocol::ServerId;
use serde::{Deserialize, Serialize};

use super::Endpoints;
use crate::{
    error::StartError,
    model::BoundPort,
    network,
    ports::{PortLedger, Reserved},
    procfs::Identity,
};

/// How many pairs of ports are tried that somebody else takes before we do.
const TRIES_MAX: u32 = 20;

/// The ports of one server's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SdkPorts {
    pub(crate) http: u16,
    pub(crate) grpc: u16,
}

impl SdkPorts {
    /// Where SDKs look unless they are told otherwise.
    pub(crate) const DEFAULT: Self = Self { http: 9358, grpc: 9357 };

    /// As the ledger of ports has them.
    pub(crate) fn bound(self) -> [BoundPort; 2] {
        let bound = |(name, port): (&str, u16)| BoundPort {
            name: name.into(),
            protocol: PortProtocol::Tcp,
            port,
            count: 1,
            inner: None,
        };
        [("sdk-http", self.http), ("sdk-grpc", self.grpc)].map(bound)
    }

    /// The variables that tell a server of them.
    pub(crate) fn environment(self) -> [(String, String); 2] {
        [
            (super::HTTP_PORT_VARIABLE.into(), self.http.to_string()),
            (super::GRPC_PORT_VARIABLE.into(), self.grpc.to_string()),
        ]
    }
}

/// Ports of this machine that one server's endpoint listens on; given back and closed unless they are
/// kept.
pub(crate) struct Taken {
    endpoints: Endpoints,
    id: ServerId,
    reserved: Reserved,
    pub(crate) ports: SdkPorts,
}

impl Taken {
    /// Takes two ports of `range` and answers there.
    pub(crate) fn open(
        endpoints: &Endpoints,
        id: &ServerId,
        ledger: &PortLedger,
        range: &RangeInclusive<u16>,
    ) -> Result<Self, StartError> {
        let wanted = SdkPorts { http: 0, grpc: 0 }.bound().map(|bound| PortSettings {
            name: bound.name,
            protocol: bound.protocol,
            count: 1,
            fixed: None,
            inner: None,
        });
        // Held until others are found.
        let mut refused = Vec::new();
        loop {
            let reserved = ledger.reserve(&wanted, range, &HashSet::new())?;
            let [http, grpc] = [0, 1].map(|n: usize| reserved.ports[n].port);
            let ports = SdkPorts { http, grpc };
            match Place::Here(ports).listen() {
                Ok(listeners) => {
                    endpoints.open(id, listeners);
                    return Ok(Self { endpoints: endpoints.clone(), id: id.clone(), reserved, ports });
                }
                Err(error) if refused.len() as u32 >= TRIES_MAX => {
                    return Err(StartError::Unavailable(format!(
                        "its SDK's endpoint could not listen on ports {http} and {grpc}: {error}"
                    )));
                }
                Err(_) => refused.push(reserved),
            }
        }
    }

    /// They are the server's now, to be given back when it has ended.
    pub(crate) fn keep(mut self) -> SdkPorts {
        self.reserved.keep();
        self.ports
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.reserved.ports.is_empty() {
            self.endpoints.close(&self.id);
        }
    }
}

/// Which loopback a server sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// This machine's own.
    Here(SdkPorts),
    /// That of the network that the process is in, which is none of ours.
    Inside(Identity),
}

/// Sockets that listen for one server.
pub(crate) struct Listeners {
    pub(super) http: Vec<TcpListener>,
    pub(super) grpc: Vec<TcpListener>,
}

impl Place {
    /// Listens on both loopback addresses, so that nobody else can answer at one of them. A network
    /// without IPv6 has one. May block for a moment.
    pub(crate) fn listen(self) -> io::Result<Listeners> {
        match self {
            Self::Here(ports) => listen(ports),
            Self::Inside(process) => {
                let path = format!("/proc/{}/ns/net", process.pid);
                let theirs = File::open(path)?;
                // Opened before it is known that the number is still the same process's.
                if !process.is_there() {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "the container's process has gone"));
                }
                let (ours, met) = (fs::metadata("/proc/self/ns/net")?, theirs.metadata()?);
                if (ours.dev(), ours.ino()) == (met.dev(), met.ino()) {
                    return Err(io::Error::other("the container has no network of its own"));
                }
                network::inside(theirs, || listen(SdkPorts::DEFAULT))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(ports) => write!(f, "ports {} and {}", ports.http, ports.grpc),
            Self::Inside(process) => write!(f, "inside the network of process {}", process.pid),
        }
    }
}

fn listen(ports: SdkPorts) -> io::Result<Listeners> {
    let both = |port: u16| -> io::Result<Vec<TcpListener>> {
        let mut listeners = vec![bind(Ipv4Addr::LOCALHOST.into(), port)?];
        match bind(Ipv6Addr::LOCALHOST.into(), port) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_without_ipv6(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(listeners)
    };
    Ok(Listeners { http: both(ports.http)?, grpc: both(ports.grpc)? })
}

/// The system's own call sets SO_REUSEADDR: connections that linger are not in the way.
fn bind(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((address, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let without = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| without.contains(&code))
}
