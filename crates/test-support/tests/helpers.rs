//! The small helpers.

use std::time::Duration;

use greenroom_test_support::{engines::require_engine, wait_for};

#[tokio::test]
async fn waiting_ends_with_the_condition_or_the_bound() {
    let mut looks = 0;
    let third = || {
        looks += 1;
        looks == 3
    };
    assert!(wait_for(third, Duration::from_secs(20)).await);
    assert_eq!(looks, 3);
    assert!(!wait_for(|| false, Duration::from_millis(1)).await);
}

#[test]
fn an_engine_that_is_there_is_handed_through() {
    assert_eq!(require_engine("an engine", Some(1), "a test"), Some(1));
}
