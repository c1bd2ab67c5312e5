use super::*;

/// A certificate of its own for `localhost`, and its key.
fn make(folder: &Path) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

fn presented(tls: &Tls) -> Vec<CertificateDer<'static>> {
    tls.0.current.key.read().cert.clone()
}

#[tokio::test]
async fn a_new_pair_is_taken_and_a_broken_one_is_told_once() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = make(folder.path());
    let tls = Tls::open(files.clone()).await.unwrap();
    let first = presented(&tls);
    assert!(!tls.reload().await.unwrap());

    // Half of a new pair: its key is not there yet.
    let next = make(other.path());
    std::fs::copy(&next.certificate, &files.certificate).unwrap();
    assert!(matches!(tls.reload().await, Err(TlsError::Unusable(_))));
    assert!(!tls.reload().await.unwrap());
    assert_eq!(presented(&tls), first);
    std::fs::copy(&next.key, &files.key).unwrap();
    assert!(tls.reload().await.unwrap());
    let second = presented(&tls);
    assert_ne!(second, first);

    std::fs::write(&files.key, "nonsense").unwrap();
    assert!(matches!(tls.reload().await, Err(TlsError::Missing { expected: "private key", .. })));
    std::fs::remove_file(&files.key).unwrap();
    assert!(matches!(tls.reload().await, Err(TlsError::Read { .. })));
    assert!(!tls.reload().await.unwrap());
    assert_eq!(presented(&tls), second);

    // What it was before is no news.
    std::fs::copy(&next.key, &files.key).unwrap();
    assert!(!tls.reload().await.unwrap());
}

#[tokio::test]
async fn what_is_no_pair_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let files = make(folder.path());
    let swapped = TlsFiles { certificate: files.key.clone(), key: files.certificate.clone() };
    assert!(matches!(Tls::open(swapped).await, Err(TlsError::Missing { expected: "certificate", .. })));
    let absent = TlsFiles { key: folder.path().join("nothing"), ..files };
    assert!(matches!(Tls::open(absent).await, Err(TlsError::Read { .. })));
}
