//! Passwords: hashed with argon2, and checked, a bounded number at a time.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString},
};
use greenroom_protocol::ErrorCode;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task,
};

use crate::{failure::Failure, secret};

/// Shortest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 10;

/// Longest password, in bytes: more is not worth hashing.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Passwords that are hashed at once; each takes 19 MiB and a good part of a core.
const HASHES_AT_ONCE_MAX: usize = 2;

/// Those that are hashed and those that wait for it; one more is told that we are busy.
const HASHES_ASKED_MAX: usize = 66;

/// Hashes and checks passwords. Clones share the bound; whoever must not wait for somebody else's
/// passwords has a `Passwords` of its own.
#[derive(Clone, Debug)]
pub struct Passwords {
    hashing: Arc<Semaphore>,
    asked: Arc<Semaphore>,
}

/// Whether `password` can be chosen as one.
pub fn check(password: &str) -> Result<(), Failure> {
    if password.chars().count() >= PASSWORD_CHARS_MIN && password.len() <= PASSWORD_BYTES_MAX {
        return Ok(());
    }
    let sentence = format!(
        "The password has {PASSWORD_CHARS_MIN} characters or more, and at most {PASSWORD_BYTES_MAX} bytes."
    );
    Err(Failure::new(ErrorCode::Invalid, sentence))
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE_MAX)),
            asked: Arc::new(Semaphore::new(HASHES_ASKED_MAX)),
        }
    }
}

impl Passwords {
    /// What is kept of `password`: salted, in the PHC string format.
    pub async fn hash(&self, password: String) -> Result<String, Failure> {
        let salt = secret::random_bytes::<16>()?;
        let hashed = self.work(move || {
            let salt = SaltString::encode_b64(&salt)?;
            Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
        });
        let hashed: Result<String, argon2::password_hash::Error> = hashed.await?;
        hashed.map_err(Failure::internal)
    }

    /// Whether `password` is the one of `hash`. Without a hash, because there is no such account, the
    /// answer is no, and takes as long.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Failure> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let Some(hash) = hash else {
            self.hash(password).await?;
            return Ok(false);
        };
        self.work(move || {
            PasswordHash::new(&hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }

    /// Does `work` on a thread for it. A caller that goes away while its work is done keeps its place
    /// until that is over.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let busy =
            |_| Failure::new(ErrorCode::Busy, "Too many sign in at this moment. Try again in a moment.");
        let asked = Arc::clone(&self.asked).try_acquire_owned().map_err(busy)?;
        let hashing = Arc::clone(&self.hashing).acquire_owned().await.map_err(Failure::internal)?;
        let places: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (asked, hashing);
        task::spawn_blocking(move || {
            let done = work();
            drop(places);
            done
        })
        .await
        .map_err(Failure::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("wrong horse".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), Some("no hash".into())).await.unwrap());
        for (password, fits) in [("123456789", false), ("1234567890", true), (&*"é".repeat(129), false)] {
            assert_eq!(check(password).is_ok(), fits, "{password}");
        }
    }

    #[tokio::test]
    async fn those_that_wait_are_bounded() {
        let passwords = Passwords::default();
        let _held = Arc::clone(&passwords.asked).acquire_many_owned(HASHES_ASKED_MAX as u32).await.unwrap();
        let failure = passwords.hash("correct horse".into()).await.unwrap_err();
        assert_eq!(failure.code(), ErrorCode::Busy);
    }
}
