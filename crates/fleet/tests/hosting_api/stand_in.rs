//! A host that answers as it is told, in order; `GET /healthz` it answers by itself.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

/// What becomes of a request.
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<String>,
        body: String,
    },
    /// The connection is closed without a word.
    Close,
    /// There is no answer, ever.
    Never,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.to_owned() }
    }

    pub(crate) fn with(mut self, header: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push(header.to_owned());
        }
        self
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

#[derive(Clone)]
struct Script {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    asked: watch::Sender<Vec<Asked>>,
}

/// Goes away when it is dropped, its connections with it.
pub(crate) struct StandIn {
    address: SocketAddr,
    script: Script,
    _serving: AbortOnDropHandle<()>,
}

impl StandIn {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), replies).await
    }

    #[expect(clippy::unused_async, reason = "it needs the runtime")]
    pub(crate) async fn start_at(address: SocketAddr, replies: impl IntoIterator<Item = Reply>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(16).unwrap();
        let address = listener.local_addr().unwrap();
        let script = Script {
            replies: Arc::new(Mutex::new(replies.into_iter().collect())),
            asked: watch::Sender::new(Vec::new()),
        };
        #[expect(clippy::disallowed_methods, reason = "the handle ends it when the test does")]
        let serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, script.clone())));
        Self { address, script, _serving: serving }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.asked.borrow().clone()
    }

    pub(crate) async fn until_asked(&self, times: usize) {
        self.script.asked.subscribe().wait_for(|asked| asked.len() >= times).await.unwrap();
    }
}

async fn serve(listener: TcpListener, script: Script) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let script = script.clone();
        connections.spawn(async move {
            // A caller that goes away is part of the game.
            let _broken_off = answer(stream, script).await;
        });
    }
}

async fn answer(mut stream: TcpStream, script: Script) -> std::io::Result<()> {
    let mut text = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut text).await? == 0 {
            return Ok(());
        }
        let so_far = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, _)) = so_far.split_once("\r\n\r\n") {
            let asked = Asked { head: head.to_owned(), body: String::new() };
            let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
            break (asked.head, length);
        }
    };
    while text.len() < head.len() + 4 + length {
        if stream.read_buf(&mut text).await? == 0 {
            return Ok(());
        }
    }
    if head.starts_with("GET /healthz ") {
        return write(&mut stream, 200, &[], "ok").await;
    }
    let body = String::from_utf8(text[head.len() + 4..].to_vec()).unwrap();
    let reply = script.replies.lock().pop_front();
    script.asked.send_modify(|asked| asked.push(Asked { head, body }));
    match reply {
        Some(Reply::Answer { status, headers, body }) => write(&mut stream, status, &headers, &body).await,
        Some(Reply::Close) => Ok(()),
        Some(Reply::Never) => std::future::pending().await,
        None => write(&mut stream, 404, &[], "").await,
    }
}

async fn write(stream: &mut TcpStream, status: u16, headers: &[String], body: &str) -> std::io::Result<()> {
    let headers: String = headers.iter().flat_map(|header| [header.as_ref(), "\r\n"]).collect();
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
