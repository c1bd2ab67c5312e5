//! Certificates and keys in PEM files, read in one bounded piece.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// Largest file of certificates or of a key, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a file holds. An error is a sentence that says what is wrong with it and what was expected.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable =
        |error: io::Error| format!("{} cannot be read ({error}); expected a PEM file", path.display());
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(format!("{} is no file; expected a PEM file", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("there is no file {}; expected a PEM file", path.display()));
        }
        Err(error) => return Err(unreadable(error)),
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{} is larger than any certificate; expected a PEM file", path.display()));
    }
    Ok(bytes)
}

/// The certificates in `bytes`, which are those of `path`: at least one.
pub(crate) fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| missing(path, "certificate"))
}

/// The private key in `bytes`, which are those of `path`.
pub(crate) fn key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|_| missing(path, "private key"))
}

/// The authorities in `bytes`, which are those of `path`.
pub(crate) fn authorities(path: &Path, bytes: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, bytes)? {
        roots.add(certificate).map_err(|error| {
            format!("{} has a certificate that is of no use ({error}); expected that of a CA", path.display())
        })?;
    }
    Ok(roots)
}

fn missing(path: &Path, what: &str) -> String {
    format!("{} has no {what} in it; expected one as PEM, which begins with -----BEGIN", path.display())
}
