//! Random secrets that we give out: shown once, kept as a hash.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use greenroom_protocol::ErrorCode;
use greenroom_storage::SecretHash;
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use subtle::ConstantTimeEq;

use crate::failure::Failure;

/// Bytes of a secret before it is written as text.
const SECRET_BYTES: usize = 32;

/// A new random secret, as text of `[A-Za-z0-9_-]`.
pub fn new_secret() -> Result<String, Failure> {
    Ok(URL_SAFE_NO_PAD.encode(random_bytes::<SECRET_BYTES>()?))
}

/// `N` random bytes from the system.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::new(ErrorCode::Internal, "No randomness is to be had."))?;
    Ok(bytes)
}

/// What is kept of a secret. Our secrets are random and long, so one round of SHA-256 is enough.
pub fn hash(secret: &str) -> SecretHash {
    let mut hash = SecretHash::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    hash
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Whether two hashes are equal, in a time that does not depend on where they differ.
pub fn equal(left: &SecretHash, right: &SecretHash) -> bool {
    left.ct_eq(right).into()
}
