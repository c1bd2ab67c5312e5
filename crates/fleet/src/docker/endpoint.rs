//! Where a Docker engine listens, and how sure we are of it.

use std::{
    fmt,
    net::{IpAddr, UdpSocket},
    path::PathBuf,
};

use super::tls::EngineTls;

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A port that is reached over the network.
    Tcp {
        /// `host:port`.
        address: String,
        /// How it is known, and we to it; without, whoever reaches it rules its machine.
        tls: Option<EngineTls>,
    },
}

impl Endpoint {
    /// Reads `unix:///path` or `tcp://host:port`; the error says what is wrong and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected \"unix:///var/run/docker.sock\" or \"tcp://host:port\"";
        if let Some(path) = text.strip_prefix("unix://") {
            if path.starts_with('/') {
                return Ok(Self::Unix(path.into()));
            }
            return Err(format!("{text:?} has no absolute path; {expected}"));
        }
        let Some(address) = text.strip_prefix("tcp://") else {
            return Err(format!("{text:?} is no address of an engine; {expected}"));
        };
        let address = address.trim_end_matches('/');
        match address.rsplit_once(':') {
            Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                Ok(Self::Tcp { address: address.to_owned(), tls: None })
            }
            _ => Err(format!("{text:?} has no host and port; {expected}")),
        }
    }

    /// The same over TLS; the error says why there can be none.
    pub fn with_tls(self, tls: EngineTls) -> Result<Self, String> {
        match self {
            Self::Unix(_) => {
                Err("it is there, but the engine is a socket of this machine, which needs none; leave it \
                     out, or expected \"tcp://host:port\" as the engine"
                    .into())
            }
            Self::Tcp { address, .. } => Ok(Self::Tcp { address, tls: Some(tls) }),
        }
    }

    /// Whether the engine is on this machine, as far as its address tells: its containers have our
    /// kernel, our files and our ports.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { .. } => {
                self.host() == Some("localhost") || self.ip().is_some_and(|ip| ip.is_loopback())
            }
        }
    }

    /// Whether the engine is on another machine for certain: its address is one that this machine does
    /// not have. What a name means is seen only where it is asked.
    pub fn is_elsewhere(&self) -> bool {
        self.ip().is_some_and(is_another_machines)
    }

    /// Whether everybody who reaches it rules its machine: it listens beyond ours and asks nobody who
    /// they are.
    pub fn is_open_to_others(&self) -> bool {
        let asks = matches!(self, Self::Tcp { tls: Some(tls), .. } if tls.identity.is_some());
        !self.is_local() && !asks
    }

    /// The name or address of its machine, if it is one of the network.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp { address, .. } => {
                let (host, _port) = address.rsplit_once(':')?;
                Some(host.trim_start_matches('[').trim_end_matches(']'))
            }
        }
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host()?.parse().ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { address, .. } => write!(f, "tcp://{address}"),
        }
    }
}

/// Whether this machine does not have the address.
pub(super) fn is_another_machines(ip: IpAddr) -> bool {
    // It can be bound where it is, and nowhere else.
    !ip.is_loopback() && UdpSocket::bind((ip, 0)).is_err()
}

/// Whether `text` can be the host of a web address.
fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_socket_or_an_address() {
        let read = |text| Endpoint::parse(text).unwrap();
        assert_eq!(read("unix:///run/d.sock"), Endpoint::Unix("/run/d.sock".into()));
        assert_eq!(read("tcp://10.0.0.2:2375").to_string(), "tcp://10.0.0.2:2375");
        for local in ["unix:///run/d.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:2375", "tcp://localhost:1"] {
            assert!(read(local).is_local() && !read(local).is_elsewhere(), "{local}");
            assert!(!read(local).is_open_to_others(), "{local}");
        }
        // An address for documents, which no machine has; what a name means is not known.
        assert!(!read("tcp://192.0.2.7:2375").is_local() && read("tcp://192.0.2.7:2375").is_elsewhere());
        assert!(!read("tcp://proxy:2375").is_local() && !read("tcp://proxy:2375").is_elsewhere());
        assert_eq!(read("tcp://[2001:db8::1]:2376/").host(), Some("2001:db8::1"));
        for wrong in [
            "",
            "d.sock",
            "unix://d.sock",
            "tcp://",
            "tcp://host",
            "tcp://:1",
            "tcp://host:0",
            "ssh://a",
            "tcp://a/b:1",
            "tcp://a b:1",
            "tcp://::1:1",
            "tcp://[x]:1",
            "tcp://u@h:1",
        ] {
            assert!(Endpoint::parse(wrong).unwrap_err().contains("expected"), "{wrong}");
        }
    }

    #[test]
    fn tls_is_for_what_is_reached_over_the_network() {
        let tls = EngineTls { ca: "ca.pem".into(), identity: None };
        let socket = Endpoint::parse("unix:///run/d.sock").unwrap();
        assert!(socket.with_tls(tls.clone()).unwrap_err().contains("leave it out"));
        let engine = Endpoint::parse("tcp://192.0.2.7:2376").unwrap();
        assert!(engine.is_open_to_others());
        // Without a certificate of ours it asks nobody who they are.
        assert!(engine.with_tls(tls).unwrap().is_open_to_others());
    }
}
