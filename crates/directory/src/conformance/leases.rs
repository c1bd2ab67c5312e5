//! Leases: one holder at a time, and a generation that grows.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{
    Setup,
    client::{acquire, eventually, release, renew},
};

const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_secs(1);

pub(super) async fn one_holder_at_a_time(setup: &impl Setup) {
    let directory = setup.open().await;
    let lease = acquire(&directory, "sweeper", "node-1", LONG).await.unwrap();
    assert_eq!((&*lease.name, &*lease.holder), ("sweeper", "node-1"));
    assert_eq!(acquire(&directory, "sweeper", "node-2", LONG).await, None);
    let other = acquire(&directory, "other", "node-2", LONG).await.unwrap();
    assert_eq!(&*other.holder, "node-2");
    // The same holder anew, as after its restart: what it had before is void.
    let again = acquire(&directory, "sweeper", "node-1", LONG).await.unwrap();
    assert!(again.generation > lease.generation);
    assert!(!renew(&directory, &lease, LONG).await);
    assert!(renew(&directory, &again, LONG).await);
    release(&directory, &lease).await;
    assert_eq!(acquire(&directory, "sweeper", "node-2", LONG).await, None);
}

pub(super) async fn renewing_prolongs(setup: &impl Setup) {
    let directory = setup.open().await;
    let kept = acquire(&directory, "kept", "node-1", SHORT).await.unwrap();
    let lost = acquire(&directory, "lost", "node-1", SHORT).await.unwrap();
    for _ in 0..3 {
        assert!(renew(&directory, &kept, LONG).await);
    }
    eventually(async || acquire(&directory, "lost", "node-2", SHORT).await).await;
    assert!(!renew(&directory, &lost, LONG).await);
    assert_eq!(acquire(&directory, "kept", "node-2", SHORT).await, None);
    assert!(renew(&directory, &kept, LONG).await);
}

pub(super) async fn a_lease_that_ran_out_passes_on(setup: &impl Setup) {
    let directory = setup.open().await;
    let first = acquire(&directory, "sweeper", "node-1", SHORT).await.unwrap();
    let second = eventually(async || acquire(&directory, "sweeper", "node-2", LONG).await).await;
    assert!(second.generation > first.generation);
    assert!(!renew(&directory, &first, LONG).await);
    // Giving back what was lost takes nothing from who has it now.
    release(&directory, &first).await;
    assert!(renew(&directory, &second, LONG).await);
}

pub(super) async fn a_released_lease_is_free(setup: &impl Setup) {
    let directory = setup.open().await;
    let first = acquire(&directory, "sweeper", "node-1", LONG).await.unwrap();
    assert!(renew(&directory, &first, LONG).await);
    release(&directory, &first).await;
    release(&directory, &first).await;
    let second = acquire(&directory, "sweeper", "node-2", LONG).await.unwrap();
    assert!(second.generation > first.generation);
}

pub(super) async fn survives_a_restart(setup: &impl Setup) {
    let directory = setup.open().await;
    let held = acquire(&directory, "held", "node-1", LONG).await.unwrap();
    let released = acquire(&directory, "released", "node-1", LONG).await.unwrap();
    release(&directory, &released).await;
    directory.close().await;
    let directory = setup.open().await;
    assert_eq!(acquire(&directory, "held", "node-2", LONG).await, None);
    assert!(renew(&directory, &held, LONG).await);
    let next = acquire(&directory, "released", "node-2", LONG).await.unwrap();
    assert!(next.generation > released.generation);
}

pub(super) async fn one_of_many_gets_it(setup: &impl Setup) {
    let directory = setup.open().await;
    let mut nodes = JoinSet::new();
    for node in 0..8 {
        let directory = directory.clone();
        nodes.spawn(async move { acquire(&directory, "sweeper", &format!("node-{node}"), LONG).await });
    }
    let leases: Vec<_> = nodes.join_all().await.into_iter().flatten().collect();
    assert_eq!(leases.len(), 1, "{leases:?}");
    assert!(renew(&directory, &leases[0], LONG).await);
}
