//! The proxy that the gateway is held against: bytes both ways, and nothing else.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Prints where it listens, and serves until it is ended.
pub(crate) fn run(target: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?);
        let mut pairs = JoinSet::new();
        loop {
            let (client, _) = listener.accept().await?;
            pairs.spawn(pass(client, target));
            while pairs.try_join_next().is_some() {}
        }
    })
}

async fn pass(mut client: TcpStream, target: SocketAddr) -> anyhow::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
