//! What every engine has to do. The cases run, unchanged, on each of them; [`conformance!`] makes
//! the tests.
//!
//! The cases are careful clients: they go through [`client`], which does on each error what the
//! contract says, so that they can also run on an engine with faults.

mod client;
mod documents;
mod leases;
mod messages;
mod watches;

use std::path::PathBuf;

use async_trait::async_trait;
use greenroom_test_support::seed;
use tempfile::TempDir;

use crate::{Directory, DirectoryConfig, FaultPlan, Kind, Partition};

const LOBBY: Kind = Kind::kept("lobby");
const ROOM: Kind = Kind::kept("room");
const PRESENCE: Kind = Kind::passing("presence");

/// Where an engine keeps its documents for the length of a case.
#[async_trait]
pub(crate) trait Setup: Send + Sync {
    /// For the test `name`.
    fn new(name: &str) -> Self;

    /// Opens the directory: empty the first time, then with what was kept.
    async fn open(&self) -> Directory;
}

fn game(name: &str) -> Partition {
    Partition::game(&greenroom_protocol::GameId::new(name).unwrap())
}

macro_rules! conformance {
    ($engine:ident: $setup:ty) => {
        mod $engine {
            use super::*;

            conformance! { $setup:
                documents::puts_gets_and_deletes,
                documents::an_expectation_must_hold,
                documents::a_stale_change_rejects_the_whole_commit,
                documents::concurrent_increments_lose_nothing,
                documents::revisions_are_never_reused,
                documents::lists_by_partition_and_id,
                documents::a_restart_keeps_what_is_kept,
                documents::a_mixed_commit_is_one,
                documents::what_is_over_a_limit_is_refused,
                documents::expired_documents_are_gone,
                documents::a_put_without_expiry_stays,
                documents::everything_is_refused_after_close,
                watches::tells_what_stands_then_what_changes,
                watches::skips_states_that_were_not_told,
                watches::keeps_the_order_of_commits,
                watches::replaces_an_untold_state_in_its_place,
                watches::tells_only_what_was_applied,
                watches::tells_only_of_its_kinds,
                watches::tells_of_expiry,
                watches::starts_amid_commits_without_a_gap,
                leases::one_holder_at_a_time,
                leases::renewing_prolongs,
                leases::a_lease_that_ran_out_passes_on,
                leases::a_released_lease_is_free,
                leases::survives_a_restart,
                leases::one_of_many_gets_it,
                messages::come_in_order_to_everyone_subscribed,
                messages::who_falls_behind_is_told,
                messages::end_with_the_directory,
            }
        }
    };
    ($setup:ty: $($module:ident::$case:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let setup = <$setup as Setup>::new(stringify!($case));
            crate::conformance::$module::$case(&setup).await;
        }
    )*};
}

/// The embedded engine on a file of its own.
struct Embedded(TempDir);

impl Embedded {
    fn path(&self) -> PathBuf {
        self.0.path().join("directory.db")
    }
}

#[async_trait]
impl Setup for Embedded {
    fn new(_: &str) -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Directory {
        Directory::open(DirectoryConfig::Embedded { path: self.path() }).await.unwrap()
    }
}

/// The embedded engine behind planned faults.
struct Faulty {
    embedded: Embedded,
    seed: u64,
}

#[async_trait]
impl Setup for Faulty {
    fn new(name: &str) -> Self {
        Self { embedded: Embedded::new(name), seed: seed(name) }
    }

    async fn open(&self) -> Directory {
        Directory::faulty(self.embedded.open().await, FaultPlan::from_seed(self.seed))
    }
}

conformance!(embedded: Embedded);
conformance!(faulty: Faulty);
