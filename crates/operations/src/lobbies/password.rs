//! Lobby passwords. They keep strangers out of a lobby for an evening and are asked for on a
//! player's socket, so they get a salt and a hash that is cheap to compare, not one that is slow.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use subtle::ConstantTimeEq;

use crate::{failure::Failure, secret::random_bytes};

/// Longest password, in bytes; more is cut.
const PASSWORD_BYTES_MAX: usize = 128;

/// What is kept of a password: `<salt>.<hash>`.
pub(super) fn hash(password: &str) -> Result<String, Failure> {
    let salt = URL_SAFE_NO_PAD.encode(random_bytes::<9>()?);
    Ok(format!("{salt}.{}", salted(&salt, password)))
}

/// Whether `given` is the password that `kept` was made of; also where none is kept.
pub(super) fn matches(kept: Option<&str>, given: Option<&str>) -> bool {
    match (kept.and_then(|kept| kept.split_once('.')), given) {
        (None, _) => true,
        (Some((salt, hash)), Some(given)) => salted(salt, given).as_bytes().ct_eq(hash.as_bytes()).into(),
        (Some(_), None) => false,
    }
}

fn salted(salt: &str, password: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(salt.as_bytes());
    context.update(&password.as_bytes()[..password.len().min(PASSWORD_BYTES_MAX)]);
    URL_SAFE_NO_PAD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    use super::{hash, matches};

    #[test]
    fn only_the_password_itself_opens() {
        let kept = hash("sesame").unwrap();
        assert!(matches(Some(&kept), Some("sesame")));
        assert!(!matches(Some(&kept), Some("sesamE")));
        assert!(!matches(Some(&kept), None));
        assert!(matches(None, None));
        assert_ne!(kept, hash("sesame").unwrap());
    }
}
