//! Certificates of a test's own: an authority, and what it signs for servers and clients.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, both as PEM.
#[derive(Clone, Debug)]
pub struct CertifiedPair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    ///
    /// If `name` cannot be one.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, new_key()).expect("a certificate"))
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Puts its certificate into `folder`.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, self.pem()).expect("the certificate of an authority");
        path
    }

    /// A certificate for a server of these names and addresses.
    ///
    /// # Panics
    ///
    /// If one cannot be a name.
    pub fn server(&self, names: &[&str]) -> CertifiedPair {
        self.sign(params("a server", names), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client.
    ///
    /// # Panics
    ///
    /// If `name` cannot be one.
    pub fn client(&self, name: &str) -> CertifiedPair {
        self.sign(params(name, &[]), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, purpose: ExtendedKeyUsagePurpose) -> CertifiedPair {
        let key = new_key();
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        CertifiedPair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl CertifiedPair {
    /// Puts both into `folder`, as `<name>.pem` and `<name>-key.pem`; gives both paths.
    ///
    /// # Panics
    ///
    /// If they cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}-key.pem")));
        fs::write(&paths.0, &self.certificate).expect("a certificate");
        fs::write(&paths.1, &self.key).expect("a key");
        paths
    }
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names of a server");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
