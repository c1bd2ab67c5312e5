//! Waiting for a condition, with a bound.

use std::time::{Duration, Instant};

/// How long to wait between two looks at the condition.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Looks at `condition` until it holds, at most for `timeout`; says whether it held. For
/// conditions that nothing announces; where there is an event, await that.
pub async fn wait_for(mut condition: impl FnMut() -> bool, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
