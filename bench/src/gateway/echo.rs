//! The game server behind the proxies: it gives every message back.

use std::net::Ipv4Addr;

use anyhow::ensure;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: x\r\n\r\n";

/// The length of a small frame's head as a client sends it: two bytes and the mask.
const HEAD_BYTES: usize = 6;

/// Serves until it is ended.
pub(crate) fn run(port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let mut sockets = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            sockets.spawn(echo(stream));
            while sockets.try_join_next().is_some() {}
        }
    })
}

async fn echo(mut stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4096);
    let head = loop {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "it went before it asked");
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    bytes.drain(..head);
    stream.write_all(ANSWER).await?;
    let mut answer = Vec::new();
    loop {
        // Small text frames whose mask is zero, as the load generator sends them.
        while bytes.len() >= HEAD_BYTES {
            let length = usize::from(bytes[1] & 0x7f);
            let Some(content) = bytes.get(HEAD_BYTES..HEAD_BYTES + length) else { break };
            answer.extend([bytes[0], length as u8]);
            answer.extend(content);
            bytes.drain(..HEAD_BYTES + length);
        }
        if !answer.is_empty() {
            stream.write_all(&answer).await?;
            answer.clear();
        }
        ensure!(stream.read_buf(&mut bytes).await? > 0, "it is over");
    }
}
