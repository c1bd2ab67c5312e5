use std::net::{TcpListener, UdpSocket};

use super::*;

fn pool(dir: &tempfile::TempDir) -> PortPool {
    PortPool::open(&dir.path().join("ports"), Machine::This).unwrap()
}

fn settings(protocol: PortProtocol, count: u16) -> PortSettings {
    PortSettings { name: "p".into(), protocol, count, fixed: None, inner: None }
}

/// Six ports in a row that nobody holds now.
fn range() -> RangeInclusive<u16> {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let base = 10_000 + u16::try_from(std::process::id() % 50).unwrap() * 32;
    let first = base + NEXT.fetch_add(6, std::sync::atomic::Ordering::Relaxed);
    first..=first + 5
}

fn reserve(pool: &mut PortPool, count: u16, range: &RangeInclusive<u16>) -> Result<u16, StartError> {
    pool.reserve(&[settings(PortProtocol::Tcp, count)], range, &HashSet::new()).map(|bound| bound[0].port)
}

#[test]
fn ports_come_least_recently_used_first_across_restarts() {
    let (dir, range) = (tempfile::tempdir().unwrap(), range());
    let mut ports = pool(&dir);
    let first: Vec<_> = (0..4)
        .map(|_| ports.reserve(&[settings(PortProtocol::Tcp, 1)], &range, &HashSet::new()).unwrap())
        .collect();
    ports.release(&first[2]);
    ports.release(&first[0]);
    drop(ports);
    let mut ports = pool(&dir);
    ports.adopt(&first[1]);
    ports.adopt(&first[3]);
    let next: Vec<u16> = (0..4).map(|_| reserve(&mut ports, 1, &range).unwrap()).collect();
    let s = *range.start();
    assert_eq!(next, [s + 4, s + 5, s, s + 2]);
    assert!(matches!(reserve(&mut ports, 1, &range), Err(StartError::NoPort { .. })));
}

#[test]
fn runs_of_ports_are_whole_and_a_failed_reservation_gives_all_back() {
    let (dir, range) = (tempfile::tempdir().unwrap(), range());
    let mut ports = pool(&dir);
    let two = [settings(PortProtocol::Tcp, 4), settings(PortProtocol::Udp, 3)];
    assert!(ports.reserve(&two, &range, &HashSet::new()).is_err());
    assert_eq!(reserve(&mut ports, 6, &range), Ok(*range.start()));
    assert!(reserve(&mut ports, 1, &range).is_err());
}

#[test]
fn a_port_that_any_process_holds_is_passed_over() {
    let (dir, range) = (tempfile::tempdir().unwrap(), range());
    let mut ports = pool(&dir);
    let s = *range.start();
    let _local = TcpListener::bind(("127.0.0.1", s)).unwrap();
    let _udp = UdpSocket::bind(("0.0.0.0", s + 1)).unwrap();
    assert_eq!(
        ports.reserve(&[settings(PortProtocol::TcpUdp, 1)], &range, &HashSet::new()).unwrap()[0].port,
        s + 2
    );
    assert_eq!(reserve(&mut ports, 1, &range), Ok(s + 1), "TCP is free where UDP is not");
    let fixed = PortSettings { fixed: Some(s), ..settings(PortProtocol::Tcp, 1) };
    assert_eq!(ports.reserve(&[fixed], &range, &HashSet::new()), Err(StartError::PortInUse(s)));
}

#[test]
fn a_record_cut_in_the_middle_of_a_number_is_read_to_there() {
    let (dir, range) = (tempfile::tempdir().unwrap(), range());
    let path = dir.path().join("ports");
    let mut bytes = range.start().to_le_bytes().to_vec();
    bytes.push(7);
    fs::write(&path, bytes).unwrap();
    let mut ports = pool(&dir);
    assert_eq!(reserve(&mut ports, 1, &range), Ok(range.start() + 1));
    assert_eq!(fs::metadata(&path).unwrap().len(), 4);
}
