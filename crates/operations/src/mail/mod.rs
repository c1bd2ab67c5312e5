//! Mail to players: what it says, and how it leaves us: by a mail server, or, where there is none,
//! into the console, for whoever develops a game. What is to be sent waits in an outbox of the records:
//! see `players::letters`.

mod texts;

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use greenroom_protocol::Timestamp;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::OnceCell, time::timeout};

use crate::failure::Failure;

pub use texts::{Said, Text, TextError, Texts};

/// How long the mail server may take for one mail, connecting included.
pub(crate) const SEND_TIME_MAX: Duration = Duration::from_secs(45);

/// How long it may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Mails that the console shows; older ones are forgotten.
const SHOWN_MAX: usize = 100;

/// How mail is sent.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// What takes mails; without one they are shown in the console instead.
    pub server: Option<MailServer>,
    /// Whom mails are from, such as `Chess <chess@example.org>`.
    pub from: String,
    /// What they say.
    pub texts: Texts,
    /// When one that was not taken is tried again.
    pub pace: MailPace,
}

/// A mail server that takes mails from us.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// Who we are to it.
    pub credentials: Option<(String, SecretString)>,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte on.
    Implicit,
    /// By STARTTLS, without which nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

/// When a mail that was not taken is tried again: after `first`, then each time after twice as long, at
/// most `longest`; and not any more once it is older than `age_max`.
#[derive(Clone, Copy, Debug)]
pub struct MailPace {
    /// 10 s.
    pub first: Duration,
    /// An hour.
    pub longest: Duration,
    /// A day.
    pub age_max: Duration,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            server: None,
            from: "greenroom@localhost".into(),
            texts: Texts::default(),
            pace: MailPace::default(),
        }
    }
}

impl Default for MailPace {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            longest: Duration::from_hours(1),
            age_max: Duration::from_hours(24),
        }
    }
}

impl MailPace {
    /// How long to wait after `attempts`, the first being 1.
    pub(crate) fn wait(self, attempts: u32) -> Duration {
        self.first.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(self.longest)
    }
}

/// Whether `text` can be whom mails are from.
pub fn is_sender(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// A mail as it is shown in the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownMail {
    /// When it would have been sent.
    pub at: Timestamp,
    /// To whom.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// What it says.
    pub body: String,
}

/// Why a mail did not leave.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// It may leave later.
    Later(Failure),
    /// It never will.
    Never(Failure),
}

/// Where mails leave. Cheap to clone.
#[derive(Clone)]
pub struct Post(Arc<Inner>);

struct Inner {
    settings: MailSettings,
    /// Made when the first mail is sent: the certificates that this machine trusts take a megabyte.
    transport: OnceCell<AsyncSmtpTransport<Tokio1Executor>>,
    shown: Mutex<VecDeque<ShownMail>>,
}

impl Post {
    /// Mails leave as `settings` say.
    pub(crate) fn new(settings: MailSettings) -> Self {
        Self(Arc::new(Inner { settings, transport: OnceCell::new(), shown: Mutex::default() }))
    }

    /// The mail server that mails go to; none if they are shown here.
    pub fn server(&self) -> Option<&MailServer> {
        self.0.settings.server.as_ref()
    }

    /// The mails that were shown instead of sent, newest first. They are in memory alone: they have
    /// links in them that open accounts.
    pub fn shown(&self) -> Vec<ShownMail> {
        self.0.shown.lock().iter().rev().cloned().collect()
    }

    pub(crate) fn pace(&self) -> MailPace {
        self.0.settings.pace
    }

    /// Sends a mail, or shows it at `now`; returns when the mail server has taken it.
    pub(crate) async fn send(
        &self,
        to: &str,
        text: Text,
        said: &Said<'_>,
        now: Timestamp,
    ) -> Result<(), NotSent> {
        let never = |error: &dyn fmt::Display| NotSent::Never(failure(error.to_string()));
        let (subject, body) = self.0.settings.texts.render(text, said).map_err(|error| never(&error))?;
        if self.0.settings.server.is_none() {
            self.show(ShownMail { at: now, to: to.to_owned(), subject, body });
            return Ok(());
        }
        let to: Address = to.parse().map_err(|error: lettre::address::AddressError| never(&error))?;
        let from: Mailbox = self.0.settings.from.parse().map_err(|error| never(&error))?;
        let message = Message::builder()
            .from(from)
            .to(Mailbox::new(None, to))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(body)
            .map_err(|error| never(&error))?;
        let transport = self.0.transport.get_or_try_init(|| self.connect()).await.map_err(NotSent::Later)?;
        match timeout(SEND_TIME_MAX, transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if is_for_good(&error) => Err(NotSent::Never(failure(chain(&error)))),
            Ok(Err(error)) => Err(NotSent::Later(failure(chain(&error)))),
            Err(_) => Err(NotSent::Later(failure("the mail server took too long".into()))),
        }
    }

    fn show(&self, mail: ShownMail) {
        tracing::info!(subject = mail.subject, "there is no mail server; a mail is shown in the console");
        let mut shown = self.0.shown.lock();
        if shown.len() >= SHOWN_MAX {
            shown.pop_front();
        }
        shown.push_back(mail);
    }

    async fn connect(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
        let server =
            self.0.settings.server.clone().ok_or_else(|| failure("there is no mail server".into()))?;
        let make = move || {
            // Fails only if a provider is installed already, and then that one serves.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let tls = match server.tls {
                MailTls::None => Tls::None,
                MailTls::StartTls => Tls::Required(TlsParameters::new(server.host.clone())?),
                MailTls::Implicit => Tls::Wrapper(TlsParameters::new(server.host.clone())?),
            };
            let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host)
                .port(server.port)
                .tls(tls)
                .timeout(Some(SILENCE_MAX));
            if let Some((name, password)) = server.credentials {
                transport =
                    transport.credentials(Credentials::new(name, password.expose_secret().to_owned()));
            }
            Ok::<_, lettre::transport::smtp::Error>(transport.build())
        };
        let made = tokio::task::spawn_blocking(make).await.map_err(Failure::internal)?;
        made.map_err(|error| failure(chain(&error)))
    }
}

/// Whether the server refused this mail for good. A refusal of who we are, or of how we speak, is for a
/// person to mend, and the mail waits for that.
fn is_for_good(error: &lettre::transport::smtp::Error) -> bool {
    const OF_US: [u16; 8] = [500, 502, 503, 504, 530, 534, 535, 538];
    error.is_permanent() && error.status().is_none_or(|code| !OF_US.contains(&code.into()))
}

/// What went wrong, for the log alone: nobody waits for an answer any more.
fn failure(cause: String) -> Failure {
    Failure::new(greenroom_protocol::ErrorCode::Unavailable, cause)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = error.source();
    }
    text
}
