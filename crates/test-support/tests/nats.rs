//! The nats-server fixture itself.
use std::{io::Read, net::TcpStream};

use greenroom_test_support::engines;

#[test]
fn a_server_listens_until_it_is_dropped() {
    let Some(server) = engines::nats("a_server_listens_until_it_is_dropped") else {
        return;
    };
    let address = server.url().trim_start_matches("nats://").to_owned();
    let mut greeting = [0; 5];
    TcpStream::connect(&address).unwrap().read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"INFO ");
    drop(server);
    assert!(TcpStream::connect(&address).is_err());
}
