//! TLS by certificate files, which are read again when they change.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Largest file of certificates or of a key, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What clients and we agree on beyond TLS (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// Where the certificate and its key are, both as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// TLS for connections that are accepted. Cheap to clone; all clones present the same certificate.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    current: Arc<Current>,
    /// The files as they were last read, whether they were good or not: told once.
    read: Mutex<Pair>,
    acceptor: TlsAcceptor,
}

/// What both files held.
#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why a certificate cannot be presented.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read; it must be a PEM file that this user may read")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has no certificate or no key in it.
    #[error("{path} has no {expected} in it; expected one as PEM, which begins with -----BEGIN")]
    Missing {
        /// Which.
        path: PathBuf,
        /// What it should have.
        expected: &'static str,
        /// What was found.
        source: pem::Error,
    },
    /// The certificate and the key are of no use, or do not belong together.
    #[error("the certificate and the key cannot be used together; both must be of the same pair")]
    Unusable(#[source] rustls::Error),
}

impl Tls {
    /// Reads the files.
    pub async fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pair = Pair::read(&files).await?;
        let current =
            Arc::new(Current { key: RwLock::new(Arc::new(pair.parse(&files, &provider)?)), provider });
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&current.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![ALPN.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self(Arc::new(Shared { files, current, read: Mutex::new(pair), acceptor })))
    }

    /// Presents what the files hold when they change, until `shutdown`: looks every few seconds, and
    /// at once when `look` is notified. A pair that is no good is logged, and the old one stays.
    pub async fn follow(&self, look: &Notify, shutdown: CancellationToken) {
        loop {
            // The shutdown first: there is nothing to finish.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = look.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match self.reload().await {
                Ok(false) => {}
                Ok(true) => {
                    metrics::counter!("greenroom_tls_reloads_total", "outcome" => "ok").increment(1);
                    tracing::info!(certificate = %self.0.files.certificate.display(), "a new TLS certificate is presented");
                }
                Err(error) => {
                    metrics::counter!("greenroom_tls_reloads_total", "outcome" => "failed").increment(1);
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "the TLS certificate has changed and cannot be used; the old one stays");
                }
            }
        }
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.0.acceptor
    }

    /// Whether there was something new. Of what is no good the same is told only once.
    async fn reload(&self) -> Result<bool, TlsError> {
        let Shared { files, current, read, .. } = &*self.0;
        let found = match Pair::read(files).await {
            Ok(found) => found,
            Err(error) => {
                let nothing = Pair { certificate: Vec::new(), key: Vec::new() };
                let was_told = std::mem::replace(&mut *read.lock(), nothing).certificate.is_empty();
                return if was_told { Ok(false) } else { Err(error) };
            }
        };
        if *read.lock() == found {
            return Ok(false);
        }
        let parsed = found.parse(files, &current.provider);
        *read.lock() = found;
        let parsed = Arc::new(parsed?);
        let is_new = parsed.cert != current.key.read().cert;
        *current.key.write() = parsed;
        Ok(is_new)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Pair {
    async fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { certificate: read(&files.certificate).await?, key: read(&files.key).await? })
    }

    fn parse(&self, files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let missing =
            |path: &Path, expected, source| TlsError::Missing { path: path.to_owned(), expected, source };
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
            .map_err(|source| missing(&files.certificate, "certificate", source))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|source| missing(&files.key, "private key", source))?;
        CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Unusable)
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fail = |source| TlsError::Read { path: path.to_owned(), source };
    if tokio::fs::metadata(path).await.map_err(fail)?.len() > FILE_BYTES_MAX {
        return Err(fail(io::Error::other("it is larger than any certificate")));
    }
    tokio::fs::read(path).await.map_err(fail)
}

/// The certificate that every new connection is shown.
struct Current {
    key: RwLock<Arc<CertifiedKey>>,
    provider: Arc<CryptoProvider>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read()))
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

#[cfg(test)]
mod tests;
