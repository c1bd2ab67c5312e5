//! The kernel's socket diagnostics (`sock_diag(7)`): open sockets asked for over netlink.
//!
//! The text tables below `/proc` list every connection of the machine behind the listening sockets, and
//! reading them takes milliseconds even where there are none; here the kernel is asked for open sockets
//! alone. Listening ones are few, and found in microseconds.

use std::{
    fs::{self, File},
    io::{self, Error, ErrorKind},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::OpenSocket;

/// The largest answer that the kernel gives at once.
const ANSWER_BYTES_MAX: usize = 32 * 1024;

/// `struct nlmsghdr`: length, type, flags, sequence and port.
const HEADER_BYTES: usize = 16;
/// `struct inet_diag_req_v2`.
const REQUEST_BYTES: usize = 56;
/// `struct inet_diag_msg`.
const SOCKET_BYTES: usize = 72;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// States, a bit each: a TCP socket that listens, a UDP socket without a peer.
const TCP_LISTEN: u32 = 1 << 10;
const TCP_CLOSE: u32 = 1 << 7;

/// Who is asked: a netlink socket belongs to the network that it was made in.
#[derive(Debug)]
pub(super) struct Diagnostics(OwnedFd);

impl Diagnostics {
    /// Asks in the network of `pid`; another one than ours takes the right to enter it.
    pub(super) fn of(pid: i32) -> io::Result<Self> {
        let theirs = File::open(format!("/proc/{pid}/ns/net"))?;
        let (ours, met) = (fs::metadata("/proc/thread-self/ns/net")?, theirs.metadata()?);
        if (ours.dev(), ours.ino()) == (met.dev(), met.ino()) {
            return ask_here().map(Self);
        }
        super::inside(theirs, ask_here).map(Self)
    }

    /// The open TCP or UDP sockets. An error means that the kernel cannot be asked for them.
    pub(super) fn open_sockets(&self, udp: bool) -> io::Result<Vec<OpenSocket>> {
        let mut found = Vec::new();
        for family in [AF_INET, AF_INET6] {
            match self.dump(family, udp, &mut found) {
                // A machine without this family.
                Err(error) if family == AF_INET6 && error.kind() == ErrorKind::NotFound => {}
                told => told?,
            }
        }
        Ok(found)
    }

    fn dump(&self, family: u8, udp: bool, found: &mut Vec<OpenSocket>) -> io::Result<()> {
        send(&self.0, &request(family, udp), SendFlags::empty())?;
        let mut buffer = vec![0; ANSWER_BYTES_MAX];
        loop {
            // The kernel has answered when it has taken the question: there is nothing to wait for.
            let (_, length) = recv(&self.0, buffer.as_mut_slice(), RecvFlags::DONTWAIT)?;
            if read_answer(&buffer[..length], found)? {
                return Ok(());
            }
        }
    }
}

fn ask_here() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?)
}

fn request(family: u8, udp: bool) -> [u8; HEADER_BYTES + REQUEST_BYTES] {
    let mut bytes = [0; HEADER_BYTES + REQUEST_BYTES];
    let length = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    let (protocol, states) = if udp { (IPPROTO_UDP, TCP_CLOSE) } else { (IPPROTO_TCP, TCP_LISTEN) };
    bytes[HEADER_BYTES] = family;
    bytes[HEADER_BYTES + 1] = protocol;
    bytes[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&states.to_ne_bytes());
    bytes
}

/// Takes what one answer tells of; whether it was the last.
fn read_answer(mut answer: &[u8], found: &mut Vec<OpenSocket>) -> io::Result<bool> {
    while !answer.is_empty() {
        let garbled = || Error::new(ErrorKind::InvalidData, "the kernel's answer cannot be read");
        let length = u32::from_ne_bytes(field(answer, 0).ok_or_else(garbled)?) as usize;
        let message = answer.get(HEADER_BYTES..length).ok_or_else(garbled)?;
        match u16::from_ne_bytes(field(answer, 4).ok_or_else(garbled)?) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = i32::from_ne_bytes(field(message, 0).ok_or_else(garbled)?);
                return Err(Error::from_raw_os_error(-code));
            }
            SOCK_DIAG_BY_FAMILY => found.push(socket(message).ok_or_else(garbled)?),
            _ => {}
        }
        // Each begins at a multiple of four.
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn socket(message: &[u8]) -> Option<OpenSocket> {
    let message: &[u8; SOCKET_BYTES] = message.first_chunk()?;
    Some(OpenSocket {
        port: u16::from_be_bytes(field(message, 4)?),
        uid: u32::from_ne_bytes(field(message, 64)?),
        inode: u64::from(u32::from_ne_bytes(field(message, 68)?)),
    })
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer_is_an_error_and_never_a_panic() {
        let mut found = Vec::new();
        assert!(read_answer(&[1, 2, 3], &mut found).is_err());
        let message = |length: u32, kind: u16, rest: &[u8]| {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(rest);
            bytes
        };
        for length in [0, 3, 15, 17, u32::MAX] {
            assert!(read_answer(&message(length, NLMSG_DONE, &[]), &mut found).is_err(), "{length}");
        }
        assert!(read_answer(&message(20, SOCK_DIAG_BY_FAMILY, &[0; 4]), &mut found).is_err());
        let refused = read_answer(&message(20, NLMSG_ERROR, &(-2_i32).to_ne_bytes()), &mut found);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(read_answer(&message(16, NLMSG_DONE, &[]), &mut found).unwrap());
        assert!(!read_answer(&message(16, 99, &[]), &mut found).unwrap(), "an unknown one is passed over");
        assert_eq!(found, []);
    }
}
