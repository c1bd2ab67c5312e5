//! Mails to players wait in the records, whatever becomes of the node.

use std::time::Duration;

use greenroom_operations::{
    mail::{MailPace, MailServer, MailSettings, MailTls},
    players::{AuthSettings, EmailSettings, SignInSettings},
};
use greenroom_protocol::accounts::EmailSignUp;
use greenroom_storage::JobState;
use tokio::{net::TcpListener, time::timeout};

use crate::support::{PATIENCE, TestNode, game};

fn auth(server: Option<MailServer>) -> AuthSettings {
    let email = EmailSettings::default();
    let sign_in = SignInSettings { email: Some(email), ..SignInSettings::default() };
    let pace = MailPace { first: Duration::from_millis(500), ..MailPace::default() };
    AuthSettings {
        games: [(game(), sign_in)].into(),
        mail: MailSettings { server, pace, ..MailSettings::default() },
        ..AuthSettings::default()
    }
}

#[tokio::test]
async fn a_mail_that_was_asked_for_is_sent_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    // A mail server that hangs up on everybody.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = MailServer { host: "127.0.0.1".into(), port, tls: MailTls::None, credentials: None };
    let node = TestNode::start_with(folder.path(), auth(Some(server))).await;
    let request = EmailSignUp {
        email: "ada@example.test".into(),
        password: "correct horse".into(),
        username: "Ada".into(),
    };
    node.node.players.sign_up_email(&node.game, request).await.unwrap();
    for _ in 0..2 {
        drop(timeout(PATIENCE, listener.accept()).await.expect("it is tried, and tried again").unwrap());
    }
    // A node that goes in the middle of an attempt is waited for as long as its lease lasts: not here.
    let given_back = async {
        let jobs = node.storage.jobs();
        while jobs.list(JobState::Open, None, 1).await.unwrap().items[0].lease_holder.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, given_back).await.expect("the attempt ends");
    assert_eq!(node.node.players.letters_waiting().await.unwrap(), 1);
    node.stop().await;

    let node = TestNode::start_with(folder.path(), auth(None)).await;
    let sent = async {
        while node.node.players.post().shown().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(2 * PATIENCE, sent).await.expect("the mail is sent");
    let mails = node.node.players.post().shown();
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "ada@example.test"));
    node.stop().await;
}
