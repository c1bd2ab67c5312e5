//! The network that a game server is in, and the sockets that are open there.

mod diagnostics;

use std::{fs::File, io, ops::ControlFlow, os::fd::AsFd as _, thread};

use diagnostics::Diagnostics;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::procfs;

/// Does something in another network, that of the opened `/proc/<pid>/ns/net`; a socket belongs to the
/// one that it was made in. It takes the right to enter.
pub(crate) fn inside<T: Send>(network: File, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    // On a thread of its own, which ends: nothing else of ours is ever in that network.
    let enter = move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        act()
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("enter-network".into()).spawn_scoped(scope, enter)?;
        thread.join().map_err(|_panic| io::Error::other("the thread has panicked"))?
    })
}

/// A socket on which players could arrive: a listening TCP one, or a bound UDP one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenSocket {
    pub(crate) port: u16,
    pub(crate) uid: u32,
    pub(crate) inode: u64,
}

/// The network that a process is in.
#[derive(Debug)]
pub(crate) struct Network {
    pid: i32,
    /// None where the kernel does not tell, or not us: then its text tables are read.
    diagnostics: Option<Diagnostics>,
}

/// Whether the kernel's socket diagnostics can be asked for what is open in our own network.
pub(crate) fn try_diagnostics() -> io::Result<()> {
    let ours = i32::try_from(std::process::id()).unwrap_or(1);
    Diagnostics::of(ours)?.open_sockets(false).map(drop)
}

impl Network {
    /// That of `pid`. It is kept, so that asking again costs little; a process that is gone has none with
    /// sockets in it.
    pub(crate) fn of(pid: i32) -> Self {
        let diagnostics = Diagnostics::of(pid).inspect_err(|error| {
            tracing::debug!(pid, %error, "the kernel's socket diagnostics cannot be asked; its tables are read");
        });
        Self { pid, diagnostics: diagnostics.ok() }
    }

    /// Shows its open TCP or UDP sockets, until told to stop.
    pub(crate) fn visit(&self, udp: bool, mut visit: impl FnMut(OpenSocket) -> ControlFlow<()>) {
        let told = self.diagnostics.as_ref().map(|diagnostics| diagnostics.open_sockets(udp));
        match told {
            Some(Ok(sockets)) => {
                let _stopped = sockets.into_iter().try_for_each(visit);
            }
            Some(Err(_)) | None => procfs::visit_open_sockets(self.pid, udp, &mut visit),
        }
    }

    /// Its open TCP or UDP sockets.
    pub(crate) fn open_sockets(&self, udp: bool) -> Vec<OpenSocket> {
        let mut found = Vec::new();
        self.visit(udp, |socket| {
            found.push(socket);
            ControlFlow::Continue(())
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        net::{TcpListener, TcpStream, UdpSocket},
    };

    use super::*;

    /// What the kernel tells, and what its tables say.
    fn both(pid: i32) -> [Network; 2] {
        let network = Network::of(pid);
        assert!(network.diagnostics.is_some(), "the kernel tells of its sockets");
        [network, Network { pid, diagnostics: None }]
    }

    fn me() -> i32 {
        std::process::id().cast_signed()
    }

    #[test]
    fn a_listening_socket_is_found_by_its_inode_and_a_connection_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (_accepted, from) = listener.accept().unwrap();
        let mut inodes = HashSet::new();
        procfs::socket_inodes(me(), &mut inodes).unwrap();
        for network in both(me()) {
            let open = network.open_sockets(false);
            let found: Vec<_> = open.iter().filter(|socket| socket.port == port).collect();
            assert_eq!(found.len(), 1, "{network:?}");
            assert!(inodes.contains(&found[0].inode), "{network:?}");
            assert!(!open.iter().any(|socket| socket.port == from.port()), "{network:?}");
            assert_eq!(Some(found[0].uid), procfs::uid_of(me()), "{network:?}");
        }
        assert!(procfs::holder_of(network_inode(port)).unwrap().starts_with("process "));
        drop(connection);
    }

    fn network_inode(port: u16) -> u64 {
        let open = Network::of(me()).open_sockets(false);
        open.iter().find(|socket| socket.port == port).unwrap().inode
    }

    #[test]
    fn bound_udp_sockets_are_found_of_both_families() {
        let old = UdpSocket::bind("127.0.0.1:0").unwrap();
        let new = UdpSocket::bind("[::1]:0");
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(old.local_addr().unwrap()).unwrap();
        let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        for network in both(me()) {
            let open: HashSet<u16> = network.open_sockets(true).iter().map(|socket| socket.port).collect();
            assert!(open.contains(&port(&old)), "{network:?}");
            // A machine without IPv6 has none of these.
            assert!(new.as_ref().is_ok_and(|new| open.contains(&port(new))) || new.is_err(), "{network:?}");
            assert!(!open.contains(&port(&connected)), "{network:?}");
            assert!(!network.open_sockets(false).iter().any(|socket| socket.port == port(&old)));
        }
    }

    #[test]
    fn many_sockets_come_in_several_answers() {
        let listeners: Vec<_> = (0..600).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port());
        let network = Network::of(me());
        for round in 0..3 {
            let open: HashSet<u16> = network.open_sockets(false).iter().map(|socket| socket.port).collect();
            let missing: Vec<u16> = ports.clone().filter(|port| !open.contains(port)).collect();
            assert!(missing.is_empty(), "round {round}: {missing:?}");
        }
        let mut seen = 0;
        network.visit(false, |_| {
            seen += 1;
            if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(seen, 2, "no more than was asked for");
    }

    #[test]
    fn a_process_that_is_gone_has_no_sockets() {
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        let pid = gone.id().cast_signed();
        gone.wait().unwrap();
        let network = Network::of(pid);
        assert!(network.diagnostics.is_none());
        assert_eq!(network.open_sockets(false), []);
    }

    #[test]
    fn a_network_of_its_own_is_asked_for_its_own_sockets() {
        let enter = "exec unshare --net -- sleep 1000";
        let mut sleeper = std::process::Command::new("sh").args(["-c", enter]).spawn().unwrap();
        let pid = sleeper.id().cast_signed();
        let network = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let ours = network("self");
        while network(&pid.to_string()) == ours {
            if sleeper.try_wait().unwrap().is_some() {
                eprintln!("not run, for want of the right to make a network: a_network_of_its_own");
                return;
            }
            std::thread::yield_now();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for network in both(pid) {
            assert_eq!(network.open_sockets(false), [], "{network:?}");
        }
        assert!(
            Network::of(me()).open_sockets(false).iter().any(|socket| socket.port == port),
            "we are where we were"
        );
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
