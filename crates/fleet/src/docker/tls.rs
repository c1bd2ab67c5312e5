//! TLS to an engine: whose certificate it must have, and which one we show it. The files are read
//! again for each connection, so that renewed ones are taken up without a restart.

use std::{error::Error, fmt, io, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage};

use super::endpoint::Endpoint;
use crate::{
    causes::{any_io, find},
    pem,
};

/// How an engine is known, and we to it. All files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineTls {
    /// The certificates of those who may have signed the engine's.
    pub ca: PathBuf,
    /// What we show it; without, it takes everybody.
    pub identity: Option<Identity>,
}

/// Who we are to an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Our certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl EngineTls {
    /// What is wrong with the files as they are now: the setting's name, and a sentence.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        self.read().and_then(|files| self.parse(&files)).err().map(|problem| (problem.setting, problem.why))
    }

    fn read(&self) -> Result<Files, Problem> {
        let read = |setting, path| pem::read(path).map_err(|why| Problem { setting, why });
        let identity = match &self.identity {
            Some(identity) => {
                Some((read("certificate", &identity.certificate)?, read("key", &identity.key)?))
            }
            None => None,
        };
        Ok(Files { ca: read("ca", &self.ca)?, identity })
    }

    fn parse(&self, files: &Files) -> Result<ClientConfig, Problem> {
        let problem = |setting| move |why| Problem { setting, why };
        let roots = pem::authorities(&self.ca, &files.ca).map_err(problem("ca"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.map_err(|error| Problem { setting: "ca", why: error.to_string() })?;
        let builder = builder.with_root_certificates(roots);
        let (Some(identity), Some((certificate, key))) = (&self.identity, &files.identity) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = pem::certificates(&identity.certificate, certificate).map_err(problem("certificate"))?;
        let key = pem::key(&identity.key, key).map_err(problem("key"))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| Problem {
            setting: "key",
            why: format!(
                "{} and {} cannot be used together ({error}); expected a certificate and its own key",
                identity.certificate.display(),
                identity.key.display()
            ),
        })
    }
}

/// What is wrong, and with which setting.
struct Problem {
    setting: &'static str,
    why: String,
}

/// What the files held.
#[derive(PartialEq, Eq)]
struct Files {
    ca: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// TLS to one engine. Cheap to clone.
#[derive(Clone)]
pub(super) struct TlsClient(Arc<Shared>);

struct Shared {
    tls: EngineTls,
    /// Of which engine, for people.
    endpoint: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The files as they were last read, good or not; none if they could not be.
    read: Option<Files>,
    /// What the last good ones amount to.
    good: Option<Arc<ClientConfig>>,
}

impl TlsClient {
    pub(super) fn new(tls: EngineTls, endpoint: String) -> Self {
        Self(Arc::new(Shared { tls, endpoint, state: Mutex::default() }))
    }

    /// For the next connection: what the files hold, or held when they were last good.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        let client = self.clone();
        // A file may be on a disk that is slow.
        let looked = tokio::task::spawn_blocking(move || client.look()).await;
        looked.unwrap_or_else(|panic| Err(TlsFault(panic.to_string())))
    }

    fn look(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        let Shared { tls, endpoint, state } = &*self.0;
        let found = tls.read();
        let mut state = state.lock();
        let (read, parsed) = match found {
            Ok(files) => {
                if let (Some(good), true) = (&state.good, state.read.as_ref() == Some(&files)) {
                    return Ok(Arc::clone(good));
                }
                let parsed = tls.parse(&files);
                (Some(files), parsed)
            }
            Err(problem) => (None, Err(problem)),
        };
        let is_news = state.read != read;
        state.read = read;
        match (parsed, &state.good) {
            (Ok(config), before) => {
                if before.is_some() {
                    tracing::info!(%endpoint, "new TLS files are used for the Docker engine");
                }
                let config = Arc::new(config);
                state.good = Some(Arc::clone(&config));
                Ok(config)
            }
            (Err(problem), Some(good)) => {
                if is_news {
                    tracing::warn!(%endpoint, setting = problem.setting, why = problem.why, "the TLS files of the Docker engine have changed and cannot be used; the old ones are");
                }
                Ok(Arc::clone(good))
            }
            (Err(problem), None) => Err(TlsFault(problem.why)),
        }
    }
}

/// There can be no TLS, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct TlsFault(String);

/// Our words for what went wrong between TLS and `endpoint`, if it was that.
pub(super) fn explain(endpoint: &Endpoint, error: &(dyn Error + 'static)) -> Option<String> {
    let Endpoint::Tcp { tls, .. } = endpoint else { return None };
    if let Some(fault) = find::<TlsFault>(error) {
        return Some(fault.to_string());
    }
    let tls = tls.as_ref()?;
    let Some(fault) = find::<rustls::Error>(error) else {
        // What tells that a certificate is refused may be lost with the connection.
        let is_cut = any_io(error, is_cut)
            || find::<hyper::Error>(error).is_some_and(hyper::Error::is_incomplete_message);
        return (is_cut && tls.identity.is_some()).then(|| {
            "it closed the connection as soon as it was made, as an engine does that does not accept our \
             certificate"
                .to_owned()
        });
    };
    Some(match fault {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS; leave `tls` out, or start it with --tlsverify".into()
        }
        rustls::Error::InvalidCertificate(why) => server_certificate(endpoint, tls, why),
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => match &tls.identity {
            None => "it wants to know who we are; set `certificate` and `key` of `tls` to a client \
                         certificate that its CA has signed"
                .into(),
            Some(identity) => format!(
                "it does not accept the certificate in {} ({alert:?}); expected one for clients, signed \
                     by the CA that the engine was given by --tlscacert",
                identity.certificate.display()
            ),
        },
        other => format!("TLS cannot be agreed on: {other}"),
    })
}

fn server_certificate(endpoint: &Endpoint, tls: &EngineTls, why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "its certificate is signed by none of those in {}; expected the CA that signed it",
            tls.ca.display()
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "its certificate is not for {host}; make one with {host} among its subjectAltName, or reach it \
             by a name that its certificate has",
            host = endpoint.host().unwrap_or_default()
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("its certificate has run out; renew it ({why})")
        }
        other => format!("its certificate cannot be accepted: {other}"),
    }
}

const fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::NoCertificate
    )
}

const fn is_cut(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof
    )
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsClient").field(&self.0.tls).finish()
    }
}
