//! A mail server as far as mails are given to it (RFC 5321), that does what a test tells it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use greenroom_operations::mail::{MailServer, MailTls};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

use crate::support::PATIENCE;

/// What it does with the next mail; with those after the last as [`Reply::Take`].
#[derive(Clone, Copy)]
pub(crate) enum Reply {
    Take,
    /// Answers the recipient with this.
    Refuse(&'static str),
    /// Closes the connection before a word.
    Hang,
}

#[derive(Clone)]
pub(crate) struct SmtpStandIn {
    port: u16,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    taken: watch::Sender<Vec<String>>,
}

impl SmtpStandIn {
    pub(crate) async fn start(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let replies = Arc::new(Mutex::new(replies.iter().copied().collect()));
        let stand_in = Self { port, replies, taken: watch::Sender::new(Vec::new()) };
        let serving = stand_in.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { drop(serving.serve(stream).await) });
            }
        });
        stand_in
    }

    pub(crate) fn server(&self) -> MailServer {
        MailServer { host: "127.0.0.1".into(), port: self.port, tls: MailTls::None, credentials: None }
    }

    /// The first mails, once there are so many.
    pub(crate) async fn mails(&self, count: usize) -> Vec<String> {
        let mut taken = self.taken.subscribe();
        let mails = timeout(PATIENCE, taken.wait_for(|mails| mails.len() >= count)).await;
        mails.expect("the mails come").unwrap().clone()
    }

    /// How many of the replies were not given yet.
    pub(crate) fn replies_left(&self) -> usize {
        self.replies.lock().unwrap().len()
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let reply = self.replies.lock().unwrap().pop_front().unwrap_or(Reply::Take);
        if matches!(reply, Reply::Hang) {
            return Ok(());
        }
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 stand-in.test\r\n").await?;
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let verb = line.split([' ', '\r']).next().unwrap().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "EHLO" => "250-stand-in.test\r\n250 8BITMIME",
                "RCPT" => match reply {
                    Reply::Refuse(answer) => answer,
                    _ => "250 OK",
                },
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await?;
                    let mut mail = String::new();
                    while !mail.ends_with("\r\n.\r\n") {
                        if stream.read_line(&mut mail).await? == 0 {
                            return Ok(());
                        }
                    }
                    self.taken.send_modify(|mails| mails.push(decoded(&mail)));
                    "250 OK"
                }
                "QUIT" => "221 bye",
                _ => "250 OK",
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
    }
}

/// A mail without the breaks and escapes of its transport (RFC 2045, 6.7).
fn decoded(mail: &str) -> String {
    if !mail.contains("quoted-printable") {
        return mail.to_owned();
    }
    let mail = mail.replace("=\r\n", "");
    let mut parts = mail.split('=');
    let mut decoded = parts.next().unwrap().to_owned();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => decoded.extend([char::from(byte).to_string().as_str(), &part[2..]]),
            None => decoded.extend(["=", part]),
        }
    }
    decoded
}
