//! Seeds of random tests.

use std::{
    env,
    hash::{BuildHasher, RandomState},
};

/// Repeats a random test: set it to the seed that the failing run printed.
pub const TEST_SEED: &str = "GREENROOM_TEST_SEED";

/// The seed for the random test `test`: from [`TEST_SEED`], else random. Prints it, so that the
/// output of a failing run says how to repeat it.
///
/// # Panics
///
/// If [`TEST_SEED`] is set to something that is no number.
pub fn seed(test: &str) -> u64 {
    let seed = match env::var(TEST_SEED) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{TEST_SEED} is no number: {text:?}")),
        // Keyed anew for every instance, which is randomness enough for a test.
        Err(_) => RandomState::new().hash_one(test),
    };
    println!("{test}: repeat with {TEST_SEED}={seed}");
    seed
}
